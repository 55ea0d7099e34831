"""Is a log of a climb sound? Its form, and, beside a ledger, its facts.

Without a ledger only what a hand-written log can promise is looked at: no commit left as `(pending)` or `this commit`,
and headings in order (`### Iteration N - title`, `5B` for a second try at 5). With one, each entry must have its
fields, its commits must exist, and its numbers must be the ledger's.
"""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cairn.climb.climb_log import REQUIRED
from cairn.climb.state import Attempt, State
from cairn.errors import Missing
from cairn.learnings.parse import read_text

LAST, ALL = "last-entry", "all"
_HEADING = re.compile(r"^###\s+Iteration\s+(\d+)([A-Za-z]*)\b.*$")
_FIELD = re.compile(r"^\s*-\s+(?:\*\*)?([^:*]+?)(?:\*\*)?:\s*(.*?)\s*$")
_SHA = re.compile(r"\b[0-9a-f]{7,64}\b")
_PENDING = re.compile(r"^-\s*Commit:\s*(\(pending\)|this commit)$", re.IGNORECASE)
_LONGEST_ENTRY = 16_384


@dataclass(frozen=True)
class Finding:
    """One fault: its 1-based line, a code, and what is wrong."""

    line: int
    code: str
    message: str


@dataclass(frozen=True)
class LintOptions:
    """What to look at, and what to let pass."""

    scope: str = LAST
    allow_pending: bool = False
    allow_this_commit: bool = False
    allow_non_monotonic: bool = False


@dataclass(frozen=True)
class _Entry:
    line: int
    number: int
    suffix: str
    lines: tuple[str, ...]

    def field(self, name: str) -> tuple[int, str] | None:
        for at, text in enumerate(self.lines):
            if (match := _FIELD.match(text)) and match[1].strip().casefold() == name.casefold():
                return self.line + at, match[2]
        return None


def lint_log(
    path: Path,
    state: State | None = None,
    options: LintOptions = LintOptions(),
    commit_exists: Callable[[str], bool] | None = None,
) -> list[Finding]:
    """Every fault of a log, in order.

    Args:
        state: the folded ledger that the log belongs to, if there is one.
        commit_exists: asked for every commit that an entry names.

    Raises:
        Missing: there is no such file.
        BadInput: it is not text.
    """
    if not path.is_file():
        raise Missing(f"{path} does not exist", hint="the first attempt that is decided writes it")
    entries = _entries(read_text(path).splitlines())
    if not entries:
        return [Finding(1, "empty", "no entry: none of its lines is a heading `### Iteration N - title`")]
    chosen = entries if options.scope == ALL else entries[-1:]
    found = [] if options.allow_non_monotonic else _order(entries)
    for entry in chosen:
        found += _pending(entry, options)
        if state is not None:
            found += _facts(entry, state, commit_exists)
    return sorted(found, key=lambda finding: finding.line)


def _entries(lines: list[str]) -> list[_Entry]:
    starts = [(at, match) for at, line in enumerate(lines) if (match := _HEADING.match(line))]
    ends = [*(at for at, _ in starts[1:]), len(lines)][: len(starts)]
    return [
        _Entry(at + 1, int(match[1]), match[2].upper(), tuple(lines[at:end]))
        for (at, match), end in zip(starts, ends, strict=True)
    ]


def _order(entries: list[_Entry]) -> list[Finding]:
    """Numbers never fall; a repeated one needs a letter, and letters rise. Gaps are allowed."""
    found = []
    for before, after in itertools.pairwise(entries):
        if after.number < before.number:
            found.append(Finding(after.line, "order", f"iteration {after.number} comes after {before.number}"))
        elif after.number == before.number and not after.suffix > before.suffix:
            name = f"{after.number}{after.suffix}"
            found.append(
                Finding(after.line, "order", f"iteration {name} does not follow {before.number}{before.suffix}")
            )
    return found


def _pending(entry: _Entry, options: LintOptions) -> list[Finding]:
    found = []
    for at, text in enumerate(entry.lines):
        match = _PENDING.match(text.strip())
        if match is None:
            continue
        allowed = options.allow_pending if "pending" in match[1].casefold() else options.allow_this_commit
        if not allowed:
            found.append(Finding(entry.line + at, "pending", f"the commit is still `{match[1]}`"))
    return found


def _facts(entry: _Entry, state: State, commit_exists: Callable[[str], bool] | None) -> list[Finding]:
    """Required fields, commits that exist, numbers that are the ledger's."""
    found = [
        Finding(entry.line, "field", f"iteration {entry.number} has no `{name}`")
        for name in REQUIRED
        if entry.field(name) is None
    ]
    if sum(len(line) for line in entry.lines) > _LONGEST_ENTRY:
        found.append(Finding(entry.line, "size", f"longer than {_LONGEST_ENTRY} characters"))
    for name in ("Commit", "Starting commit"):
        placed = entry.field(name)
        for sha in _SHA.findall(placed[1]) if placed and commit_exists else ():
            if commit_exists is not None and not commit_exists(sha):
                found.append(Finding(placed[0] if placed else entry.line, "commit", f"there is no commit {sha}"))
    attempt = state.attempts.get(f"a{entry.number:04d}")
    if attempt is None:
        return [*found, Finding(entry.line, "ledger", f"the ledger has no attempt a{entry.number:04d}")]
    return found + _numbers(entry, attempt)


def _numbers(entry: _Entry, attempt: Attempt) -> list[Finding]:
    """Cost, ratio, commit, verdict and decision against the ledger."""
    found = []
    wanted = {
        "Commit": [attempt.commit] if attempt.commit else ["none"],
        "Decision": [attempt.decision],
        "Correctness checks": [f"{attempt.verdict} ({attempt.reason})"] if attempt.verdict else ["not judged"],
        "Cost": [f"{attempt.cost_us:.3f} us"] if attempt.cost_us is not None else ["none"],
        "Receipt": [attempt.receipt] if attempt.receipt else [],
    }
    if attempt.cost_us is not None and attempt.ratio is not None:
        wanted["Cost"].append(f"{attempt.ratio:.4f}")
    for name, values in wanted.items():
        placed = entry.field(name)
        for value in values if placed else ():
            if placed and value not in placed[1]:
                message = f"`{name}` says {placed[1][:120]!r}, the ledger says {value!r}"
                found.append(Finding(placed[0], "ledger", message))
    return found
