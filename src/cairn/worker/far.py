"""The far end of a worker that runs on another host: it starts the worker there, and nothing of it outlives the wire.

    python3 -E -s -B FOLDER/far.py stdio             one worker, over this process's stdin and stdout (ssh)
    python3 -E -s -B FOLDER/far.py serve HOST        a worker for each connection (a cluster); prints its port

Standard library only, and Linux: it travels with the worker folder to hosts that have nothing but Python and jax.
The caller sends one line of JSON, then bytes for the worker; back come pieces with a head of their own, so that the
end of a worker (its exit code, its log) can be told from the end of the wire. When the wire ends first, everything
that was started here is ended: that a host was lost is for the near end to notice.
"""

import contextlib
import hmac
import json
import os
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import scratch  # type: ignore[import-not-found]

PIECE = struct.Struct(">BI")  # what it is, how long
DATA, END = 0, 1
_MARK = "CAIRN_PROCESS_TREE"
_LINE_BYTES = 1 << 20
_LOOK_S, _GRACE_S = 0.2, 2.0
_MEMORY_BYTES, _PROCESSES = 12 * 2**30, 64
_LOG_BYTES = 8000
# which of a host's chips a cluster has given to a worker: another worker's are none of its business
_OWN_CHIPS = (
    *("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
    *("TPU_VISIBLE_CHIPS", "TPU_CHIPS_PER_HOST_BOUNDS", "TPU_HOST_BOUNDS"),
)
Send = Callable[[bytes], Any]
_workers: "set[_Worker]" = set()
_leaving = threading.Event()  # a host that is taken away says nothing about its workers


def main() -> int:
    """Serve as the command line says; told to end, it ends what it started first."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        return _serve()
    finally:
        _leaving.set()
        for worker in list(_workers):
            worker.end()


def _serve() -> int:
    if sys.argv[1] == "stdio":
        output = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)  # whatever prints by mistake must not get between the pieces
        attend(os.fdopen(0, "rb", buffering=0), output.write, "")
        return 0
    token = sys.stdin.readline().strip()
    with _Server((sys.argv[2], 0), token) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=_end_with_starter, args=(server,), daemon=True).start()
        server.serve_forever(poll_interval=_LOOK_S)
    return 0


def _end_with_starter(server: socketserver.BaseServer) -> None:
    """Who started this holds its stdin; when that ends, so does everything here."""
    sys.stdin.read()
    server.shutdown()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], token: str) -> None:
        self.token = token
        super().__init__(address, _Connection)


class _Connection(socketserver.StreamRequestHandler):
    rbufsize = 0

    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with contextlib.suppress(OSError):
            attend(self.rfile, self.connection.sendall, self.server.token)


def attend(requests: Any, send: Send, token: str) -> None:
    """Answer one caller: run what its first line asks for, pass bytes on, say how it ended."""
    wish = json.loads(_line(requests))
    if not hmac.compare_digest(str(wish.get("token", "")), token):
        return
    with scratch.scratch("far") as folder:
        if "command" in wish:
            _run(wish, folder, send)
        else:
            _Worker(wish, folder, send).serve(requests)


def _line(requests: Any) -> bytes:
    """The first line, byte by byte: what follows belongs to the worker."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _LINE_BYTES:
        byte = requests.read(1)
        if not byte:
            break
        line += byte
    return line


def _run(wish: dict[str, Any], folder: Path, send: Send) -> None:
    """A short program to its end; what it prints is the answer."""
    command = [sys.executable, *map(str, wish["command"])]
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment({}, folder, ""),
        capture_output=True,
        timeout=wish["wall_s"],
        check=False,
    )
    send(PIECE.pack(DATA, len(done.stdout)) + done.stdout)
    _say_end(send, done.returncode, done.stderr[-_LOG_BYTES:])


class _Worker:
    """One worker and its pipes."""

    def __init__(self, wish: dict[str, Any], folder: Path, send: Send) -> None:
        self._send = send
        self._folder = folder
        self._mark = os.urandom(16).hex()
        self._told = ""
        request_read, self._requests = os.pipe()
        self._replies, reply_write = os.pipe()
        here = str(Path(__file__).parent)
        command = [sys.executable, "-E", "-s", "-B", here, wish["role"], str(request_read), str(reply_write)]
        with (folder / "worker.log").open("wb") as log:
            self._child = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(wish.get("environment", {}), folder, self._mark),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(request_read, reply_write),
                start_new_session=True,
            )
        os.close(request_read)
        os.close(reply_write)
        _workers.add(self)

    def serve(self, requests: Any) -> None:
        """Until the worker ends or the caller is gone."""
        threads = [threading.Thread(target=self._feed, args=(requests,), daemon=True)]
        threads.append(threading.Thread(target=self._watch, daemon=True))
        for thread in threads:
            thread.start()
        try:
            while piece := os.read(self._replies, 1 << 20):
                self._send(PIECE.pack(DATA, len(piece)) + piece)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout=_GRACE_S)
            log = (self._folder / "worker.log").read_bytes()[-_LOG_BYTES:]
            if _leaving.is_set():
                return
            _say_end(self._send, self._child.poll(), log + self._told.encode())
        finally:
            self.end()
            os.close(self._replies)
            _workers.discard(self)

    def _feed(self, requests: Any) -> None:
        """Pass the caller's bytes on; when the caller is gone, so is the worker."""
        with contextlib.suppress(OSError):
            while piece := requests.read(1 << 20):
                view = memoryview(piece)
                while view:
                    view = view[os.write(self._requests, view) :]
        self.end()

    def _watch(self) -> None:
        while self._child.poll() is None:
            tree = _below(self._child.pid)
            used = sum(map(_resident_bytes, tree))
            if used > _MEMORY_BYTES or len(tree) > _PROCESSES:
                self._told = f"\nended for {len(tree)} processes and {used / 2**30:.1f} GiB"
                self.end()
            time.sleep(_LOOK_S)

    def end(self) -> None:
        """End the worker with all that it started, wherever that moved to."""
        with contextlib.suppress(ProcessLookupError):
            if self._child.poll() is None:
                self._child.terminate()  # a worker that locked itself in ends what is in its namespace
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(timeout=_GRACE_S)
        for _ in range(20):
            victims = _tree(self._child.pid, self._mark)
            if not victims:
                return
            for pid in victims:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if self._child.pid in victims:
                self._child.wait()
            time.sleep(_LOOK_S / 10)


def _say_end(send: Send, code: int | None, log: bytes) -> None:
    text = json.dumps({"code": code, "log": log.decode("utf-8", "replace")}).encode()
    send(PIECE.pack(END, len(text)) + text)


def _environment(wanted: dict[str, str], folder: Path, mark: str) -> dict[str, str]:
    """Nothing of this host's environment but where programs, the accelerator's driver and its own chips are."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    own = {name: os.environ[name] for name in _OWN_CHIPS if name in os.environ}
    private = {"HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **wanted, **own, **private, _MARK: mark}


def _processes() -> dict[int, tuple[int, int, str]]:
    """Parent, session and state of every process, from /proc."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                found[int(entry.name)] = int(fields[1]), int(fields[3]), fields[0]
    return found


def _below(root: int, known: dict[int, tuple[int, int, str]] | None = None) -> list[int]:
    """A process and its descendants."""
    processes = _processes() if known is None else known
    found, grown = {root}, True
    while grown:
        more = {pid for pid, (parent, _, _) in processes.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return [pid for pid in found if pid in processes]


def _tree(root: int, mark: str) -> list[int]:
    """What belongs to a worker by descent, session or mark, and is not gone."""
    processes = _processes()
    found = set(_below(root, processes)) | {pid for pid, (_, session, _) in processes.items() if session == root}
    wanted = f"{_MARK}={mark}".encode()
    for pid in processes:
        with contextlib.suppress(OSError):
            if wanted in Path("/proc", str(pid), "environ").read_bytes().split(b"\0"):
                found.add(pid)
    return [pid for pid in found if pid != os.getpid() and processes[pid][2] != "Z"]


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc", str(pid), "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


if __name__ == "__main__":
    sys.exit(main())
