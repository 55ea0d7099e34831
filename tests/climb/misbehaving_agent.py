"""A coding agent from hell, as a program: each act is one way in which agents were seen, or could be thought, to err.

    python misbehaving_agent.py ACT      the act's name, or a number that chooses one

It gets what every `command` agent gets. Acts that also make a valid edit say so by beginning with `edit_`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import misbehaving_files  # noqa: F401  (they register their acts)
import misbehaving_machine  # noqa: F401
import misbehaving_places  # noqa: F401
import misbehaving_repositories  # noqa: F401
import misbehaving_sources  # noqa: F401
from misbehaviour import ACTS, PROJECT, RUN, VARIANT, act, edit, shell


@act
def edit_well() -> None:
    edit(8 << int(os.environ["CAIRN_ATTEMPT"][1:]) % 4)
    usage = {"input_tokens": 900, "output_tokens": 100}
    print(json.dumps({"hypothesis": "other blocks", "expected_effect": "-10 %", "usage": usage, "cost_usd": 0.1}))


@act
def silent_hang() -> None:
    time.sleep(1000)


@act
def reads_stdin_for_ever() -> None:
    while True:
        sys.stdin.read()
        time.sleep(0.2)


@act
def rate_limited() -> None:
    sys.exit("429 Too Many Requests: rate limit reached, try again in 1 seconds")


@act
def says_nothing() -> None:
    pass


@act
def wedged_grandchild() -> None:
    code = "import signal,time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; time.sleep(1000)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    edit(16)


@act
def daemon_without_environment() -> None:
    subprocess.Popen(
        ["env", "-i", "setsid", "sh", "-c", f": {RUN}; cd /; sleep 1000 & sleep 1000"], start_new_session=True
    )
    edit(32)


@act
def floods_output() -> None:
    chunk = b"x" * 1_000_000
    for _ in range(200):
        os.write(1, chunk)


@act
def commits_then_crashes() -> None:
    edit(64)
    shell("git add -A; git -c user.name=a -c user.email=a@b commit -qm sneaky; kill -SEGV $$")
    sys.exit(3)


@act
def edit_and_stash() -> None:
    edit(16)
    shell("git stash; git stash pop; git checkout -q -b elsewhere; git reset -q --hard; git stash list")
    edit(16)


@act
def edit_and_reset() -> None:
    edit(16)
    shell(
        "git reset -q --hard HEAD~0; git clean -fdxq; git gc -q; git config core.hooksPath /tmp; git switch -c other"
    )
    edit(32)


@act
def edit_without_repository() -> None:
    edit(32)
    shell(
        "rm -rf .git; git stash; git checkout -b astray; git add -A; git commit -qm astray; git reset --hard HEAD~1"
    )


@act
def reaches_for_the_project() -> None:
    edit(64)
    shell(
        f"cd '{PROJECT}'; git stash -u; git checkout -q -b hijacked; git config core.hooksPath /tmp/evil;"
        f" git update-ref refs/heads/cairn/night HEAD; echo x > .git/hooks/post-checkout; git reset -q --hard;"
        f" rm -rf kernels; echo garbage >> '{RUN}/ledger.jsonl'; rm -f '{RUN}/receipts.jsonl'; : > '{RUN}/lock'"
    )


@act
def kills_everybody() -> None:
    shell("kill -9 $(ps -eo pid,args | grep -i '[c]airn' | awk '{print $1}'); kill -9 $PPID; kill -9 -1")


@act
def kills_itself() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@act
def lies_about_failure() -> None:
    edit(64)
    Path(os.environ["CAIRN_RESULT"]).write_text(
        json.dumps({"failure": "rate_limit", "retry_at": int(time.time()) + 2})
    )


@act
def many_processes() -> None:
    edit(32)
    for _ in range(150):
        subprocess.Popen(["sleep", "1000"], start_new_session=True)


@act
def edit_as_somebody_else() -> None:
    edit(64)
    shell(
        "git -c user.name='Linus Torvalds' -c user.email=linus@localhost commit -qam 'trust me'; git tag -f v9;"
        " git rebase -q --root HEAD; git push -q --force origin HEAD:refs/heads/main"
    )


@act
def pushes_to_the_project() -> None:
    edit(64)
    shell(
        f"git commit -qam mine; git push -q --force '{PROJECT}' HEAD:refs/heads/cairn/night HEAD:refs/heads/main;"
        f" git -C '{PROJECT}' worktree add -f ../stolen; git -C '{PROJECT}' gc --prune=now -q;"
        f" : > '{PROJECT}/.git/index.lock'; chmod -R 777 '{PROJECT}'"
    )


@act
def destroys_objects() -> None:
    edit(16)
    shell(
        "d=$(cat .git/objects/info/alternates); chmod -R u+w $d; rm -rf $d/*; git gc -q --prune=now;"
        " rm -rf .git/objects; : > .git/index.lock; : > .git/HEAD.lock"
    )


@act
def repository_is_bare() -> None:
    edit(16)
    shell("git config core.bare true; git config core.worktree /etc; echo 'ref: refs/heads/nowhere' > .git/HEAD")


@act
def repository_is_the_projects() -> None:
    """Every git command of the attempt's folder is one in the project."""
    edit(64)
    shell(
        f"rm -rf .git; echo 'gitdir: {PROJECT}/.git' > .git; git add -A; git commit -qam mine; git checkout -qb mine;"
        " git stash; git reset -q --hard HEAD~1; git worktree prune; git reflog expire --expire=now --all; git gc -q"
    )


@act
def history_without_end() -> None:
    edit(32)
    identity = "git -c user.name=a -c user.email=a@b"
    shell(
        f"{identity} commit -qam one; git checkout -q --orphan other; {identity} commit -qam two;"
        f" {identity} merge -q --allow-unrelated-histories -m merged HEAD@{{1}}; git checkout -q --detach;"
        " for n in 1 2 3; do git commit -q --allow-empty --amend -m $n; done; git tag -d v9; git update-ref -d HEAD"
    )


@act
def closes_its_streams() -> None:
    edit(16)
    for handle in (0, 1, 2):
        os.close(handle)
    time.sleep(0.5)
    os._exit(0)


@act
def says_bytes() -> None:
    edit(32)
    os.write(1, bytes(range(256)) * 100 + b'\n\x1b]0;owned\x07\0\0{"hypothesis": "\xff"}\n')
    os.write(2, b"\xfe\0" * 5000)


@act
def deaf_to_every_signal() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1000)


@act
def stops_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@act
def talks_for_ever() -> None:
    while True:
        print("thinking", flush=True)
        time.sleep(0.5)


@act
def edits_after_its_end() -> None:
    edit(16)
    code = f"import time; time.sleep(1); open({str(VARIANT)!r}, 'w').write('late')"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)


@act
def exits_with_a_failure() -> None:
    edit(64)
    sys.exit(42)


@act
def dumps_core() -> None:
    edit(32)
    shell("ulimit -c unlimited; kill -ABRT $$")


if __name__ == "__main__":
    name = sys.argv[1]
    chosen = ACTS[name] if name in ACTS else list(ACTS.values())[int(name) % len(ACTS)]
    sys.stdout.write(f"{chosen.__name__}\n")
    sys.stdout.flush()
    chosen()
