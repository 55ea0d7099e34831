"""What of a project a retrospective reads: reports, the log, the guide, result files, tracker stores and runs.

The registry names the places; where it is silent, the names that projects use are tried. Links that lead out of the
project are not followed, and neither is anything hidden or installed.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.registry import Registry
from cairn.retro.ingest.evolve import variant_of

REPORT, LOG, GUIDE, RESULTS, TRACKER, RUN, NAMED = "report", "log", "guide", "results", "tracker", "run", "named"
SUFFIXES = {".md", ".markdown", ".txt", ".rst", ".tsv", ".csv", ".json", ".jsonl"}
_MORE_SUFFIXES = {*SUFFIXES, ".ndjson", ".yaml", ".yml", ".toml", ".log", ".html", ".htm", ".mdx"}
_USUAL_REPORTS = ("training_reports", "benchmark_results")
_OTHER_REPORTS = (
    *("reports", "docs/reports", "experiments", "results", "benchmarks", "benchmark_reports", "docs/experiments"),
    *("analysis", "notes", "ablations", "evaluations", "eval_results"),
)
_LOGS = ("references/experiment-log.md", "references/experiment_log.md", "experiment-log.md", "experiment_log.md",
         "EXPERIMENT_LOG.md", "docs/experiment-log.md", "docs/experiment_log.md", "EXPERIMENTS.md")  # fmt: skip
_GUIDES = ("references/troubleshooting.md", "troubleshooting.md", "TROUBLESHOOTING.md", "docs/troubleshooting.md")
_ROOT_RESULTS = re.compile(
    r"(?:.*[-_.])?(?:results?|runs|trials|metrics|scores|leaderboard)(?:[-_.].*)?\.(?:tsv|csv|jsonl)", re.I
)
_REPORT_NAME = re.compile(
    r"report|result|benchmark|experiment|ablation|retrospective|findings|evaluation|comparison|sweep", re.I
)
_SKIPPED = {
    "node_modules",
    "site-packages",
    "__pycache__",
    "venv",
    "env",
    "dist",
    "build",
    "target",
    "vendor",
    "third_party",
}
_EVENTS = re.compile(r".*tfevents.*")
_MAX_ENTRIES = 200_000
MAX_SOURCES = 20_000


@dataclass(frozen=True)
class Source:
    """A file that facts come from; `relative` to the project's root, with forward slashes."""

    path: Path
    relative: str
    kind: str


def report_folders(registry: Registry) -> list[Path]:
    """Existing folders of reports: the registry's, else the usual ones, else the first other one there is."""
    named = registry.paths.reports
    if named:
        return [named] if named.is_dir() else []
    usual = [registry.root / name for name in _USUAL_REPORTS if (registry.root / name).is_dir()]
    others = [registry.root / name for name in _OTHER_REPORTS if (registry.root / name).is_dir()]
    return usual or others[:1]


def log_path(registry: Registry) -> Path | None:
    """The experiment log that is named or there; the usual place when there is none yet."""
    return registry.paths.experiment_log or _first(registry.root, _LOGS) or registry.root / _LOGS[0]


def guide_path(registry: Registry) -> Path:
    """The troubleshooting guide that is named or there; the usual place when there is none yet."""
    return registry.paths.troubleshooting or _first(registry.root, _GUIDES) or registry.root / _GUIDES[0]


def _first(root: Path, names: Sequence[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_file()), None)


def find_sources(registry: Registry, named: Sequence[Path] = ()) -> tuple[list[Source], list[str]]:
    """All sources in the order of their paths, and warnings. `named`: further files and folders of the project."""
    root = registry.root.resolve()
    warnings: list[str] = []
    found: dict[str, Source] = {}

    def add(path: Path, kind: str) -> None:
        if path.is_file() and path.resolve().is_relative_to(root):
            relative = Path(os.path.relpath(path, registry.root)).as_posix()
            found.setdefault(relative, Source(path, relative, kind))

    log = log_path(registry)
    if log:
        add(log, LOG)
    add(guide_path(registry), GUIDE)
    folders = report_folders(registry)
    for file, kind in (*_reports(folders, root), *_elsewhere(registry, root, bool(folders))):
        add(file, kind)
    for path in named:
        for file in files_below(path, root) if path.is_dir() else [path]:
            add(file, NAMED)
    if not folders and not any(each.kind == REPORT for each in found.values()):
        warnings.append("no folder of reports was found; name one in registry.json: paths.reports")
    return [found[name] for name in sorted(found)][:MAX_SOURCES], warnings


def _reports(folders: Sequence[Path], root: Path) -> Iterator[tuple[Path, str]]:
    for folder in folders:
        for file in files_below(folder, root):
            if file.suffix.lower() in _MORE_SUFFIXES and not _of_a_tracker(file):
                yield file, REPORT


def _elsewhere(registry: Registry, root: Path, has_reports: bool) -> Iterator[tuple[Path, str]]:
    """Tracker stores and runs anywhere below the root, and result files at the top."""
    for file in files_below(registry.root, root):
        name, top = file.name, file.parent == registry.root
        if kind := _of_a_tracker(file):
            yield file, kind
        elif top and _ROOT_RESULTS.fullmatch(name):
            yield file, RESULTS
        elif not has_reports and file.suffix.lower() in (".md", ".markdown") and _REPORT_NAME.search(name):
            yield file, REPORT
    if registry.paths.runs.is_dir():
        for file in files_below(registry.paths.runs, root):
            if file.name in ("ledger.jsonl", "receipts.jsonl"):
                yield file, RUN


def _of_a_tracker(file: Path) -> str:
    """The kind of a file that a tracker or an optimiser wrote; empty for others, `skip` is never read."""
    name, parts = file.name, file.parts
    if _EVENTS.fullmatch(name) or name.endswith(".wandb") or name == "wandb-summary.json":
        return TRACKER
    if name == "config.yaml" and "files" in parts and "wandb" in parts:
        return TRACKER
    if "mlruns" in parts:
        return (
            TRACKER
            if len(parts) > 2 and (parts[-2] in ("metrics", "params") or parts[-3] in ("metrics", "params"))
            else ""
        )
    if name in ("mlflow.db", "trackio.db") or (file.suffix == ".db" and "trackio" in parts):
        return TRACKER
    return RUN if name == "eval_result.json" and variant_of(file.as_posix()) else ""


def files_below(folder: Path, root: Path) -> Iterator[Path]:
    """Files below a folder in order of their paths, without hidden, installed and foreign ones."""
    entries = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            each for each in folders if each[:1] != "." and each not in _SKIPPED and not each.endswith(".egg-info")
        )
        for name in sorted(names):
            entries += 1
            if entries > _MAX_ENTRIES:
                return
            path = Path(place, name)
            if (
                name[:1] != "."
                and (not path.is_symlink() or path.resolve().is_relative_to(root))
                and path.is_file()
            ):
                yield path
