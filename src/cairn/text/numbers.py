"""Quantities in running text: value, unit, and the exact characters they stand in.

Not every digit is a quantity. Dates, versions, hashes, addresses, file names, list numbers, `A100` and `run-3` are
names, and a name that is taken for a measurement is an invention. So those are masked first, and what is left is read
with its sign, magnitude, unit, spread and hedge. The raw text stays with every number.
"""

import functools
import math
import re
from collections.abc import Iterator

import msgspec

from cairn.text.names import blank, mask
from cairn.text.units import MAGNITUDES, PATTERN, Unit, unit_of

LONGEST_LINE = 20_000  # characters of one line that are looked at


class Quantity(msgspec.Struct, frozen=True, gc=False):
    """A number as it stands in a line: `line[start:end] == raw`.

    `value` has the magnitude in it (34.4k is 34400) and is in `unit`; `spread` is what follows a plus-minus sign;
    `bound` is one of `<`, `>`, `≤`, `≥` in front; `total` is the denominator of `13/21`.
    """

    raw: str
    value: float
    unit: str | None
    start: int
    end: int
    approximate: bool = False
    signed: bool = False
    bound: str = ""
    spread: float | None = None
    total: float | None = None

    @property
    def base(self) -> tuple[float, str | None]:
        """The value in the base unit of its dimension, and that dimension."""
        unit = unit_of(self.unit) if self.unit else None
        return (self.value * unit.factor, unit.dimension) if unit else (self.value, None)


_DIGITS = (
    r"\d{1,3}(?:[,\u00a0\u202f\u2009]\d{3})+(?:\.\d+)?(?![\d,]*\d)|\d+(?:_\d{3})+\b|\d+\.\d+"
    r"|(?<![\d.])\.\d+|\d+\.?(?!\d)"
)
_MINUS = "−–-"
_TOKEN = re.compile(
    rf"(?P<money>[$€£])?(?P<sign>[+±{_MINUS}]|\+/-\s?)?(?P<money2>\$)?(?P<digits>{_DIGITS})"
    r"(?P<power>(?:\^|\*\*)[{(]?[-−]?\d{1,3}[)}]?(?![\w.*^]))?"
    r"(?P<exp>[eE][+\-−]?\d{1,3}(?![\w])|\s?[×x·*]\s?10(?:\^|\*\*)\{?[+\-−]?\d{1,3}\}?|\s?[×x]\s?10[⁺⁻]?[⁰¹²³⁴-⁹]+)?"
    r"(?P<magnitude>\s?[kKMBGT](?![A-Za-z0-9/]))?"
    rf"(?P<unit>\s?-?(?:{PATTERN})(?![A-Za-z0-9_]|/[A-Za-z]))?",
)
_DIGIT = re.compile(r"\d")
_LEADING = f"+±{_MINUS}/$€£."
_HEDGE = re.compile(r"(?:~|≈|≃|\babout|\baround|\bapprox(?:\.|imately)?|\broughly|\bcirca|\bca\.)\s?[`*$]*$")
_OF_TOKENS = re.compile(r"\s?(?:tok|param|sample|model|example|word|weights)")
_OF_DEVICES = re.compile(r"[x×][A-Z]{1,3}[\d\0]")  # `8xH100`
_BOUND = re.compile(r"(?<![-=])([<>≤≥]=?)\s?$")
_SPREAD = re.compile(rf"\s?(?:±|\+/-|\+-|&plusmn;)\s?(?P<value>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
                     rf"(?P<unit>\s?(?:{PATTERN})(?![A-Za-z0-9_]))?")  # fmt: skip
_TOTAL = re.compile(r"/(\d{1,3}(?:,\d{3})+|\d+)(?![\w.%/-]|,\d)")
_MEASURED = re.compile(
    r"\s?(?:[munµ]?s|[kKMGT]?i?B|%|(?:[kKMGT]i?)?B/s|[kMGTP]?FLOPS?|[kMGTP]?FLOP/s|tok/s|x)(?![\w])"
)
_CLOCK = re.compile(r"(?<![\w:.])(\d{1,3}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?(?![\w:])")
_DURATION = re.compile(
    r"(?<![\w.])(?:(\d+) ?d(?:ays?)?,? ?)?(?:(\d+) ?h(?:rs?|ours?)?,? ?)?"
    r"(?:(\d+) ?m(?:ins?|inutes?)?|(?<=\dh)([0-5]\d))(?:,? ?([0-5]?\d(?:\.\d+)?) ?s(?:ecs?|econds?)?)?(?![\w/])"
)
_JOINS = re.compile(r"[`*]*\s?(?:-|–|—|→|->|=>|➜|⟶|to|vs\.?|versus|/|\.{2,3}|…)\s?[`*]*~?")
_WORD_BEFORE = re.compile(r"[\w\])}\0]$")
_SUPERSCRIPT = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")


def quantities(line: str, *, duration: bool = False) -> list[Quantity]:
    """All quantities of one line, in order. `duration`: read `1:23:45` as a time span, not as a time of day."""
    line = line[:LONGEST_LINE]
    if not any(map(str.isdigit, line)):
        return []
    found, masked = _spans_of_time(line, mask(line), duration)
    at = end = 0
    while digit := _DIGIT.search(masked, at):
        first = digit.start()
        while first > at and masked[first - 1] in _LEADING:
            first -= 1
        match = _TOKEN.match(masked, first) or _TOKEN.match(masked, digit.start())
        if match is None:
            at = digit.end()
            continue
        quantity = _quantity(line, masked, match, end)
        if quantity:
            found.append(quantity)
            at = end = quantity.end
        else:
            at = match.start("digits") + len(match["digits"].rstrip(".")) or match.end()
    found.sort(key=lambda each: each.start)
    return _shared_units(line, found)


_PLAIN = re.compile(
    rf"\s*(?P<raw>(?P<sign>[+{_MINUS}])?(?P<digits>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<exp>[eE][+-]?\d{{1,3}})?"
    rf"(?P<unit>\s?(?:{PATTERN}))?)\s*"
)
_DATE_LIKE = re.compile(r"20[0-4]\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")


@functools.lru_cache(maxsize=65536)
def plain(text: str) -> Quantity | None:
    """A text that is one number and nothing more, such as a cell; None for all others. The quick way."""
    match = _PLAIN.fullmatch(text)
    if not match or _DATE_LIKE.fullmatch(match["raw"]):
        return None
    value = _value(match["digits"], match["exp"])
    if value is None:
        return None
    sign = match["sign"] or ""
    unit = unit_of(match["unit"]) if match["unit"] else None
    value = -value if sign and sign in _MINUS else value
    start = match.start("raw")
    return Quantity(match["raw"], value, unit.name if unit else None, start, match.end("raw"), signed=bool(sign))


def _spans_of_time(line: str, masked: str, duration: bool) -> tuple[list[Quantity], str]:
    """`9m 12s`, `1h05m` and, where a span is meant, `1:23:45`; other clock times are blanked."""
    found: list[Quantity] = []
    for match in _CLOCK.finditer(masked) if ":" in masked else ():
        if duration:
            first, second = int(match[1]), int(match[2])
            seconds = first * 3600 + second * 60 + float(match[3]) if match[3] else first * 60.0 + second
            found.append(Quantity(match[0], seconds, "s", match.start(), match.end()))
        masked = masked[: match.start()] + blank(match) + masked[match.end() :]
    for match in _DURATION.finditer(masked) if "m" in masked or "h" in masked else ():
        days, hours, minutes, bare, rest = match.groups()
        minutes = minutes or bare
        if days or hours or rest:
            seconds = int(days or 0) * 86400 + int(hours or 0) * 3600 + int(minutes) * 60 + float(rest or 0)
            found.append(Quantity(line[match.start() : match.end()], seconds, "s", match.start(), match.end()))
            masked = masked[: match.start()] + blank(match) + masked[match.end() :]
    return found, masked


def _quantity(line: str, masked: str, match: re.Match[str], before: int) -> Quantity | None:
    """One token as a quantity; None where it is part of a name. `before`: where the quantity before it ends."""
    start = match.start("digits")
    first = min(at for group in ("money", "sign", "money2", "digits") if (at := match.start(group)) >= 0)
    sign = match["sign"] or ""
    if sign and _is_dash(masked, match.start("sign")):
        sign, first = "", start
    if first == start and _inside_a_name(masked, first, before):
        return None
    end = _end(masked, match)
    value = _value(match["digits"], match["exp"])
    if end is None or value is None:
        return None
    magnitude = (match["magnitude"] or "").strip()
    unit = _unit(match, masked, end)
    if match["power"]:
        value = _raised(value, match["power"])
    if match["magnitude"] == " B" and unit is None and not _OF_TOKENS.match(masked, end):
        unit, magnitude = unit_of("bytes"), ""
    value *= MAGNITUDES.get(magnitude, 1.0) * (-1 if sign and sign in _MINUS else 1)
    raw = line[first:end]
    quantity = Quantity(
        raw.strip(),
        value,
        unit.name if unit else None,
        first + len(raw) - len(raw.lstrip()),
        first + len(raw.rstrip()),
        approximate=bool(_HEDGE.search(masked, max(0, first - 16), first)),
        signed=bool(sign),
        bound=_bound(masked, first),
    )
    return _with_tail(line, masked, quantity)


def _bound(masked: str, first: int) -> str:
    match = _BOUND.search(masked, max(0, first - 3), first)
    return match[1].replace("<=", "≤").replace(">=", "≥") if match else ""


def _inside_a_name(masked: str, first: int, before: int) -> bool:
    """Whether letters, or a hyphen, dot or slash behind letters, run into the number."""
    last, earlier = masked[max(0, first - 1) : first], masked[max(0, first - 2) : first - 1]
    if not last or last == "×":
        return False
    if last.isalnum() or last in "_\0#@\\":
        return True
    if last in "-–" and earlier.isdigit() and before == first - 1:
        return False  # the second half of a range
    if last == "+":
        return earlier.isalpha()
    return last in "-.'’" and bool(earlier) and (earlier.isalnum() or earlier in "_\0)]")


def _is_dash(masked: str, at: int) -> bool:
    """A sign directly behind a word, number or bracket is a dash, a hyphen or a sum, with a name or range before."""
    return at > 0 and masked[at] in _MINUS + "+" and bool(_WORD_BEFORE.match(masked[at - 1]))


def _end(masked: str, match: re.Match[str]) -> int | None:
    """Where the quantity ends; None when letters run out of it that are no unit."""
    if match["unit"]:
        return None if match["unit"].startswith("-bit") else match.end("unit")  # `8-bit` is a kind
    end = match.end()
    if match["digits"].endswith(".") and end == match.end("digits"):
        end -= 1
    if _OF_DEVICES.match(masked, end):
        return end
    rest = masked[end : end + 2]
    if not rest or not (rest[0].isalpha() or rest[0] in "_\0"):
        hyphened = rest[:1] == "-" and rest[1:2].isalpha()
        return None if hyphened and not match["magnitude"] else end
    return None


def _raised(value: float, power: str) -> float:
    try:
        return float(value ** int(power.strip("^*{}()").replace("−", "-")))
    except (OverflowError, ZeroDivisionError):
        return value


def _value(digits: str, exponent: str | None) -> float | None:
    text = re.sub(r"[,_\u00a0\u202f\u2009]", "", digits.rstrip("."))
    power = ""
    if exponent:
        power = (
            re.sub(r".*10", "", exponent.translate(_SUPERSCRIPT))
            if "10" in exponent and exponent[0] not in "eE"
            else exponent[1:]
        )
        power = "e" + power.replace("−", "-").strip("^*{} ")
    try:
        value = float(text + power)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _unit(match: re.Match[str], masked: str, end: int) -> Unit | None:
    if match["money"] == "$" or match["money2"]:
        return unit_of("USD")
    if not match["unit"]:
        return None
    spelling = match["unit"].strip()
    if spelling in ("x", "X", "×") and re.match(r"\s+[A-Z]\w*[\d\0]", masked[end:]):
        return None  # `2x A100` counts, it does not compare
    return unit_of(spelling) or unit_of(spelling.lstrip("-"))


def _with_tail(line: str, masked: str, quantity: Quantity) -> Quantity:
    """Add a spread or a denominator that follows directly."""
    if spread := _SPREAD.match(masked, quantity.end):
        unit = quantity.unit or (found.name if (found := unit_of(spread["unit"] or "")) else None)
        end = spread.end()
        return msgspec.structs.replace(
            quantity, raw=line[quantity.start : end], end=end, unit=unit, spread=float(spread["value"])
        )
    total = _TOTAL.match(masked, quantity.end)
    if total and _MEASURED.match(masked, total.end()):
        return quantity  # `12/34 ms` are two times
    if total and quantity.unit is None and quantity.value == int(quantity.value) and not quantity.signed:
        denominator = float(total[1].replace(",", ""))
        return msgspec.structs.replace(
            quantity, raw=line[quantity.start : total.end()], end=total.end(), total=denominator
        )
    return quantity


def _shared_units(line: str, found: list[Quantity]) -> list[Quantity]:
    """`99-100%` and `58.48 → 51.84 ms`: the unit of the last belongs to those before it too."""
    if len(found) < 2 or not any(each.unit for each in found):
        return found
    for at in range(len(found) - 2, -1, -1):
        this, after = found[at], found[at + 1]
        between = line[this.end : after.start]
        quotient = "/" in between and this.raw[-1:].isalpha()
        if this.unit is None and after.unit and this.total is None and not quotient and _JOINS.fullmatch(between):
            found[at] = msgspec.structs.replace(this, unit=after.unit)
    return found


_LITERAL = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?|\.\d+")


def literals(text: str) -> Iterator[tuple[str, float]]:
    """Every run of digits with its value, names and dates included: what a text *contains*, not what it measures."""
    for match in _LITERAL.finditer(text[: 50 * LONGEST_LINE]):
        value = float(match[0].replace(",", ""))
        if math.isfinite(value):
            yield match[0], value
