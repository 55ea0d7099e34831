"""Read a run directory as pallas-evolve lays it out, or as somebody left it.

    lineages.json   iteration_{N}/{strategy,batch_analysis,selection}.md   iteration_{N}/variants/*/eval_result.json

Every file is optional, a half-finished round is normal, and unknown files and keys are left alone. Numbers come from
JSON; of the Markdown only the direction and its motive are used, and both may be missing.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.errors import BadInput
from cairn.rounds.strategy import Intent, read_intents

RESULT, LINEAGES = "eval_result.json", "lineages.json"
STRATEGY, ANALYSIS, SELECTION = "strategy.md", "batch_analysis.md", "selection.md"
SUCCESS, INCORRECT, COMPILE_ERROR, MISSING = "SUCCESS", "INCORRECT", "COMPILE_ERROR", "MISSING"
_ROUND = re.compile(r"iteration[_-]?(\d+)", re.IGNORECASE)
_FILED = re.compile(r"(?:Status\.)?(\w+)")
_ENUM = {0: COMPILE_ERROR, 1: INCORRECT, 2: SUCCESS}
_MAX_BYTES = 64 * 2**20
_MADE_WITH = {
    "chip": ("device_kind", "device"),
    "jax": ("jax", "jax_version"),
    "libtpu": ("libtpu", "libtpu_version"),
}


@dataclass(frozen=True)
class Variant:
    """One variant of a round. `hash`: of its result file; `fault`: why that could not be read.

    `path` is the result's, relative to the run; `status` is what the tool filed, not what it really was.
    """

    name: str
    path: str
    data: Mapping[str, Any]
    fault: str | None
    hash: str
    intent: Intent

    @property
    def status(self) -> str:
        if self.fault is not None:
            return MISSING
        value = self.data.get("status")
        if isinstance(value, int) and not isinstance(value, bool):
            return _ENUM.get(value, str(value))
        match = _FILED.fullmatch(str(value).strip()) if value is not None else None
        return match[1].upper() if match else MISSING

    @property
    def speedup(self) -> float | None:
        """How many times faster than the reference; None for a failure or a number that is none."""
        return number(self.data.get("speedup")) if self.status == SUCCESS else None

    @property
    def latency_ms(self) -> float | None:
        return number(self.data.get("latency_ms")) if self.status == SUCCESS else None

    @property
    def made_with(self) -> dict[str, str]:
        """Chip, jax and libtpu as far as the result says, in the words of an entry's Scope."""
        metadata = self.data.get("metadata")
        places = [self.data, metadata if isinstance(metadata, dict) else {}]
        places += [each for place in places for each in [place.get("fingerprint")] if isinstance(each, dict)]
        found = {}
        for key, names in _MADE_WITH.items():
            values = [place[name] for place in places for name in names if isinstance(place.get(name), str)]
            if values:
                found[key] = values[-1]
        return found

    @property
    def error(self) -> str:
        return str(self.data.get("error") or "")


@dataclass(frozen=True)
class Round:
    """One iteration: its number, its folder and its variants in the order of their names."""

    number: int
    folder: Path
    variants: tuple[Variant, ...]

    def has(self, name: str) -> bool:
        return (self.folder / name).is_file()


@dataclass(frozen=True)
class Run:
    """A run directory: its rounds in order, and `lineages.json` as it is (empty when missing or unreadable)."""

    folder: Path
    rounds: tuple[Round, ...]
    lineages: Mapping[str, Any]
    faults: tuple[str, ...]

    def round(self, number: int | None) -> Round:
        """One round; the last one when no number is given.

        Raises:
            BadInput: there is none.
        """
        for each in reversed(self.rounds):
            if number in (None, each.number):
                return each
        what = "no rounds" if number is None else f"no round {number}"
        raise BadInput(
            what, path=self.folder, hint="a run directory holds iteration_N/variants/NAME/eval_result.json"
        )


def read_run(folder: Path) -> Run:
    """Read a run directory.

    Raises:
        BadInput: it is no folder.
    """
    if not folder.is_dir():
        raise BadInput("not a folder", path=folder, hint="name a run directory: it holds iteration_N")
    faults: list[str] = []
    numbered = [(int(match[1]), path) for path in folder.iterdir() if (match := _ROUND.fullmatch(path.name))]
    rounds = [_round(folder, number, path) for number, path in sorted(numbered) if path.is_dir()]
    lineages, fault = read_json(folder / LINEAGES)
    if fault and (folder / LINEAGES).exists():
        faults.append(f"{LINEAGES}: {fault}")
    shared, _ = read_json(folder / "results.json")  # one fork keeps all rounds in one file
    for number in sorted(_numbers_of(shared) - {each.number for each in rounds}):
        variants = _shared_variants(shared[f"iteration_{number}"])
        rounds.append(Round(number, folder / f"iteration_{number}", variants))
    return Run(folder, tuple(sorted(rounds, key=lambda each: each.number)), lineages, tuple(faults))


def _round(run: Path, number: int, folder: Path) -> Round:
    intents = read_intents([folder / name for name in (STRATEGY, ANALYSIS, SELECTION)])
    variants = []
    for path in sorted(folder.glob("variants/*")):
        if path.is_dir() and path.name != "__pycache__":
            own = read_intents([path / STRATEGY])
            intent = own.get(path.name) or intents.get(path.name) or Intent("", "")
            data, fault = read_json(path / RESULT)
            relative = (path / RESULT).relative_to(run).as_posix()
            variants.append(Variant(path.name, relative, data, fault, _hash(path / RESULT), intent))
    return Round(number, folder, tuple(variants))


def _numbers_of(shared: Mapping[str, Any]) -> set[int]:
    return {int(m[1]) for key, value in shared.items() if (m := _ROUND.fullmatch(key)) and isinstance(value, dict)}


def _shared_variants(rows: Mapping[str, Any]) -> tuple[Variant, ...]:
    """Rows of a shared results.json: no samples, so the gate never trusts them."""
    found = []
    for name, data in sorted(rows.items()):
        if isinstance(data, dict):
            digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
            intent = Intent("", str(data.get("note") or ""))
            found.append(Variant(name, "results.json", data, None, digest[:12], intent))
    return tuple(found)


def read_json(path: Path) -> tuple[Mapping[str, Any], str | None]:
    """A JSON object and why there is none."""
    try:
        if not path.is_file():
            return {}, "not there"
        if path.stat().st_size > _MAX_BYTES:
            return {}, "too large"
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return {}, f"unreadable: {error}"
    return (data, None) if isinstance(data, dict) else ({}, "not a JSON object")


def _hash(path: Path) -> str:
    """The first 12 digits of a file's SHA-256, which name it in an entry's Evidence; empty when there is none."""
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def number(value: Any) -> float | None:
    """A finite JSON number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
