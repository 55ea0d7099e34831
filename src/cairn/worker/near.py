"""The near end of a worker on another host: to whoever starts it, it looks like the interpreter there.

    python3 -E -s -S -B near.py PLACE.json <the words that an interpreter gets>

It takes the worker's two descriptors, passes bytes in both directions, prints the far log and ends as the worker
ended. When the wire is lost it ends with `LOST`, which is nobody's verdict. The `oracle` runs here: truth and
tolerance never leave the judge's machine. Standard library only, because it starts once for each worker.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from far import DATA, PIECE  # type: ignore[import-not-found]  # this folder is sys.path[0]
from wire import LOST  # type: ignore[import-not-found]

AT_HOME = ("oracle", "compiler")
# of the environment that a worker is started with, what means something elsewhere
_CARRIED = ("JAX_", "XLA_", "TPU_", "LIBTPU_", "CUDA_", "NVIDIA_")
_ASK_S = 60.0


def main() -> int:
    """Run what the words say at the place that the file describes."""
    place = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    words = sys.argv[2:]
    if "-c" in words:
        return _Wire(place, {"command": words, "wall_s": _ASK_S}).pump(1)
    role, request_fd, reply_fd = words[-3], int(words[-2]), int(words[-1])
    if role in AT_HOME:
        os.execv(place["python"], [place["python"], *words])
    environment = {name: value for name, value in os.environ.items() if name.startswith(_CARRIED)}
    wire = _Wire(place, {"role": role, "environment": environment})
    threading.Thread(target=wire.feed, args=(request_fd,), daemon=True).start()
    return wire.pump(reply_fd)


class _Wire:
    """A connection to a far end, over ssh or over TCP."""

    def __init__(self, place: dict[str, Any], wish: dict[str, Any]) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        line = json.dumps({**wish, "token": place.get("token", "")}).encode() + b"\n"
        if "command" in place:
            self._child = subprocess.Popen(
                place["command"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=place["environment"],
                bufsize=0,
            )
            assert self._child.stdin is not None
            assert self._child.stdout is not None
            self._out, self._in = self._child.stdin.fileno(), self._child.stdout.fileno()
        else:
            try:
                self._socket = socket.create_connection(tuple(place["address"]), timeout=_ASK_S)
            except OSError as error:
                print(f"{place['name']} does not answer: {error}", flush=True)
                sys.exit(LOST)
            self._socket.settimeout(None)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, seconds in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
                if hasattr(socket, option):
                    self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
            self._out = self._in = self._socket.fileno()
        self._name = place["name"]
        with contextlib.suppress(OSError):
            _write(self._out, line)

    def feed(self, source: int) -> None:
        """Pass requests on until the judge closes them; the far end then ends the worker."""
        with contextlib.suppress(OSError):
            while piece := os.read(source, 1 << 20):
                _write(self._out, piece)
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_WR)
            else:
                os.close(self._out)

    def pump(self, sink: int) -> int:
        """Pass replies on until the worker ends; its exit code, or LOST."""
        with contextlib.suppress(OSError, EOFError, ValueError):
            while True:
                kind, length = PIECE.unpack(self._exactly(PIECE.size))
                content = self._exactly(length)
                if kind != DATA:
                    return self._ended(json.loads(content))
                _write(sink, content)
        print(f"{self._name} was lost", flush=True)
        return int(LOST)

    def _exactly(self, count: int) -> bytes:
        pieces, missing = [], count
        while missing:
            piece = os.read(self._in, min(missing, 1 << 20))
            if not piece:
                raise EOFError
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    @staticmethod
    def _ended(told: dict[str, Any]) -> int:
        """End as the worker did."""
        print(told["log"], flush=True)
        code = told["code"]
        if isinstance(code, int) and code < 0:
            os.kill(os.getpid(), -code)
        return code if isinstance(code, int) and code != LOST else 1


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    sys.exit(main())
