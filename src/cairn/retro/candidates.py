"""What a retrospective could be about: reports and log entries, ranked by the words of the user's request.

Programs find and rank; which of the candidates are meant, the user says.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cairn.errors import Missing
from cairn.registry import Registry
from cairn.retro.log import LogEntry, is_date, read_log
from cairn.retro.sources import SUFFIXES, files_below, log_path, report_folders

_READ_BYTES = 256 * 1024
_MAX_FILES = 5000
_NAME_DATE = re.compile(r"(?<!\d)(\d{4})[-_]?(\d{2})[-_]?(\d{2})(?!\d)")
_FRONT_MATTER = re.compile(r"\ufeff?---\r?\n(.*?\n)---\s*?(?:\n|\Z)", re.DOTALL)
_LABELLED = r"(?im)^\s*(?:[-*+]\s+)?[*_]*{}[*_]*\s*:[*_]*\s*(.+?)\s*$"
_TITLE_POINTS, _TEXT_POINTS = 3, 1
_STOP_WORDS = re.compile(
    r"about|an|and|are|as|at|by|did|experiments?|for|from|how|i|in|is|it|last|learned|lessons?|made|me|my|of|on|or"
    r"|our|over|reports?|retrospective|runs?|summar(?:y|i[sz]e)|that|the|this|to|tried|us|was|we|week|were|what"
    r"|which|with"
)


@dataclass(frozen=True)
class Candidate:
    """A report or a log entry. `status`: what it says of itself; for a log entry its type."""

    source: str  # report or log
    path: str
    line: int | None
    title: str
    date: str | None
    date_from: str | None  # name, front matter or text
    size_bytes: int
    status: str | None
    why: tuple[str, ...]
    matched: tuple[str, ...] = ()
    score: int = 0
    text: str = ""


@dataclass(frozen=True)
class Selection:
    """Candidates, best first; `unclear` says why the user must be asked, None when the words decide."""

    candidates: tuple[Candidate, ...]
    looked_at: int
    words: tuple[str, ...]
    unclear: str | None
    warnings: tuple[str, ...]


def select(registry: Registry, description: str = "", since: str | None = None) -> Selection:
    """Find all candidates of a project and rank them by a description.

    Raises:
        Missing: the project has neither a folder of reports nor an experiment log.
    """
    log, warnings = _log(registry)
    files = _report_files(registry)
    if files is None and log is None:
        raise Missing(
            "neither a folder of reports nor an experiment log was found",
            hint="name them in registry.json: paths.reports, paths.experiment_log",
        )
    if files and len(files) > _MAX_FILES:
        warnings.append(f"only the first {_MAX_FILES} of {len(files)} files were looked at")
    told = "\n".join(entry.text for entry in log or () if _is_retrospective(entry))
    everything = [_of_report(registry.root, file, told) for file in (files or ())[:_MAX_FILES]]
    everything += [_of_log(registry, entry) for entry in log or ()]
    words = _words(description)
    recent = [each for each in everything if since is None or (each.date or "") >= since]
    fitting = [scored for each in recent if (scored := _score(each, words)).score or not words]
    fitting.sort(key=lambda each: (each.path, each.line or 0))
    fitting.sort(key=lambda each: (each.score, each.date or ""), reverse=True)
    return Selection(tuple(fitting), len(everything), words, _unclear(fitting, words), tuple(warnings))


def _unclear(candidates: Sequence[Candidate], words: Sequence[str]) -> str | None:
    if not candidates:
        return "nothing matches" if words else "there is nothing yet"
    if not words:
        return None if len(candidates) == 1 else "no words to choose by"
    complete = any(len(each.matched) == len(words) for each in candidates)
    return None if complete else "no candidate matches every word"


def _words(description: str) -> tuple[str, ...]:
    found = re.findall(r"[^\W_][\w.+-]*", description.casefold())
    return tuple(dict.fromkeys(word for word in found if len(word) > 1 and not _STOP_WORDS.fullmatch(word)))


def _score(candidate: Candidate, words: Sequence[str]) -> Candidate:
    name = (
        f"{candidate.path} {candidate.title}".casefold()
        if candidate.source == "report"
        else candidate.title.casefold()
    )
    text = candidate.text.casefold()
    score, why, matched = 0, list(candidate.why), []
    for word in words:
        if word in name:
            score, place = score + _TITLE_POINTS, "title"
        elif word in text:
            score, place = score + _TEXT_POINTS, "text"
        else:
            continue
        matched.append(word)
        why.append(f"`{word}` in its {place}")
    return replace(candidate, score=score, why=tuple(why), matched=tuple(matched))


def _log(registry: Registry) -> tuple[tuple[LogEntry, ...] | None, list[str]]:
    path = log_path(registry)
    if path is None or not path.is_file():
        named = registry.paths.experiment_log is not None
        return None, [f"paths.experiment_log: {path} is not there"] if named else []
    return read_log(path.read_bytes().decode(errors="replace")), []


def _report_files(registry: Registry) -> list[Path] | None:
    """Files below the folders of reports; None when there is none."""
    folders = report_folders(registry)
    if not folders:
        return None
    root = registry.root.resolve()
    return sorted(
        file for folder in folders for file in files_below(folder, root) if file.suffix.lower() in SUFFIXES
    )


def _of_report(root: Path, path: Path, told: str) -> Candidate:
    with path.open("rb") as file:
        text = file.read(_READ_BYTES).decode(errors="replace")
    title, date, status, date_from = _head_of(path.name, text)
    why = ["below the folder of reports"]
    if told and path.name not in told and path.stem not in told:
        why.append("no retrospective names it yet")
    return Candidate(
        source="report",
        path=os.path.relpath(path, root),
        line=None,
        title=title or path.stem,
        date=date,
        date_from=date_from,
        size_bytes=path.stat().st_size,
        status=status,
        why=tuple(why),
        text=text,
    )


def report_head(name: str, text: str) -> tuple[str, str | None, str | None]:
    """Title (may be empty), day and status that a report gives itself, from its name, front matter or first lines."""
    title, date, status, _ = _head_of(name, text[:_READ_BYTES])
    return title, date, status


def _head_of(name: str, text: str) -> tuple[str, str | None, str | None, str | None]:
    match = _FRONT_MATTER.match(text)
    front = match[1] if match else ""
    body = text[match.end() :] if match else text
    date, date_from = _date(name, front, body)
    title = _labelled(front, "title") or _first_heading(body) or ""
    return title, date, _labelled(front, "status") or _labelled(_head(body), "status"), date_from


def _of_log(registry: Registry, entry: LogEntry) -> Candidate:
    path = log_path(registry) or registry.root
    return Candidate(
        source="log",
        path=os.path.relpath(path, registry.root),
        line=entry.first_line,
        title=entry.title,
        date=entry.date,
        date_from="text",
        size_bytes=len(entry.text.encode()),
        status=entry.type,
        why=("an entry of the experiment log",),
        text=entry.text,
    )


def _is_retrospective(entry: LogEntry) -> bool:
    return "retrospective" in f"{entry.type} {entry.title}".casefold()


def _date(name: str, front: str, body: str) -> tuple[str | None, str | None]:
    """A report's day: from its file name, then its front matter, then a Date line near its top."""
    places = {
        "name": name,
        "front matter": _labelled(front, "date") or _labelled(front, "created") or "",
        "text": _labelled(_head(body), "date") or "",
    }
    for place, text in places.items():
        if date := next(_dates(text), None):
            return date, place
    return None, None


def _dates(text: str) -> Iterator[str]:
    days = ("-".join(match.groups()) for match in _NAME_DATE.finditer(text))
    return (day for day in days if is_date(day) and "1990" <= day[:4] <= "2100")


def _labelled(text: str, label: str) -> str | None:
    match = re.search(_LABELLED.format(label), text)
    return match[1].strip("\"'`* ") if match else None


def _head(text: str) -> str:
    return "\n".join(text.splitlines()[:40])


def _first_heading(text: str) -> str | None:
    match = re.search(r"(?m)^#{1,6}\s+(.+?)\s*#*$", _head(text))
    return match[1].rstrip() if match else None
