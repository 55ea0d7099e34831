"""What the next attempt is told of all earlier ones: a digest of at most 8 KB, made from the ledger.

It holds what changes a decision: the champion, the last results, dead ends with their reasons, what is undecided, what
may not be tried now, learnings of the project that fit this kernel, chip and error, and where the champion spends its
time. Sections are filled in this order and each has its own room, so that none can crowd the others out.
"""

from collections.abc import Sequence
from pathlib import Path

from cairn.climb import policy
from cairn.climb.costs import ratio_words
from cairn.climb.ends import share_of_floor
from cairn.climb.state import Attempt, State, anchor_us
from cairn.learnings.parse import parse, read_text
from cairn.learnings.search import Query, index_line, search

DIGEST_BYTES = 8192
_MOST_LEARNINGS = 12
_LAST_RESULTS = 8
_ROOM = {"stands": 700, "must": 900, "last": 1700, "dead": 1600, "open": 700, "learnings": 1200, "profile": 1200}


def matching_learnings(path: Path, kernel: str, chip: str, error: str = "") -> list[str]:
    """One line for each active learning that fits, best first; nothing when there is no file.

    Raises:
        BadInput: the file is not text.
    """
    if not path.exists():
        return []
    query = Query(kernel=kernel, chips=(chip,), error=error)
    hits = search(query, parse(read_text(path)).entries, _MOST_LEARNINGS)
    return [index_line(hit.entry, hit.evidence) for hit in hits]


def last_error(state: State) -> str:
    """The judge's words about the last variant that failed, for learnings about the same error."""
    return next((a.detail for a in reversed(state.decided[-_LAST_RESULTS:]) if a.failure and a.detail), "")


def digest(state: State, learnings: Sequence[str], profile: str = "") -> str:
    """The digest as Markdown; never more than `DIGEST_BYTES`."""
    sections = {
        "stands": ("Where the climb stands", _stands(state)),
        "must": ("What the next attempt has to respect", _must(state)),
        "last": ("Last results, newest first", [_line(a) for a in reversed(state.decided[-_LAST_RESULTS:])]),
        "dead": ("Dead ends: do not try these again", _dead_ends(state)),
        "open": ("Open questions", _open_questions(state)),
        "learnings": ("Learnings of this project that match (AGENT.md has their full text)", list(learnings)),
        "profile": ("Where the champion spends its time", profile.splitlines()),
    }
    parts = []
    for name, (title, lines) in sections.items():
        kept = _fitting([line if name == "profile" else f"- {line}" for line in lines if line], _ROOM[name])
        if kept:
            parts.append("\n".join([f"### {title}", "", *kept]))
    return "\n\n".join(parts).encode()[:DIGEST_BYTES].decode("utf-8", "ignore")


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    """As many lines as have room; the last one says how many are left out."""
    kept: list[str] = []
    for at, line in enumerate(lines):
        cut = (
            line
            if len(line.encode()) <= room
            else line.encode()[: max(0, room - 4)].decode("utf-8", "ignore") + "..."
        )
        room -= len(cut.encode()) + 1
        if room < 0 or len(cut) < 8 < len(line):
            return [*kept, f"- {len(lines) - at} more are left out"]
        kept.append(cut)
    return kept


def _stands(state: State) -> list[str]:
    kind = (state.measured or {}).get("kind", "predicted")
    if state.measured is None or state.champion_us is None:
        return []
    baseline = anchor_us(state.measured["baseline"])
    who = state.champion_attempt or "the start"
    lines = [f"champion: {who}, {state.champion_us:.1f} us {kind}"]
    if baseline:
        times = f"{baseline / state.champion_us:.2f} times the champion's cost"
        mean = state.measured["baseline"].get("mean_us")
        if mean and state.champion_ranked_us:
            times += f", {mean / state.champion_ranked_us:.2f} times over all bench shapes"
        lines.append(f"original baseline: {baseline:.1f} us, {times}")
    if share := share_of_floor(state):
        lines.append(f"the champion is at {share:.0%} of the target floor of {state.measured['floor_us']:.1f} us")
    kept = [attempt for attempt in state.decided if attempt.commit is not None]
    lines += [f"kept {a.id}: {_cost(a)}, {a.hypothesis[:120]}" for a in reversed(kept[-3:])]
    return lines


def _must(state: State) -> list[str]:
    lines = [policy.escalation(state)]
    lines += [
        f"idea class `{idea}` rests for {left} more attempts: an edit of that class is refused unseen"
        for idea, left in policy.resting(state).items()
    ]
    return [line for line in lines if line]


def _line(attempt: Attempt) -> str:
    said = attempt.hypothesis.splitlines()[0][:160] if attempt.hypothesis else "no hypothesis"
    idea = f" [{attempt.idea_class}]" if attempt.idea_class else ""
    return f"{attempt.id}{idea}: {attempt.decision}, {_why(attempt)}, {_cost(attempt)}; {said}"


def _why(attempt: Attempt) -> str:
    return attempt.reason or attempt.refused or attempt.failure or attempt.status or "no change"


def _cost(attempt: Attempt) -> str:
    us = attempt.cost_us
    if us is None:
        return "no cost"
    if not attempt.ratio:
        return f"{us:.1f} us"
    words = ratio_words(attempt.ratio, attempt.ratios)
    return f"{us:.1f} us, {words}" if attempt.ratios else f"{us:.1f} us ({words})"


def _dead_ends(state: State) -> list[str]:
    lines = []
    for signature, attempts in policy.walls(state).items():
        names = ", ".join(attempt.id for attempt in attempts[-4:])
        lines.append(f"met {len(attempts)} times ({names}): {signature[:200]}")
    for attempt in reversed(state.decided):
        if attempt.decision in ("discarded", "rejected", "crashed", "check_failed") and attempt.hypothesis:
            detail = f": {attempt.detail.splitlines()[0][:120]}" if attempt.detail else ""
            lines.append(f"{attempt.id} {attempt.reason}{detail}; {attempt.hypothesis.splitlines()[0][:120]}")
    return lines


def _open_questions(state: State) -> list[str]:
    undecided = [a for a in reversed(state.decided) if a.decision in ("inconclusive", "probe")]
    lines = [f"{a.id} {a.reason} ({_cost(a)}): {a.hypothesis[:140]}" for a in undecided[:6]]
    return lines + [f"{a.id} waits for the judge: {a.detail[:100]}" for a in state.queue if a.phase == "blocked"]
