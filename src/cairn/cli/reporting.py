"""What `cairn report` does between its options and its output."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from cairn import __version__
from cairn.cli.comment import private_words
from cairn.cli.report_extra import require_report_extra
from cairn.cli.report_find import Source, find_source, sources_in
from cairn.cli.report_judgements import judgements_run
from cairn.cli.report_learnings import with_learnings
from cairn.cli.report_rounds import rounds_run
from cairn.cli.report_rows import climb_run
from cairn.errors import UsageError
from cairn.journal import replacing, write_atomic
from cairn.registry import Registry, load_registry
from cairn.report.rows import SCHEMA, Report, Run
from cairn.report.summary import summarise

_PAGE = "report.html"
_KINDS = ("compare", "gallery", "morning", "svg", "png")


@dataclass(frozen=True)
class Made:
    """What the command prints."""

    data: dict[str, Any]
    text: str


def make_report(names: Sequence[str], options: Mapping[str, Any]) -> Made:
    """Make what the options ask for.

    Raises:
        UsageError: options that do not go together.
        Missing: no such run, or the extra `report` is not installed.
        BadInput: a damaged ledger.
    """
    kind = _kind(names, options)
    registry = load_registry(options["root"] or Path.cwd(), options["registry_path"])
    if kind == "morning":
        return _morning(load_run(find_source(_only(names), registry), registry), options)
    require_report_extra()
    if kind == "gallery":
        return _gallery(options, registry)
    if kind == "compare":
        return _compare(names, options, registry)
    source = find_source(_only(names), registry)
    run = load_run(source, registry)
    if kind in ("svg", "png"):
        return _picture(run, options)
    from cairn.report.run_page import run_page

    path = options["output"] or source.folder / _PAGE
    return _written(path, lambda: run_page(_report("run", [run])), [run], options)


def load_run(source: Source, registry: Registry) -> Run:
    """A run as rows, with the learnings of the project that belong to it."""
    read: Mapping[str, Callable[[Source], Run]] = {
        "climb": climb_run,
        "rounds": rounds_run,
        "judgements": judgements_run,
    }
    return with_learnings(read[source.kind](source), registry.paths.learnings)


def _kind(names: Sequence[str], options: Mapping[str, Any]) -> str:
    asked = [name for name in _KINDS if options[name]]
    if len(asked) > 1:
        raise UsageError(f"--{asked[0]} and --{asked[1]} are two different things", hint="ask for one at a time")
    kind = asked[0] if asked else "page"
    wanted = {"compare": (2, 2), "gallery": (0, 0)}.get(kind, (0, 1))
    if not wanted[0] <= len(names) <= wanted[1]:
        counts = "two runs" if kind == "compare" else "no run" if kind == "gallery" else "one run"
        raise UsageError(
            f"{counts} expected, got {len(names)}", hint="cairn report --help shows an example of each"
        )
    if options["output"] and kind in ("morning", "svg", "png"):
        raise UsageError(f"--output names a page; --{kind} has its own place", hint="leave --output out")
    return kind


def _only(names: Sequence[str]) -> str | None:
    return names[0] if names else None


def _report(page: Literal["run", "compare", "gallery"], runs: list[Run]) -> Report:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(SCHEMA, page, __version__, now, runs)


def _morning(run: Run, options: Mapping[str, Any]) -> Made:
    from cairn.report.morning import morning

    text = morning(run, picture=options["picture"], private=private_words())
    return Made({"markdown": text, **_facts([run])}, text.rstrip("\n"))


def _compare(names: Sequence[str], options: Mapping[str, Any], registry: Registry) -> Made:
    from cairn.report.compare_page import compare_page

    runs = [load_run(find_source(name, registry), registry) for name in names]
    safe = "-and-".join(re.sub(r"[^\w.-]+", "_", run.name)[:60] for run in runs)
    path = options["output"] or Path(f"compare-{safe}.html")
    return _written(path, lambda: compare_page(_report("compare", runs)), runs, options)


def _gallery(options: Mapping[str, Any], registry: Registry) -> Made:
    from cairn.report.gallery_page import gallery_page

    folder: Path = options["gallery"]
    path: Path = options["output"] or folder / "gallery.html"
    runs = []
    for source in sources_in(folder):
        run = load_run(source, registry)
        page = source.folder / _PAGE
        if page.is_file() and page.resolve().is_relative_to(path.resolve().parent):
            link = page.resolve().relative_to(path.resolve().parent).as_posix()
            run = msgspec.structs.replace(run, files={**run.files, "report": link})
        runs.append(run)
    return _written(path, lambda: gallery_page(_report("gallery", runs), str(folder)), runs, options)


def _picture(run: Run, options: Mapping[str, Any]) -> Made:
    from cairn.report.climb_plot import climb_png, climb_svg
    from cairn.report.inert import inert_row

    run = inert_row(run)
    if options["svg"]:
        return _written(options["svg"], lambda: climb_svg(run, standalone=True), [run], options)
    path: Path = options["png"]
    if not options["dry_run"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(climb_png(run, dark=options["dark"]))
    return _made(path, [run], options)


def _written(path: Path, draw: Callable[[], str], runs: list[Run], options: Mapping[str, Any]) -> Made:
    if not options["dry_run"]:
        write_atomic(path, draw())
    return _made(path, runs, options)


def _made(path: Path, runs: list[Run], options: Mapping[str, Any]) -> Made:
    done = not options["dry_run"]
    data = {"path": str(path), "written": done, "bytes": path.stat().st_size if done else None, **_facts(runs)}
    return Made(data, f"wrote {path}" if done else f"would write {path}")


def _facts(runs: Sequence[Run]) -> dict[str, Any]:
    """The figures of each run for a script; the page carries the whole."""
    return {"runs": [_run_facts(run) for run in runs]}


def _run_facts(run: Run) -> dict[str, Any]:
    summary = summarise(run)
    champion = run.anchor("champion")
    claim = summary.claim
    return {
        "name": run.name,
        "source": run.source,
        "state": run.state,
        "reason": run.reason,
        "kind": run.kind,
        "champion": {"name": champion.name, "us": champion.us} if champion else None,
        "claim": vars(claim) if claim else None,
        "of_floor": summary.of_floor,
        "attempts": len(run.attempts),
        "kept": [each.id for each in summary.kept],
        "verdicts": summary.verdicts,
        "failures": [vars(each) for each in summary.failures],
        "spent": vars(summary.spent),
    }
