"""The message of a kept attempt's commit: the hypothesis, the numbers and the receipt they come from."""

from pathlib import PurePosixPath

from cairn.climb.state import Attempt, State

_TITLE_CHARS = 72


def commit_message(state: State, attempt: Attempt) -> str:
    """Write the message; the branch adds the trailer by which a later launch knows it."""
    assert state.measured is not None
    assert state.champion_us is not None
    assert attempt.predicted_us is not None
    before, after = state.champion_us, attempt.predicted_us
    baseline, baseline_us = state.measured["baseline"]["variant"], state.measured["baseline"]["predicted_us"]
    hypothesis = attempt.hypothesis.strip() or "not stated"
    target, share = state.settings["target"], after / before
    scope = PurePosixPath(state.settings["problem"]).name
    lines = [
        _shortened(f"perf({scope}): {hypothesis.splitlines()[0]}"),
        "",
        f"Hypothesis: {hypothesis}",
        "",
        f"Predicted on {target}: {before:.1f} us -> {after:.1f} us, {share:.3f} of it.",
        f"The baseline {baseline}: {baseline_us:.1f} us, {baseline_us / after:.2f} times as much.",
        "",
        f"Cairn-Climb: {state.settings['name']}",
        f"Cairn-Receipt: {attempt.receipt}",
    ]
    return "\n".join(lines)


def _shortened(title: str) -> str:
    if len(title) <= _TITLE_CHARS:
        return title
    return title[: _TITLE_CHARS - 3].rsplit(" ", 1)[0] + "..."
