"""A lane of a sweep: `python -m cairn.lab.lane`, a process of its own that answers one point after the other.

Prediction is Python and would share one core with everybody else in the same process. A lane has its own; what it is
asked and what it answers are frames of `worker.wire` on its standard input and output.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

import cairn
from cairn.lab.bench import Bench
from cairn.lab.cache import Cache
from cairn.lab.subject import Subject
from cairn.worker import wire

_MOST_BYTES = 2**28


class Lane:
    """The near end of a lane; context manager.

    Args:
        bench: interpreter with jax, target, and folder and bound of the cache (None for none), seconds for a step.
        subject: the kernel; each request sets its fields.
    """

    def __init__(self, bench: Mapping[str, Any], subject: Subject) -> None:
        self._opening = msgspec.msgpack.encode([dict(bench), subject])
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Lane":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, settings: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """The prediction with these settings, as `Answer.as_data` gives it.

        Raises:
            EOFError: the lane died; the next call starts another.
        """
        child = self._started()
        try:
            blob = msgspec.msgpack.encode([dict(settings), timeout_s])
            wire.write_frame(cast(BinaryIO, child.stdin), {}, [blob])
            _, blobs = wire.read_frame(cast(BinaryIO, child.stdout), _MOST_BYTES)
        except (BrokenPipeError, EOFError, wire.WireError) as error:
            self.close()
            raise EOFError("a lane of the sweep died") from error
        return dict(msgspec.msgpack.decode(blobs[0]))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            package = str(Path(cairn.__file__).resolve().parents[1])
            path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
            self._child = subprocess.Popen(
                [sys.executable, "-m", "cairn.lab.lane"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
            )
            wire.write_frame(cast(BinaryIO, self._child.stdin), {}, [self._opening])
        return self._child

    def close(self) -> None:
        """End the lane with the processes behind it, which end when their pipes close."""
        child, self._child = self._child, None
        if child is not None:
            for stream in (child.stdin, child.stdout):
                cast(BinaryIO, stream).close()
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def main() -> None:
    """Answer until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks is interrupted, and then closes the pipes
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that prints may break a frame
    _, blobs = wire.read_frame(requests, _MOST_BYTES)
    given, subject = msgspec.msgpack.decode(blobs[0], type=tuple[dict[str, Any], Subject])
    cache = None if given["cache"] is None else Cache(Path(given["cache"]), given["max_bytes"])
    with Bench(Path(given["python"]), given["target"], cache=cache, timeout_s=given["timeout_s"]) as bench:
        while True:
            try:
                _, blobs = wire.read_frame(requests, _MOST_BYTES)
            except EOFError:
                return
            settings, timeout_s = msgspec.msgpack.decode(blobs[0], type=tuple[dict[str, Any], float])
            answer = bench.predict(subject.with_settings(settings), timeout_s=timeout_s)
            wire.write_frame(replies, {}, [msgspec.msgpack.encode(answer.as_data())])


if __name__ == "__main__":
    main()
