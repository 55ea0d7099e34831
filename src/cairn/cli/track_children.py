"""The trackers of a running climb: a process each, so that one that hangs, breaks or eats memory hurts no climb.

Such a process reads the ledger from disk like any other reader. It goes on until its standard input ends, which
also happens when the climb is killed, sends what is left and leaves; whoever takes longer is ended. What a tracker
missed, the next launch or `cairn track export` sends.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cairn.cli.tracking import FOLDER
from cairn.process import end_tree, marked_environment
from cairn.track.specs import SinkSpec

_LAST_S = 45.0  # to send what is left after the climb's end
_AFTER_A_KILL_S = 60.0  # the same, for a tracker whose climb is no longer there to end it
_PACKAGE = Path(__file__).resolve().parents[2]
_PROGRAM = "from cairn.cli.main import main; main()"
Say = Callable[[str], None]


@dataclass
class _Child:
    spec: SinkSpec
    process: subprocess.Popen[bytes]
    mark: str
    log: Path
    told: bool = field(default=False)

    def last_words(self) -> str:
        """The last line that it wrote."""
        with contextlib.suppress(OSError):
            lines = [line for line in self.log.read_text("utf-8", "replace").splitlines() if line.strip()]
            return next((line for line in reversed(lines) if not line.startswith("  fix:")), "")[:300]
        return ""


class Trackers:
    """The tracker processes of one launch."""

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder = folder
        self._say = say
        self._children: list[_Child] = []

    def start(self, specs: Sequence[SinkSpec]) -> None:
        """Start a process for each; one that cannot be started is said and left out."""
        logs = self._folder / FOLDER
        logs.mkdir(parents=True, exist_ok=True)
        for number, spec in enumerate(specs):
            log = logs / f"{spec.kind}-{number}.log"
            try:
                self._children.append(_started(self._folder, spec, log))
            except OSError as error:
                self._say(f"note: tracker {spec.text} does not start: {error}")
            else:
                self._say(f"tracking to {spec.text}; log {log}")

    def look(self) -> None:
        """Say, once, that a tracker is gone; the climb does not care."""
        for child in self._children:
            if child.process.poll() is not None:
                self._tell(child)

    def _tell(self, child: _Child) -> None:
        if child.told:
            return
        child.told = True
        again = f"cairn track export {self._folder.name} --to {child.spec.text}"
        self._say(
            f"note: tracker {child.spec.text} ended with code {child.process.returncode}: "
            f"{child.last_words()}; the climb goes on, afterwards: {again}"
        )

    def stop(self) -> None:
        """Let every tracker send what is left, for a while, and end it."""
        self.look()
        for child in self._children:
            assert child.process.stdin is not None
            with contextlib.suppress(OSError):
                child.process.stdin.close()
        deadline = time.monotonic() + _LAST_S
        for child in self._children:
            try:
                child.process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.told = True
                self._say(f"note: tracker {child.spec.text} did not finish within {_LAST_S:.0f} s and was ended")
            finally:
                end_tree(child.process.pid, child.mark)
                child.process.wait()
            if child.process.returncode:
                self._tell(child)


def _started(folder: Path, spec: SinkSpec, log: Path) -> _Child:
    command = ["track", "export", str(folder.resolve()), "--to", spec.text, "--until-eof"]
    path = os.pathsep.join(filter(None, (str(_PACKAGE), os.environ.get("PYTHONPATH"))))
    environment, mark = marked_environment({**os.environ, "PYTHONPATH": path})
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    return _Child(spec, process, mark, log)


@contextlib.contextmanager
def tracked(folder: Path, specs: Sequence[SinkSpec], say: Say) -> Iterator[Trackers]:
    """Trackers for the length of a launch."""
    trackers = Trackers(folder, say)
    try:
        if specs:
            trackers.start(specs)
        yield trackers
    finally:
        trackers.stop()


def follow_until_eof(folder: Path, spec: SinkSpec) -> None:
    """The life of a tracker process."""
    from cairn.cli.output import say
    from cairn.cli.tracking import export, plain

    ended = threading.Event()
    threading.Thread(target=_watch_stdin, args=(ended,), daemon=True).start()
    say(plain(export(folder, spec, follow=True, stopped=ended, said=say)))


def _watch_stdin(ended: threading.Event) -> None:
    """Tell of the end of standard input; some time after it there is no excuse to be here still."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    ended.set()
    time.sleep(_AFTER_A_KILL_S)
    os._exit(75)
