"""Workers that are copied from a template: like executed ones, with nothing of each other, and gone when it goes."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cairn import worker_template
from cairn.worker_process import LEVELS, WorkerFailure, WorkerProcess, warm
from cairn.worker_template import Copied, Template

PYTHON = Path(sys.executable)
GOOD = b"""
import dataclasses

@dataclasses.dataclass(frozen=True)
class Config:
    pass

def run(x, *, config):
    return x
"""
TELL = """
import json, os, resource, tempfile
import jax, numpy
told = {
    "environment": dict(os.environ),
    "temporary": tempfile.gettempdir(),
    "folder": os.getcwd(),
    "descriptors": sorted(os.path.basename(os.readlink(f"/proc/self/fd/{n}")).partition(":")[0] for n in range(256)
                          if os.path.lexists(f"/proc/self/fd/{n}")),
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:7] == "RLIMIT_"},
    "drawn": [numpy.random.random(), __import__("random").random()],
    "mark of another": hasattr(jax, "another_was_here"),
}
jax.another_was_here = True
raise ValueError("TOLD" + json.dumps(told))
"""


@pytest.fixture
def template() -> Iterator[Template]:
    """The candidates' template of this process, with no copy left when the test ends."""
    found = warm(PYTHON, "candidate")
    if found is None:
        pytest.skip("no templates on this system: it gives no handles of processes")
    yield found
    assert not found.alive or not psutil.Process(found.pid).children()


def load(worker: WorkerProcess, text: bytes = GOOD) -> None:
    worker.ask({"op": "load", "name": "v", "config": {}}, [text], timeout_s=60)


def told_by(worker: WorkerProcess) -> dict[str, Any]:
    with pytest.raises(WorkerFailure, match="TOLD") as failure:
        load(worker, TELL.encode())
    return dict(json.loads(failure.value.error["message"].partition("TOLD")[2]))


def executed(level: str) -> WorkerProcess:
    """A worker that is no copy, because its environment names something of its own."""
    return WorkerProcess(PYTHON, "candidate", environment={"OWN": "1"}, isolation=level)


@pytest.mark.parametrize("level", [LEVELS[0], LEVELS[-1]])
def test_a_copy_is_as_bare_as_what_is_executed(template: Template, level: str) -> None:
    with WorkerProcess(PYTHON, "candidate", isolation=level) as copy, executed(level) as other:
        assert isinstance(copy._child, Copied)
        assert not isinstance(other._child, Copied)
        assert copy.isolation == other.isolation
        mine, theirs = told_by(copy), told_by(other)
        assert mine["folder"] == mine["temporary"] == mine["environment"]["HOME"] == str(copy.folder)
    private = {"HOME", "TMPDIR", "CAIRN_PROCESS_TREE"}
    assert theirs["environment"].pop("OWN") == "1"
    assert mine["environment"].keys() == theirs["environment"].keys()
    for name in mine["environment"].keys() - private:
        assert mine["environment"][name] == theirs["environment"][name]
    assert mine["limits"] == theirs["limits"]
    assert mine["descriptors"] == theirs["descriptors"]
    assert "socket" not in mine["descriptors"]


def test_copies_hold_nothing_of_each_other(template: Template) -> None:
    with WorkerProcess(PYTHON, "candidate") as first, WorkerProcess(PYTHON, "candidate") as second:
        assert first.isolation == second.isolation
        assert len({os.getsid(first.pid), os.getsid(second.pid), os.getsid(template.pid), os.getsid(0)}) == 4
        told = [told_by(first), told_by(second), told_by(first)]
    assert [each["mark of another"] for each in told] == [False, False, True]
    assert not set(told[0]["drawn"]) & set(told[1]["drawn"])


def test_a_template_holds_one_thread_one_socket_and_no_backend(template: Template) -> None:
    with WorkerProcess(PYTHON, "candidate") as worker:
        load(worker)
        process = psutil.Process(template.pid)
        assert process.num_threads() == 1
        handles = [path.readlink() for path in Path(f"/proc/{template.pid}/fd").iterdir()]
        assert sum(str(handle).startswith("socket:") for handle in handles) == 1
        assert not [handle for handle in handles if str(handle).startswith("pipe:")]
        writable = [
            line for line in Path(f"/proc/{template.pid}/maps").read_text().splitlines() if " rw-s" in line
        ]
        assert not writable, "copies would share this memory"
        assert set(process.environ()) <= {
            *("PATH", "HOME", "TMPDIR", "LANG", "JAX_PLATFORMS", "PYTHONDONTWRITEBYTECODE"),
            *worker_template.ONE_THREAD,
        }


def test_roles_do_not_share_the_layout_of_their_memory(template: Template) -> None:
    """A program is replayed where the variant that wrote it cannot know an address."""
    other = warm(PYTHON, "replay")
    assert other is not None
    with WorkerProcess(PYTHON, "candidate") as candidate, WorkerProcess(PYTHON, "replay") as replay:
        load(candidate)
        assert replay.isolation
        pids = (template.pid, other.pid)
        # not the first lines: an interpreter that is no PIE lies at the same place in every process
        places = [re.search(r"^(\w+)-.*libc\W.*$", Path(f"/proc/{pid}/maps").read_text(), re.M) for pid in pids]
        assert all(places)
        assert len({place[1] for place in places if place}) == 2


def test_nothing_is_left_behind(template: Template) -> None:
    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def one() -> None:
        with WorkerProcess(PYTHON, "candidate") as worker:
            load(worker)

    one()
    before = handles()
    for _ in range(3):
        one()
    assert handles() == before
    assert not psutil.Process(template.pid).children(recursive=True)


def test_an_end_is_known_once_and_collected_once(template: Template) -> None:
    with WorkerProcess(PYTHON, "candidate") as worker:
        assert worker.isolation
        child = worker._child
        assert child.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.01)
        child.kill()
        assert child.wait(10) == child.poll() == child.wait() == -signal.SIGKILL
        child.terminate()
    assert not psutil.pid_exists(worker.pid)


def test_workers_end_with_their_template_and_the_next_has_a_new_one(template: Template) -> None:
    with WorkerProcess(PYTHON, "candidate") as worker:
        load(worker)
        tree = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        os.kill(template.pid, signal.SIGKILL)
        with pytest.raises(WorkerFailure) as failure:
            worker.ask({"op": "load", "name": "v", "config": {}}, [b"while True: pass"], timeout_s=60)
        assert failure.value.reason == "killed"
    assert not psutil.wait_procs(tree, timeout=10)[1]
    with WorkerProcess(PYTHON, "candidate") as worker:
        load(worker)
        assert isinstance(worker._child, Copied)
        assert worker._child.parent != template.pid


def test_a_template_that_does_not_answer_is_replaced(template: Template) -> None:
    with WorkerProcess(PYTHON, "candidate"):
        pass
    template._control.settimeout(0.5)
    os.kill(template.pid, signal.SIGSTOP)
    with WorkerProcess(PYTHON, "candidate") as worker:
        load(worker)
        assert not isinstance(worker._child, Copied)
    with WorkerProcess(PYTHON, "candidate") as worker:
        load(worker)
        assert isinstance(worker._child, Copied)


def test_an_interpreter_that_makes_no_template_is_executed(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *template*) exit 1 ;; esac\nexec "{PYTHON}" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    for _ in range(2):
        with WorkerProcess(python, "candidate") as worker:
            load(worker)
            assert not isinstance(worker._child, Copied)
    assert warm(python, "candidate") is None


def test_templates_end_with_the_process_that_had_them() -> None:
    program = (
        "import sys; from pathlib import Path; from cairn.worker_process import warm; "
        "print(warm(Path(sys.executable), 'candidate').pid)"
    )
    done = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=True)
    assert not done.stderr
    assert not psutil.pid_exists(int(done.stdout))
