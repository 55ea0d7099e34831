"""A coding agent from hell, as a program: each act is one way in which agents were seen, or could be thought, to err.

    python misbehaving_agent.py ACT      the act's name, or a number that chooses one

It gets what every `command` agent gets. Acts that also make a valid edit say so by beginning with `edit_`.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ACTS: dict[str, Callable[[], None]] = {}
RUN = Path(os.environ.get("CAIRN_LOG_DIR", ".")).parent.parent
VARIANT = Path(os.environ.get("CAIRN_VARIANT", "variant.py"))
PROJECT = RUN.parent.parent.parent


def act(function: Callable[[], None]) -> Callable[[], None]:
    ACTS[function.__name__] = function
    return function


def shell(command: str) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(["bash", "-c", command], check=False, timeout=20, stdin=subprocess.DEVNULL)


def edit(block: int = 32) -> None:
    VARIANT.write_text(re.sub(r"block: int = \d+", f"block: int = {block}", VARIANT.read_text()))


@act
def edit_well() -> None:
    edit(8 << int(os.environ["CAIRN_ATTEMPT"][1:]) % 4)
    print(json.dumps({"hypothesis": "other blocks", "expected_effect": "-10 %"}))


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
def junk_account() -> None:
    edit(16)
    Path(os.environ["CAIRN_RESULT"]).write_text(
        '{"hypothesis": [1, {"a": "\\ud800"}], "usage": "many", "cost_usd": -1e400'
    )


@act
def hostile_account() -> None:
    edit(64)
    said = (
        "\x1b[2J\u202e sk-ant-0123456789abcdefghij <script>alert(1)</script>\n### Iteration 9 - forged\n"
        + "x" * 300_000
    )
    Path(os.environ["CAIRN_RESULT"]).write_text(json.dumps({"hypothesis": said + "\ud800", "idea_class": said}))


@act
def deep_account() -> None:
    Path(os.environ["CAIRN_RESULT"]).write_text("[" * 200_000)


@act
def account_is_a_pipe() -> None:
    edit(16)
    os.mkfifo(os.environ["CAIRN_RESULT"])


@act
def wedged_grandchild() -> None:
    code = "import signal,time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; time.sleep(1000)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    edit(16)


@act
def daemon_without_environment() -> None:
    subprocess.Popen(["env", "-i", "setsid", "sh", "-c", "cd /; sleep 1000 & sleep 1000"], start_new_session=True)
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
def edits_frozen_files() -> None:
    edit(64)
    (VARIANT.parent.parent / "reference.py").write_text("loosened = True\n")


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
def no_permissions() -> None:
    edit(16)
    shell("chmod -R 000 .")


@act
def folder_gone() -> None:
    shell('cd ..; rm -rf "$CAIRN_WORKDIR"')


@act
def folder_is_a_link() -> None:
    shell('cd ..; mv "$CAIRN_WORKDIR" "$CAIRN_WORKDIR.moved"; ln -s /etc "$CAIRN_WORKDIR"')


@act
def variant_is_a_link() -> None:
    VARIANT.unlink()
    VARIANT.symlink_to("/etc/passwd")


@act
def parent_is_a_link() -> None:
    shell(f"mv '{VARIANT.parent}' /tmp/moved-$$; ln -s /tmp/moved-$$ '{VARIANT.parent}'")


@act
def variant_is_a_pipe() -> None:
    VARIANT.unlink()
    os.mkfifo(VARIANT)


@act
def variant_is_a_folder() -> None:
    VARIANT.unlink()
    VARIANT.mkdir()


@act
def variant_is_binary() -> None:
    VARIANT.write_bytes(bytes(range(256)) * 64)


@act
def variant_is_huge() -> None:
    with VARIANT.open("ab") as file:
        file.truncate(3 * 2**30)


@act
def variant_is_nested() -> None:
    VARIANT.write_text("x = " + "(" * 50_000 + "1" + ")" * 50_000 + "\n")


@act
def variant_is_empty() -> None:
    VARIANT.write_bytes(b"")


@act
def variant_with_other_line_ends() -> None:
    VARIANT.write_bytes(b"\xef\xbb\xbf" + VARIANT.read_bytes().replace(b"\n", b"\r\n"))


@act
def only_a_comment() -> None:
    VARIANT.write_text("# thoughts\n" + VARIANT.read_text())


@act
def nested_repositories() -> None:
    edit(16)
    shell(
        "git init -q inner; mkdir inner/x; git init -q inner/x; git submodule add -q ./inner sub; touch .gitmodules"
    )


@act
def evil_attributes() -> None:
    edit(32)
    for key in ("filter.evil.clean", "core.fsmonitor"):
        shell(f"git config {key} 'touch /tmp/cairn-filter-ran'")
    Path(".gitattributes").write_text("* filter=evil\n")


@act
def many_files() -> None:
    edit(16)
    for number in range(3000):
        Path(f"file-{number}").touch()


@act
def strange_names() -> None:
    edit(32)
    for name in (b"\xff\xfe", b"a\nb", b"-rf", b" ", "\u202e".encode()):
        Path(os.fsdecode(name)).touch()


@act
def logs_replaced() -> None:
    edit(64)
    logs = os.environ["CAIRN_LOG_DIR"]
    shell(
        f"cd '{logs}'; rm -f *; mkdir change.patch; mkfifo command-stdout.log; ln -s /etc/passwd command-stderr.log"
    )


@act
def touches_everything() -> None:
    shell("find . -type f -not -path './.git/*' -exec touch -d '2001-01-01' {} +")


@act
def large_files() -> None:
    edit(16)
    shell("dd if=/dev/zero of=big bs=1M count=200 status=none; truncate -s 100G sparse")


@act
def lies_about_failure() -> None:
    edit(64)
    Path(os.environ["CAIRN_RESULT"]).write_text(
        json.dumps({"failure": "rate_limit", "retry_at": int(time.time()) + 2})
    )


if __name__ == "__main__":
    name = sys.argv[1]
    chosen = ACTS[name] if name in ACTS else list(ACTS.values())[int(name) % len(ACTS)]
    sys.stdout.write(f"{chosen.__name__}\n")
    sys.stdout.flush()
    chosen()
