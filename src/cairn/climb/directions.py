"""What the attempts of a round are to try: as many different directions as there are attempts."""

import re

from cairn.climb.directives import Directive, load_directives, preset_names
from cairn.climb.policy import resting
from cairn.climb.state import State


def directions_for(state: State, count: int) -> list[str]:
    """Names of presets, the least tried first; ideas that rest come last, and repeat only when there are too few."""
    tried: dict[str, int] = {}
    for attempt in state.attempts.values():
        tried[attempt.direction] = tried.get(attempt.direction, 0) + 1
    rest = resting(state)
    ranked = sorted(preset_names(), key=lambda name: (name in rest, tried.get(name, 0)))
    return [ranked[at % len(ranked)] for at in range(count)]


def direction_text(name: str) -> Directive | None:
    """What an agent is told about a direction; None when a later version has no such preset."""
    return load_directives((), (), (name,))[0] if name in preset_names() else None


def slug_of(name: str) -> str:
    """A direction's name as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:40] or "direction"
