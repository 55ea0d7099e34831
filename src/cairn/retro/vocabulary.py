"""Domains as data: what to extract, the words for it, which way is better, and how result skills are named.

Four come with cairn. A project adds its own, or changes one, with a YAML file below `domains/` or `.cairn/domains/`;
no code is involved.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import yaml

from cairn.errors import BadInput, Missing
from cairn.retro.facts import MENTION, METRIC, PARAMETER
from cairn.text.units import unit_of

HIGHER, LOWER = "higher", "lower"
FOLDERS = ("domains", ".cairn/domains")
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_FIELDS = ("task", "finding", "model", "config", "operation", "optimization", "subject")


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One metric: the words it goes by, its unit when a report gives none, and which way is better."""

    better: str = "none"
    words: list[str] = []
    unit: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    name: str
    title: str = ""
    extract: list[str] = []
    focus: list[str] = []
    name_pattern: str = "{subject}-{finding}"
    examples: list[str] = []
    reports: str | None = None
    parameters: dict[str, list[str]] = {}
    metrics: dict[str, Metric] = {}


@dataclass(frozen=True)
class Domain:
    """A domain with its words and those that all domains share."""

    name: str
    title: str
    path: str
    extract: tuple[str, ...]
    focus: tuple[str, ...]
    name_pattern: str
    examples: tuple[str, ...]
    parameters: Mapping[str, str]
    metrics: Mapping[str, str]
    better: Mapping[str, str]

    def classify(self, name: str, section: str = "", unit: str | None = None) -> tuple[str, str]:
        """Role and canonical name of a value: metric, parameter, or a mention of neither."""
        key = fold(name)
        canonical, role = self._known(key)
        if role:
            if role == METRIC and section == "parameters" and key in self.parameters:
                return PARAMETER, self.parameters[key]
            return role, canonical
        if section in ("parameters", "setup"):
            return PARAMETER, key or "?"
        dimension = found.dimension if unit and (found := unit_of(unit)) else None
        measured = dimension in (
            "time",
            "bytes",
            "bytes/s",
            "flop/s",
            "tokens/s",
            "percent",
            "ratio",
            "power",
            "energy",
        )
        if measured or section == "results":
            return METRIC, key or dimension or "?"
        return MENTION, key

    def knows(self, name: str) -> bool:
        """Whether a name is a metric or parameter of this domain, not one of the project's own words."""
        return bool(self._known(fold(name))[1])

    def _known(self, key: str) -> tuple[str, str]:
        for table, role in ((self.metrics, METRIC), (self.parameters, PARAMETER)):
            if key in table:
                return table[key], role
        tail = key.split()[-2:]
        for words in (" ".join(tail), tail[-1] if tail else ""):
            if words in self.metrics and len(words) > 2:
                return key, METRIC
            if words in self.parameters and len(words) > 2 and len(key.split()) <= 4:
                return key, PARAMETER
        first = key.split()[:1]
        if first and first[0] in self.metrics and len(first[0]) > 2:
            return key, METRIC
        return "", ""

    def same(self, one: str, other: str) -> bool:
        """Whether two names mean one thing: `r` and `LoRA rank`."""
        first, second = fold(one), fold(other)
        known = {**self.metrics, **self.parameters}
        return first == second or known.get(first, first) == known.get(second, second)

    def family(self, name: str) -> str:
        """The metric that a name means by its whole, its end or its beginning; empty for other names."""
        words = fold(name).split()
        for part in (words, words[-2:], words[-1:], words[:2], words[:1]):
            key = " ".join(part)
            if key in self.metrics and (len(key) > 2 or part is words):
                return self.metrics[key]
        return ""

    def direction(self, canonical: str, unit: str | None = None) -> str | None:
        """`higher` or `lower` is better; None when nobody says."""
        known = self.better.get(canonical) or self.better.get(self.metrics.get(canonical, ""))
        if known is None:
            words = canonical.split()
            tails = [" ".join(words[-2:]), words[-1] if words else "", words[0] if words else ""]
            known = next((self.better.get(self.metrics[each]) for each in tails if each in self.metrics), None)
        if known is None and unit and (found := unit_of(unit)):
            by_unit = {
                "time": LOWER,
                "flop/s": HIGHER,
                "bytes/s": HIGHER,
                "tokens/s": HIGHER,
                "bytes": LOWER,
                "energy": LOWER,
            }
            known = by_unit.get(found.dimension)
        return known if known in (HIGHER, LOWER) else None


@functools.lru_cache(maxsize=65536)
def fold(name: str) -> str:
    """A name without brackets, units and case, so that `Peak VRAM (MiB)` and `peak_vram_mib` are one."""
    text = re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", name).casefold().replace("_", " ").replace("-", " ")
    words = re.sub(r"[^\w%@/+. ]+", " ", text).split()
    if len(words) > 1 and words[-1] in ("ms", "us", "s", "sec", "mib", "gib", "gb", "mb", "%", "pct", "seconds"):
        words.pop()
    return " ".join(words)


def read_domain(path: Path, text: str | None = None) -> _File:
    """One domain file.

    Raises:
        BadInput: malformed; the message names the file and key.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8") if text is None else text)
        file = msgspec.convert(data, _File)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise BadInput(
            f"not YAML: {getattr(error, 'problem', error)}", path=path, line=mark.line + 1 if mark else None
        ) from error
    except msgspec.ValidationError as error:
        raise BadInput(str(error), path=path, hint="see docs/retro.md for the keys of a domain") from error
    except OSError as error:
        raise Missing(f"{path}: {error.strerror}") from error
    if faults := faults_of(file):
        raise BadInput(faults[0], path=path, hint="`cairn retro domains --check` lists all faults")
    return file


def faults_of(file: _File) -> list[str]:
    """What is wrong with a domain although its types are right."""
    faults = []
    if file.schema != 1:
        faults.append(f"schema: {file.schema} is not known; this is schema 1")
    if not _NAME.fullmatch(file.name):
        faults.append(f"name: `{file.name}` is not lower-case letters, digits and single hyphens")
    fields = re.findall(r"{(\w*)}", file.name_pattern)
    faults += [
        f"name_pattern: unknown field `{each}`; known: {', '.join(_FIELDS)}"
        for each in fields
        if each not in _FIELDS
    ]
    if not fields:
        faults.append("name_pattern: has no field in braces")
    faults += [
        f"examples: `{each}` is no skill name"
        for each in file.examples
        if not _NAME.fullmatch(each) or len(each) > 64
    ]
    for name, metric in file.metrics.items():
        if metric.better not in (HIGHER, LOWER, "none"):
            faults.append(f"metrics.{name}.better: `{metric.better}` is not higher, lower or none")
        if metric.unit is not None and unit_of(metric.unit) is None:
            faults.append(f"metrics.{name}.unit: `{metric.unit}` is no known unit")
    seen: dict[str, str] = {}
    for where, words in [(f"parameters.{k}", v) for k, v in file.parameters.items()] + [
        (f"metrics.{k}", m.words) for k, m in file.metrics.items()
    ]:
        for word in words:
            if (
                seen.setdefault(fold(word), where) != where
                and where.split(".")[0] == seen[fold(word)].split(".")[0]
            ):
                faults.append(f"{where}: `{word}` stands for {seen[fold(word)]} too")
    return faults


def domain_files(root: Path) -> list[tuple[Path, str]]:
    """All domain files with their origin: those of cairn, then the project's own."""
    built_in = Path(str(resources.files("cairn.retro"))) / "domains"
    found = [(path, "cairn") for path in sorted(built_in.glob("*.yaml"))]
    for folder in FOLDERS:
        found += [(path, "project") for path in sorted((root / folder).glob("*.y*ml"))]
    return found


def load_domains(root: Path) -> dict[str, Domain]:
    """All domains by name; a project's own replaces cairn's of the same name.

    Raises:
        BadInput: a file is malformed.
    """
    files = {}
    for path, _ in domain_files(root):
        file = read_domain(path)
        files[file.name] = (path, file)
    shared = files.pop("common")[1]
    return {name: _domain(path, file, shared) for name, (path, file) in files.items()}


def domain_of(root: Path, name: str | None) -> Domain:
    """The domain of a project; a name that nobody defined means the shared words only.

    Raises:
        BadInput: a file is malformed.
    """
    known = load_domains(root)
    if name in known:
        return known[str(name)]
    every = [read_domain(path) for path, _ in domain_files(root)]
    shared = next(file for file in every if file.name == "common")
    merged = msgspec.structs.replace(
        shared,
        name=name or "common",
        parameters={**_merged(every, "parameters"), **shared.parameters},
        metrics={**_merged(every, "metrics"), **shared.metrics},
    )
    return _domain(Path(), merged, merged)


def _merged(files: Iterable[_File], field: str) -> dict[str, Any]:
    return {key: value for file in files for key, value in getattr(file, field).items()}


def _domain(path: Path, file: _File, shared: _File) -> Domain:
    parameters = _words({**shared.parameters, **file.parameters}.items())
    metrics = {**shared.metrics, **file.metrics}
    return Domain(
        name=file.name,
        title=file.title,
        path=str(path),
        extract=tuple(file.extract),
        focus=tuple(file.focus),
        name_pattern=file.name_pattern,
        examples=tuple(file.examples),
        parameters=parameters,
        metrics=_words((name, metric.words) for name, metric in metrics.items()),
        better={name: metric.better for name, metric in metrics.items()},
    )


def _words(items: Iterable[tuple[str, list[str]]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for canonical, words in items:
        for word in (canonical, *words):
            found[fold(word)] = canonical
    return found
