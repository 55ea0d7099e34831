"""Ctrl-C, SIGTERM and a hang-up, heard at once but never in the middle of a line of the ledger."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns signals into `KeyboardInterrupt`, held back while `shielded`. Without `listening` it does nothing."""

    def __init__(self) -> None:
        self._depth = 0
        self._pending = False
        self.heard: str | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Install the handlers; a hang-up that `nohup` made the process deaf to stays unheard."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """Hold an interrupt back until the end of the block; only the main thread hears signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._pending and not self._depth:
                self._pending = False
                raise KeyboardInterrupt

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.heard = signal.Signals(number).name
        if self._depth:
            self._pending = True
        else:
            raise KeyboardInterrupt
