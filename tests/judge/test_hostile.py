"""What a variant may leave behind or send must not stop the judge: logs, folders, texts, claims about time."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from cairn.judge.clock import ClockDisagreement, OwnClock
from cairn.judge.draws import BenchInputs
from cairn.judge.first_calls import compile_both, first_calls
from cairn.judge.protocol import JudgeLimits, Runner, VariantSource
from cairn.judge.sampling import Blocks, blocks_for, look
from cairn.judge.slices import Part
from cairn.judge.spare import Spare
from cairn.judge.timing_plan import TimingDevice, TimingPlan
from cairn.judge.verdict import Ruling
from cairn.worker.scratch import remove
from cairn.worker_process import WorkerFailure, WorkerProcess
from cairn.worker_watch import disk_used

PYTHON = Path(sys.executable)
HEAD = "import dataclasses, os\n@dataclasses.dataclass(frozen=True)\nclass Config:\n    pass\n"
SPECS = [{"shape": [64, 1024], "dtype": "float32"}] * 2


def nested(folder: Path, depth: int) -> None:
    """Folders within folders, longer in all than a path may be."""
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deeper", dir_fd=handle)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)


def test_folders_deeper_than_a_path_are_too_much_and_can_be_removed(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    assert disk_used(folder, 1000) == 0
    nested(folder, 1500)
    assert disk_used(folder, 1000) > 1000
    remove(folder)
    assert not folder.exists()


def test_a_log_that_became_a_pipe_blocks_nobody() -> None:
    text = f"{HEAD}print('seen', flush=True)\nos.unlink('worker.log')\nos.mkfifo('worker.log')\nos._exit(3)\n"
    with WorkerProcess(PYTHON, "candidate", isolation="process") as worker, pytest.raises(WorkerFailure) as failed:
        worker.ask({"op": "load", "name": "v", "config": {}}, [text.encode()], timeout_s=60)
    assert failed.value.reason == "exited"
    assert "seen" in failed.value.detail


def test_a_variants_words_move_no_cursor() -> None:
    ruling = Ruling("trace_error", "\x1b[2J\ud800\u202e fine \r" + "x" * 10_000)
    assert ruling.detail.isprintable()
    assert "fine" in ruling.detail
    assert len(ruling.detail) <= 4000
    ruling.detail.encode()


@pytest.mark.parametrize(("gain", "blocks"), [(2 / 3, 3), (0.1, 29), (0.05, 59), (0.0, 59), (1.0, 1)])
def test_as_many_blocks_as_the_gain_asks_for(gain: float, blocks: int) -> None:
    assert blocks_for(gain) == blocks


def blocks_seen(share: float) -> Blocks:
    return Blocks(0, BenchInputs(1, "normal", [], [], None), Part({}, ()), [], [], share)


def test_a_small_gain_is_looked_into_further_than_a_large_one() -> None:
    asked: list[int] = []

    def some(cells: int) -> Blocks:
        asked.append(cells)
        return blocks_seen(0.5)

    assert look(some, 0.1).chance >= 0.95
    look(some, 0.9)
    seen = look(lambda cells: blocks_seen(1.0), 0.1)
    assert asked == [2, 29, 2]
    assert (seen.blocks, seen.chance) == (0, 1.0)


def test_a_spare_that_died_is_replaced() -> None:
    spare = Spare(lambda: Runner(PYTHON, JudgeLimits()))
    spare.prepare()
    assert spare.isolation().level
    with spare.take() as first:
        first.close()
        assert not first.alive
    with spare.take() as second:
        assert second.load(VariantSource("v", f"{HEAD}def run(x): pass\n".encode())) == {}
    spare.close()
    spare.close()


def test_a_claim_about_time_is_held_against_the_judges_clock() -> None:
    steps = "jax.lax.fori_loop(0, 100, lambda i, z: jnp.sin(z) + y, x)"
    text = f"import jax\nimport jax.numpy as jnp\n{HEAD}def run(x, y, config):\n    return {steps}\n"
    with Runner(PYTHON, JudgeLimits()) as runner:
        runner.load(VariantSource("slow", text.encode()))
        program = runner.export(SPECS, "cpu")
    blobs = [np.ones((64, 1024), np.float32).tobytes()] * 2
    with TimingDevice(PYTHON, "cpu").start() as timer:
        timer.ask({"op": "load"}, [program, program], timeout_s=60)
        timer.ask({"op": "inputs", "inputs": SPECS}, blobs, timeout_s=60)
        compile_both(timer, TimingPlan())
        first_calls(timer, 1, TimingPlan())
        clock = OwnClock(timer, 1, 60)
        with pytest.raises(ClockDisagreement, match="judge's clock"):
            clock.agrees((1.0, 2e-2))  # a few calls of each, which take longer than neighbours interrupt
