"""What may end a running edit from outside: the deadline, a disk that fills up, somebody who says stop."""

import contextlib
import os
import time
from pathlib import Path

STOP_FILE, RESERVE_FILE = "stop", "reserve"
NOW = "now"
_LOOK_EVERY_S = 0.5
_RESERVE_BYTES = 256 * 1024
_LEAST_FREE_BYTES, _LEAST_FREE_SHARE = 64 * 2**20, 0.02
_LEAST_INODES = 1000


class Control:
    """Asked often and from several threads; looks at the disk twice a second at most."""

    def __init__(self, folder: Path, wall_s: float) -> None:
        """`wall_s`: seconds from now; measured by a clock that nobody can set."""
        self._folder = folder
        self._deadline = time.monotonic() + wall_s
        self._looked_at = 0.0
        self._why = ""
        self.told_to_end = False
        self.last_why = ""  # of an edit that was ended: a disk may have room again the moment its agent is gone

    @property
    def wall_left_s(self) -> float:
        return self._deadline - time.monotonic()

    def stop_requested(self) -> bool:
        """Whether `cairn climb stop` was called for this run."""
        return (self._folder / STOP_FILE).exists()

    def forget_stop(self) -> None:
        """A request is for the launch that was running when it was made."""
        (self._folder / STOP_FILE).unlink(missing_ok=True)

    def why_cancel(self) -> str:
        """`wall_clock`, `disk` or `stopped` when a running edit has to end now, else empty."""
        why = self._look()
        self.last_why = why or self.last_why
        return why

    def _look(self) -> str:
        if self.told_to_end:
            return "stopped"
        if self.wall_left_s <= 0:
            return "wall_clock"
        now = time.monotonic()
        if self._why or now - self._looked_at >= _LOOK_EVERY_S:  # what ended one edit may be over for the next
            self._looked_at = now
            self._why = "disk" if self.disk_is_full() else "stopped" if self._stop_now() else ""
        return self._why

    def cancelled(self) -> bool:
        return bool(self.why_cancel())

    def _stop_now(self) -> bool:
        try:
            return (self._folder / STOP_FILE).read_text(encoding="utf-8").startswith(NOW)
        except OSError:
            return False

    def disk_is_full(self) -> bool:
        """Whether so little is left that the ledger itself is in danger."""
        try:
            state = os.statvfs(self._folder)
        except OSError:
            return False
        total = state.f_blocks * state.f_frsize
        least = min(_LEAST_FREE_BYTES, int(total * _LEAST_FREE_SHARE))
        return state.f_bavail * state.f_frsize < least or (state.f_files > 0 and state.f_favail < _LEAST_INODES)

    def reserve(self) -> None:
        """Keep a little room for the last lines of the ledger."""
        path = self._folder / RESERVE_FILE
        with contextlib.suppress(OSError):
            if not path.is_file() or path.stat().st_size < _RESERVE_BYTES:
                path.write_bytes(os.urandom(_RESERVE_BYTES))  # zeros would take no room on some file systems

    def use_reserve(self) -> None:
        """Give that room back, to write the last lines into."""
        with contextlib.suppress(OSError):
            (self._folder / RESERVE_FILE).unlink(missing_ok=True)

    def wait(self, seconds: float) -> None:
        """Sleep, but wake up for a stop or the deadline."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.stop_requested() and not self.cancelled():
            time.sleep(min(left, _LOOK_EVERY_S))
