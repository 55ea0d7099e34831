"""Any program as an agent: what it gets, what it may say, and how it may misbehave."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.rig import Rig
from cairn.agents.command import CommandAgent
from cairn.agents.protocol import EditOutcome, Usage
from cairn.process import Limits


def edit(rig: Rig, command: str, limits: Limits | None = None) -> EditOutcome:
    return CommandAgent(command).edit(rig.task(limits or Limits(wall_s=30, idle_s=20)))


def python(rig: Rig, text: str) -> str:
    path = rig.folder / "agent.py"
    path.write_text(text)
    return f"{sys.executable} {path}"


def test_it_gets_the_prompt_the_task_and_the_worktree(rig: Rig) -> None:
    text = (
        "import json, os, pathlib, sys\n"
        "task = json.load(open(os.environ['CAIRN_TASK']))\n"
        "assert sys.stdin.read() == open(os.environ['CAIRN_PROMPT']).read() == 'make it faster'\n"
        "assert task['workdir'] == os.getcwd() == os.environ['CAIRN_WORKDIR']\n"
        "pathlib.Path(task['variant']).write_text('chunk = 128')\n"
        "account = {'hypothesis': 'h', 'idea_class': 'c', 'model': 'm', 'cost_usd': 0.5,\n"
        "           'usage': {'input_tokens': 7, 'output_tokens': 2}}\n"
        "json.dump(account, open(os.environ['CAIRN_RESULT'], 'w'))\n"
    )

    outcome = edit(rig, python(rig, text))

    assert outcome == EditOutcome(
        "edited",
        hypothesis="h",
        idea_class="c",
        usage=Usage(7, 0, 2),
        cost_usd=0.5,
        cost_basis="client",
        model="m",
        transcript=rig.logs / "command-stdout.log",
    )
    assert rig.kernel.read_text() == "chunk = 128"


def test_an_object_at_the_end_of_its_output_will_do(rig: Rig) -> None:
    outcome = edit(rig, """echo x > kernel.py; echo thinking; echo '{"hypothesis": "from stdout"}'""")
    assert (outcome.status, outcome.hypothesis) == ("edited", "from stdout")


def test_no_change_is_nothing(rig: Rig) -> None:
    assert edit(rig, "true").status == "nothing"


def test_an_edit_that_keeps_size_and_time_is_one(rig: Rig) -> None:
    rig.kernel.write_text("chunk = 64")
    outcome = edit(rig, "cp -p kernel.py ../was; sed -i s/64/32/ kernel.py; touch -r ../was kernel.py")
    assert (outcome.status, rig.kernel.read_text()) == ("edited", "chunk = 32")


JUNK = [
    "not json",
    "[1, 2]",
    '{"hypothesis": 3, "usage": "many", "cost_usd": -1, "model": []}',
    "\\x00\\xff",
    "{" * 9999,
    '{"hypothesis": ["no", "text"], "deep": ' + "[" * 900 + "]" * 900 + "}",
    '{"cost_usd": NaN, "usage": {"input_tokens": 1e999, "output_tokens": ' + "9" * 4000 + "}}",
]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_a_junk_account_is_passed_over(rig: Rig, junk: str) -> None:
    (rig.folder / "junk").write_text(junk)
    outcome = edit(rig, f"echo x > kernel.py; cp {rig.folder}/junk $CAIRN_RESULT")
    assert (outcome.status, outcome.hypothesis, outcome.cost_usd) == ("edited", "", None)


@pytest.mark.parametrize("depth", [10, 900, 985, 2000])
def test_an_account_with_many_brackets_or_words_is_still_one(rig: Rig, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    (rig.folder / "account").write_text(f'{{"evidence": "{"e" * 20_000}", "deep": {deep}, "hypothesis": "h"}}')
    outcome = edit(rig, f"echo x > kernel.py; cp {rig.folder}/account $CAIRN_RESULT")
    assert outcome.status == "edited"
    assert outcome.hypothesis == "h" or depth > 500


@pytest.mark.parametrize(
    "trick",
    ["mkfifo $CAIRN_RESULT", "mkdir $CAIRN_RESULT", "ln -s /dev/zero $CAIRN_RESULT", "rm -rf $CAIRN_LOG_DIR/*"],
)
def test_an_odd_result_file_hangs_nobody(rig: Rig, trick: str) -> None:
    assert edit(rig, f"echo x > kernel.py; {trick}").status == "edited"


def test_an_earlier_account_is_not_believed(rig: Rig) -> None:
    (rig.logs / "result.json").write_text('{"hypothesis": "stale"}')
    assert edit(rig, "echo x > kernel.py").hypothesis == ""


FAILURES = {
    "exit 3": "agent_error",
    "no-such-program-at-all": "not_found",
    "echo 'No space left on device' >&2; exit 1": "disk",
    "echo '429 Too Many Requests' >&2; exit 1": "rate_limit",
    "echo 'invalid api key'; exit 1": "auth",
    "kill -9 $$": "infra",  # from outside, as by a machine that is short of memory: it is asked again
    """echo '{"hypothesis": "h", "failure": "quota"}' > $CAIRN_RESULT""": "quota",
    """echo '{"failure": "made-up"}' > $CAIRN_RESULT; exit 1""": "agent_error",
    "echo 'usage limit reached, I think'; echo 'I give up'; exit 1": "agent_error",
    "echo x > kernel.py; echo 'error: unknown option -q' >&2; exit 1": "agent_error",
    "echo 'fatal: /home/me/quota/oauth: not a git repository' >&2; exit 128": "agent_error",
}


@pytest.mark.parametrize(("command", "reason"), FAILURES.items())
def test_failures_have_classes(rig: Rig, command: str, reason: str) -> None:
    outcome = edit(rig, command)
    assert (outcome.status, outcome.reason) == ("failed", reason)
    assert outcome.detail


@pytest.mark.parametrize("said", ['"retry_at": {epoch}', '"retry_at": "{iso}"', '"note": 1'])
def test_a_rate_limit_may_say_until_when(rig: Rig, said: str) -> None:
    then = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    account = '{"failure": "rate_limit", ' + said.format(epoch=int(then.timestamp()), iso=then.isoformat()) + "}"
    (rig.folder / "account").write_text(account)
    text = f"cp {rig.folder}/account $CAIRN_RESULT; echo 'try again in 2 hours' >&2"
    found = edit(rig, text).retry_at
    assert found is not None
    assert abs(found - then) < timedelta(seconds=60)


def test_it_cannot_wait_on_standard_input(rig: Rig) -> None:
    assert edit(rig, "cat > /dev/null; cat > /dev/null; echo x > kernel.py").status == "edited"


LIMITS = {
    "sleep 60": ("timeout", Limits(wall_s=1)),
    "echo a; sleep 60": ("idle", Limits(wall_s=30, idle_s=1)),
    "yes": ("output", Limits(wall_s=30, max_output_bytes=100_000)),
}


@pytest.mark.parametrize(("command", "expected"), LIMITS.items())
def test_limits_end_it(rig: Rig, command: str, expected: tuple[str, Limits]) -> None:
    reason, limits = expected
    assert edit(rig, command, limits).reason == reason


def test_its_whole_tree_ends(rig: Rig) -> None:
    command = f"(setsid sleep {rig.word} >/dev/null 2>&1 &); trap '' INT TERM; sleep {rig.word}"
    assert edit(rig, command, Limits(wall_s=1)).reason == "timeout"
    assert rig.survivors() == []


def test_a_flood_is_kept_only_in_part(rig: Rig) -> None:
    line = "x" * 99
    outcome = edit(rig, f"yes {line} | head -n 200000; echo last words")
    assert outcome.transcript is not None
    kept = outcome.transcript.read_text()
    assert len(kept) <= 9 * 2**20
    assert kept.endswith("last words\n")
    assert '{"type": "cairn.cut", "bytes": ' in kept
    assert kept.startswith(line)


def test_another_repository_of_the_parent_is_not_used(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(rig.folder / "elsewhere"))
    monkeypatch.setenv("CAIRN_TEST_KEY", "mine")
    edit(rig, "git rev-parse --show-toplevel > $CAIRN_LOG_DIR/top; echo $CAIRN_TEST_KEY >> $CAIRN_LOG_DIR/top")
    assert (rig.logs / "top").read_text().split() == [str(Path(rig.workdir).resolve()), "mine"]


def test_the_task_file_holds_the_space_and_the_history(rig: Rig) -> None:
    edit(rig, "cp $CAIRN_TASK $CAIRN_LOG_DIR/copy.json")
    task = json.loads((rig.logs / "copy.json").read_text())
    assert {
        "attempt",
        "workdir",
        "variant",
        "prompt",
        "result",
        "log_dir",
        "tunables",
        "constraints",
        "history",
    } == set(task)
