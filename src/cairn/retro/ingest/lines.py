"""Facts in running text: which quantity of a line is the value of what, and of which run.

Real reports write `elapsed 141.36s, peak 26169 MiB`, `Mean accuracy: 0.8446`, `- baseline pcks21h8: mean 0.1`, and
sentences. The words just before a number name it; a label in front of several named numbers is the run.
"""

import re
from collections.abc import Iterator

import msgspec

from cairn.retro.facts import APPROXIMATE, SIGNED, Fact, Place
from cairn.retro.sections import plain_text
from cairn.text.numbers import Quantity, quantities

_MARKER = re.compile(r"[\s>]*(?:(?:[-*+•]|\d{1,3}[.)])\s+)*(?:\[[ xX]\]\s+)?")
_LABEL = re.compile(
    r"([^\s:=|][^:=|\0]{0,119}?)\s*(?:\*\*|__)?\s*(?::(?!//)|=(?!=)|\s[–—]\s)\s*(?:\*\*|__)?(?=\s|[\d`~+\-<>≈$\[(*\"']|$)"
)
_STOP = frozenset(
    [
        "is",
        "was",
        "were",
        "are",
        "be",
        "been",
        "of",
        "to",
        "at",
        "from",
        "about",
        "around",
        "roughly",
        "approximately",
        "approx",
        "only",
        "just",
        "up",
        "than",
        "over",
        "under",
        "below",
        "above",
        "vs",
        "versus",
        "and",
        "or",
        "with",
        "a",
        "an",
        "the",
        "reached",
        "achieved",
        "gives",
        "gave",
        "got",
        "gets",
        "dropped",
        "increased",
        "decreased",
        "improved",
        "reduced",
        "rose",
        "fell",
        "went",
        "by",
        "in",
        "on",
        "for",
        "we",
        "it",
        "that",
        "this",
        "which",
        "has",
        "had",
        "have",
        "as",
        "using",
        "use",
        "used",
        "now",
        "still",
        "from",
        "into",
        "after",
        "before",
        "between",
        "then",
        "so",
        "but",
        "ca",
        "circa",
        "~",
        "≈",
        "=",
        ":",
        "→",
        "->",
        "-",
        "–",
        "—",
        "(",
        "[",
        "took",
        "takes",
        "take",
        "is:",
        "by:",
        "to:",
        "beats",
        "beat",
        "equals",
        "showed",
        "shows",
        "measured",
        "found",
        "yielded",
        "yields",
        "within",
        "compared",
    ]
)
_STATISTIC = re.compile(r"(?:mean|median|avg|average|max|maximum|min|minimum|std|stdev|p\d\d|best|worst|final"
    r"|total|sum|first|last"
                        r"|before|after|original|new|old)\b", re.I)  # fmt: skip
_RUN_LIKE = re.compile(
    r"(?:run|trial|attempt|round|seed|variant|experiment|exp|config|case|iteration|iter|step|epoch)[ _#-]*[\w.-]*\d\w*",
    re.I,
)
_BOUNDARY = re.compile(r"[;!?]|\band\b|[.](?=\s)|,(?=\s)|\s[–—-]\s|[()\[\]{}|]|→|->|=>")
_WORD = re.compile(r"[^\W\d_][\w%/.+#@&'’-]*|[\w-]*[^\W\d_][\w%/.+-]*", re.UNICODE)
_NEAR = 300  # characters beside a number in which its name may stand
_STEP = {"step", "steps", "epoch", "iteration", "iter", "at step", "at epoch"}
_CLOCKED = re.compile(r"elapsed|duration|runtime|run time|wall|took|time", re.I)


def facts_of_line(line: str, number: int, place: Place, shape: str = "prose") -> list[Fact]:
    """The facts of one line of text; `number` is its 1-based line."""
    found = quantities(line, duration=bool(_CLOCKED.search(line)) and ":" in line)
    if not found:
        return []
    start = _MARKER.match(line)
    begin = start.end() if start else 0
    label, body = _label(line, begin, found[0])
    named = list(_names(line, body, found, label))
    run, title = place.run, plain_text(label)
    if label and named[0][1]:  # its first number has a name of its own, so the label says whose it is
        if _STATISTIC.match(named[0][2]):
            named = [(quantity, own, f"{title} {name}" if own else name) for quantity, own, name in named]
        else:
            run = title
    elif _RUN_LIKE.fullmatch(title):
        run = title
        named = [(quantity, own, "" if name == title else name) for quantity, own, name in named]
    return _with_steps([_fact(line, number, place, run, shape, item) for item in named])


def label_of(line: str) -> str:
    """The label that a bullet begins with (`- Baseline run: ...`), which its nested bullets belong to."""
    start = _MARKER.match(line)
    match = _LABEL.match(line, start.end() if start else 0)
    return plain_text(match[1]) if match else ""


def _label(line: str, begin: int, first: Quantity) -> tuple[str, int]:
    """The label in front of the first quantity, and where the text behind it begins."""
    match = _LABEL.match(line, begin, first.start + 1)
    if not match or match.end() > first.start:
        return "", begin
    return match[1], match.end()


def _names(line: str, body: int, found: list[Quantity], label: str) -> Iterator[tuple[Quantity, bool, str]]:
    """Each quantity with its name, and whether that name stands right beside it."""
    before, last = body, ""
    for at, quantity in enumerate(found):
        left = line[max(before, quantity.start - _NEAR) : quantity.start]
        name = _left_name(left)
        own = bool(name)
        if not name and at and _joined(left):
            name = last
        if not name and at == 0 and label:
            name = plain_text(label)
        if not name:
            after = found[at + 1].start if at + 1 < len(found) else len(line)
            name = (
                _right_name(line[quantity.end : min(after, quantity.end + _NEAR)], quantity)
                or last
                or plain_text(label)
            )
        last = name
        before = quantity.end
        yield quantity, own, name


def _joined(left: str) -> bool:
    """Nothing but list and range marks between two numbers: both have one name."""
    return not _WORD.search(left) or bool(
        re.fullmatch(r"[\s`*,]*(?:to|vs\.?|and|or|versus|from|down to|up to)[\s`*~]*", left)
    )


def _left_name(left: str) -> str:
    """The words just before a number, without verbs and prepositions; at most five of them."""
    text = left.replace("`", " ").replace("*", " ").replace('"', " ")
    pieces = [piece for piece in _BOUNDARY.split(text) if piece]
    for piece in reversed(pieces[-2:]):
        head, separator, tail = _cut_key(piece)
        words = (head if separator and not _WORD.search(tail) else tail).split()
        while words and (words[-1].casefold().strip(":=~≈<>+,.") in _STOP or not _WORD.search(words[-1])):
            words.pop()
        while words and (words[0].casefold() in _STOP or not _WORD.search(words[0])):
            words.pop(0)
        if words:
            return plain_text(" ".join(words[-5:]))
        if _WORD.search(piece):
            return ""
    return ""


def _cut_key(piece: str) -> tuple[str, str, str]:
    """`key: rest` or `key = rest`: the last key of the piece and what stands behind it."""
    at = max(piece.rfind(":"), piece.rfind("="))
    if at < 0:
        return "", "", piece
    head = re.split(r"[:=]", piece[:at])[-1]
    return head, piece[at], piece[at + 1 :]


def _right_name(right: str, quantity: Quantity) -> str:
    """The words behind a number (`34.4k TPS median`, `2 seeds`), for want of words before it."""
    unit = quantity.unit or ""
    text = _BOUNDARY.split(right.replace("`", " ").replace("*", " "))[0]
    words = [word for word in text.split() if _WORD.search(word)]
    while words and words[0].casefold() in _STOP:
        words.pop(0)
    return plain_text(" ".join(words[:4])) or (unit if unit not in ("", "%", "x") else "")


def _fact(line: str, number: int, place: Place, run: str, shape: str, item: tuple[Quantity, bool, str]) -> Fact:
    quantity, _, name = item
    return fact_of(quantity, number, Place(place.path, run, place.group, place.section), name, shape)


def fact_of(quantity: Quantity, line: int, place: Place, name: str, shape: str, flags: str = "") -> Fact:
    """A fact out of a quantity and the place it stands in."""
    marks = (APPROXIMATE if quantity.approximate else "") + (SIGNED if quantity.signed else "") + flags
    return Fact(
        place.path, line, quantity.raw, quantity.value, quantity.unit, name[:120], place.run[:160],
        place.group[:160], place.section, shape, None, quantity.spread, marks,
    )  # fmt: skip


def _with_steps(facts: list[Fact]) -> list[Fact]:
    """`max 0.163 at step 9`: the step belongs to the value before it too."""
    for at in range(1, len(facts)):
        fact, before = facts[at], facts[at - 1]
        if fact.name.casefold() in _STEP and fact.unit is None and before.step is None:
            facts[at - 1] = msgspec.structs.replace(before, step=fact.value)
    return facts
