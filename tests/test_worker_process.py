"""A worker that forks, hoards, fills the disk, hides or dies: bounded, classified, and nothing of it left."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cairn.worker_process import LEVELS, WorkerFailure, WorkerLimits, WorkerProcess, probe_isolation

PYTHON = Path(sys.executable)
MIB = 2**20
HEAD = """
import dataclasses, os, signal, subprocess, sys, time
from pathlib import Path

@dataclasses.dataclass(frozen=True)
class Config:
    pass

def run(x, *, config):
    return x

"""


class Word:
    """A time to sleep that nobody else sleeps: by it a test finds what a worker left behind."""

    def __init__(self) -> None:
        self.text = f"900.{random.randrange(10**15):015}"

    def sleepers(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter(["cmdline", "status"]) if self._sleeps(process.info)]

    def _sleeps(self, info: dict[str, Any]) -> bool:
        return self.text in (info["cmdline"] or []) and info["status"] != psutil.STATUS_ZOMBIE

    def wait_for(self, count: int, seconds: float = 10) -> int:
        deadline = time.monotonic() + seconds
        while len(self.sleepers()) != count and time.monotonic() < deadline:
            time.sleep(0.05)
        return len(self.sleepers())


@pytest.fixture
def word() -> Iterator[Word]:
    word = Word()
    yield word
    left = word.sleepers()
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert not left, "something of the worker survived"


def load(body: str, level: str = LEVELS[0], limits: WorkerLimits | None = None, timeout_s: float = 60) -> None:
    """Import a variant with this body in a worker of its own."""
    with WorkerProcess(PYTHON, "candidate", isolation=level, limits=limits) as worker:
        worker.ask({"op": "load", "name": "v", "config": {}}, [(HEAD + body).encode()], timeout_s=timeout_s)


def failure(
    body: str, level: str = LEVELS[0], limits: WorkerLimits | None = None, timeout_s: float = 60
) -> WorkerFailure:
    with pytest.raises(WorkerFailure) as caught:
        load(body, level, limits, timeout_s)
    return caught.value


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_reached_or_one_below_it(level: str) -> None:
    with WorkerProcess(PYTHON, "candidate", isolation=level) as worker:
        found = worker.isolation
        assert found == worker.isolation
    assert LEVELS.index(found.level) >= LEVELS.index(level)
    if found.level != level:
        assert any(text != "on" for text in found.layers.values())
        pytest.skip(f"this kernel gives {found.level} at most: {dict(found.layers)}")
    assert (
        set(found.layers)
        == {
            "namespaces+landlock": {"namespaces", "view", "privileges", "landlock", "calls"},
            "landlock": {"privileges", "landlock", "calls"},
            "namespaces": {"namespaces", "view", "privileges", "calls"},
            "process": {"privileges", "calls"},
        }[level]
    )


def test_trusted_roles_are_not_locked_in() -> None:
    with WorkerProcess(PYTHON, "oracle") as worker:
        assert worker.isolation.level == "process"
        assert not worker.isolation.holds


REFUSING = """
import ctypes, json, os, sys
from pathlib import Path
libc = ctypes.CDLL(None, use_errno=True)
user, group = os.geteuid(), os.getegid()
assert libc.unshare(0x10000000) == 0, os.strerror(ctypes.get_errno())
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"{sys.argv[1]} {user} 1")
Path("/proc/self/gid_map").write_text(f"1000 {group} 1")
Path("/proc/sys/user/max_user_namespaces").write_text("0")
os.execv(sys.executable, [sys.executable, "-c", '''
import json, sys
from pathlib import Path
from cairn.worker_process import probe_isolation
found = probe_isolation(Path(sys.executable))
print(json.dumps([found.level, found.holds, dict(found.layers)]))
'''])
"""


def probe_where_refused(user: int) -> tuple[str, list[str], dict[str, str]]:
    """Ask for the level as this user in a namespace that allows no further user namespace."""
    if "processes" not in probe_isolation(PYTHON).holds:
        pytest.skip("namespaces are refused here already")
    command = [PYTHON, "-c", REFUSING, str(user)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    level, holds, layers = json.loads(done.stdout)
    return level, holds, layers


def test_root_does_without_user_namespaces() -> None:
    level, holds, layers = probe_where_refused(user=0)
    assert layers["namespaces"] == layers["view"] == "on"
    assert "namespaces" in level
    assert {"processes", "network", "files", "privileges"} <= set(holds)


def test_a_kernel_that_refuses_namespaces_gives_the_next_level() -> None:
    """A real refusal: the limit on user namespaces is zero, and an ordinary user has no right to go without."""
    level, holds, layers = probe_where_refused(user=1000)
    assert level in ("landlock", "process")
    assert layers["namespaces"] != "on"
    assert "processes" not in holds
    assert ("files" in holds) == (level == "landlock")


ENDS = {
    "os._exit(7)": ("exited", "code 7"),
    "os._exit(0)": ("exited", "code 0"),
    "os.kill(os.getpid(), signal.SIGKILL)": ("killed", "signal 9"),
    "os.kill(os.getpid(), signal.SIGSEGV)": ("killed", "signal 11"),
    "os.abort()": ("killed", "signal 6"),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("body", ENDS)
def test_an_end_is_told_as_it_was(level: str, body: str) -> None:
    reason, text = ENDS[body]
    found = failure(body, level)
    assert found.reason == reason
    assert text in found.detail


@pytest.mark.parametrize("level", LEVELS)
def test_a_fork_bomb_is_stopped(level: str, word: Word) -> None:
    bomb = f"""
for _ in range(200):
    try:
        if os.fork() == 0:
            os.setsid()
            os.execve("/usr/bin/env", ["env", "sleep", "{word.text}"], {{"PATH": "/usr/bin:/bin"}})
    except OSError:
        pass
time.sleep(60)
"""
    found = failure(bomb, level, WorkerLimits(processes=32))
    assert found.reason == "killed"
    assert "processes" in found.detail
    assert word.wait_for(0, 2) == 0


@pytest.mark.parametrize("where", ["itself", "a child"])
def test_memory_is_bounded(where: str, word: Word) -> None:
    fork = "if os.fork(): time.sleep(60)\n" if where == "a child" else ""
    hoard = f"{fork}_kept = []\nwhile True:\n    _kept.append(b'x' * {32 * MIB})\n    time.sleep(0.01)\n"
    found = failure(hoard, limits=WorkerLimits(memory_bytes=700 * MIB))
    assert found.reason == "memory"


def test_one_huge_allocation_is_refused_before_it_happens() -> None:
    found = failure("_kept = b'x' * (64 * 2**30)", limits=WorkerLimits(memory_bytes=700 * MIB))
    assert (found.reason, found.error["type"]) == ("raised", "MemoryError")


def test_a_file_is_bounded() -> None:
    body = "with open('big', 'wb') as file:\n    for _ in range(64):\n        file.write(bytes(2**20))\n"
    found = failure(body, limits=WorkerLimits(file_bytes=8 * MIB))
    assert (found.reason, found.error["type"]) == ("raised", "OSError")


@pytest.mark.parametrize("level", LEVELS)
def test_the_disk_is_not_filled_by_many_files(level: str) -> None:
    body = f"""
for number in range(64):
    Path(f"part{{number}}").write_bytes(os.urandom({2 * MIB}))
time.sleep(60)
"""
    found = failure(body, level, WorkerLimits(scratch_bytes=32 * MIB))
    if found.reason == "raised":
        assert "No space left" in found.detail
    else:
        assert found.reason == "killed"
        assert "in its folder" in found.detail


DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        os.execve("/usr/bin/env", ["env", "sleep", "{word}"], {{"PATH": "/usr/bin:/bin"}})
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize("level", LEVELS)
def test_a_daemon_does_not_outlive_its_worker(level: str, word: Word) -> None:
    """Twice forked, in a session of its own and without the marker in its environment."""
    with WorkerProcess(PYTHON, "candidate", isolation=level) as worker:
        text = HEAD + DAEMON.format(word=word.text)
        worker.ask({"op": "load", "name": "v", "config": {}}, [text.encode()], timeout_s=60)
        assert word.wait_for(1) == 1
    assert not word.sleepers()


@pytest.mark.parametrize("level", LEVELS)
def test_a_daemon_does_not_outlive_an_exit(level: str, word: Word) -> None:
    found = failure(DAEMON.format(word=word.text) + "os._exit(3)", level)
    assert found.reason == "exited"
    assert not word.sleepers()


JUDGE = """
import sys
from pathlib import Path
from cairn.worker_process import WorkerProcess
worker = WorkerProcess(Path(sys.executable), "candidate", isolation=sys.argv[1])
worker.ask({"op": "load", "name": "v", "config": {}}, [sys.argv[2].encode()], timeout_s=60)
"""


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_outlives_a_judge_that_was_killed(level: str, word: Word, tmp_path: Path) -> None:
    variant = HEAD + DAEMON.format(word=word.text) + "time.sleep(600)"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([PYTHON, "-c", JUDGE, level, variant], env=environment) as judge:
        assert word.wait_for(1, 20) == 1
        tree = psutil.Process(judge.pid).children(recursive=True)
        judge.send_signal(signal.SIGKILL)
        judge.wait()
    assert word.wait_for(0, 5) == 0
    _, alive = psutil.wait_procs(tree, timeout=5)
    assert not alive


@pytest.mark.parametrize("level", LEVELS)
def test_a_worker_that_goes_for_its_supervisor_gains_nothing(level: str, word: Word) -> None:
    body = f"""
_child = subprocess.Popen(["sleep", "{word.text}"])
_parent = os.getppid()
assert _parent > 0
try:
    os.kill(_parent, signal.SIGKILL)
except PermissionError:
    pass
time.sleep(1)
os._exit(5)
"""
    found = failure(body, level)
    assert found.reason in ("exited", "killed")
    assert not word.sleepers()
