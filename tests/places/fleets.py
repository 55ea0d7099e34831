"""A climb whose judge is a table of costs, and whose judgements are waits of real workers at real places."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "climb"))

from climbs import Bench
from fakes import FakeJudge, block

from cairn.agents.protocol import EditOutcome, EditTask
from cairn.climb.spec import Batch
from cairn.errors import Unreachable
from cairn.execution.places import Place
from cairn.problem import Problem
from workspace import Workspace

SIZES = (16, 32, 64)


class Editor:
    """Sets a block size by the attempt's number, in a text of its own."""

    name = "editor"

    def edit(self, task: EditTask) -> EditOutcome:
        number = int(task.attempt[1:])
        block(SIZES[number % len(SIZES)])(task)
        task.variant.write_text(f"{task.variant.read_text()}\nN{number} = {number}\n")
        return EditOutcome("edited", hypothesis=f"try {number}")


class WaitingJudge(FakeJudge):
    """Asks a worker of its place to wait before it looks into its table."""

    def __init__(self, problem: Problem, place: Place, wait_s: float) -> None:
        super().__init__(problem, [])
        self._place = place
        self._wait_s = wait_s

    def judge(self, *arguments: Any, **named: Any) -> Any:
        if "number" in named:
            program = f"import time; time.sleep({self._wait_s}); print('waited')"
            done = subprocess.run(
                [self._place.python, "-S", "-c", program], capture_output=True, text=True, check=False
            )
            if done.returncode or "waited" not in done.stdout:
                raise Unreachable(f"{self._place.name} was lost")
        return super().judge(*arguments, **named)


def waiting_judges(places: Sequence[Place], wait_s: float) -> dict[str, Callable[[Problem], Any]]:
    """For each place what opens its judge, as a launch does it."""

    def opener(place: Place) -> Callable[[Problem], Any]:
        def opened(problem: Problem) -> Any:
            place.renew()
            return WaitingJudge(problem, place, wait_s)

        return opened

    return {place.name: opener(place) for place in places}


def fleet_bench(workspace: Workspace, places: Sequence[Place], variants: int, wait_s: float) -> Bench:
    """A climb in rounds of `variants` at these places."""
    bench = Bench(workspace, agent=Editor(), batch=Batch(variants=variants, lineages=1, workers=2))
    bench.judges = waiting_judges(places, wait_s)
    return bench
