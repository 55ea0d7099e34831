"""Units as people write them beside numbers, and how much of the base unit each is.

`TFLOP/s`, `TFLOPS` and `tflops` are one unit; so are `tok/s`, `tokens/sec` and `TPS`. Two quantities compare only in
one dimension; a per cent and a plain fraction do not, because nobody can tell 0.5 from 0.5 %.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from cairn.text.alternatives import one_of


@dataclass(frozen=True)
class Unit:
    """A unit: the name we print, what it measures, and how many base units one of it is."""

    name: str
    dimension: str
    factor: float = 1.0


def _units() -> dict[str, Unit]:
    """Spelling -> unit; spellings of one letter and prefixes of SI keep their case."""
    found: dict[str, Unit] = {}

    def add(name: str, dimension: str, factor: float, *spellings: str) -> None:
        for spelling in (name, *spellings):
            found[spelling] = Unit(name, dimension, factor)

    for name, seconds, spellings in (
        ("s", 1.0, "sec secs second seconds"),
        ("ms", 1e-3, "msec msecs millisecond milliseconds"),
        ("us", 1e-6, "µs μs usec microsecond microseconds"),
        ("ns", 1e-9, "nsec nanosecond nanoseconds"),
        ("min", 60.0, "mins minute minutes"),
        ("h", 3600.0, "hr hrs hour hours"),
        ("d", 86400.0, "day days"),
    ):
        add(name, "time", seconds, *spellings.split())
    for power, letter in enumerate("KMGTP", 1):
        add(f"{letter}B", "bytes", 1000.0**power, f"{letter.lower()}B", f"{letter.lower()}b")
        add(f"{letter}iB", "bytes", 1024.0**power, f"{letter.lower()}iB", f"{letter.lower()}ib")
        for slash in ("/s", "/sec", "ps"):
            found[f"{letter}B{slash}"] = Unit(f"{letter}B/s", "bytes/s", 1000.0**power)
            found[f"{letter}iB{slash}"] = Unit(f"{letter}iB/s", "bytes/s", 1024.0**power)
        _add_flops(found, letter, 1000.0**power)
    for name, factor in (("Hz", 1.0), ("kHz", 1e3), ("MHz", 1e6), ("GHz", 1e9)):
        add(name, "frequency", factor)
    for name, factor in (("W", 1.0), ("kW", 1e3), ("mW", 1e-3)):
        add(name, "power", factor)
    for name, factor in (("J", 1.0), ("kJ", 1e3), ("mJ", 1e-3), ("Wh", 3600.0), ("kWh", 3.6e6)):
        add(name, "energy", factor)
    add("bytes", "bytes", 1.0, "byte", "Bytes")
    add("B/s", "bytes/s", 1.0, "bytes/s", "bytes/sec")
    add("%", "percent", 1.0, "percent", "pct", "％")
    add("pp", "points", 1.0, "pts", "ppt", "percentage points", "percentage point", "% points", "points")
    add("x", "ratio", 1.0, "×", "X", "times")
    add("°C", "temperature", 1.0, "℃")
    add("dB", "decibel", 1.0)
    add("bit", "bits", 1.0, "bits")
    add("USD", "money", 1.0, "dollars")
    add("FLOP/s", "flop/s", 1.0, "FLOPS", "FLOPs", "flops")
    add("tok/s", "tokens/s", 1.0, "tokens/s", "tokens/sec", "tok/sec", "tokens/second", "TPS", "tps", "T/s", "t/s")
    _add_counts(add)
    return found


def _add_flops(found: dict[str, Unit], letter: str, factor: float) -> None:
    """`TFLOP/s` in all its spellings; a bare `TF`, as in `35.6 TF`, only where nothing else is written so."""
    flops = Unit(f"{letter}FLOP/s", "flop/s", factor)
    tails = ("FLOP/s", "FLOPs/s", "FLOPS", "FLOPs", "FLOPS/s", "flops", "flop/s", "Flops", "OPS", "FLOP/sec")
    for tail in tails:
        found[f"{letter}{tail}"] = found[f"{letter.lower()}{tail}"] = flops
    if letter in "GTP":
        found[f"{letter}F"] = flops
    found[f"{letter}FLOP"] = Unit(f"{letter}FLOP", "flop", factor)


def _add_counts(add: Callable[..., None]) -> None:
    """Rates of countable things, and the things themselves."""
    for noun in ("it", "iter", "step", "sample", "image", "img", "req", "request", "example", "frame", "query"):
        base = f"{noun}s/s" if len(noun) > 3 else f"{noun}/s"
        add(base, f"{noun}/s", 1.0, f"{noun}/s", f"{noun}s/s", f"{noun}/sec", f"{noun}s/sec", f"{noun}s/second")
        add(f"s/{noun}", f"s/{noun}", 1.0, f"sec/{noun}", f"seconds/{noun}")
        add(f"ms/{noun}", f"s/{noun}", 1e-3)
    add("ms/token", "s/token", 1e-3, "ms/tok")
    add("QPS", "req/s", 1.0, "qps", "RPS", "rps")
    for noun in [
        "token",
        "step",
        "epoch",
        "iteration",
        "sample",
        "example",
        "run",
        "seed",
        "layer",
        "head",
        "parameter",
        "param",
        "GPU",
        "core",
        "warp",
        "stage",
        "bundle",
        "cycle",
        "register",
        "thread",
        "block",
        "experiment",
        "trial",
        "attempt",
        "round",
        "worker",
        "file",
        "line",
        "locale",
        "language",
        "task",
        "test",
        "request",
        "instruction",
        "spill",
        "FLOP",
        "flop",
        "node",
        "chip",
        "device",
        "replica",
        "shard",
        "image",
        "document",
        "query",
    ]:
        add(f"{noun}s", noun.casefold(), 1.0, noun)
    add("batches", "batch", 1.0, "batch", "microbatches")


UNITS = _units()
_FOLDED = {spelling.casefold(): unit for spelling, unit in reversed(UNITS.items()) if len(spelling) > 2}
MAGNITUDES = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}


def _pattern() -> str:
    """So that `ms/step` is not read as `ms`; only long spellings in any case."""
    long = one_of(each.casefold() for each in UNITS if len(each) > 2)
    return f"(?:(?i:{long})|{one_of(each for each in UNITS if len(each) <= 2)})"


PATTERN = _pattern()


@functools.lru_cache(maxsize=4096)
def unit_of(spelling: str) -> Unit | None:
    """The unit behind a spelling; only spellings of more than two letters may differ in case."""
    spelling = spelling.strip().rstrip(".")
    return UNITS.get(spelling) or _FOLDED.get(spelling.casefold())


_IN_BRACKETS = re.compile(r"[(\[]\s*([^()\[\]]{1,24}?)\s*[)\]]")
_TAIL = re.compile(r"(?:[_\s/]|^)(ms|us|ns|s|sec|secs|seconds|min|mins|hours|h|gb|mb|kb|gib|mib|kib|tb|pct|percent"
                   r"|tflops?|gflops?|gbps|gb/s|gb_s|gbs|tok/s|tps|tokens/s|mhz|ghz|%|bytes)$", re.I)  # fmt: skip
_RATE = re.compile(r"(?:^|[_\s])([a-z]+)(?:_per_| per |/)([a-z]+)$", re.I)
_TAIL_UNITS = {"gb_s": "GB/s", "gbs": "GB/s", "gbps": "GB/s", "pct": "%", "percent": "%", "tflop": "TFLOPS"}


@functools.lru_cache(maxsize=4096)
def unit_of_name(name: str) -> Unit | None:
    """The unit that a column or key carries in its name: `Peak VRAM (MiB)`, `time_ms`, `Accuracy %`."""
    for inside in reversed(_IN_BRACKETS.findall(name)):
        for part in (inside, *re.split(r"[,;]\s*", inside)):
            if unit := unit_of(part):
                return unit
    name = name.strip().rstrip(":")
    if rate := _RATE.search(name):
        return unit_of(f"{rate[1]}/{rate[2]}")
    match = _TAIL.search(name)
    if not match or (match.start() == 0 and len(match[1]) == 1):
        return None
    spelling = match[1]
    return unit_of(_TAIL_UNITS.get(spelling.casefold(), spelling)) or unit_of(spelling.upper())
