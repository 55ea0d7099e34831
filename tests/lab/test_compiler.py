"""The real TPU compiler, without a TPU: a service that survives, real errors, plausible predictions."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from cairn.errors import Missing, UsageError
from cairn.lab.chip import TARGETS
from cairn.lab.failures import classify
from cairn.lab.predict import predict
from cairn.lab.service import CompileService
from cairn.worker_process import WorkerLimits

pytestmark = pytest.mark.tpu_compiler


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_compiles_and_is_predicted(service, export_toy, target):
    result = service.compile(export_toy("matmul", size=512, block=256), target, 60)
    assert result.failure is None
    assert result.custom_calls == ("matmul.1",)
    assert result.parameters == 2
    assert result.memory["argument_size_in_bytes"] == 2 * 512 * 512 * 2
    assert result.versions["libtpu"]
    assert set(result.dump.bundles) >= {"TLP", "matmul.1"}
    prediction = predict(result, target)
    assert prediction.refused is None
    assert 0 < prediction.low_us < prediction.us < prediction.high_us


def test_the_dump_of_one_program_does_not_leak_into_the_next(service, export_toy):
    first = service.compile(export_toy("add"), "tpu-v5e", 60)
    second = service.compile(export_toy("rows"), "tpu-v5e", 60)
    assert first.custom_calls == ("add.1",)
    assert second.custom_calls == ("rows.1",)
    assert "add.1" not in second.dump.bundles


@pytest.mark.parametrize(
    ("name", "kind"), [("too_large", "vmem_oom"), ("misaligned", "alignment")], ids=["too_large", "misaligned"]
)
def test_failures_of_the_compiler(service, export_toy, name, kind):
    result = service.compile(export_toy(name), "tpu-v5e", 60)
    assert result.failure.kind == kind
    if name == "misaligned":
        assert "toy_kernels.py:" in result.failure.source
    assert predict(result, "tpu-v5e").us is None


@pytest.mark.parametrize(("name", "kind"), [("bad_block", "block_shape"), ("unsupported", "unsupported")])
def test_failures_of_lowering(export_toy, name, kind):
    with pytest.raises(RuntimeError, match=r"toy_kernels\.py") as raised:
        export_toy(name)
    trace = str(raised.value)
    last = next(line for line in trace.splitlines() if line.startswith(("ValueError", "NotImplementedError")))
    error_type, _, message = last.partition(": ")
    failure = classify(error_type, message, trace)
    assert failure.kind == kind
    assert "toy_kernels.py:" in failure.source


def test_garbage_is_a_result(service):
    result = service.compile(b"not a program", "tpu-v5e", 60)
    assert result.failure.kind == "compile_error"
    assert result.failure.source is None


def test_an_unknown_target_is_the_callers_mistake(service):
    with pytest.raises(UsageError):
        service.compile(b"", "tpu-v99", 60)


def test_a_service_survives_time_outs_kills_and_hangs(export_toy):
    program = export_toy("add")
    with CompileService(Path(sys.executable), recycle_after=2) as service:
        assert service.compile(program, "tpu-v5e", 60).ok
        assert service.compile(export_toy("too_large"), "tpu-v6e", 0.05).failure.kind == "timeout"
        assert service.pid is None
        assert service.compile(program, "tpu-v5e", 60).ok

        os.kill(service.pid, signal.SIGSTOP)  # a hang inside the compiler
        started = time.monotonic()
        assert service.compile(program, "tpu-v5e", 1.0).failure.kind == "timeout"
        assert time.monotonic() - started < 10

        assert service.compile(program, "tpu-v5e", 60).ok
        os.kill(service.pid, signal.SIGABRT)
        wait_until(lambda: not service._worker.alive)
        assert service.compile(program, "tpu-v5e", 60).ok  # noticed before the call
        assert service.compile(program, "tpu-v5e", 60).ok  # the second of this process: it is recycled
        assert service.pid is None
        assert service.starts == 4
        assert service.compile(program, "tpu-v5e", 60).ok
        folder = service._worker.folder
    assert not folder.exists()


def test_two_services_at_once(service, export_toy):
    program = export_toy("add")
    with CompileService(Path(sys.executable)) as other:
        assert service.compile(program, "tpu-v5e", 60).ok
        assert other.compile(program, "tpu-v6e", 60).ok
        assert service.compile(program, "tpu-v5p", 60).ok
        assert service.pid != other.pid


def test_an_abort_while_compiling_is_a_crash(export_toy):
    program = export_toy("too_large")  # takes seconds
    with CompileService(Path(sys.executable)) as service:
        assert service.compile(export_toy("add"), "tpu-v5e", 60).ok  # warm
        abort = threading.Timer(0.5, os.kill, (service.pid, signal.SIGABRT))
        abort.start()
        failure = service.compile(program, "tpu-v5e", 60).failure
        abort.join()
        assert failure.kind == "crash"
        assert service.compile(export_toy("add"), "tpu-v5e", 60).ok


def wait_until(happened, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_that_eats_memory_is_ended(export_toy):
    with CompileService(Path(sys.executable)) as service:
        assert service.compile(export_toy("add"), "tpu-v5e", 60).ok
        service._worker._limits = WorkerLimits(
            memory_bytes=2**26
        )  # less than it has already: no need to fill the machine
        failure = service.compile(export_toy("too_large"), "tpu-v5e", 60).failure  # takes seconds
        assert failure.kind == "crash"
        assert "GiB" in failure.line
        assert service.compile(export_toy("add"), "tpu-v5e", 60).ok


def test_an_interpreter_without_jax_is_named(tmp_path):
    with CompileService(tmp_path / "python") as service, pytest.raises(Missing) as raised:
        service.versions()
    assert raised.value.hint


def test_tiny_blocks_cost_more_than_good_ones(service, export_toy):
    tiny, good, deep = (
        predict(service.compile(export_toy("matmul", block=block, depth=depth), "tpu-v5e", 120), "tpu-v5e")
        for block, depth in ((128, 128), (512, 512), (256, 512))
    )
    assert tiny.us > 3 * deep.us > 3 * good.us
    assert good.mxu_util > 0.5 > tiny.mxu_util
    assert tiny.breakdown["dma_wait"] > good.breakdown["dma_wait"]


def test_time_is_linear_and_long_grids_are_quick(service, export_toy):
    results = [service.compile(export_toy("add", steps=steps), "tpu-v5e", 60) for steps in (2048, 4096)]
    started = time.monotonic()
    half, whole = (predict(result, "tpu-v5e") for result in results)
    assert time.monotonic() - started < 5
    assert whole.us / half.us == pytest.approx(2, rel=0.02)


def test_plain_xla_is_predicted_with_its_loop(service, export_toy):
    short, long = (
        predict(service.compile(export_toy("scan", trips=trips), "tpu-v5p", 60), "tpu-v5p") for trips in (12, 48)
    )
    assert short.refused is None
    assert long.us / short.us == pytest.approx(4, rel=0.1)


def test_a_loop_until_the_data_says_so_is_refused(service, export_toy):
    prediction = predict(service.compile(export_toy("until"), "tpu-v5e", 60), "tpu-v5e")
    assert prediction.us is None
    assert "trip count" in prediction.refused


def test_a_grid_that_depends_on_an_input_is_refused(service, export_toy):
    prediction = predict(service.compile(export_toy("ragged"), "tpu-v5e", 60), "tpu-v5e")
    assert prediction.us is None
    assert "ragged" in prediction.refused
