"""`cairn climb` as a user runs it: a real repository, the real judge and compiler, real kills, the real Codex."""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cairn.climb.ledger import Ledger
from cairn.climb.state import fold
from cairn.judge.receipt import ReceiptBook
from cairn.variant_text import config_defaults, with_defaults
from scripted.codex_home import find_codex, write_codex_home
from scripted.server import ScriptedModel
from scripted.turns import edits
from workspace import Workspace

VARIANT = "kernels/axpy/variants/pallas_axpy.py"
BRANCH = "cairn/axpy-tpu-v5p"

pytestmark = [pytest.mark.tpu_compiler, pytest.mark.timeout(600)]


def command(workspace: Workspace, *arguments: str) -> list[str]:
    return [sys.executable, "-c", "from cairn.cli.main import main; main()", "climb", "kernels/axpy", *arguments]


def climb(workspace: Workspace, *arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Run a climb to its end and give its `--json` object."""
    done = subprocess.run(
        command(workspace, *arguments, "--json"),
        cwd=workspace.root,
        env=env,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def printed(workspace: Workspace, *words: str) -> str:
    """What `cairn climb WORDS` prints."""
    program = [sys.executable, "-c", "from cairn.cli.main import main; main()", "climb", *words]
    done = subprocess.run(program, cwd=workspace.root, capture_output=True, text=True, timeout=400, check=True)
    return done.stdout


@contextlib.contextmanager
def launched(workspace: Workspace, *arguments: str, stderr: int) -> Iterator[subprocess.Popen[str]]:
    """A climb that runs beside the test; killed with SIGKILL if it still runs at the end of the block."""
    with subprocess.Popen(
        command(workspace, *arguments),
        cwd=workspace.root,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def block_of(workspace: Workspace, commit: str) -> int:
    return int(config_defaults(workspace.git("show", f"{commit}:{VARIANT}"))["block"])


def assert_tidy(workspace: Workspace) -> None:
    """The user's tree is as it was and nothing is left over."""
    assert workspace.git("status", "--porcelain") == " M notes.txt\n"
    assert (workspace.root / "notes.txt").read_text() == "the user's unsaved thought\n"
    assert len(workspace.git("worktree", "list").splitlines()) == 1
    assert not list((workspace.root / ".cairn" / "runs").glob("*/worktrees"))
    assert sorted(workspace.branches()) == sorted({"main", BRANCH} & set(workspace.branches()))


def test_the_tuner_finds_the_better_block(workspace: Workspace) -> None:
    data = climb(workspace, "--attempts", "3")
    assert data["ended"] == "attempts_done"
    assert data["kind"] == "predicted"
    assert len(data["attempts"]) == 3
    assert data["champion"]["predicted_us"] < 0.8 * data["start"]["predicted_us"]
    assert block_of(workspace, BRANCH) in (32, 64)
    kept = [attempt for attempt in data["attempts"] if attempt["decision"] == "kept"]
    assert len(workspace.git("rev-list", f"main..{BRANCH}").split()) == len(kept)
    assert_tidy(workspace)
    options = Path(data["ledger"]).with_name("options.json")
    kept = json.loads(options.read_text())
    del kept["options"]["plateau"]  # as an earlier version left it
    options.write_text(json.dumps(kept))
    again = json.loads(printed(workspace, "resume", "axpy-tpu-v5p", "--attempts", "4", "--json"))
    assert again["ended"] == "search_space_exhausted"
    assert again["champion"] == data["champion"]
    status = printed(workspace, "status", "kernels/axpy")
    assert "original baseline" in status
    assert "predicted us on tpu-v5p" in status
    assert str(data["ledger"]) in status


def test_kill_9_at_random_moments(workspace: Workspace) -> None:
    """Killed again and again, it ends where an undisturbed climb ends, and no attempt is judged twice."""
    seed = random.SystemRandom().randrange(2**32)
    moments = random.Random(seed)
    folder = workspace.root / ".cairn" / "runs" / "axpy-tpu-v5p"
    for _ in range(3):
        with launched(workspace, "--attempts", "3", stderr=subprocess.DEVNULL):
            time.sleep(moments.uniform(1.0, 7.0))  # leaving the block kills it
    data = climb(workspace, "--attempts", "3")
    state = fold(Ledger(folder / "ledger.jsonl").events)
    assert len(state.decided) == 3, f"seed {seed}"
    assert state.open is None
    attempts = [receipt["attempt"] for receipt in ReceiptBook(folder / "receipts.jsonl").all()]
    judged = [attempt for attempt in attempts if attempt != "start"]
    assert len(judged) == len(set(judged)), f"seed {seed}"
    assert data["champion"]["commit"] == workspace.git("rev-parse", BRANCH).strip()
    assert block_of(workspace, BRANCH) in (32, 64)
    assert_tidy(workspace)


@pytest.mark.client
@pytest.mark.skipif(find_codex() is None, reason="the Codex client is not installed (make clients)")
def test_three_attempts_of_the_real_codex(workspace: Workspace, tmp_path: Path) -> None:
    """A real improvement, a slower change and a broken kernel: one commit, and the ledger tells the story."""
    text = workspace.variant.read_text()

    def said(hypothesis: str) -> str:
        return (
            f"Done.\n{json.dumps({'hypothesis': hypothesis, 'expected_effect': '-50 %', 'idea_class': 'tiling'})}"
        )

    attempts = [
        edits(VARIANT, with_defaults(text, {"block": 64}), said("larger blocks hide the copy latency")),
        edits(VARIANT, with_defaults(text, {"block": 16}), said("smaller blocks start earlier")),
        edits(
            VARIANT, text.replace("(config.block, columns)", "(config.block, 100)"), said("odd blocks are fine")
        ),
    ]
    with ScriptedModel(attempts) as model:
        home = write_codex_home(tmp_path / "codex-home", model.port)
        env = {**os.environ, **home.environment}
        data = climb(workspace, "--agent", "codex", "--attempts", "3", env=env)
    assert model.unplayed() == []
    rows = [(attempt["decision"], attempt["verdict"], attempt["reason"]) for attempt in data["attempts"]]
    assert rows == [
        ("kept", "KEEP", "faster"),
        ("discarded", "DISCARD", "slower"),
        ("crashed", "CRASH", "block_shape"),
    ]
    assert len(workspace.git("rev-list", f"main..{BRANCH}").split()) == 1
    message = workspace.git("log", "-1", "--format=%B", BRANCH)
    assert "larger blocks hide the copy latency" in message
    assert f"Cairn-Receipt: {data['attempts'][0]['receipt']}" in message
    assert block_of(workspace, BRANCH) == 64
    assert_tidy(workspace)
    folder = Path(data["ledger"]).parent
    for attempt in ("a0001", "a0002", "a0003"):
        assert (folder / "attempts" / attempt / "codex-events.jsonl").stat().st_size > 0
        assert "Make one kernel faster" in (folder / "attempts" / attempt / "prompt.md").read_text()
    events = Ledger(Path(data["ledger"])).events
    usage = [event["usage"] for event in events if event["event"] == "attempt.edited"]
    assert all(entry and entry["input_tokens"] > 0 for entry in usage)
    receipts = ReceiptBook(folder / "receipts.jsonl")
    assert not receipts.broken_links()
    purposes = [(receipt["attempt"], receipt["purpose"]) for receipt in receipts.all()]
    assert [attempt for attempt, _ in purposes[:-1]] == ["start", "a0001", "a0002", "a0003"]
    assert purposes[-1][1] == "confirmation"


def test_a_second_launch_is_told_to_wait(workspace: Workspace) -> None:
    from filelock import FileLock

    folder = workspace.root / ".cairn" / "runs" / "axpy-tpu-v5p"
    folder.mkdir(parents=True)
    with FileLock(folder / "lock"):
        done = subprocess.run(
            command(workspace, "--attempts", "1"), cwd=workspace.root, capture_output=True, text=True, check=False
        )
    assert done.returncode == 75
    assert "already running" in done.stderr


def test_sigterm_cleans_up(workspace: Workspace) -> None:
    with launched(workspace, "--attempts", "3", stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "editing" in line:
                break
        process.terminate()
        _, rest = process.communicate(timeout=150)
        assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert_tidy(workspace)


@pytest.mark.parametrize("window", ["terminal", "pipe"])
def test_a_climb_goes_on_when_its_window_is_closed(workspace: Workspace, window: str) -> None:
    reader, writer = os.openpty() if window == "terminal" else os.pipe()
    options = ("--attempts", "1", "--agent", "command", "--agent-command", "true")
    with launched(workspace, *options, stderr=writer) as process:
        os.close(writer)
        assert os.read(reader, 1)
        os.close(reader)
        assert process.wait(timeout=300) == 0
    folder = workspace.root / ".cairn" / "runs" / "axpy-tpu-v5p"
    state = fold(Ledger(folder / "ledger.jsonl").events)
    assert (state.ended, [attempt.decision for attempt in state.decided]) == ("attempts_done", ["nothing"])
