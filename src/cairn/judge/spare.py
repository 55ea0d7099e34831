"""A locked-in worker started ahead, so that a variant need not wait for the interpreter and its packages.

It is an ordinary worker without a variant: whoever takes it is the only one who ever will.
"""

from collections.abc import Callable

from cairn.errors import Missing
from cairn.judge.protocol import Runner
from cairn.worker_process import Isolation, WorkerFailure


class Spare:
    """At most one worker that waits for its variant."""

    def __init__(self, start: Callable[[], Runner]) -> None:
        self._start = start
        self._runner: Runner | None = None

    def prepare(self) -> None:
        """Start one, without waiting for it, unless there is one."""
        if self._runner is None:
            self._runner = self._start()

    def isolation(self) -> Isolation:
        """How far the waiting one is locked in.

        Raises:
            Missing: there is no such interpreter, or it ended before it could tell.
        """
        self.prepare()
        assert self._runner is not None
        try:
            return self._runner.isolation
        except WorkerFailure as failure:
            hint = "name another one: climb.python"
            raise Missing(f"a worker does not start: {failure}", hint=hint) from failure

    def take(self) -> Runner:
        """The waiting one, or a new one if it has ended meanwhile."""
        runner, self._runner = self._runner, None
        if runner is not None and runner.alive:
            return runner
        if runner is not None:
            runner.close()
        return self._start()

    def close(self) -> None:
        """End it; safe to call twice."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None
