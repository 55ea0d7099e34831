"""What a program costs on a chip, by the real compiler and the cost model. No variant's Python is present here."""

import contextlib
import hashlib
import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import LifoQueue
from typing import Any

import psutil

from cairn.judge.lowered import without_folder
from cairn.judge.prices import KeptPrices, Price
from cairn.judge.verdict import Ruling
from cairn.lab import chip
from cairn.lab.chip import Chip
from cairn.lab.facts import facts_of
from cairn.lab.predict import Prediction, predict
from cairn.lab.service import CompileResult, CompileService
from cairn.lab.stored import Given
from cairn.process import cores

_COMPILER_BYTES = 4 * 1024**3  # resident; a large kernel takes 0.5, the largest programs that were seen 2


class Pricer:
    """Compiles exported programs for one target and remembers the answer by the program's hash.

    Compiling takes most of a first verdict, and each compiler one core: several programs are compiled at once, while
    the judge still checks whether they are right. Whoever wants a price waits for it. A compiler that nobody needs is
    not started.
    """

    def __init__(
        self,
        services: Sequence[CompileService],
        target: str,
        timeout_s: float,
        given: Sequence[Given] = (),
        kept: KeptPrices | None = None,
    ) -> None:
        """`given`: integer inputs to be taken as known; `kept`: the prices of earlier processes."""
        self._services = list(services)
        self._free: LifoQueue[CompileService] = LifoQueue()  # the one that is warm comes first
        for service in reversed(self._services):
            self._free.put(service)
        self._busy: set[CompileService] = set()
        self._given = list(given)
        self._kept = kept or KeptPrices(None)
        self._target = target
        self._timeout_s = timeout_s
        self._known: dict[str, Price | Ruling] = {}
        self._asked: dict[str, Future[Price | Ruling]] = {}
        self._threads = ThreadPoolExecutor(len(self._services), "pricer")

    def prefetch(self, exported: bytes) -> None:
        """Begin to price a program that will be asked for later."""
        program = program_hash(exported)
        if program not in self._known and program not in self._asked:
            self._asked[program] = self._threads.submit(self._obtain, program, exported)

    def price(self, exported: bytes) -> Price | Ruling:
        """The price of a program, or the ruling that the compiler's refusal leads to."""
        program = program_hash(exported)
        self.prefetch(exported)
        if program not in self._known:
            self._known[program] = self._asked.pop(program).result()
        return self._known[program]

    def abandon(self) -> None:
        """Nobody will ask for what was begun: end it, so that the next program need not wait for its compile."""
        asked, self._asked = self._asked, {}
        running = [future for future in asked.values() if not future.cancel() and not future.done()]
        for compiler in [service.pid for service in tuple(self._busy)] if running else []:
            if compiler is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(compiler, signal.SIGKILL)
        wait(running)

    def close(self) -> None:
        """End the threads; what they were doing is not waited for longer than their compilers take to die."""
        self.abandon()
        self._threads.shutdown()

    def versions(self) -> dict[str, str | None]:
        """Versions of the compiler's jax, jaxlib and libtpu.

        Raises:
            Missing: the interpreter is not there, or has no jax or libtpu.
        """
        return self._services[0].versions()

    def _obtain(self, program: str, exported: bytes) -> Price | Ruling:
        service = self._free.get()
        self._busy.add(service)
        try:
            key = service.key(exported, self._target, self._given)
            kept = self._kept.get(key)
            if kept is not None:
                return kept
            result = service.compile(exported, self._target, self._timeout_s, self._given)
            answer = self._answer(program, result)
            if service.repeats(result):
                self._kept.put(key, answer)
            return answer
        finally:
            self._busy.discard(service)
            self._free.put(service)

    def _answer(self, program: str, result: CompileResult) -> Price | Ruling:
        if result.failure is not None:
            failure = result.failure
            where = f" ({failure.source})" if failure.source else ""
            return Ruling(failure.kind, without_folder(f"{failure.line}{where}. {failure.hint}"))
        return _price(program, result, predict(result, self._target), chip.load(self._target))


def compilers_at_once(programs: int) -> int:
    """How many compilers pay for as many programs: one for each core, as long as their memory is there."""
    room = psutil.virtual_memory().available // _COMPILER_BYTES
    return max(1, min(programs, cores(), room))


def program_hash(exported: bytes) -> str:
    """sha256 of the serialised program: equal programs cost the same and are a change to nothing."""
    return hashlib.sha256(exported).hexdigest()


def _kernels(result: CompileResult, figures: Chip) -> dict[str, Any]:
    """What the compiler says of each kernel: its vector memory, and the share of each unit's slots that it fills."""
    facts = (facts_of(result.dump, name, figures) for name in result.custom_calls)
    return {
        each.name: {
            "vmem_bytes": each.vmem_bytes,
            "unit_use": {unit: round(share, 4) for unit, share in each.unit_use.items()},
        }
        for each in facts
    }


def _price(program: str, result: CompileResult, prediction: Prediction, figures: Chip) -> Price:
    record = {
        "custom_calls": list(result.custom_calls),
        "kernels": _kernels(result, figures),
        "parameters": result.parameters,
        "memory_bytes": dict(result.memory),
        "operands": result.operands,
        "compile_s": round(float(result.seconds.get("total", 0.0)), 3),
        "breakdown_us": dict(prediction.breakdown),
        "mxu_util": prediction.mxu_util,
        "hbm_bytes": prediction.hbm_bytes,
        "spills": prediction.spills,
        "fills": prediction.fills,
        "bundles": prediction.bundles,
        "flags": list(prediction.flags),
        "model": prediction.model_version,
    }
    return Price(program, prediction.us, prediction.low_us, prediction.high_us, prediction.refused, record)
