"""What `cairn judge run` does between its options and its exit code."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.cli.backend_options import wanted_of
from cairn.cli.field_values import parse_settings as parse_settings
from cairn.cli.progress import StageLine
from cairn.cli.tables import receipt_table
from cairn.errors import UsageError
from cairn.execution.interpreter import find_python
from cairn.execution.places import open_places
from cairn.judge.protocol import VariantSource
from cairn.judge.receipt import ReceiptBook
from cairn.judge.record import record_of
from cairn.judge.referee import Judge
from cairn.problem import Problem, load_problem
from cairn.registry import load_registry
from cairn.roofline import Target, parse_target


@dataclass(frozen=True)
class Outcome:
    """A receipt and how to show it."""

    receipt: dict[str, Any]
    path: Path
    table: Callable[[], str]


def judge_once(
    folder: Path, registry_path: Path | None, options: Mapping[str, Any], say: Callable[[str], None]
) -> Outcome:
    """Judge one variant as the options say; the receipt goes below the project's runs folder."""
    problem = load_problem(folder)
    registry = load_registry(problem.folder, registry_path)
    target = choose_target(problem, options["target_name"])
    variant = VariantSource.read(problem.variant(options["variant"]), parse_settings(options["settings"]))
    against = VariantSource.read(problem.variant(options["against"])) if options["against"] else None
    book = ReceiptBook(registry.paths.runs / "judge" / "receipts.jsonl")
    trust = options["trust_interpreter"] or registry.climb.trust_interpreter
    say(f"judging {problem.name}/{variant.name} for {target.name}; most take 10 to 60 seconds, some minutes")

    wanted = wanted_of(options, target)
    with (
        open_places(wanted, find_python(registry)) as (place, *_),
        Judge(problem, target, python=place.python, trust_interpreter=trust, on_stage=StageLine(say)) as judge,
    ):
        case = judge.judge(variant, against, options["margin"])
        keep_out_of_git(registry.paths.runs)
        receipt = book.add(record_of(case, judge))
    return Outcome(receipt, book.path, functools.partial(receipt_table, receipt, book.path))


def choose_target(problem: Problem, name: str | None) -> Target:
    """The named target, or the problem's first.

    Raises:
        UsageError: unknown, or none was named anywhere.
    """
    chosen = name or next(iter(problem.targets), None)
    if chosen is None:
        raise UsageError("no target", hint="name one: --target tpu-v5p")
    return parse_target(chosen)


def keep_out_of_git(runs: Path) -> None:
    """Give cairn's own folder a .gitignore of its own, so that a project's tree stays clean."""
    folder = runs.parent if runs.parent.name == ".cairn" else runs
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
