"""Read run directories that other tools wrote, as they are found: half-finished, renamed, duplicated, malformed.

Nothing here judges. Every file of such a directory is optional, keys are unknown until seen, null stays null, and
a file that cannot be read is a result with a `fault`, never an exception: the gate must be able to say so.
"""

import errno
import hashlib
import json
import math
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

RESULT, SOURCE, FORK_RESULTS = "eval_result.json", "kernel.py", "results.json"
BASELINE = "baseline"
_ROUND = re.compile(r"(?:iteration|iter|round)[_-]?(\d+)", re.I)
_MAX_BYTES, _MAX_CONFIG_BYTES = 64 * 2**20, 2**20
_MAX_DEPTH = 100


@dataclass(frozen=True)
class ForeignResult:
    """One result as another tool filed it.

    `path` and `copies` are relative to the run directory; `fault` says why it could not be read; `source_sha256`
    is known only where the kernel lies beside the result.
    """

    iteration: str
    variant: str
    path: str
    data: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None
    folder: Path | None = None
    source_sha256: str | None = None
    copies: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.iteration}/{self.variant}"

    @property
    def metadata(self) -> Mapping[str, Any]:
        return block(self.data, "metadata")

    @property
    def identity(self) -> str:
        """What tells its source from another: the kernel's hash where it was kept, else where it was filed."""
        return self.source_sha256 or f"{self.path} {self.name}"


@dataclass(frozen=True)
class ForeignRun:
    """All results of a run, in order of rounds, each once; `copies` counts the files that repeat one."""

    results: tuple[ForeignResult, ...]
    copies: int
    lineages: Mapping[str, Any]
    config: Mapping[str, Any]


def block(data: Any, *keys: str) -> Mapping[str, Any]:
    """A nested object, or an empty one where anything on the way is missing, null or of another type."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def number(value: Any) -> float | None:
    """A JSON number as float (infinite when too large for one); None for everything else, booleans included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def finite(value: Any) -> float | None:
    """A finite JSON number, or None."""
    found = number(value)
    return found if found is not None and math.isfinite(found) else None


def leaves(data: Any) -> Iterator[tuple[str, Any]]:
    """Every value below, with its dotted path; without recursion, so that depth cannot hurt."""
    waiting: list[tuple[str, Any]] = [("", data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(f"{path}.{key}" if path else str(key), each) for key, each in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}[{index}]", each) for index, each in enumerate(value)]
        else:
            yield path, value


def read_run(run_dir: Path) -> ForeignRun:
    """Read `iteration_*/variants/*`, `baseline/` and the fork's single `results.json` below a run directory.

    The folder of one round, with `variants/` in it, is taken as a run of one round.
    """
    found = [*_filed_results(run_dir), *_fork_results(run_dir)]
    results = _once_each(found)
    lineages, _ = _load(run_dir / "lineages.json") or ({}, None)
    return ForeignRun(tuple(results), len(found) - len(results), lineages, _config(run_dir / "config.yaml"))


def _filed_results(run_dir: Path) -> Iterator[ForeignResult]:
    rounds = [(int(match[1]), each) for each in _entries(run_dir) if (match := _ROUND.fullmatch(each.name))]
    folders = [each for _, each in sorted(rounds)] or [run_dir]
    for folder in folders:
        for variant in _entries(folder / "variants"):
            yield from _filed(run_dir, variant, folder.name, variant.name)
    yield from _filed(run_dir, run_dir / BASELINE, BASELINE, BASELINE)


def _filed(run_dir: Path, folder: Path, iteration: str, variant: str) -> Iterator[ForeignResult]:
    path = folder / RESULT
    loaded = _load(path)
    if loaded is not None:
        where = path.relative_to(run_dir).as_posix()
        yield ForeignResult(iteration, variant, where, *loaded, folder, _sha256(folder / SOURCE))


def _fork_results(run_dir: Path) -> Iterator[ForeignResult]:
    loaded = _load(run_dir / FORK_RESULTS)
    if loaded is None:
        return
    data, fault = loaded
    if fault is not None:
        yield ForeignResult(FORK_RESULTS, "", FORK_RESULTS, fault=fault)
    for key, value in data.items():
        if key == BASELINE and isinstance(value, Mapping):
            yield ForeignResult(BASELINE, BASELINE, FORK_RESULTS, value)
        elif _ROUND.fullmatch(key) and isinstance(value, Mapping):
            for variant, each in value.items():
                if isinstance(each, Mapping):
                    yield ForeignResult(key, variant, FORK_RESULTS, each)


def _once_each(found: list[ForeignResult]) -> list[ForeignResult]:
    kept: list[ForeignResult] = []
    by_content: dict[str, list[int]] = {}
    for result in found:
        twins = by_content.setdefault(_content(result), [])
        first = next((index for index in twins if _same_result(kept[index], result)), None)
        if first is None:
            twins.append(len(kept))
            kept.append(result)
        else:
            kept[first] = replace(kept[first], copies=(*kept[first].copies, result.path))
    return kept


def _same_result(one: ForeignResult, other: ForeignResult) -> bool:
    """Equal content is one result stored twice, unless it is filed for another kernel: then it is a stale copy."""
    if one.fault or other.fault:
        return False
    if one.source_sha256 and other.source_sha256:
        return one.source_sha256 == other.source_sha256
    return one.variant == other.variant or BASELINE in (one.iteration, other.iteration)


def _content(result: ForeignResult) -> str:
    return json.dumps(result.data, sort_keys=True)


def _load(path: Path) -> tuple[dict[str, Any], str | None] | None:
    """The object in a file and no fault, or nothing and the fault; None when there is no such file."""
    try:
        data = json.loads(_regular_bytes(path).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return {}, f"cannot be read: {error.strerror}"
    except RecursionError:
        return {}, "nested too deeply"
    except ValueError as error:
        return {}, f"not JSON: {error}"[:200]
    if not isinstance(data, dict):
        return {}, f"holds a {type(data).__name__}, not an object"
    return (data, None) if _shallow(data) else ({}, "nested too deeply")


def _regular_bytes(path: Path, limit: int = _MAX_BYTES) -> bytes:
    """A file's bytes; a pipe or a device in its place would be waited for without end."""
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    if info.st_size > limit:
        raise OSError(errno.EFBIG, f"larger than {limit // 2**20} MiB")
    return path.read_bytes()


def _shallow(data: Any) -> bool:
    level = [data]
    for _ in range(_MAX_DEPTH):
        inner = [each for each in level if isinstance(each, dict | list)]
        if not inner:
            return True
        level = [value for each in inner for value in (each.values() if isinstance(each, dict) else each)]
    return False


def _config(path: Path) -> Mapping[str, Any]:
    try:
        return block({"config": yaml.safe_load(_regular_bytes(path, _MAX_CONFIG_BYTES))}, "config")
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    except OSError:
        return None
