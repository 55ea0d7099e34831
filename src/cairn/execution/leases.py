"""A device held for a whole climb: allocated, watched, taken again when it is lost, and always given back.

An allocator knows how to get a device at a place (a cluster, a zone); a lease tries its places in order, looks every
few seconds whether the device is still there, and releases it on every way out: the end of the `with` block, an
error, an interrupt. After a kill that nobody can catch, the next lease of the same folder ends what was left.

Agent and judge never use the device at the same time: each takes the lease's lock for as long as it does.
"""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from filelock import FileLock

from cairn.errors import Missing, TryAgain
from cairn.journal import write_atomic

REQUIRED, BEST_EFFORT = "required", "best-effort"
NAME_VARIABLE, LOCK_VARIABLE, NOTE_VARIABLE = "CAIRN_DEVICE", "CAIRN_DEVICE_LOCK", "CAIRN_DEVICE_NOTE"
_LEAST_REACQUIRE_S = 30.0
_LOOK_S = 0.2


class Unavailable(Exception):
    """An allocator could not get a device at a place; the text says why."""


class Held(Protocol):
    """A device that was allocated."""

    def alive(self) -> bool:
        """Whether it is still there; may take a few seconds, never raises."""
        ...

    def release(self) -> None:
        """Give it back; never raises, and does nothing the second time."""
        ...

    def leftover(self) -> dict[str, object]:
        """What `Allocator.end_leftover` needs to end it from another process."""
        ...


class Allocator(Protocol):
    """Gets devices."""

    def allocate(self, place: str, cancelled: Callable[[], bool]) -> Held:
        """Get a device at a place, and wait until it is ready.

        Raises:
            Unavailable: there is none now.
            Missing: what the allocator itself needs is not installed.
        """
        ...

    def end_leftover(self, leftover: dict[str, object]) -> None:
        """End what a killed process held."""
        ...


@dataclass(frozen=True)
class LeaseRules:
    """How hard to try.

    Args:
        places: tried in this order, the first is preferred.
        passes: how often all of them are tried; `pause_s` between two passes.
        policy: `required` raises when there is no device, `best-effort` goes on without one.
        heartbeat_s: seconds between two looks; a lost device is noticed within two of them.
        reacquire_s: at least so long between two attempts to get a lost device back.
        most_s: a device is held for so long in all; then it is given back, whoever uses it, and not taken again.
        idle_s: it is given back before a wait that is so long, and taken again after it.
    """

    places: Sequence[str]
    passes: int = 1
    pause_s: float = 30.0
    policy: Literal["required", "best-effort"] = "required"
    heartbeat_s: float = 15.0
    reacquire_s: float = _LEAST_REACQUIRE_S
    most_s: float = float("inf")
    idle_s: float = 900.0


class Lease:
    """One device for one climb; a context manager.

    Args:
        name: the device's name, for messages and for whoever uses it.
        folder: where the lock and the note about the held device are kept.
    """

    def __init__(
        self, name: str, allocator: Allocator, rules: LeaseRules, folder: Path, say: Callable[[str], None]
    ) -> None:
        self.name = name
        self._allocator = allocator
        self._rules = rules
        self._say = say
        self._note = folder / "lease.json"
        self._lock = FileLock(folder / "device.lock")
        self._held: Held | None = None
        self._place = ""
        self._tried_at = -float("inf")
        self._given_up = ""  # why no device will be taken any more
        self._held_since, self._held_s = 0.0, 0.0  # of the device that is held; of earlier ones
        self._closing = threading.Event()
        self._guard = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._note.parent.mkdir(parents=True, exist_ok=True)
        Path(self._lock.lock_file).touch()  # others may only read it
        self._end_leftover()
        entered = False
        try:  # an interrupt while a device is on its way gives it back too
            self.ensure()
            self._watcher.start()
            entered = True
            return self
        finally:
            if not entered:
                self.close()

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def place(self) -> str:
        """Where the device is held; empty when none is."""
        return self._place if self._held is not None else ""

    def ensure(self) -> str:
        """Have a device, getting one again if it was lost; the place, or empty with `best-effort`.

        Raises:
            TryAgain: there is none, and one is required.
        """
        with self._guard:
            if self._held is not None:
                return self._place
            if not self._given_up and time.monotonic() - self._tried_at >= self._rules.reacquire_s:
                self._acquire()
            if self._held is None and self._rules.policy == REQUIRED:
                places = ", ".join(self._rules.places)
                why = f": {self._given_up}" if self._given_up else ""
                raise TryAgain(
                    f"no device `{self.name}` at {places}{why}", hint="try later, or name another place"
                )
            return self.place

    def rest(self, seconds: float) -> None:
        """Give the device back when nobody will use it for long; `ensure` gets one again."""
        with self._guard:
            if self._held is None or seconds < self._rules.idle_s:
                return
            self._held.release()
            self._held, self._held_s = None, self._spent_s()
            self._note.unlink(missing_ok=True)
            self._say(f"gave back {self.name} at {self._place}: nobody uses it for {seconds / 60:.0f} minutes")

    def environment(self) -> dict[str, str]:
        """Variables for whoever may use the device beside the climb; they stay the same when its place changes."""
        lock, note = Path(self._lock.lock_file).resolve(), self._note.resolve()
        return {NAME_VARIABLE: self.name, LOCK_VARIABLE: str(lock), NOTE_VARIABLE: str(note)}

    @contextlib.contextmanager
    def chip(self, who: str) -> Iterator[None]:
        """Have the device for oneself; waits for whoever has it."""
        try:
            self._lock.acquire(timeout=0)
        except TimeoutError:  # filelock.Timeout is one
            self._say(f"{who} waits for the device `{self.name}`")
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        """Give the device back; afterwards the lease is over."""
        self._closing.set()
        if self._watcher.is_alive():
            self._watcher.join(timeout=self._rules.heartbeat_s + 5)
        with self._guard:
            if self._held is not None:
                self._held.release()
                self._say(f"released {self.name} at {self._place}")
                self._held = None
        self._note.unlink(missing_ok=True)

    def _acquire(self) -> None:
        for turn in range(self._rules.passes):
            if turn and self._closing.wait(self._rules.pause_s):
                return
            for place in self._rules.places:
                if self._closing.is_set():
                    return
                try:
                    held = self._allocator.allocate(place, self._closing.is_set)
                except Unavailable as error:
                    self._say(f"no {self.name} at {place}: {error}")
                    continue
                except Missing as error:
                    if self._rules.policy == REQUIRED:
                        raise
                    self._say(f"no {self.name}: {error}; {error.hint}")
                    self._given_up = str(error)
                    return
                finally:
                    self._tried_at = time.monotonic()
                self._held, self._place, self._held_since = held, place, time.monotonic()
                note = {"pid": os.getpid(), "name": self.name, "place": place, "held": held.leftover()}
                write_atomic(self._note, json.dumps(note) + "\n")
                self._say(f"holding {self.name} at {place}")
                return

    def _watch(self) -> None:
        while not self._closing.wait(self._rules.heartbeat_s):
            held = self._held
            if held is None:
                continue
            spent = self._spent_s() >= self._rules.most_s
            if (not spent and held.alive()) or self._closing.is_set():
                continue
            with self._guard:
                held.release()
                if self._held is held:
                    self._forget(spent)

    def _spent_s(self) -> float:
        """Seconds for which a device was held in all, up to now."""
        return self._held_s + time.monotonic() - self._held_since

    def _forget(self, spent: bool) -> None:
        """A device that was given back by the watch, because it was lost or because its time is used up."""
        self._held, self._held_s = None, self._spent_s()
        self._note.unlink(missing_ok=True)
        if not spent:
            self._say(f"lost {self.name} at {self._place}")
            return
        self._given_up = f"it was held for {self._held_s / 60:.1f} minutes, as long as it may be"
        self._say(f"gave back {self.name} at {self._place}: {self._given_up}")

    def _end_leftover(self) -> None:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if isinstance(note, dict) and isinstance(note.get("held"), dict):
            self._say(f"ending what an earlier launch left of {note.get('name')} at {note.get('place')}")
            self._allocator.end_leftover(note["held"])
        self._note.unlink(missing_ok=True)


class NoLease(Lease):
    """No device is held, and nobody has to ask whether one is."""

    def __init__(self) -> None:
        self.name = ""

    def __enter__(self) -> "NoLease":
        return self

    @property
    def place(self) -> str:
        return ""

    def ensure(self) -> str:
        return ""

    def rest(self, seconds: float) -> None:
        pass

    def environment(self) -> dict[str, str]:
        return {}

    @contextlib.contextmanager
    def chip(self, who: str) -> Iterator[None]:
        yield

    def close(self) -> None:
        pass


NO_LEASE = NoLease()


def held_place(note: Path) -> str:
    """Where the device of a lease's note is held now; empty when it is not."""
    try:
        value = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(value.get("place", "")) if isinstance(value, dict) else ""


@contextlib.contextmanager
def shared_chip(path: Path | None, wait_s: float) -> Iterator[None]:
    """Take the lock of a device that another process leased, e.g. the one named by `CAIRN_DEVICE_LOCK`.

    Raises:
        TryAgain: somebody else had it for all of `wait_s`.
    """
    if path is None:
        yield
        return
    if not path.is_file():
        raise Missing(f"{path} does not exist", hint=f"{LOCK_VARIABLE} names a lock that is gone")
    # only read, because whoever is behind the fence of a climb can do no more; the lock is the same
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _wait_for(handle, wait_s)
        yield
    finally:
        os.close(handle)


def _wait_for(handle: int, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise TryAgain("the device is in use", hint="wait until its user is done") from error
        time.sleep(_LOOK_S)
