"""Leases with real holder processes: got, lost, got again, given back on every way out."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cairn.errors import Missing, TryAgain, UsageError
from cairn.execution.leases import NO_LEASE, Lease, LeaseRules, held_place, shared_chip
from cairn.execution.leases_command import CommandAllocator

HOLDER = """\
import pathlib, sys, time
place, folder = sys.argv[1:3]
if (pathlib.Path(folder) / f"full-{place}").exists():
    sys.exit("no capacity")
pathlib.Path(folder, f"held-{place}").write_text("x")
print("allocating", flush=True)
if place != "silent":
    print(f"dev TPU is ready at {place}", flush=True)
try:
    time.sleep(600)
finally:
    pathlib.Path(folder, f"held-{place}").unlink()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Path:
    path = tmp_path / "holder.py"
    path.write_text(HOLDER)
    return path


def allocator(tmp_path: Path, holder: Path, **more: object) -> CommandAllocator:
    command = f"{sys.executable} {holder} {{place}} {tmp_path}"
    settings = {"ready_s": 60.0, "stop_s": 20.0, **more}
    return CommandAllocator("me-gdn", "v5p-8", command, tmp_path / "allocate.log", **settings)


def lease(tmp_path: Path, using: CommandAllocator, said: list[str], **rules: object) -> Lease:
    wanted = LeaseRules(**{"places": ["a", "b"], "heartbeat_s": 0.2, "reacquire_s": 0.0, **rules})
    return Lease("me-gdn", using, wanted, tmp_path / "run", said.append)


def held(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("held-*"))


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_a_device_is_held_and_given_back(tmp_path: Path, holder: Path) -> None:
    said: list[str] = []
    with lease(tmp_path, allocator(tmp_path, holder), said) as held_lease:
        assert held_lease.place == "a"
        assert held(tmp_path) == ["held-a"]
        note = Path(held_lease.environment()["CAIRN_DEVICE_NOTE"])
        assert held_place(note) == "a"
    assert held_place(note) == ""
    assert held(tmp_path) == []
    assert said == ["holding me-gdn at a", "released me-gdn at a"]
    assert "ready at a" in (tmp_path / "allocate.log").read_text()


def test_the_next_place_is_tried(tmp_path: Path, holder: Path) -> None:
    (tmp_path / "full-a").touch()
    said: list[str] = []
    with lease(tmp_path, allocator(tmp_path, holder), said) as held_lease:
        assert held_lease.place == "b"
    assert "no capacity" in said[0]


def test_all_places_are_tried_again(tmp_path: Path, holder: Path) -> None:
    for place in "ab":
        (tmp_path / f"full-{place}").touch()
    threading.Timer(1.0, (tmp_path / "full-b").unlink).start()
    with lease(tmp_path, allocator(tmp_path, holder), [], passes=20, pause_s=0.1) as held_lease:
        assert held_lease.place == "b"


def test_without_a_device_required_is_an_error_and_best_effort_goes_on(tmp_path: Path, holder: Path) -> None:
    for place in "ab":
        (tmp_path / f"full-{place}").touch()
    with pytest.raises(TryAgain, match="no device `me-gdn` at a, b"):
        lease(tmp_path, allocator(tmp_path, holder), []).__enter__()
    with lease(tmp_path, allocator(tmp_path, holder), [], policy="best-effort") as held_lease:
        assert held_lease.place == ""


def test_a_holder_that_never_gets_ready_is_ended(tmp_path: Path, holder: Path) -> None:
    said: list[str] = []
    with lease(tmp_path, allocator(tmp_path, holder, ready_s=1.0), said, places=["silent", "b"]) as held_lease:
        assert held_lease.place == "b"
        assert held(tmp_path) == ["held-b"]
    assert "not ready after 1 s" in said[0]


def test_a_lost_device_is_noticed_and_got_again(tmp_path: Path, holder: Path) -> None:
    said: list[str] = []
    with lease(tmp_path, allocator(tmp_path, holder), said) as held_lease:
        for process in psutil.Process().children(recursive=True):
            process.kill()
        assert until(lambda: held_lease.place == "")
        assert until(lambda: "lost me-gdn at a" in said)
        assert held_lease.ensure() == "a"
        assert held_lease.place == "a"
    assert said.count("holding me-gdn at a") == 2


def test_a_heartbeat_decides_where_there_is_one(tmp_path: Path, holder: Path) -> None:
    using = allocator(tmp_path, holder, heartbeat_command=f"test -e {tmp_path}/held-{{place}}")
    with lease(tmp_path, using, []) as held_lease:
        time.sleep(0.6)
        assert held_lease.place == "a"
        (tmp_path / "held-a").rename(tmp_path / "gone")
        assert until(lambda: held_lease.place == "")
        (tmp_path / "gone").rename(tmp_path / "held-a")


def test_a_device_is_held_no_longer_than_it_may_be(tmp_path: Path, holder: Path) -> None:
    said: list[str] = []
    with lease(tmp_path, allocator(tmp_path, holder), said, most_s=1.0) as held_lease:
        assert held_lease.place == "a"
        assert until(lambda: held(tmp_path) == [])
        assert until(lambda: any(line.startswith("gave back me-gdn at a: it was held for") for line in said)), said
        with pytest.raises(TryAgain, match="as long as it may be"):
            held_lease.ensure()
    assert held(tmp_path) == []
    with lease(tmp_path, allocator(tmp_path, holder), said, most_s=0.5, policy="best-effort") as held_lease:
        assert until(lambda: held(tmp_path) == [] and held_lease.place == "")
        assert held_lease.ensure() == ""


def test_a_holder_that_leaves_after_allocation_needs_heartbeat_and_release(tmp_path: Path) -> None:
    using = CommandAllocator(
        "n",
        "",
        f"sh -c 'touch {tmp_path}/dev; echo ready'",
        tmp_path / "log",
        heartbeat_command=f"test -e {tmp_path}/dev",
        release_command=f"rm {tmp_path}/dev",
    )
    with lease(tmp_path, using, []) as held_lease:
        time.sleep(0.6)
        assert held_lease.place == "a"
    assert not (tmp_path / "dev").exists()


def test_a_missing_allocator_says_what_is_missing(tmp_path: Path) -> None:
    using = CommandAllocator("n", "", "no-such-allocator --x", tmp_path / "log")
    with pytest.raises(Missing, match="no-such-allocator"):
        lease(tmp_path, using, []).__enter__()
    said: list[str] = []
    with lease(tmp_path, using, said, policy="best-effort") as held_lease:
        assert held_lease.ensure() == ""
    assert len(said) == 1


def test_a_place_holder_without_a_value_takes_its_option_along(tmp_path: Path) -> None:
    using = CommandAllocator("me", "", "hold --tpu-name {name} --tpu-type {type} {place}", tmp_path / "log")
    assert using.line(using.allocate_command, "a b") == ["hold", "--tpu-name", "me", "a b"]


@pytest.mark.parametrize("command", ["hold {nmae}", "hold 'open", ""])
def test_a_broken_command_is_a_usage_error(tmp_path: Path, command: str) -> None:
    with pytest.raises(UsageError):
        lease(tmp_path, CommandAllocator("n", "", command, tmp_path / "log"), []).__enter__()


def test_a_device_is_not_held_through_a_long_wait(tmp_path: Path, holder: Path) -> None:
    said: list[str] = []
    with lease(tmp_path, allocator(tmp_path, holder), said, idle_s=60.0) as held_lease:
        held_lease.rest(59.0)
        assert held(tmp_path) == ["held-a"]
        held_lease.rest(3600.0)
        assert held(tmp_path) == []
        assert held_lease.place == ""
        assert held_lease.ensure() == "a"
        assert held(tmp_path) == ["held-a"]
    assert any("nobody uses it for 60 minutes" in line for line in said)


def test_agent_and_judge_take_turns(tmp_path: Path, holder: Path) -> None:
    with lease(tmp_path, allocator(tmp_path, holder), []) as held_lease:
        lock = Path(held_lease.environment()["CAIRN_DEVICE_LOCK"])
        with held_lease.chip("judge"), pytest.raises(TryAgain, match="in use"), shared_chip(lock, 0.2):
            pass
        with shared_chip(lock, 0.2):
            order: list[str] = []

            def judge() -> None:
                with held_lease.chip("judge"):
                    order.append("judge")

            thread = threading.Thread(target=judge)
            thread.start()
            time.sleep(0.3)
            order.append("agent")
        thread.join(timeout=10)
        assert order == ["agent", "judge"]


SCRIPT = """\
import pathlib, signal, sys, time
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)  # as under a terminal, also when these tests run under nohup
from cairn.climb.interrupts import Interrupts
from cairn.execution.leases import Lease, LeaseRules
from cairn.execution.leases_command import CommandAllocator
folder, holder = pathlib.Path(sys.argv[1]), sys.argv[2]
using = CommandAllocator("n", "", f"{sys.executable} {holder} {{place}} {folder}", folder / "log", stop_s=5.0)
with Interrupts().listening(), Lease("n", using, LeaseRules(places=["a"]), folder / "run", print):
    time.sleep(600)
"""


@contextlib.contextmanager
def supervisor(tmp_path: Path, holder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds a device until it gets a signal."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(holder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        try:
            assert until(lambda: (tmp_path / "run" / "lease.json").exists(), 60)
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_gives_the_device_back(tmp_path: Path, holder: Path, number: signal.Signals) -> None:
    with supervisor(tmp_path, holder) as child:
        os.kill(child.pid, number)
        child.wait(timeout=60)
    assert held(tmp_path) == []


def test_what_a_killed_supervisor_left_is_ended_by_the_next_lease(tmp_path: Path, holder: Path) -> None:
    with supervisor(tmp_path, holder) as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(timeout=60)
    assert held(tmp_path) == ["held-a"]
    (tmp_path / "full-a").touch()
    said: list[str] = []
    with lease(tmp_path, allocator(tmp_path, holder), said):
        assert held(tmp_path) == ["held-b"]
    assert "ending what an earlier launch left" in said[0]


def test_no_lease_is_a_lease_that_does_nothing() -> None:
    with NO_LEASE as none, none.chip("judge"):
        assert (none.ensure(), none.place, none.environment()) == ("", "", {})
