"""The programs that variants lower to, at each shape: what is compared, checked, compiled, priced and timed."""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from cairn.judge.protocol import Oracle, Runner, Specs, VariantSource
from cairn.judge.verdict import Ruling, ruling_of_failure
from cairn.lab.cache import Cache
from cairn.lab.failures import classify
from cairn.lab.installed import versions_of
from cairn.problem import Shape
from cairn.worker_process import WORKER_FOLDER, WorkerFailure

_Key = tuple[str, tuple[tuple[str, int], ...]]


class Programs:
    """Lowers variants for one platform and remembers the result by source, config and shape."""

    def __init__(
        self,
        oracle: Oracle,
        start: Callable[[], Runner],
        platform: str,
        frozen: "FrozenPrograms | None" = None,
    ) -> None:
        """`start`: a process for a variant that has none.

        `frozen`: programs of the problem's own baseline, which every judgement needs and nobody may change.
        """
        self.platform = platform
        self._frozen = frozen
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
                self._asked[key] = self._thread.submit(self._export, runner, self.specs(shape))

    def abandon(self, runner: Runner) -> None:
        """Nobody will ask for what was begun; the variant's process ends if it is still at it."""
        asked, self._asked = self._asked, {}
        running = [future for future in asked.values() if not future.cancel() and not future.done()]
        if running:
            runner.kill()
        wait(running)

    def close(self) -> None:
        """End the thread, once what was begun is abandoned."""
        self._thread.shutdown()

    def lower(self, variant: VariantSource, runner: Runner, shape: Shape) -> bytes | Ruling:
        """The program of a loaded variant at a shape, or what its refusal means."""
        key = _key(variant, shape)
        if key in self._known:
            return self._known[key]
        asked = self._asked.pop(key, None)
        lowered = self._export(runner, self.specs(shape)) if asked is None else asked.result()
        if isinstance(lowered, bytes):
            self._known[key] = lowered
        return lowered

    def _export(self, runner: Runner, specs: Specs) -> bytes | Ruling:
        try:
            return runner.export(specs, self.platform)
        except WorkerFailure as failure:
            return ruling_of_lowering(failure)

    def lower_all(self, variant: VariantSource, runner: Runner, shapes: Sequence[Shape]) -> list[bytes] | Ruling:
        """Programs of a loaded variant at several shapes, or why one of them has none."""
        programs = []
        for shape in shapes:
            program = self.lower(variant, runner, shape)
            if isinstance(program, Ruling):
                return program
            programs.append(program)
        return programs

    def lower_alone(self, variant: VariantSource, shapes: Sequence[Shape]) -> list[bytes] | Ruling:
        """Programs of a variant at several shapes, from a process started for it if need be.

        The baseline is lowered at all shapes of the problem at once: they will all be asked for.
        """
        frozen = self._recall(variant, shapes)
        if self._has(variant, shapes):
            return [self._known[_key(variant, shape)] for shape in shapes]
        with self._start() as runner:
            try:
                runner.load(variant)
            except WorkerFailure as failure:
                return ruling_of_failure(failure, "import_error")
            lowered = self.lower_all(variant, runner, shapes)
            if frozen is not None:
                for shape in [*shapes, *frozen.shapes]:
                    program = self.lower(variant, runner, shape)
                    if isinstance(program, bytes):
                        frozen.put(self.platform, self.specs(shape), program)
        return lowered

    def _has(self, variant: VariantSource, shapes: Sequence[Shape]) -> bool:
        return all(_key(variant, shape) in self._known for shape in shapes)

    def at_hand(self, variant: VariantSource, shapes: Sequence[Shape]) -> list[bytes]:
        """Those programs of the problem's own baseline that nobody has to be started for."""
        self._recall(variant, shapes)
        keys = [_key(variant, shape) for shape in shapes]
        return [self._known[key] for key in keys if key in self._known]

    def _recall(self, variant: VariantSource, shapes: Sequence[Shape]) -> "FrozenPrograms | None":
        """Fetch what is remembered of the baseline at these shapes; None for another variant."""
        if self._frozen is None or not self._frozen.covers(variant):
            return None
        for shape in shapes:
            if _key(variant, shape) not in self._known:
                program = self._frozen.get(self.platform, self.specs(shape))
                if program is not None:
                    self._known[_key(variant, shape)] = program
        return self._frozen

    def specs(self, shape: Shape) -> Specs:
        """Shapes and types of the inputs."""
        key = tuple(shape.items())
        if key not in self._specs:
            self._specs[key] = self._oracle.specs(shape)
        return self._specs[key]


class FrozenPrograms:
    """The baseline's lowered programs on disk, by everything that decides them; seeds, inputs and truth never are.

    The baseline is a frozen file of the problem, so its programs are what they were as long as its text, the versions
    and cairn's own lowering stay. A variant's programs are always lowered anew.
    """

    def __init__(
        self, baseline: VariantSource, shapes: Sequence[Shape], python: Path, cache: Cache, target: str
    ) -> None:
        self.shapes = list(shapes)
        self._baseline = baseline
        self._cache = cache
        code = b"".join((WORKER_FOLDER / name).read_bytes() for name in ("candidate.py", "seen_as.py"))
        self._ground = [baseline.name, baseline.digest, hashlib.sha256(code).hexdigest(), str(python), target]
        self._ground += [f"{name} {version}" for name, version in sorted(versions_of(python).items())]

    def covers(self, variant: VariantSource) -> bool:
        return variant.digest == self._baseline.digest and variant.name == self._baseline.name

    def get(self, platform: str, specs: Specs) -> bytes | None:
        return self._cache.get(self._key(platform, specs))

    def put(self, platform: str, specs: Specs, program: bytes) -> None:
        self._cache.put(self._key(platform, specs), program)

    def _key(self, platform: str, specs: Specs) -> str:
        return digest_of(["lowered", *self._ground, platform, specs])


def digest_of(parts: Sequence[Any]) -> str:
    """The key under which something is remembered that all of these decide."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _key(variant: VariantSource, shape: Shape) -> _Key:
    return variant.digest, tuple(shape.items())


def ruling_of_lowering(failure: WorkerFailure) -> Ruling:
    """Errors of lowering are the compiler's, met early: the same classes, the same hints."""
    if failure.reason != "raised":
        return ruling_of_failure(failure, "trace_error")
    error = failure.error
    found = classify(error.get("type", ""), error.get("message", ""), error.get("traceback", ""))
    where = f" ({found.source})" if found.source else ""
    reason = "trace_error" if found.kind == "compile_error" else found.kind
    return Ruling(reason, f"{found.line}{where}. {found.hint}")
