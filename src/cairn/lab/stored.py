"""A compile's answer as bytes and back, and the key under which the cache keeps it.

Only answers that the same question gives again are kept: schedules, and errors that the compiler raised. A time-out, a
crash or a lack of memory may be the machine's fault.
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from cairn.lab.dumps import Dump
from cairn.lab.failures import Failure
from cairn.worker_process import WORKER_FOLDER

FORMAT = 4  # of what `encode` writes; raise it when `CompileResult` or `Dump` changes
COMPILER_FILES = ("compiler.py", "known_operands.py", "vmem_account.py")
_PASSING = ("crash", "timeout")
_LEVEL = 1  # dumps are megabytes of text: the fastest level already shrinks them twelvefold


@dataclass(frozen=True)
class CompileResult:
    """What the compiler said about one program for one target.

    Attributes:
        failure: None when it compiled.
        seconds: durations of `lower`, `compile` and `total` (as seen from here); of a cached answer, those of the
            compile that gave it.
        memory: sizes in bytes from the compiler's memory analysis.
        cost: XLA's own cost analysis; knows nothing about the inside of a Pallas call.
        custom_calls: names of the custom calls alive in the scheduled program, in order.
        operands: how operands parked in on-chip memory were treated (`neighbours charged`).
        known: integer operands of kernels that follow from constants of the program (`cairn.lab.known`).
        dump: scheduled HLO and bundles; empty when it did not compile.
        cached: whether the answer came from the cache.
    """

    target: str
    failure: Failure | None
    seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    parameters: int = 0
    custom_calls: tuple[str, ...] = ()
    operands: str = "neighbours charged"
    known: tuple[Mapping[str, Any], ...] = ()
    dump: Dump = field(default_factory=Dump)
    cached: bool = False

    @property
    def ok(self) -> bool:
        return self.failure is None


class Given(msgspec.Struct, frozen=True):
    """Integer inputs that are taken as known when a program with inputs of these types is priced.

    Attributes:
        inputs: `shape` and `dtype` of every input of the program.
        values: flat integers by the number of the input (as text).
    """

    inputs: tuple[dict[str, Any], ...]
    values: dict[str, list[int]]


def lasting(result: CompileResult) -> bool:
    """Whether the same question would give the same answer."""
    return result.failure is None or result.failure.kind not in _PASSING


def key_of(
    exported: bytes, topology: str, versions: Mapping[str, str | None], flags: str, given: Sequence[Given] = ()
) -> str:
    """Digest of everything that decides what the compiler says."""
    digest = hashlib.sha256(_compiler_source())
    digest.update(msgspec.json.encode(given, order="sorted") if given else b"")
    for part in (str(FORMAT), topology, repr(sorted(versions.items())), flags):
        digest.update(part.encode() + b"\0")
    digest.update(exported)
    return digest.hexdigest()


def encode(result: CompileResult) -> bytes:
    """The answer as compressed bytes."""
    return zlib.compress(msgspec.msgpack.encode(result), _LEVEL)


def decode(data: bytes) -> CompileResult | None:
    """The answer, marked as cached; None when the bytes are none."""
    try:
        result = msgspec.msgpack.decode(zlib.decompress(data), type=CompileResult)
    except (zlib.error, msgspec.DecodeError):
        return None
    return replace(result, cached=True)


def _compiler_source() -> bytes:
    """The worker's code that asks the compiler: what it asks differently is another question."""
    return b"".join((WORKER_FOLDER / name).read_bytes() for name in COMPILER_FILES)
