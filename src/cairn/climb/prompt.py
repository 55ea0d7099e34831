"""The instruction an agent gets: the problem, the rules, where the climb stands and what was tried."""

from collections.abc import Sequence
from pathlib import Path

from cairn.agents.protocol import SearchSpace, Trial
from cairn.climb.state import State
from cairn.problem import Problem

_TEMPLATE = Path(__file__).with_name("prompt.md")
_LAST_TRIALS = 12


def render(
    problem: Problem,
    variant: str,
    state: State,
    history: Sequence[Trial],
    space: SearchSpace,
    learnings: Sequence[str],
) -> str:
    """Fill the template; the history is bounded, newest last; learnings are index lines of AGENT.md."""
    assert state.measured is not None
    headline = problem.shapes.bench[0]
    return _TEMPLATE.read_text(encoding="utf-8").format(
        title=problem.title,
        variant=variant,
        reference=problem.reference.name,
        precision=problem.precision or "see the reference",
        target=state.settings["target"],
        champion_us=_us(state.champion_us),
        baseline_us=_us(state.measured["baseline"]["predicted_us"]),
        floor_us=_us(state.measured["floor_us"]),
        headline=" ".join(f"{name}={size}" for name, size in headline.items()),
        history=_history(history) or "Nothing yet.",
        tunables=_tunables(space) or "None declared.",
        learnings="\n".join(f"- {line}" for line in learnings) or "None that match.",
    )


def _us(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"


def _history(history: Sequence[Trial]) -> str:
    rows = [_row(trial) for trial in history[-_LAST_TRIALS:]]
    left_out = len(history) - len(rows)
    return "\n".join(([f"- {left_out} earlier attempts left out"] if left_out else []) + rows)


def _row(trial: Trial) -> str:
    verdict = f"{trial.verdict or 'no change'} ({trial.reason})"
    return f"- {trial.attempt}: {verdict}, {_us(trial.cost_us)} us; {trial.hypothesis}"


def _tunables(space: SearchSpace) -> str:
    rows = [f"- `{name}`: one of {list(options)}" for name, options in space.choices.items()]
    rows += [f"- must hold: `{constraint}`" for constraint in space.constraints]
    return "\n".join(rows)
