"""Which entries of AGENT.md belong to a run: those it gained, and those that were known and apply to its kernel."""

from pathlib import Path, PurePosixPath

import msgspec

from cairn.learnings.evidence import evidence_of
from cairn.learnings.model import Entry
from cairn.learnings.search import Query, search
from cairn.learnings.store import read_archive, read_document
from cairn.report.rows import Learning, Run

_KNOWN_SHOWN = 12


def with_learnings(run: Run, path: Path) -> Run:
    """The run with its learnings; unchanged when the project keeps none."""
    if not path.is_file():
        return run
    entries = read_document(path).entries
    gained = [each for each in (*entries, *read_archive(path).entries) if _names(each, run)]
    rows = [_row(each, gained=True) for each in gained]
    kernel = PurePosixPath(run.problem).name
    if kernel:
        chips = (run.target.removesuffix(":device"),) if run.target else ()
        hits = search(Query(kernel=kernel, chips=chips), entries, _KNOWN_SHOWN)
        rows += [_row(hit.entry, gained=False) for hit in hits if hit.entry not in gained]
    return msgspec.structs.replace(run, learnings=rows)


def _row(entry: Entry, *, gained: bool) -> Learning:
    return Learning(id=entry.id, title=entry.title, status=evidence_of(entry).status, gained=gained)


def _names(entry: Entry, run: Run) -> bool:
    """Whether an entry names the run, or a receipt or commit of it, as where it comes from."""
    text = entry.text
    marks = [run.name if len(run.name) > 3 else "", *(each.commit[:12] for each in run.attempts)]
    marks += [each.receipt.id for each in run.attempts if each.receipt]
    return any(mark and mark in text for mark in marks)
