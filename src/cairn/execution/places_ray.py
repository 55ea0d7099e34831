"""Hosts of a Ray cluster: an actor for each worker slot, on whatever node has the resources asked for.

Ray decides where and keeps watch; the actor only starts `far.py` on its node and tells its address. A worker is then
reached over TCP with a token that nobody else has. When a node is lost, its connections end, the judge says that the
host was lost, and Ray starts the actor on another node. `resources` are Ray's own names, such as `TPU` or
`TPU-v5p-8-head`.

Ray itself runs in a process of its own (`ray_keeper.py`): it takes over signal handlers, prints, and can end with
the node that it is connected through. Then the next question starts another keeper.
"""

import contextlib
import importlib.util
import itertools
import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from cairn.errors import Missing, Unreachable
from cairn.execution.hosts import Opened, Wanted, bundle

_READY_S, _AGAIN_S, _SPARE_S, _END_S = 300.0, 10.0, 15.0, 20.0
_LOG_CHARS = 400


class RayBackend:
    """Opens `slots` workers on the cluster at the first address; without one, on the cluster that is running."""

    @contextlib.contextmanager
    def open(self, wanted: Wanted, folder: Path) -> Iterator[Opened]:
        """Connect to the cluster and start one actor for each slot."""
        if importlib.util.find_spec("ray") is None:
            raise Missing("--backend ray needs ray", hint="pip install 'kernel-cairn[ray]'")
        keeper = _Keeper(wanted, folder)
        try:
            yield keeper.opened()
        finally:
            keeper.close()


class _Slot:
    """One actor; a `Host`."""

    def __init__(self, keeper: "_Keeper", at: int, token: str) -> None:
        self._keeper = keeper
        self._at = at
        self.token = token
        self.name = f"ray:{at}"

    def facts(self) -> dict[str, Any]:
        """Where the slot's server is now."""
        return self.told(self._keeper.ask(self._at, _AGAIN_S), _AGAIN_S)

    def told(self, answer: "Future[dict[str, Any]]", limit_s: float) -> dict[str, Any]:
        """The facts from the keeper's answer.

        Raises:
            Unreachable: there is none, or it is an error.
        """
        try:
            found = answer.result(timeout=limit_s + _SPARE_S)
        except TimeoutError as error:
            raise Unreachable(f"{self.name}: Ray does not answer") from error
        if "error" in found:
            raise Unreachable(f"{self.name}: {found['error']}", hint=self._keeper.hint)
        name = f"{self.name} on node {found['node'][:8]}"
        return {"name": name, "address": [found["host"], found["port"]], "token": self.token}


class _Keeper:
    """Our end of the process that talks to Ray."""

    def __init__(self, wanted: Wanted, folder: Path) -> None:
        self._archive = folder / "bundle.tar.gz"
        self._archive.write_bytes(bundle().archive)
        self._log = folder / "ray.log"
        self._wanted = wanted
        self.slots = [_Slot(self, at, secrets.token_hex(32)) for at in range(max(1, wanted.slots))]
        self._numbers = itertools.count()
        self._asked: dict[int, tuple[object, Future[dict[str, Any]]]] = {}  # by number: whom, and who waits
        self._guard = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        needs = ", ".join(f"{name}={count:g}" for name, count in wanted.resources.items()) or "a CPU"
        self.hint = f"each of {len(self.slots)} slots needs {needs}; look at: ray status"

    def opened(self) -> Opened:
        """The slots, as soon as one of them has an actor.

        Raises:
            Unreachable: no cluster, or nothing in it has what is needed.
        """
        waiting = {self.ask(at, _READY_S): slot for at, slot in enumerate(self.slots)}
        facts: dict[str, dict[str, Any]] = {}
        while waiting and not facts:
            done, _ = wait(waiting, _READY_S + _SPARE_S, FIRST_COMPLETED)
            for answer in done or list(waiting):
                slot = waiting.pop(answer)
                try:
                    facts[slot.name] = slot.told(answer, 0)
                except Unreachable as error:
                    trouble = error
        if not facts:
            raise trouble
        return [(slot, facts.get(slot.name)) for slot in self.slots]

    def ask(self, slot: int, limit_s: float) -> "Future[dict[str, Any]]":
        """Ask where a slot is; starts the process when it does not run."""
        answer: Future[dict[str, Any]] = Future()
        with self._guard:
            if self._child is None or self._child.poll() is not None:
                self._child = self._started()
            number = next(self._numbers)
            self._asked[number] = self._child, answer
            assert self._child.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # its end answers all that is open
                self._child.stdin.write(json.dumps({"id": number, "slot": slot, "limit_s": limit_s}) + "\n")
                self._child.stdin.flush()
        return answer

    def _started(self) -> "subprocess.Popen[str]":
        wish = {
            "address": self._wanted.addresses[0] if self._wanted.addresses else "auto",
            "archive": str(self._archive),
            "far_python": self._wanted.far_python,
            "resources": dict(self._wanted.resources),
            "tokens": [slot.token for slot in self.slots],
        }
        with self._log.open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "cairn.execution.ray_keeper"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # a Ctrl-C is for the climb, which ends this one
            )
        assert child.stdin is not None
        child.stdin.write(json.dumps(wish) + "\n")
        child.stdin.flush()
        threading.Thread(target=self._listen, args=(child,), daemon=True).start()
        return child

    def _listen(self, child: "subprocess.Popen[str]") -> None:
        """Pass answers to those who wait for them; when the process ends, each of them is told why."""
        assert child.stdout is not None
        why = ""
        for line in child.stdout:
            if not line.startswith("{"):
                continue  # Ray prints as well
            told = json.loads(line)
            asked = self._asked.pop(told.get("id", -1), None)
            if asked is not None:
                asked[1].set_result(told)
            else:
                why = told.get("error", why)
        child.stdout.close()
        child.wait()
        why = why or f"Ray's driver ended: {self._log.read_text(errors='replace').strip()[-_LOG_CHARS:]}"
        with self._guard:
            left = [number for number, (whom, _) in self._asked.items() if whom is child]
            for number in left:
                self._asked.pop(number)[1].set_result({"error": why})

    def close(self) -> None:
        """End the process, and with it everything on the cluster."""
        child = self._child
        if child is None:
            return
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        try:
            child.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
