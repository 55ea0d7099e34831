"""Where kernels run when not here: hosts that look to everybody else like an interpreter of this machine.

A place is a small program that is called as Python is called and passes everything on to a worker on the host
(`worker/near.py` here, `worker/far.py` there). The judge stays here: seeds, truth, tolerances, verdicts and receipts
never leave; what travels is the worker folder, once, under the hash of its content, then requests and replies.
"""

import contextlib
import hashlib
import io
import json
import shlex
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cairn.errors import UsageError
from cairn.worker import wire
from cairn.worker_process import WORKER_FOLDER


@dataclass(frozen=True)
class Place:
    """A host that workers run on. `python`: what to start them with."""

    name: str
    python: Path


@dataclass(frozen=True)
class Wanted:
    """What a user asks for: a backend, its addresses, and the interpreter on the hosts that has jax.

    `slots` and `resources` are for a cluster: how many workers to hold, and what each needs.
    """

    backend: str
    addresses: Sequence[str] = ()
    far_python: str = ""
    slots: int = 1
    resources: Mapping[str, float] = field(default_factory=dict)


class Backend(Protocol):
    """Opens hosts. Each is described by what `near.py` needs: a command to reach it, or an address and a token."""

    def open(self, wanted: Wanted, folder: Path) -> AbstractContextManager[list[dict[str, Any]]]:
        """Connect; on leaving, everything that was started on the hosts is ended.

        Raises:
            Missing: a host lacks what is needed. Unreachable: a host does not answer.
        """
        ...


@contextlib.contextmanager
def open_places(wanted: Wanted, home_python: Path) -> Iterator[list[Place]]:
    """The places to run on, while the context lasts; with `local` this machine's own interpreter.

    Raises:
        UsageError: no such backend, or one without the address that it needs.
        Missing, Unreachable: as the backend says.
    """
    if wanted.backend == "local":
        yield [Place("local", home_python)]
        return
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cairn-places-")))
        described = stack.enter_context(_backend(wanted.backend).open(wanted, folder))
        yield [_place(folder / str(at), home_python, facts) for at, facts in enumerate(described)]


def _backend(name: str) -> Backend:
    if name == "ssh":
        from cairn.execution.places_ssh import SshBackend

        return SshBackend()
    if name == "ray":
        from cairn.execution.places_ray import RayBackend

        return RayBackend()
    raise UsageError(f"no backend `{name}`", hint="one of local, ssh, ray")


def _place(folder: Path, home_python: Path, facts: Mapping[str, Any]) -> Place:
    """Write the program that stands for a host's interpreter."""
    folder.mkdir(mode=0o700)
    about = folder / "place.json"
    about.touch(mode=0o600)  # it can hold a token
    about.write_text(json.dumps({**facts, "python": str(home_python)}), encoding="utf-8")
    command = [sys.executable, "-E", "-s", "-S", "-B", str(WORKER_FOLDER / "near.py"), str(about)]
    program = folder / wire.FAR_PYTHON
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    return Place(str(facts["name"]), program)


@dataclass(frozen=True)
class Bundle:
    """The worker folder as a compressed archive; `digest` names its content."""

    digest: str
    archive: bytes


def bundle() -> Bundle:
    """Pack the worker folder; the same content gives the same digest on every machine."""
    files = sorted(path for path in WORKER_FOLDER.glob("*.py") if path.is_file())
    digest, stream = hashlib.sha256(), io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path in files:
            content = path.read_bytes()
            digest.update(f"{path.name} {len(content)}\n".encode() + content)
            member = tarfile.TarInfo(path.name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return Bundle(digest.hexdigest(), stream.getvalue())
