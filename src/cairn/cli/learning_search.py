"""`cairn learnings search` and `similar`: what is known about this, and has it been said already."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cairn.cli.learning_file import document_of, learnings_path, project_options, row, type_option
from cairn.cli.output import emit
from cairn.errors import BadInput, UsageError
from cairn.learnings.model import Entry
from cairn.learnings.search import Hit, Query, index_line, within
from cairn.learnings.store import read_archive

_DEFAULT_BUDGET = 16_000


@click.command()
@click.argument("words", nargs=-1)
@type_option
@click.option("--kernel", default="", metavar="NAME", help="Prefer what was learned with this kernel.")
@click.option("--chip", "chips", multiple=True, metavar="NAME", help="Prefer this chip; repeat for several.")
@click.option("--error", default="", metavar="TEXT", help="An error message; @FILE reads it, @- from stdin.")
@click.option("--idea", default="", metavar="TEXT", help="What is about to be tried, in a few words.")
@click.option(
    "--for-problem",
    "problem",
    type=click.Path(path_type=Path, exists=True),
    help="A problem's folder: gives kernel and chips.",
)
@click.option("--all", "all_states", is_flag=True, help="Superseded and retracted entries too.")
@click.option("--limit", default=20, show_default=True, help="Print at most this many.")
@click.option("--budget-bytes", default=_DEFAULT_BUDGET, show_default=True, help="Full texts up to this size.")
@project_options
def search(
    root: Path | None, registry_path: Path | None, as_json: bool, limit: int, budget_bytes: int, **wanted: Any
) -> None:
    """Find the learnings that matter here, best first: full texts within a budget, then one line each.

    WORDS must all occur. The archive is searched too; superseded and retracted entries are left out.

    \b
    Example:
      cairn learnings search --for-problem kernels/gdn --error @build/error.txt --json
    """
    from cairn.learnings.search import search as find

    path = learnings_path(root, registry_path)
    entries, archived = document_of(path).entries, read_archive(path).entries
    hits = find(_query(**wanted), [*entries, *archived], limit)
    full, lines = within(hits, budget_bytes)
    data = {
        "path": str(path),
        "total": len(hits),
        "entries": [_hit(hit, archived) | {"text": hit.entry.text.rstrip()} for hit in full],
        "more": [_hit(hit, archived) for hit in lines],
    }
    emit(data, as_json, lambda: _found(full, lines))


def _query(problem: Path | None, words: tuple[str, ...], error: str, **given: Any) -> Query:
    if problem is not None:
        from cairn.problem import load_problem

        read = load_problem(problem)
        given["kernel"] = given["kernel"] or read.name
        given["chips"] = (*given["chips"], *(target.partition(":")[0] for target in read.targets))
        given["idea"] = given["idea"] or ("" if error or words else read.title)
    return Query(text=" ".join(words), error=text_or_file(error), **given)


def _hit(hit: Hit, archived: Sequence[Entry]) -> dict[str, Any]:
    reasons = {"score": hit.score, "why": list(hit.why), "archived": hit.entry in archived}
    return row(hit.entry, hit.evidence) | reasons


def _found(full: Sequence[Hit], lines: Sequence[Hit]) -> str:
    texts = [hit.entry.text.rstrip() + "\n" for hit in full]
    texts += [index_line(hit.entry, hit.evidence) for hit in lines]
    return "\n".join([*texts, f"{len(full) + len(lines)} learnings"])


@click.command()
@type_option
@click.option("--title", default="", help="The title that a new entry would have.")
@click.option("--symptom", default="", help="Its Symptom or Optimization.")
@click.option("--error", default="", metavar="TEXT", help="An error message; @FILE reads it, @- from stdin.")
@click.option("--least", default=60.0, show_default=True, help="Leave out what scores less, of 100.")
@click.option("--limit", default=5, show_default=True, help="Print at most this many.")
@click.option("--explain", is_flag=True, help="Show what the scores are made of.")
@project_options
def similar(
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
    explain: bool,
    limit: int,
    least: float,
    **draft: Any,
) -> None:
    """List entries that a new one may repeat; without a draft, pairs of entries that resemble each other.

    Titles and symptoms are compared by words in any order; errors by their decisive line without numbers,
    shapes, addresses and paths. A score is a reason to look, not a verdict.

    \b
    Example:
      cairn learnings similar --title 'bf16 times f32 in one matmul' --error @log.txt --explain
    """
    from cairn.learnings.similar import Draft, pairs
    from cairn.learnings.similar import similar as find

    path = learnings_path(root, registry_path)
    entries = [*document_of(path).entries, *read_archive(path).entries]
    wanted = Draft(draft["title"], draft["symptom"], text_or_file(draft["error"]), draft["kind"])
    if wanted.title or wanted.symptom or wanted.error:
        found = [("", each) for each in find(wanted, entries, limit, least)]
    else:
        found = [(entry.id, each) for entry, each in pairs(entries, max(least, 60.0))[:limit]]
    rows = [
        row(each.entry)
        | {"score": each.score, "parts": dict(each.parts), "shared": list(each.shared)}
        | ({"like": first} if first else {})
        for first, each in found
    ]
    emit({"path": str(path), "candidates": rows}, as_json, lambda: _candidates(rows, explain))


def _candidates(rows: Sequence[dict[str, Any]], explain: bool) -> str:
    lines = []
    for each in rows:
        first = f"{each['like']} ~ " if "like" in each else ""
        lines.append(f"{each['score']:5.1f}  {first}[{each['id']}] {each['title']}")
        if explain:
            parts = ", ".join(f"{name} {score:.0f}" for name, score in each["parts"].items())
            lines.append(f"       {parts}; words in both: {', '.join(each['shared'][:12]) or 'none'}")
    return "\n".join([*lines, f"{len(rows)} candidates"])


def text_or_file(value: str) -> str:
    """An argument, or with `@` before it the text of a file.

    Raises:
        UsageError: the file is not there.
        BadInput: it is no text.
    """
    if not value.startswith("@"):
        return value
    if value == "@-":
        return sys.stdin.read()
    path = Path(value[1:])
    if not path.is_file():
        raise UsageError(f"{path} is not a file", hint="write @FILE, or the text itself")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput("not UTF-8 text", path=path) from error
