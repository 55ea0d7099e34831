"""Where a lowered program is run to see whether it is right: never in the process that lowered it.

What is compiled, priced and timed is a program; so a program is what is checked. A variant's Python writes it once
and is gone: it cannot be honest for the examiner and different for the compiler.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cairn.errors import Missing
from cairn.judge.asking import asked_again
from cairn.judge.audit import audit
from cairn.judge.correctness import Wire
from cairn.judge.protocol import JudgeLimits, Specs
from cairn.judge.replay import Cover, Replayer, ReplayFault, Sample, Spread, Unreplayable
from cairn.judge.timing_plan import TimingDevice
from cairn.judge.verdict import Ruling, ruling_of_failure
from cairn.worker_process import WorkerFailure, WorkerProcess

T = TypeVar("T")
_START_S = 60.0
_DEVICES = {"cuda": "gpu"}  # what jax calls the devices of a platform that it names otherwise
_FAULTS = {"out_of_bounds": "out_of_bounds", "stuck": "stuck", "assertion": "runtime_error"}


class Executor(Protocol):
    """Runs serialised programs on the CPU or on a device. `name` goes into the receipt."""

    name: str

    def run(self, program: bytes, inputs: Specs, blobs: Sequence[bytes]) -> list[Wire] | Ruling:
        """Outputs, or what the failure means for the variant."""
        ...

    def close(self) -> None: ...


class ReplayExecutor:
    """Programs for TPU, replayed operation by operation on the CPU in the precision that the chip would use."""

    name = "replay"

    def __init__(self, python: Path, limits: JudgeLimits) -> None:
        self.replayer = Replayer(python, limits)

    def run(self, program: bytes, inputs: Specs, blobs: Sequence[bytes]) -> list[Wire] | Ruling:
        return self._judged(lambda: self.replayer.run(program, inputs, blobs))

    def sample(
        self, program: bytes, inputs: Specs, blobs: Sequence[bytes], cells: int, seed: int
    ) -> Sample | Ruling:
        """Like `run` for a shape too large to run in full: `cells` blocks, chosen by `seed`, and which these are."""
        return self._judged(lambda: self.replayer.run_sample(program, inputs, blobs, cells, seed))

    def cover(
        self, program: bytes, cells: int, seed: int, axes: Sequence[tuple[int, Sequence[int]]]
    ) -> Cover | Ruling:
        """Which elements of the outputs `cells` blocks are, and where they lie along axes of these sizes.

        Raises:
            NotLocal: the program has to be given whole inputs.
        """
        return self._judged(lambda: self.replayer.cover(program, cells, seed, axes))

    def run_part(
        self, program: bytes, inputs: Specs, blobs: Sequence[bytes], spread: Spread, cells: int, seed: int
    ) -> list[Wire] | Ruling:
        """These blocks, from the parts of the inputs that they depend on.

        Raises:
            NotLocal: they depend on more.
        """
        return self._judged(lambda: self.replayer.run_part(program, inputs, blobs, spread, cells, seed))

    def prepare(self, program: bytes) -> None:
        """Have a program ready before it is run; what is wrong with it is told then."""
        self._judged(lambda: self.replayer.load(program))

    @staticmethod
    def _judged(run: Callable[[], T]) -> T | Ruling:
        """What `run` gives, or what its failure means for the variant."""
        try:
            return run()
        except Unreplayable as error:
            return Ruling("unreplayable", str(error)[:600])
        except ReplayFault as fault:
            return Ruling(_FAULTS[fault.kind], fault.detail[:600])
        except WorkerFailure as failure:
            if failure.reason == "timeout":
                return Ruling("unreplayable", f"the replay takes longer than allowed: {failure.detail}")
            return ruling_of_failure(failure, "unreplayable")

    def close(self) -> None:
        self.replayer.close()


class DeviceExecutor:
    """Programs for a device of this machine, run there as they are timed.

    The process that runs them is not locked in, and a custom call in a program can name any address as a function.
    So nothing is run before a process that is locked in has read it and found no call but jax's own.
    """

    def __init__(self, python: Path, platform: str, limits: JudgeLimits) -> None:
        self.name = platform
        self.replayer = Replayer(python, limits)
        self.timed_on = TimingDevice(python, platform)
        self._limits = limits
        self._worker: WorkerProcess | None = None
        self._vetted: dict[str, Ruling | None] = {}

    def device(self) -> dict[str, Any]:
        """What programs run on here: platform, kind and number of devices, versions of jax and jaxlib.

        Raises:
            Missing: there is no such device, or jax cannot use it.
        """
        try:
            reply, _ = self._ready().ask({"op": "device"}, timeout_s=_START_S)
        except WorkerFailure as failure:
            hint = f"{self.name} is not there; choose another target, or look at: cairn doctor"
            raise Missing(f"no device of platform {self.name}: {failure.detail[:300]}", hint=hint) from failure
        if reply["platform"] not in (self.name, _DEVICES.get(self.name)):  # jax may fall back to the processor
            hint = "choose another target, or look at: cairn doctor"
            raise Missing(f"jax shows a {reply['platform']} here and no {self.name} device", hint=hint)
        return {key: value for key, value in reply.items() if key != "id"}

    def _ready(self) -> WorkerProcess:
        if self._worker is None or not self._worker.alive:
            self._stop()
            self._worker = self.timed_on.start()
        return self._worker

    def run(self, program: bytes, inputs: Specs, blobs: Sequence[bytes]) -> list[Wire] | Ruling:
        return self._run({"op": "run", "inputs": inputs}, program, blobs)

    def run_apart(self, program: bytes, inputs: Specs, blobs: Sequence[bytes]) -> list[Wire] | Ruling | None:
        """Like `run`, with every operation by itself and rounded as it says; None where a device knows no such way.

        A processor multiplies and adds in one step where XLA has fused them. What is subtracted from itself then leaves
        what the rounding took away, which is much where numbers are huge: the largest of a row's logits is not zero.
        """
        if self.name != "cpu":
            return None
        return self._run({"op": "run", "inputs": inputs, "apart": True}, program, blobs)

    def _run(self, header: dict[str, Any], program: bytes, blobs: Sequence[bytes]) -> list[Wire] | Ruling:
        refused = self.vet(program)
        if refused is not None:
            return refused
        try:
            reply, outputs = asked_again(
                lambda: self._ready().ask(header, [program, *blobs], timeout_s=self._limits.call_s), self._stop
            )
        except WorkerFailure as failure:
            return ruling_of_failure(failure, "runtime_error")
        return [Wire(s["dtype"], tuple(s["shape"]), b) for s, b in zip(reply["outputs"], outputs, strict=True)]

    def vet(self, program: bytes) -> Ruling | None:
        """Why a program must not be run here, if it must not."""
        digest = hashlib.sha256(program).hexdigest()
        if digest not in self._vetted:
            try:
                self._vetted[digest] = audit(self.replayer.inspect(program, self.name), (), self.name)
            except (Unreplayable, WorkerFailure) as error:
                self._vetted[digest] = Ruling("unreplayable", f"the program cannot be read: {error}"[:600])
        return self._vetted[digest]

    def close(self) -> None:
        self.replayer.close()
        self._stop()

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None
