"""The programs that variants lower to, at each shape: what is compared, checked, compiled, priced and timed."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from cairn.judge.baseline_programs import BaselinePrograms
from cairn.judge.lowered import all_of, export
from cairn.judge.protocol import Oracle, Runner, Specs, VariantSource
from cairn.judge.verdict import Ruling, ruling_of_failure
from cairn.problem import Shape
from cairn.worker_process import WorkerFailure

_Key = tuple[str, tuple[tuple[str, int], ...]]


class Programs:
    """Lowers variants for one platform and remembers the result by source, config and shape."""

    def __init__(
        self,
        oracle: Oracle,
        start: Callable[[], Runner],
        platform: str,
        baseline: BaselinePrograms | None = None,
    ) -> None:
        """`start`: a process for a variant that has none; `baseline`: who has the programs of the problem's own."""
        self.platform = platform
        self._baseline = baseline
        self._oracle = oracle
        self._start = start
        self._specs: dict[tuple[tuple[str, int], ...], Specs] = {}
        self._known: dict[_Key, bytes] = {}
        self._asked: dict[_Key, Future[bytes | Ruling]] = {}
        self._thread = ThreadPoolExecutor(1, "lowering")

    def ahead(self, variant: VariantSource, runner: Runner, shapes: Sequence[Shape]) -> None:
        """Begin to lower a loaded variant at shapes that will be asked for, one after the other."""
        for shape in shapes:
            key = _key(variant, shape)
            if key not in self._known and key not in self._asked:
                self._asked[key] = self._thread.submit(export, runner, self.specs(shape), self.platform)

    def abandon(self, runner: Runner) -> None:
        """Nobody will ask for what was begun; the variant's process ends if it is still at it."""
        asked, self._asked = self._asked, {}
        running = [future for future in asked.values() if not future.cancel() and not future.done()]
        if running:
            runner.kill()
        wait(running)

    def close(self) -> None:
        """End the thread, once what was begun is abandoned, and the baseline's process."""
        self._thread.shutdown()
        if self._baseline is not None:
            self._baseline.close()

    def lower(self, variant: VariantSource, runner: Runner, shape: Shape) -> bytes | Ruling:
        """The program of a loaded variant at a shape, or what its refusal means."""
        key = _key(variant, shape)
        if key in self._known:
            return self._known[key]
        asked = self._asked.pop(key, None)
        lowered = export(runner, self.specs(shape), self.platform) if asked is None else asked.result()
        if isinstance(lowered, bytes):
            self._known[key] = lowered
        return lowered

    def lower_all(self, variant: VariantSource, runner: Runner, shapes: Sequence[Shape]) -> list[bytes] | Ruling:
        """Programs of a loaded variant at several shapes, or why one of them has none."""
        return all_of(self.lower(variant, runner, shape) for shape in shapes)

    def lower_alone(self, variant: VariantSource, shapes: Sequence[Shape]) -> list[bytes] | Ruling:
        """Programs of a variant at several shapes, from a process started for it if need be."""
        if self._baseline is not None and self._baseline.covers(variant):
            return all_of(self._baseline.get(self.specs(shape)) for shape in shapes)
        if all(_key(variant, shape) in self._known for shape in shapes):
            return [self._known[_key(variant, shape)] for shape in shapes]
        with self._start() as runner:
            try:
                runner.load(variant)
            except WorkerFailure as failure:
                return ruling_of_failure(failure, "import_error")
            return self.lower_all(variant, runner, shapes)

    def begin_alone(self, shapes: Sequence[Shape]) -> list[Future[bytes | Ruling]]:
        """Begin to lower the problem's own baseline at shapes that will be asked for."""
        return [] if self._baseline is None else [self._baseline.begin(self.specs(shape)) for shape in shapes]

    def prepare_alone(self) -> None:
        """The baseline will be asked for at a shape that is chosen on the spot."""
        if self._baseline is not None:
            self._baseline.prepare()

    def specs(self, shape: Shape) -> Specs:
        """Shapes and types of the inputs."""
        key = tuple(shape.items())
        if key not in self._specs:
            self._specs[key] = self._oracle.specs(shape)
        return self._specs[key]


def _key(variant: VariantSource, shape: Shape) -> _Key:
    return variant.digest, tuple(shape.items())
