"""The message of a kept attempt's commit: the hypothesis, the numbers and the receipt they come from."""

from pathlib import PurePosixPath

from cairn.climb.costs import ratio_words
from cairn.climb.state import Attempt, State, anchor_us

_TITLE_CHARS = 72


def candidate_message(attempt: Attempt) -> str:
    """The message of an edit before it is judged; it ends up on no branch."""
    hypothesis = attempt.hypothesis.strip() or "not stated"
    return f"{_shortened(f'attempt {attempt.id}: {hypothesis.splitlines()[0]}')}\n\n{hypothesis}\n"


def commit_message(state: State, attempt: Attempt) -> str:
    """Write the message; the branch adds the trailer by which a later launch knows it."""
    hypothesis = attempt.hypothesis.strip() or "not stated"
    scope = PurePosixPath(state.settings["problem"]).name
    lines = [
        _shortened(f"perf({scope}): {hypothesis.splitlines()[0]}"),
        "",
        f"Hypothesis: {hypothesis}",
        "",
        *_numbers(state, attempt),
        "",
        f"Cairn-Climb: {state.settings['name']}",
        f"Cairn-Receipt: {attempt.receipt}",
    ]
    return "\n".join(lines)


def _numbers(state: State, attempt: Attempt) -> list[str]:
    assert state.measured is not None
    target = state.settings["target"]
    if attempt.measured_us is not None:  # timed in pairs with the champion: the ratio is the finding
        assert attempt.ratio is not None
        ratio = ratio_words(attempt.ratio, attempt.ratios)
        return [f"Measured on {target}: {ratio} of the champion's time, {attempt.measured_us:.1f} us."]
    before, after = state.champion_us, attempt.predicted_us
    baseline, baseline_us = state.measured["baseline"]["variant"], anchor_us(state.measured["baseline"])
    assert before is not None
    assert after is not None
    assert baseline_us is not None
    return [
        f"Predicted on {target}: {before:.1f} us -> {after:.1f} us, {after / before:.3f} of it.",
        *([f"Over all shapes {attempt.ratio:.3f}."] if attempt.ratios and attempt.ratio else []),
        f"The baseline {baseline}: {baseline_us:.1f} us, {baseline_us / after:.2f} times as much.",
    ]


def _shortened(title: str) -> str:
    if len(title) <= _TITLE_CHARS:
        return title
    return title[: _TITLE_CHARS - 3].rsplit(" ", 1)[0] + "..."
