"""run_bounded with real programs that hang, flood, fork, hide or refuse to die."""

import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from cairn.process import Limits, Outcome, Streams, _reap, end_tree, marked_environment, run_bounded


@dataclass
class Bench:
    """Runs programs in a folder, and finds what they left behind by a word on their command line."""

    folder: Path
    word: str = field(default_factory=lambda: f"1000.{random.randrange(10**15):015}")  # also a time to sleep

    @property
    def streams(self) -> Streams:
        return Streams(self.folder / "out", self.folder / "err")

    def shell(self, script: str, *, wall_s: float = 20, idle_s: float | None = None, **more: int) -> Outcome:
        return self.run(["bash", "-c", script, self.word], Limits(wall_s, idle_s, **more))

    def run(self, command: list[str], limits: Limits, stdin_text: str = "") -> Outcome:
        return run_bounded(
            command,
            cwd=self.folder,
            environment={"PATH": os.environ["PATH"]},
            streams=Streams(self.folder / "out", self.folder / "err", stdin_text),
            limits=limits,
        )

    def out(self) -> str:
        return (self.folder / "out").read_text()

    def survivors(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter(["cmdline"]) if self._is_mine(process)]

    def _is_mine(self, process: psutil.Process) -> bool:
        return self.word in " ".join(process.info["cmdline"] or []) and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    left = bench.survivors()
    for process in left:
        process.kill()
    assert not left


def test_a_program_that_ends_gives_its_code_and_its_streams(bench):
    outcome = bench.shell("echo to-out; echo to-err >&2; exit 3")

    assert (outcome.returncode, outcome.ended_by, outcome.ok) == (3, "exit", False)
    assert bench.out() == "to-out\n"
    assert (bench.folder / "err").read_text() == "to-err\n"


def test_only_code_zero_is_ok(bench):
    assert bench.shell("true").ok


def test_a_program_that_dies_by_a_signal_is_told_apart(bench):
    outcome = bench.shell("kill -SEGV $$")

    assert (outcome.returncode, outcome.ended_by) == (-signal.SIGSEGV, "signal")


def test_stdin_is_delivered_and_ends(bench):
    text = "prompt ü\n" * 50_000  # more than a pipe would hold

    outcome = bench.run(["cat"], Limits(20), text)

    assert outcome.ok
    assert bench.out() == text


def test_without_stdin_text_a_reader_sees_the_end_at_once(bench):
    assert bench.shell("cat; echo read", wall_s=5).ok
    assert bench.out() == "read\n"


def test_the_environment_is_the_callers_and_a_mark(bench, monkeypatch):
    monkeypatch.setenv("CAIRN_TEST_SECRET", "of the parent")

    bench.run(["env"], Limits(20))

    assert {line.partition("=")[0] for line in bench.out().splitlines()} == {"PATH", "CAIRN_PROCESS_TREE"}


def test_the_wall_limit_ends_a_busy_program(bench):
    outcome = bench.shell("while true; do echo busy; sleep 0.05; done", wall_s=0.6, idle_s=5)

    assert outcome.ended_by == "wall"
    assert outcome.wall_s < 5


def test_the_idle_limit_ends_a_silent_program(bench):
    outcome = bench.shell("echo once; sleep $0", wall_s=30, idle_s=0.5)

    assert outcome.ended_by == "idle"
    assert outcome.wall_s < 5


def test_output_on_either_stream_is_not_idle(bench):
    script = "for i in 1 2 3 4; do echo $i; sleep 0.3; echo $i >&2; sleep 0.3; done"

    assert bench.shell(script, idle_s=1).ok


def test_a_flood_of_output_is_cut(bench):
    outcome = bench.shell("yes", wall_s=30, max_output_bytes=100_000)

    assert outcome.ended_by == "output"
    assert outcome.wall_s < 10


def test_a_cancelled_run_ends(bench):
    started = time.monotonic()

    outcome = run_bounded(
        ["sleep", "1000"],
        cwd=bench.folder,
        environment={"PATH": os.environ["PATH"]},
        streams=bench.streams,
        limits=Limits(30),
        cancelled=lambda: time.monotonic() - started > 0.3,
    )

    assert outcome.ended_by == "cancelled"


def test_an_interrupt_lets_a_program_clean_up(bench):
    outcome = bench.shell("trap 'echo cleaned; exit 7' INT; echo ready; sleep $0 & wait", wall_s=2.0)

    assert (outcome.ended_by, outcome.returncode) == ("wall", 7)
    assert bench.out() == "ready\ncleaned\n"


def test_an_interrupt_is_heard_even_below_nohup(bench):
    """A shell that starts us in the background has interrupts ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        outcome = bench.shell("trap 'echo cleaned; exit 7' INT; echo ready; sleep $0 & wait", wall_s=2.0)
    finally:
        signal.signal(signal.SIGINT, before)

    assert (outcome.ended_by, outcome.returncode) == ("wall", 7)
    assert bench.out() == "ready\ncleaned\n"


def test_a_program_that_ignores_interrupts_is_killed(bench):
    outcome = bench.shell("trap '' INT TERM; sleep $0", wall_s=0.5)

    assert (outcome.ended_by, outcome.returncode) == ("wall", -signal.SIGKILL)


LEAVERS = {
    "background": "bash -c 'sleep $0; true' $0 &",
    "own session": "setsid bash -c 'sleep $0; true' $0 & sleep 0.2",
    "twice forked": "(setsid bash -c 'setsid bash -c \"sleep $0; true\" $0 & sleep 0.2' $0 &) ; sleep 0.5",
    "no hangup": "nohup bash -c 'sleep $0; true' $0 &",
    "without environment": "env -i /bin/bash -c '/bin/sleep $0; true' $0 & sleep 0.2",
    "deaf": "bash -c 'trap \"\" INT TERM HUP; sleep $0; true' $0 & sleep 0.2",
}


@pytest.mark.parametrize("script", LEAVERS.values(), ids=LEAVERS)
def test_nothing_survives_a_program_that_ended_by_itself(bench, script):
    outcome = bench.shell(script)

    assert outcome.ok
    assert bench.survivors() == []


@pytest.mark.parametrize("script", LEAVERS.values(), ids=LEAVERS)
def test_nothing_survives_a_limit(bench, script):
    assert bench.shell(f"{script}\nsleep $0", wall_s=1).ended_by == "wall"
    assert bench.survivors() == []


def test_a_limit_finds_descendants_that_hide_behind_a_root_that_obeys(bench):
    script = "setsid env -i /bin/bash -c '/bin/sleep $0; true' $0 & trap 'exit 1' INT; sleep $0 & wait"

    assert bench.shell(script, wall_s=1).ended_by == "wall"
    assert bench.survivors() == []


def test_a_descendant_that_keeps_the_streams_open_blocks_nobody(bench):
    outcome = bench.shell("echo done; (sleep $0; true) & exit 0")

    assert outcome.ok
    assert outcome.wall_s < 5


def test_a_program_may_remove_its_own_streams(bench):
    outcome = bench.shell("rm out err; sleep 0.3; echo unseen; exit 4", idle_s=5)

    assert (outcome.returncode, outcome.ended_by) == (4, "exit")


def test_a_missing_program_is_an_error_with_its_name(bench):
    with pytest.raises(FileNotFoundError) as raised:
        bench.run(["no-such-program-here"], Limits(5))

    assert raised.value.filename == "no-such-program-here"


class Unkillable:
    """Stands for a child that hangs inside a driver: no signal ends it."""

    def wait(self, timeout):
        raise subprocess.TimeoutExpired("kernel", timeout)


def test_a_child_that_cannot_die_is_left_and_not_waited_for():
    assert _reap(Unkillable()) == -signal.SIGKILL


def test_ending_a_tree_spares_a_process_that_got_the_number_of_a_dead_one(bench):
    _, mark = marked_environment({})
    other, _ = marked_environment({"PATH": os.environ["PATH"]})
    bystander = subprocess.Popen(["sleep", "30"], env=other, start_new_session=True)
    try:
        while not psutil.Process(bystander.pid).environ():  # empty for a moment, while it is being executed
            time.sleep(0.01)
        assert end_tree(bystander.pid, mark) == 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
