"""Where kernels run when not here: hosts that look to everybody else like an interpreter of this machine.

A place is a small program that is called as Python is called and passes everything on to a worker on the host
(`worker/near.py` here, `worker/far.py` there). The judge stays here: seeds, truth, tolerances, verdicts and receipts
never leave; what travels is the worker folder, once, under the hash of its content, then requests and replies.
"""

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.errors import UsageError
from cairn.execution.hosts import Backend, Host, Wanted
from cairn.execution.places_ray import RayBackend
from cairn.execution.places_ssh import SshBackend
from cairn.journal import write_atomic
from cairn.worker import wire
from cairn.worker.scratch import scratch
from cairn.worker_process import WORKER_FOLDER


@dataclass(frozen=True)
class Place:
    """A host that workers run on. `python`: what to start them with.

    `renew` finds out where the host is now, before the judge is opened there; it raises Unreachable when it is gone.
    """

    name: str
    python: Path
    renew: Callable[[], None] = lambda: None


@contextlib.contextmanager
def open_places(wanted: Wanted, home_python: Path) -> Iterator[list[Place]]:
    """The places to run on, while the context lasts; with `local` this machine's own interpreter.

    Raises:
        UsageError: no such backend, or one without the address that it needs.
        Missing, Unreachable: as the backend says.
    """
    if wanted.backend == "local":
        names = ["local"] if wanted.slots == 1 else [f"local:{at}" for at in range(wanted.slots)]
        yield [Place(name, home_python) for name in names]
        return
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch("places"))
        hosts = stack.enter_context(_backend(wanted.backend).open(wanted, folder))
        yield [_place(folder / str(at), home_python, *opened) for at, opened in enumerate(hosts)]


def _backend(name: str) -> Backend:
    if name == "ssh":
        return SshBackend()
    if name == "ray":
        return RayBackend()
    raise UsageError(f"no backend `{name}`", hint="one of local, ssh, ray")


def _place(folder: Path, home_python: Path, host: Host, facts: Mapping[str, Any] | None) -> Place:
    """Write the program that stands for a host's interpreter."""
    folder.mkdir(mode=0o700)
    about = folder / "place.json"
    about.touch(mode=0o600)  # it can hold a token; nobody else can enter its folder either

    def write(facts: Mapping[str, Any]) -> None:
        write_atomic(about, json.dumps({**facts, "python": str(home_python)}))

    if facts is not None:
        write(facts)
    command = [sys.executable, "-E", "-s", "-S", "-B", str(WORKER_FOLDER / "near.py"), str(about)]
    program = folder / wire.FAR_PYTHON
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    return Place(host.name, program, lambda: write(host.facts()))
