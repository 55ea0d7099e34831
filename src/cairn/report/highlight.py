"""Colours for diffs: which characters of each line are keywords, names, numbers and so on, as short run lengths.

The page draws them with text nodes, so no markup made from a stranger's code ever reaches a browser.
"""

from collections.abc import Iterable, Sequence

from pygments.lexers.python import PythonLexer
from pygments.token import STANDARD_TYPES, Token, _TokenType

_SHOWN = {"k": "k", "s": "s", "c": "c", "m": "m", "n": "n", "o": "o"}
_QUOTES = '"""'
_NAMES = {"nf", "nc", "nb", "nd", "bp"}
Spans = list[tuple[str, int]]


def diff_spans(diff: str) -> str:
    """One line of spans for each line of a unified diff of Python: `k3 w1 nf5`; empty for lines without code."""
    lines = diff.split("\n")
    spans: list[Spans] = [[] for _ in lines]
    inside = False
    old: list[int] = []
    new: list[int] = []
    for at, line in enumerate(lines):
        if line.startswith("@@"):
            _colour(lines, (old, new), spans)
            old, new, inside = [], [], True
        elif line.startswith(("diff ", "index ", "--- ", "+++ ")) and not inside:
            continue
        elif line.startswith("diff "):
            inside = False
        elif inside and line[:1] in (" ", "+", "-"):
            if line[:1] != "+":
                old.append(at)
            if line[:1] != "-":
                new.append(at)
    _colour(lines, (old, new), spans)
    return "\n".join(" ".join(f"{name}{size}" for name, size in row) for row in spans)


def _colour(lines: Sequence[str], sides: tuple[list[int], list[int]], spans: list[Spans]) -> None:
    """Both sides of a hunk, each as the text it was or is; a context line takes the colours of the new side."""
    for numbers in sides:
        for at, row in zip(numbers, _spans_of([lines[at][1:] for at in numbers]), strict=False):
            spans[at] = row


def _spans_of(code: Sequence[str]) -> Iterable[Spans]:
    rows: list[Spans] = [[]]
    inside = _begins_in_a_string(code)
    text = "\n".join(['"""', *code] if inside else code)
    for kind, token in PythonLexer(stripnl=False, ensurenl=False).get_tokens(text):
        name = _short(kind)
        for number, piece in enumerate(token.split("\n")):
            if number:
                rows.append([])
            if piece:
                rows[-1].append((name, len(piece)))
    return [_merged(row) for row in rows[1 if inside else 0 :]]


def _begins_in_a_string(code: Sequence[str]) -> bool:
    """Whether a hunk cuts a docstring: its only unpaired quotes stand alone on a line, as those that close do."""
    quoted = [line for line in code if line.count(_QUOTES) % 2]
    return len(quoted) % 2 == 1 and quoted[0].strip() == _QUOTES


def _short(kind: _TokenType) -> str:
    full = STANDARD_TYPES.get(kind) or STANDARD_TYPES.get(kind.parent or Token, "")
    if full in _NAMES:
        return "f"
    return _SHOWN.get(full[:1], "w") if full[:1] not in ("n", "o") else "w"


def _merged(row: Spans) -> Spans:
    out: Spans = []
    for name, size in row:
        if out and out[-1][0] == name:
            out[-1] = (name, out[-1][1] + size)
        else:
            out.append((name, size))
    return out
