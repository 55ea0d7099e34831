"""The embedded agent: searches the tunables that a problem declares, with Optuna, and writes real edits.

It needs no model, no network and no key. What it knows is the history of the climb: past attempts become trials
of an in-memory study, so a resumed climb goes on where it stopped.
"""

import importlib.util
import itertools
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from cairn.agents.protocol import EditOutcome, EditTask, SearchSpace
from cairn.errors import Missing
from cairn.problem import holds
from cairn.variant_text import config_defaults, with_defaults

_RANDOM_TRIALS = 4  # before the model of the search space is asked; the default of 10 is a whole small climb
_TRIES = 64
_MAX_GRID = 100_000


class TunerAgent:
    """Proposes one point of the search space an attempt, never one that was tried or that breaks a constraint.

    Args:
        seed: makes the search repeatable.
    """

    name = "tuner"

    def __init__(self, seed: int = 0) -> None:
        if importlib.util.find_spec("optuna") is None:
            raise Missing("the tuner needs optuna", hint="pip install 'kernel-cairn[tuner]'")
        self._seed = seed

    def edit(self, task: EditTask) -> EditOutcome:
        """Write the next point into the variant's Config."""
        if not task.space.choices:
            return EditOutcome("exhausted", detail="problem.yaml declares no tunables for this variant")
        text = task.variant.read_text(encoding="utf-8")
        current = config_defaults(text, str(task.variant))
        tried = [trial.tunables for trial in task.history] + [current]
        point = self._propose(task, tried)
        if point is None:
            return EditOutcome("exhausted", detail="every point that the constraints allow was tried")
        task.variant.write_text(with_defaults(text, point, str(task.variant)), encoding="utf-8")
        moves = [
            f"{name} {current.get(name)!r} -> {value!r}"
            for name, value in point.items()
            if current.get(name) != value
        ]
        return EditOutcome("edited", hypothesis=f"{', '.join(moves)} lowers the predicted cost")

    def _propose(self, task: EditTask, tried: list[Mapping[str, Any]]) -> dict[str, Any] | None:
        for point in itertools.chain(self._ask_optuna(task), _grid(task.space)):
            if holds(task.space.constraints, {**task.space.names, **point}) and not _was_tried(point, tried):
                return point
        return None

    def _ask_optuna(self, task: EditTask) -> Iterator[dict[str, Any]]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        choices: dict[str, list[Any]] = {name: list(options) for name, options in task.space.choices.items()}
        distributions: dict[str, Any] = {
            name: optuna.distributions.CategoricalDistribution(options) for name, options in choices.items()
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=self._seed + len(task.history), n_startup_trials=_RANDOM_TRIALS, multivariate=True
            )
        study = optuna.create_study(direction="minimize", sampler=sampler)
        for trial in task.history:
            point = {name: trial.tunables.get(name) for name in choices}
            if trial.cost_us is not None and all(point[name] in choices[name] for name in choices):
                study.add_trial(
                    optuna.trial.create_trial(params=point, distributions=distributions, value=trial.cost_us)
                )
        for _ in range(_TRIES):
            yield dict(study.ask(distributions).params)


def _grid(space: SearchSpace) -> Iterator[dict[str, Any]]:
    """Every point in order: what is left when asking brings only points that were tried."""
    names = list(space.choices)
    points = itertools.product(*(space.choices[name] for name in names))
    return (dict(zip(names, point, strict=True)) for point in itertools.islice(points, _MAX_GRID))


def _was_tried(point: Mapping[str, Any], tried: list[Mapping[str, Any]]) -> bool:
    return any(all(earlier.get(name) == value for name, value in point.items()) for earlier in tried)
