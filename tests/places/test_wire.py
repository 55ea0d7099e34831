"""A worker at the far end of a wire: the same answers, the same failures, and nothing left when the wire ends."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cairn.errors import Unreachable
from cairn.execution.hosts import Bundle, bundle
from cairn.lab.installed import versions_of
from cairn.process import MARKER
from cairn.worker import wire
from cairn.worker_process import WORKER_FOLDER, WorkerFailure, WorkerProcess

PYTHON = Path(sys.executable)
TOKEN = "a token"  # of a server that lives as long as the test


@pytest.fixture
def far(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A far end of its own, as a node of a cluster has one; its temporary files can be counted."""
    command = [sys.executable, "-E", "-s", "-B", str(WORKER_FOLDER / "far.py"), "serve", "127.0.0.1"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdin is not None
        server.stdin.write(TOKEN + "\n")
        server.stdin.flush()
        yield server
        server.terminate()


@pytest.fixture
def python(far: subprocess.Popen[str], tmp_path: Path) -> Callable[..., Path]:
    """What stands for the interpreter there."""
    assert far.stdout is not None
    port = int(far.stdout.readline())
    names = itertools.count()

    def write(**changed: object) -> Path:
        folder = tmp_path / f"place {next(names)}"
        folder.mkdir()
        facts = {
            "name": "far",
            "address": ["127.0.0.1", port],
            "token": TOKEN,
            "python": sys.executable,
            **changed,
        }
        (folder / "place.json").write_text(json.dumps(facts))
        program = folder / wire.FAR_PYTHON
        near = WORKER_FOLDER / "near.py"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -E -s -S -B "{near}" "{folder}/place.json" "$@"\n')
        program.chmod(0o700)
        return program

    return write


def children(far: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(far.pid).children(recursive=True)


def gone_soon(far: subprocess.Popen[str]) -> bool:
    deadline = time.monotonic() + 30
    while children(far) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not children(far)


def test_a_far_worker_answers_as_a_near_one(python: Callable[..., Path], far: subprocess.Popen[str]) -> None:
    answers = []
    for interpreter in (PYTHON, python()):
        with WorkerProcess(interpreter, "timer") as worker:
            reply, _ = worker.ask({"op": "device"}, timeout_s=60)
            answers.append({key: value for key, value in reply.items() if key != "id"})
            with pytest.raises(WorkerFailure, match="KeyError: 'nonsense'"):
                worker.ask({"op": "nonsense"}, timeout_s=60)
    assert answers[0] == answers[1]
    assert gone_soon(far)
    assert versions_of(python()) == versions_of(PYTHON)


def test_a_far_candidate_is_locked_in_as_a_near_one(python: Callable[..., Path]) -> None:
    isolations = []
    for interpreter in (PYTHON, python()):
        with WorkerProcess(interpreter, "candidate") as worker:
            isolations.append(worker.isolation)
    assert isolations[0] == isolations[1]


def test_the_oracle_stays_at_home(python: Callable[..., Path], far: subprocess.Popen[str]) -> None:
    with WorkerProcess(python(), "oracle") as worker:
        with pytest.raises(WorkerFailure, match="raised"):
            worker.ask({"op": "nonsense"}, timeout_s=60)
        assert not children(far)
        assert psutil.Process(worker.pid).cmdline()[0] == sys.executable


def test_how_a_far_worker_ended_is_told(python: Callable[..., Path], far: subprocess.Popen[str]) -> None:
    """Its own exit, a signal, a loss of the host: three different things."""
    with WorkerProcess(python(), "nobody") as worker, pytest.raises(WorkerFailure, match="with code 2") as failure:
        worker.ask({"op": "device"}, timeout_s=60)
    assert "unknown role" in failure.value.detail
    with WorkerProcess(python(), "timer") as worker:
        worker.ask({"op": "device"}, timeout_s=60)
        children(far)[0].kill()
        with pytest.raises(WorkerFailure, match="by signal 9"):
            worker.ask({"op": "device"}, timeout_s=60)
    with WorkerProcess(python(), "timer") as worker:
        worker.ask({"op": "device"}, timeout_s=60)
        far.terminate()
        with pytest.raises(Unreachable, match="far was lost"):
            worker.ask({"op": "device"}, timeout_s=60)
    with WorkerProcess(python(), "timer") as worker, pytest.raises(Unreachable, match="does not answer"):
        worker.ask({"op": "device"}, timeout_s=60)


def test_a_worker_cannot_feign_that_its_host_was_lost(tmp_path: Path) -> None:
    """The exit code that means so counts from a far interpreter only."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nexit {wire.LOST}\n")
    program.chmod(0o700)
    with WorkerProcess(program, "timer") as worker, pytest.raises(WorkerFailure, match="with code 75"):
        worker.ask({"op": "device"}, timeout_s=60)


def test_nothing_outlives_the_near_end(
    python: Callable[..., Path], far: subprocess.Popen[str], tmp_path: Path
) -> None:
    worker = WorkerProcess(python(), "timer")
    worker.ask({"op": "device"}, timeout_s=60)
    started = children(far)
    assert all(MARKER in process.environ() for process in started)
    worker.close()
    assert gone_soon(far)
    deadline = time.monotonic() + 30
    while list(tmp_path.glob("cairn-*/*/far-*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not list(tmp_path.glob("cairn-*/*/far-*"))


def test_a_worker_sees_the_chips_that_its_host_was_given(tmp_path: Path) -> None:
    """Not those that the judge's machine names."""
    command = [sys.executable, "-E", "-s", "-B", str(WORKER_FOLDER / "far.py"), "stdio"]
    program = "import os; print(*(os.environ.get(name) for name in ('CUDA_VISIBLE_DEVICES', 'TPU_VISIBLE_CHIPS')))"
    wish = json.dumps({"command": ["-c", program], "wall_s": 60}).encode() + b"\n"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "3", "TPU_VISIBLE_CHIPS": "0,1"}
    done = subprocess.run(command, input=wish, capture_output=True, env=environment, check=True, timeout=100)
    assert b"3 0,1\n" in done.stdout


def test_without_the_token_nothing_is_started(python: Callable[..., Path], far: subprocess.Popen[str]) -> None:
    with WorkerProcess(python(token="wrong"), "timer") as worker, pytest.raises(Unreachable):
        worker.ask({"op": "device"}, timeout_s=60)
    assert not children(far)


def test_a_bundle_is_named_by_its_content(tmp_path: Path) -> None:
    first: Bundle = bundle()
    assert bundle().digest == first.digest
    (tmp_path / "far.py").write_text("changed")
    assert bundle(tmp_path).digest != first.digest
