"""A variant that tries to get out: every attempt is made when its Config is built, and told in an error's text.

`facts` come from the test: paths, ports and process numbers that a real variant would have to guess.
"""

# ruff: noqa: PTH101, PTH104, PTH108, PTH110, PTH115, PTH123, PTH208, SIM115

import ctypes
import dataclasses
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def send_udp(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"out", ("127.0.0.1", port))


def bind_any() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)


def connect_unix(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)


def kill_everything_inside(facts: dict[str, Any]) -> str:
    """kill(-1) only where it cannot reach anything else: several independent signs of another namespace."""
    other = os.readlink("/proc/self/ns/pid") != facts["pid_namespace"]
    small = os.getpid() < 10 and os.getppid() == 1
    try:
        os.kill(facts["judge"], 0)
        gone = False
    except ProcessLookupError:
        gone = True
    if not (facts["may_kill_all"] and other and small and gone):
        raise PermissionError("not in a namespace: not tried")
    child = subprocess.Popen(["sleep", "60"])
    os.kill(-1, signal.SIGKILL)
    return f"only its own child, by {-child.wait()}"


def strangers() -> list[int]:
    """Processes that can be seen and are neither this one nor above it in its namespace."""
    seen = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return [pid for pid in seen if pid not in (1, os.getpid(), os.getppid())]


def read_strangers(part: str) -> str:
    """What the first stranger that does not object has in a file below /proc."""
    for pid in strangers():
        try:
            with open(f"/proc/{pid}/{part}", "rb") as file:
                if file.read(1):
                    return f"read {part} of {pid}"
        except OSError:
            continue
    raise PermissionError(f"nobody's {part}")


def list_strangers() -> list[int]:
    found = strangers()
    if not found:
        raise PermissionError("nobody there")
    return found


def attempts(facts: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Name of an attempt -> what does it; the word before the colon is what must hold for it to fail."""
    sibling = facts["sibling"]
    table: dict[str, Callable[[], Any]] = {
        "files: list the root of the project": lambda: os.listdir(facts["project"]),
        "files: truncate a file of the project": lambda: os.truncate(facts["canary"], 0),
        "files: remove a file of the project": lambda: os.unlink(facts["canary"]),
        "files: rename a file of the project": lambda: os.rename(facts["canary"], facts["canary"] + "x"),
        "files: link a file of the project here": lambda: os.link(facts["canary"], "stolen"),
        "files: write to shared memory": lambda: open("/dev/shm/cairn-escape", "w").close(),
        "files: import the reference": lambda: import_from(facts["reference"]),
        "calls: change the mode of a file": lambda: os.chmod(facts["canary"], 0o777),
        "calls: change the times of a file": lambda: os.utime(facts["canary"], (1, 1)),
        "network: connect to a server": lambda: socket.create_connection(("127.0.0.1", facts["port"]), 2).close(),
        "network: listen": bind_any,
        "network: send a datagram": lambda: send_udp(facts["port"]),
        "calls: connect to a socket with a path": lambda: connect_unix(facts["unix"]),
        "network: connect to an abstract socket": lambda: connect_unix("\0" + facts["abstract"]),
        "calls: set up io_uring": lambda: checked(libc.syscall(425, 1, ctypes.create_string_buffer(256))),
        "calls: a new user namespace": lambda: checked(libc.unshare(0x10000000)),
        "calls: trace a sibling": lambda: checked(libc.ptrace(16, sibling, 0, 0)),
        "signals: end a sibling": lambda: os.kill(sibling, signal.SIGTERM),
        "signals: ask whether the judge is there": lambda: os.kill(facts["judge"], 0),
        "signals: stop the group of the judge": lambda: os.killpg(facts["judge_group"], 0),
        "processes: see others": list_strangers,
        "memory: read memory of others": lambda: read_strangers("mem"),
        "memory: read environments of others": lambda: read_strangers("environ"),
        "processes: read arguments of others": lambda: read_strangers("cmdline"),
        "privileges: become root again": lambda: run_id(),
    }
    for path in facts["readable"]:
        table[f"files: read {path}"] = lambda path=path: open(path, "rb").read(16)
    for path in facts["writable"]:
        table[f"files: write {path}"] = lambda path=path: open(path, "ab").close()
    return table


def run_id() -> str:
    """A privilege that executing a program brought back."""
    text = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=False).stdout
    text = text or Path("/proc/self/status").read_text()  # a child may not read its own, where only ours is shown
    effective = next(line for line in text.splitlines() if "CapEff" in line)
    if int(effective.split()[1], 16) == 0:
        raise PermissionError("no capability")
    return effective


def import_from(folder: str) -> Any:
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("reference")
    finally:
        sys.path.remove(folder)


def told(act: Callable[[], Any]) -> str:
    try:
        return f"done: {act()!r}"[:200]
    except (OSError, ImportError) as error:
        return f"refused: {type(error).__name__}: {error}"[:200]


@dataclasses.dataclass(frozen=True)
class Config:
    facts: dict[str, Any]

    def __post_init__(self) -> None:
        own = {
            "environment": dict(os.environ),
            "descriptors": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in fds()),
            "path": sys.path,
            "arguments": [*sys.argv, *sys.orig_argv],
            "modules": sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)),
            "namespace": os.readlink("/proc/self/ns/pid"),
        }
        results = {name: told(act) for name, act in attempts(self.facts).items()}
        results["kill everything inside"] = told(lambda: kill_everything_inside(self.facts))
        raise RuntimeError("TOLD" + json.dumps({"results": results, "own": own}))


def fds() -> list[int]:
    return [fd for fd in range(3, 256) if os.path.exists(f"/proc/self/fd/{fd}")]


def run(x: Any, *, config: Config) -> Any:
    return x
