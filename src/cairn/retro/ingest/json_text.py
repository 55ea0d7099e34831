"""JSON, JSON lines and what nearly is JSON, read token by token so that every value keeps its line.

A parser gives values without places, and gives up at the first fault; result files are cut off, have comments or hold
one object a line. This reader cannot fail: what it does not understand it skips.
"""

import json
import math
import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r'"(?:[^"\\\n]|\\.)*"|[{}\[\]:,\n]|-?(?:Infinity|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])|true|false|null|NaN|\r'
)
_MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value with the path of keys to it; `value` is None for null, NaN and infinities."""

    path: tuple[str, ...]
    raw: str
    value: float | str | bool | None
    line: int


@dataclass
class _Level:
    is_list: bool
    key: str = ""
    at: int = 0


@dataclass
class _State:
    line: int
    levels: list[_Level] = field(default_factory=list)
    pending: str | None = None  # a string that may turn out to be a key
    pending_line: int = 0


def leaves(text: str, first_line: int = 1, limit: int = 200_000) -> list[Leaf]:
    """All values of a JSON text, or of several one after the other, in order."""
    state = _State(first_line)
    found: list[Leaf] = []
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "\n" or (token == "\r" and text[match.end() : match.end() + 1] != "\n"):
            state.line += 1
        elif token != "\r":
            _take(state, token, found)
        if len(found) >= limit:
            break
    return found


def _take(state: _State, token: str, found: list[Leaf]) -> None:
    levels = state.levels
    if token == ":":
        if state.pending is not None and levels and not levels[-1].is_list:
            levels[-1].key, state.pending = _string(state.pending), None
        return
    if state.pending is not None:
        found.append(Leaf(_path(levels), state.pending, _string(state.pending), state.pending_line))
        state.pending = None
    if token in "{[]},":
        _move(levels, token)
    elif token[0] == '"':
        state.pending, state.pending_line = token, state.line
    else:
        found.append(Leaf(_path(levels), token, _scalar(token), state.line))


def _move(levels: list[_Level], token: str) -> None:
    """One bracket or comma; brackets without a partner are left out."""
    if token in "{[" and len(levels) < _MAX_DEPTH:
        levels.append(_Level(token == "["))
    elif token in "}]" and levels:
        levels.pop()
    elif token == "," and levels:
        levels[-1].at += 1


def _path(levels: list[_Level]) -> tuple[str, ...]:
    return tuple(f"[{level.at}]" if level.is_list else level.key for level in levels)


def _string(token: str) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token.strip('"')


def _scalar(token: str) -> float | bool | None:
    if token in ("true", "false"):
        return token == "true"
    try:
        value = float(token)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
