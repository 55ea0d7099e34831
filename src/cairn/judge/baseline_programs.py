"""The programs of a problem's own baseline: from disk, or lowered in a process that stays for the next question.

Every judgement needs them, and one or two more at shapes that are chosen on the spot. The baseline is a frozen file
of the problem, so its programs are what they were as long as its text, the versions and cairn's own lowering stay;
seeds, inputs and truth are never kept. A variant's programs are always lowered anew.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from cairn.judge.lowered import digest_of, export
from cairn.judge.protocol import Runner, Specs, VariantSource
from cairn.judge.verdict import Ruling, ruling_of_failure
from cairn.lab.cache import Cache
from cairn.lab.installed import versions_of
from cairn.worker_process import WORKER_FOLDER, WorkerFailure


class BaselinePrograms:
    """Gives the baseline's program for inputs of any shape; a thread and a process of its own do the lowering."""

    def __init__(
        self,
        source: VariantSource,
        start: Callable[[], Runner],
        platform: str,
        *,
        cache: Cache | None,
        ground: Sequence[str] = (),
    ) -> None:
        """`start`: a process for it; `ground`: what decides its programs besides its text and the inputs."""
        self._source = source
        self._start = start
        self._platform = platform
        self._cache = cache
        self._ground = ["lowered", source.name, source.digest, platform, *ground]
        self._thread = ThreadPoolExecutor(1, "baseline lowering")
        self._asked: dict[str, Future[bytes | Ruling]] = {}
        self._runner: Runner | None = None

    def covers(self, variant: VariantSource) -> bool:
        return variant.digest == self._source.digest and variant.name == self._source.name

    def begin(self, specs: Specs) -> Future[bytes | Ruling]:
        """The program for these inputs, at once if it is remembered, else as soon as it is lowered."""
        key = digest_of([*self._ground, specs])
        asked = self._asked.get(key)
        if asked is None or (asked.done() and isinstance(asked.result(), Ruling)):  # a process may have been lost
            stored = None if self._cache is None else self._cache.get(key)
            if stored is not None:
                self._asked[key] = Future()
                self._asked[key].set_result(stored)
            else:
                self._asked[key] = self._thread.submit(self._lower, key, specs)
        return self._asked[key]

    def get(self, specs: Specs) -> bytes | Ruling:
        """The program, or why there is none."""
        return self.begin(specs).result()

    def prepare(self) -> None:
        """Start the process: it will be asked soon."""
        self._thread.submit(self._loaded)

    def close(self) -> None:
        """End the process; nobody waits for what it was doing."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._runner is not None:
            self._runner.kill()
        self._thread.shutdown()
        if self._runner is not None:
            self._runner.close()

    def _lower(self, key: str, specs: Specs) -> bytes | Ruling:
        runner = self._loaded()
        if isinstance(runner, Ruling):
            return runner
        program = export(runner, specs, self._platform)
        if isinstance(program, bytes) and self._cache is not None:
            self._cache.put(key, program)
        return program

    def _loaded(self) -> Runner | Ruling:
        """The process with the baseline in it; one that was lost is replaced."""
        if self._runner is None or not self._runner.alive:
            if self._runner is not None:
                self._runner.close()
            self._runner = self._start()
            try:
                self._runner.load(self._source)
            except WorkerFailure as failure:
                self._runner.close()
                self._runner = None
                return ruling_of_failure(failure, "import_error")
        return self._runner


def lowering_ground(python: Path, target: str) -> list[str]:
    """What decides a lowered program besides its source and inputs: interpreter, versions, target, cairn's lowering."""
    code = b"".join((WORKER_FOLDER / name).read_bytes() for name in ("candidate.py", "seen_as.py"))
    versions = [f"{name} {version}" for name, version in sorted(versions_of(python).items())]
    return [hashlib.sha256(code).hexdigest(), str(python), target, *versions]
