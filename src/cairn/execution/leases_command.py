"""An allocator that is a command line of the user's: a program that stays for as long as it holds the device.

    allocate   started and kept; it must print a line that matches `ready`. When it ends, the device is lost.
    heartbeat  optional; run at every look, any other exit code than 0 means that the device is lost
    release    optional; run after the holder was ended

`{name}`, `{place}` (or `{cluster}`), `{type}` and `{sync}` stand for the device's name, the place, the type and the
folder to copy. A holder that ends well after it
was ready holds nothing by itself; then a `heartbeat` says whether the device is there, and without one it is lost.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import Missing, UsageError
from cairn.execution.leases import Unavailable
from cairn.process import end_tree, interrupts_heard, marked_environment

_POLL_S = 0.1
_COMMAND_S = 30.0  # for a heartbeat or a release
_LAST_WORDS = 300


@dataclass(frozen=True)
class CommandAllocator:
    """See the module's text.

    Args:
        ready: a regular expression for a line of the holder's output.
        ready_s, stop_s: how long to wait for readiness, and for the end after an interrupt.
        log: the holder's output, all allocations of a run one after the other.
    """

    name: str
    kind: str
    allocate_command: str
    log: Path
    ready: str = r"(?i)\bready\b|\ballocated\b|\bactive\b"
    heartbeat_command: str = ""
    release_command: str = ""
    ready_s: float = 900.0
    stop_s: float = 120.0
    sync: str = "."

    def allocate(self, place: str, cancelled: Callable[[], bool]) -> "HeldByCommand":
        """Start the holder and wait for its line."""
        command = self.line(self.allocate_command, place)
        if shutil.which(command[0]) is None:
            hint = "put it on PATH, or configure another allocator (docs/gdnctl.md)"
            raise Missing(f"the allocator `{command[0]}` is not installed", hint=hint)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment, mark = marked_environment(os.environ)
        with self.log.open("ab") as log, interrupts_heard():  # a holder leaves on an interrupt
            start = log.tell()
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        held = HeldByCommand(self, place, child, mark)
        with contextlib.ExitStack() as undo:
            undo.callback(held.release)
            if why := self._wait_until_ready(child, start, cancelled):
                raise Unavailable(why)
            undo.pop_all()
        return held

    def end_leftover(self, leftover: dict[str, object]) -> None:
        """End the holder of a killed process by its mark, then run the release command."""
        pid, mark, place = leftover.get("pid"), leftover.get("mark"), leftover.get("place")
        if isinstance(pid, int) and isinstance(mark, str):
            end_tree(pid, mark, polite=True)
        if self.release_command and isinstance(place, str):
            self.run(self.release_command, place)

    def line(self, template: str, place: str) -> list[str]:
        """The words of a command; values are words of their own, whatever they hold.

        Raises:
            UsageError: an unknown place holder, or quotes that do not close.
        """
        values = {"name": self.name, "place": place, "cluster": place, "type": self.kind, "sync": self.sync}
        try:
            words = [word.format(**values) for word in _without_empty(shlex.split(template), values)]
        except (KeyError, IndexError, ValueError) as error:
            hint = "known: {name}, {place}, {cluster}, {type}, {sync}"
            raise UsageError(f"the allocator's command cannot be read: {error}", hint=hint) from error
        if not words:
            raise UsageError("the allocator's command is empty", hint="configure `allocate`")
        return words

    def run(self, template: str, place: str) -> bool:
        """Run a short command; whether it ended well."""
        with self.log.open("ab") as log, contextlib.suppress(OSError, subprocess.TimeoutExpired):
            command = self.line(template, place)
            quiet = subprocess.DEVNULL
            done = subprocess.run(
                command,
                stdin=quiet,
                stdout=log,
                stderr=log,
                timeout=_COMMAND_S,
                check=False,
                start_new_session=True,
            )
            return done.returncode == 0
        return False

    def _wait_until_ready(self, child: subprocess.Popen[bytes], start: int, cancelled: Callable[[], bool]) -> str:
        """Why it is not ready; empty when it is."""
        deadline = time.monotonic() + self.ready_s
        while True:
            ended = child.poll()
            said = self._said(start)
            if re.search(self.ready, said, re.MULTILINE):
                return ""
            if ended is not None:
                return f"the allocator ended with code {ended}: {said.strip()[-_LAST_WORDS:]}"
            if cancelled():
                return "cancelled"
            if time.monotonic() > deadline:
                return f"not ready after {self.ready_s:.0f} s"
            time.sleep(_POLL_S)

    def _said(self, start: int) -> str:
        with self.log.open("rb") as file:
            file.seek(start)
            return file.read(1 << 20).decode(errors="replace")


def _without_empty(words: list[str], values: dict[str, str]) -> list[str]:
    """Leave out a place holder that has no value, together with the option before it."""
    kept: list[str] = []
    for word in words:
        if word in {f"{{{name}}}" for name, value in values.items() if not value}:
            if kept and kept[-1].startswith("-"):
                kept.pop()
            continue
        kept.append(word)
    return kept


class HeldByCommand:
    """A running holder."""

    def __init__(self, allocator: CommandAllocator, place: str, child: subprocess.Popen[bytes], mark: str) -> None:
        self._allocator = allocator
        self._place = place
        self._child = child
        self._mark = mark
        self._released = False

    def alive(self) -> bool:
        """Whether the holder runs, or ended well and the heartbeat answers."""
        if self._child.poll() not in (None, 0):
            return False
        if self._allocator.heartbeat_command:
            return self._allocator.run(self._allocator.heartbeat_command, self._place)
        return self._child.poll() is None

    def release(self) -> None:
        """Interrupt the holder, wait, end its tree, run the release command."""
        if self._released:
            return
        self._released = True
        if self._child.poll() is None:
            self._ask(signal.SIGINT, self._allocator.stop_s) or self._ask(signal.SIGTERM, 15.0)
        end_tree(self._child.pid, self._mark)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=5)
        if self._allocator.release_command:
            self._allocator.run(self._allocator.release_command, self._place)

    def leftover(self) -> dict[str, object]:
        """Process and mark of the holder."""
        return {"pid": self._child.pid, "mark": self._mark, "place": self._place}

    def _ask(self, number: signal.Signals, wait_s: float) -> bool:
        """Signal the holder's group; whether the holder left within the time."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)
        try:
            self._child.wait(timeout=wait_s)
        except subprocess.TimeoutExpired:
            return False
        return True
