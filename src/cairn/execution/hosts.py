"""What a backend is asked for and what it gives: hosts, and the worker folder that travels to them."""

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cairn.worker_process import WORKER_FOLDER


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


class Host(Protocol):
    """A host that a backend has opened."""

    name: str

    def facts(self) -> dict[str, Any]:
        """What `near.py` needs to reach it now: a command, or an address and a token.

        Raises:
            Unreachable: it does not answer.
        """
        ...


Opened = Sequence[tuple[Host, dict[str, Any] | None]]


class Backend(Protocol):
    """Opens hosts."""

    def open(self, wanted: Wanted, folder: Path) -> AbstractContextManager[Opened]:
        """Connect; on leaving, everything that was started on the hosts is ended.

        Gives each host with its facts, or with None when it does not answer yet.

        Raises:
            Missing: a host lacks what is needed. Unreachable: no host answers.
        """
        ...


@dataclass(frozen=True)
class Bundle:
    """The worker folder as a compressed archive; `digest` names its content."""

    digest: str
    archive: bytes


def bundle(folder: Path = WORKER_FOLDER) -> Bundle:
    """Pack the worker folder; the same content gives the same digest on every machine."""
    files = sorted(path for path in folder.glob("*.py") if path.is_file())
    digest, stream = hashlib.sha256(), io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path in files:
            content = path.read_bytes()
            digest.update(f"{path.name} {len(content)}\n".encode() + content)
            member = tarfile.TarInfo(path.name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return Bundle(digest.hexdigest(), stream.getvalue())
