"""Two pipes to a child that may hang: every wait looks at a guard, so no read or write can block for ever.

Not protected: a child that answers with a well-formed lie; what a reply says is believed or checked elsewhere.
"""

import os
import select
from collections.abc import Callable
from dataclasses import dataclass

_POLL_S = 0.1


class ChildLost(Exception):
    """The child gave no answer. `why`: timeout, memory or crash."""

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why


@dataclass(frozen=True)
class PipeEnds:
    """Four descriptors of two pipes; `close()` closes the child's two, which the parent must not keep."""

    child_in: int
    child_out: int
    parent_in: int
    parent_out: int

    def close(self) -> None:
        os.close(self.child_in)
        os.close(self.child_out)

    def close_parent(self) -> None:
        os.close(self.parent_in)
        os.close(self.parent_out)


def open_pair() -> PipeEnds:
    """Open a pipe for requests and one for replies."""
    child_in, parent_out = os.pipe()
    parent_in, child_out = os.pipe()
    os.set_blocking(parent_out, False)
    return PipeEnds(child_in, child_out, parent_in, parent_out)


class GuardedPipe:
    """The stream that `wire` reads and writes; `guard` is called at least ten times a second and may raise."""

    def __init__(self, write_fd: int, read_fd: int, guard: Callable[[], None]) -> None:
        self._write_fd = write_fd
        self._read_fd = read_fd
        self._guard = guard

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            self._guard()
            if select.select([], [self._write_fd], [], _POLL_S)[1]:
                view = view[os.write(self._write_fd, view) :]
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered."""

    def read(self, count: int) -> bytes:
        """Read exactly `count` bytes, fewer only at the end of the stream."""
        parts: list[bytes] = []
        while count > 0:
            self._guard()
            if not select.select([self._read_fd], [], [], _POLL_S)[0]:
                continue
            part = os.read(self._read_fd, min(count, 1 << 20))
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        os.close(self._write_fd)
        os.close(self._read_fd)
