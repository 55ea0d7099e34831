"""What the judge asks of its workers, as typed calls: the oracle knows the truth, a runner knows one variant."""

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from cairn.errors import BadInput, CairnError, Missing
from cairn.judge.correctness import Array, Wire, decode
from cairn.lab.stored import Given
from cairn.problem import Problem, Shape
from cairn.worker_process import Isolation, WorkerFailure, WorkerLimits, WorkerProcess, plain

Specs = list[dict[str, Any]]
_CONFIG_CHARS = 1000
_REPLY_BYTES = 2**30  # a lowered program, or the outputs of a check shape


@dataclass(frozen=True)
class JudgeLimits:
    """Seconds that one request to a worker or to the compiler may take, and a variant's resident memory."""

    load_s: float = 60.0
    export_s: float = 120.0
    call_s: float = 120.0
    compile_s: float = 600.0  # of a wall clock that other compilers share; the largest programs seen take 180
    memory_bytes: int = 8 * 2**30


@dataclass(frozen=True)
class VariantSource:
    """A variant as text, so that no later edit of the file can matter; `config` overrides fields of `Config`."""

    name: str
    text: bytes
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, config: Mapping[str, Any] | None = None) -> "VariantSource":
        return cls(path.stem, path.read_bytes(), dict(config or {}))

    @property
    def digest(self) -> str:
        """sha256 over source and config."""
        config = json.dumps(dict(self.config), sort_keys=True).encode()
        return hashlib.sha256(self.text + b"\0" + config).hexdigest()


@dataclass(frozen=True)
class SeenDevice:
    """A chip as jax names it, and how many cores it shows as one device."""

    kind: str
    cores: int

    def record(self) -> dict[str, Any]:
        return {"kind": self.kind, "cores": self.cores}


@dataclass(frozen=True)
class Cost:
    """What `cost` and `target_cost` of a reference say about a shape."""

    flops: int
    bytes: int
    target_flops: int
    target_bytes: int


@dataclass(frozen=True)
class Domains:
    """The values that each input may have, in words, and the families that the judge makes within them."""

    inputs: tuple[str, ...]
    families: tuple[str, ...]


@dataclass(frozen=True)
class Draw:
    """One set of inputs, as they go to a runner, and the truth in float64."""

    seed: int
    shape: Shape
    family: str
    specs: Specs
    blobs: list[bytes]
    truth: list[Array]

    @property
    def where(self) -> str:
        shape = " ".join(f"{name}={size}" for name, size in self.shape.items())
        return f"{shape}, {self.family} inputs"


class Oracle:
    """The frozen reference in its own process. Its failures are the problem's fault, so they are errors."""

    def __init__(self, problem: Problem, python: Path) -> None:
        self._problem = problem
        self._worker = WorkerProcess(python, "oracle")
        try:
            header = {"op": "load", "path": str(problem.reference), "families": list(problem.families)}
            loaded, _ = self._ask(header, 60)
            self._has_properties = bool(loaded["has_properties"])
        except CairnError:
            self.close()
            raise

    def specs(self, shape: Shape) -> Specs:
        """Shapes and types of the inputs for a shape."""
        return list(self._ask({"op": "specs", "shape": shape}, 120)[0]["inputs"])

    def given(self, shape: Shape) -> Given | None:
        """The integer inputs that a price at this shape is asked for; None where the reference names none."""
        reply = self._ask({"op": "specs", "shape": shape}, 120)[0]
        return Given(tuple(reply["inputs"]), reply["values"]) if reply["values"] else None

    def domains(self, shape: Shape) -> Domains:
        """How far inputs may be varied at a shape, and which families of the judge's own are made so.

        Raises:
            BadInput: what the reference declares about its inputs cannot be read.
        """
        reply = self._ask({"op": "domains", "shape": shape}, 120)[0]
        return Domains(tuple(reply["domains"]), tuple(reply["families"]))

    def cost(self, shape: Shape) -> Cost:
        """Least operations and bytes, and those of the stated good form."""
        reply = self._ask({"op": "cost", "shape": shape}, 60)[0]
        return Cost(reply["flops"], reply["bytes"], reply["target_flops"], reply["target_bytes"])

    def inputs(self, seed: int, shape: Shape, family: str) -> tuple[Specs, list[bytes]]:
        """Make inputs without computing the truth, which at a bench shape can take a minute."""
        header = {"op": "inputs", "seed": seed, "shape": shape, "family": family}
        reply, blobs = self._ask(header, 300)
        return reply["inputs"], blobs

    def draw(self, seed: int, shape: Shape, family: str) -> Draw:
        """Make inputs and compute the truth."""
        reply, blobs = self._ask({"op": "draw", "seed": seed, "shape": shape, "family": family}, 300)
        count = len(reply["inputs"])
        truth = self._decoded(reply["truth"], blobs[count:])
        return Draw(seed, shape, family, reply["inputs"], blobs[:count], truth)

    def truth(self, specs: Specs, blobs: Sequence[bytes]) -> list[Array]:
        """The truth for inputs that were not drawn, in float64.

        Raises:
            BadInput: the reference does not take them.
        """
        reply, made = self._ask({"op": "truth", "inputs": specs}, 300, blobs)
        return self._decoded(reply["truth"], made)

    def broken_properties(self, draw: Draw, outputs: Sequence[Wire]) -> list[str]:
        """Names of the identities that the reference states and these outputs do not have."""
        if not self._has_properties:
            return []
        specs = [{"dtype": output.dtype, "shape": list(output.shape)} for output in outputs]
        header = {"op": "properties", "inputs": draw.specs, "outputs": specs}
        reply, _ = self._ask(header, 120, [*draw.blobs, *(output.data for output in outputs)])
        return [name for name, holds in reply["properties"].items() if not holds]

    def _decoded(self, specs: Specs, blobs: Sequence[bytes]) -> list[Array]:
        arrays = zip(specs, blobs, strict=True)
        truth = [decode(Wire(spec["dtype"], tuple(spec["shape"]), blob)) for spec, blob in arrays]
        if len(truth) != len(self._problem.outputs):
            message = f"the reference gives {len(truth)} outputs, problem.yaml names {len(self._problem.outputs)}"
            raise BadInput(message, path=self._problem.reference, hint="list every output, in order")
        assert all(array.dtype == np.float64 for array in truth)
        return truth

    def _ask(
        self, header: dict[str, Any], timeout_s: float, blobs: Sequence[bytes] = ()
    ) -> tuple[dict[str, Any], list[bytes]]:
        try:
            return self._worker.ask(header, blobs, timeout_s=timeout_s)
        except WorkerFailure as failure:
            if "No module named" in failure.detail and failure.reason == "exited":
                hint = "install them: pip install 'kernel-cairn[tpu]', or set climb.python in registry.json"
                raise Missing(f"the worker's interpreter lacks packages: {failure.detail}", hint=hint) from failure
            message = f"`{header['op']}` failed: {failure.detail[:800]}"
            raise BadInput(
                message, path=self._problem.reference, hint="run it by hand to see the trace"
            ) from failure

    @property
    def alive(self) -> bool:
        return self._worker.alive

    def kill(self) -> None:
        """End it from another thread; the one that waits for it sees an error."""
        self._worker.kill()

    def close(self) -> None:
        self._worker.close()


class Runner:
    """One variant in one untrusted process. Everything it fails at is a `WorkerFailure`, a result.

    Two threads may ask it; the second waits until the first has its answer.
    """

    def __init__(self, python: Path, limits: JudgeLimits, device: SeenDevice | None = None) -> None:
        """`device`: what jax's questions about the device are answered with, so that a kernel can ask for its chip."""
        self._limits = limits
        self._device = device.record() if device else None
        bounds = WorkerLimits(memory_bytes=limits.memory_bytes, reply_bytes=_REPLY_BYTES)
        self._worker = WorkerProcess(python, "candidate", limits=bounds)
        self._turn = threading.Lock()
        self.interpreter = "hlo"

    @property
    def isolation(self) -> Isolation:
        """How far the variant is locked in, told before it was loaded."""
        return self._worker.isolation

    @property
    def alive(self) -> bool:
        return self._worker.alive

    def load(self, variant: VariantSource) -> dict[str, str]:
        """Import the variant; give its Config back as text."""
        header = {"op": "load", "name": variant.name, "config": dict(variant.config), "device": self._device}
        reply, _ = self._ask(header, [variant.text], timeout_s=self._limits.load_s)
        config = reply.get("config")
        if not isinstance(config, dict):
            raise WorkerFailure("garbled", "a variant without its Config")
        return {plain(str(key), _CONFIG_CHARS): plain(str(value), _CONFIG_CHARS) for key, value in config.items()}

    def export(self, inputs: Specs, platform: str = "tpu", *, locations: bool = False) -> bytes:
        """Lower and serialise; with `locations` the compiler's errors can name the kernel's line."""
        header = {"op": "export", "inputs": inputs, "platform": platform, "locations": locations}
        header["device"] = self._device
        reply, blobs = self._ask(header, timeout_s=self._limits.export_s)
        if len(blobs) != 1:
            raise WorkerFailure("garbled", "an export without a program")
        if reply.get("weak_outputs"):  # the serialised form forgets it
            raise WorkerFailure("weak", f"outputs {reply['weak_outputs']} have weak types: end with .astype(...)")
        return blobs[0]

    def call(self, inputs: Specs, blobs: Sequence[bytes]) -> list[Wire]:
        """Run on concrete inputs in the interpreter; the slow, complete one when the fast one cannot."""
        try:
            return self._call(inputs, blobs)
        except WorkerFailure as failure:
            if failure.reason != "raised" or self.interpreter == "tpu":
                raise
            first = failure
        self.interpreter = "tpu"
        try:
            return self._call(inputs, blobs)
        except WorkerFailure as failure:
            raise (first if failure.reason == "raised" else failure) from failure

    def _call(self, inputs: Specs, blobs: Sequence[bytes]) -> list[Wire]:
        header = {"op": "call", "inputs": inputs, "interpreter": self.interpreter}
        reply, outputs = self._ask(header, blobs, timeout_s=self._limits.call_s)
        specs = reply.get("outputs")
        if not isinstance(specs, list) or len(specs) != len(outputs):
            raise WorkerFailure("garbled", "outputs without their description")
        return [_wire(spec, blob) for spec, blob in zip(specs, outputs, strict=True)]

    def _ask(
        self, header: dict[str, Any], blobs: Sequence[bytes] = (), *, timeout_s: float
    ) -> tuple[dict[str, Any], list[bytes]]:
        with self._turn:
            return self._worker.ask(header, blobs, timeout_s=timeout_s)

    def kill(self) -> None:
        """End it from another thread; the one that waits for it sees a failure."""
        self._worker.kill()

    def close(self) -> None:
        self._worker.close()

    def __enter__(self) -> "Runner":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _wire(spec: Any, blob: bytes) -> Wire:
    """Read an array's description, which an untrusted process wrote."""
    dtype, shape = (spec.get("dtype"), spec.get("shape")) if isinstance(spec, dict) else (None, None)
    if (
        not isinstance(dtype, str)
        or not isinstance(shape, list)
        or not all(type(n) is int and n >= 0 for n in shape)
    ):
        raise WorkerFailure("garbled", "an output without type and shape")
    return Wire(dtype, tuple(shape), blob)
