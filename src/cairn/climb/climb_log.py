"""The climb's log for people: one Markdown entry for each attempt, in their order, rendered from the ledger.

It is appended to, and written anew only when an attempt that the judge could not finish comes after a later one.
Every number in an entry is the ledger's, and every claim is marked as the agent's. `log_lint` holds the two together.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from cairn.climb.checks import told
from cairn.climb.costs import ratio_words
from cairn.climb.state import Attempt, State, anchor_us
from cairn.journal import write_atomic

_TAIL_BYTES = 65_536
_NUMBER = re.compile(rb"^- Attempt: a(\d+)$", re.MULTILINE)
REQUIRED = ("Date", "Commit", "Starting commit", "Hypothesis", "Correctness checks", "Cost", "Decision")


def number_of(attempt: Attempt) -> int:
    """An attempt's number: a0012 is 12."""
    return int(attempt.id[1:])


def heading(attempt: Attempt) -> str:
    """The heading of an entry."""
    words = _one_line(attempt.hypothesis)[:80] or attempt.decision
    return f"### Iteration {number_of(attempt)} - {words}"


def entry(attempt: Attempt) -> str:
    """One attempt as Markdown."""
    kind = "measured" if attempt.measured_us is not None else "predicted"
    cost = "none" if attempt.cost_us is None else f"{attempt.cost_us:.3f} us {kind}"
    if attempt.cost_us is not None and attempt.ratio is not None:
        cost += f", {ratio_words(attempt.ratio, attempt.ratios, 4)} of the incumbent's"
    fields = {
        "Attempt": attempt.id,
        "Date": attempt.ended or attempt.started,
        "Commit": attempt.commit or f"none ({attempt.decision})",
        "Starting commit": attempt.parent,
        "Agent": " ".join(filter(None, (attempt.agent, attempt.model))),
        "Lineage": attempt.lineage or "",
        "Hypothesis": _one_line(attempt.hypothesis) or "not stated",
        "Expected effect (claimed)": _one_line(attempt.expected_effect),
        "Evidence (claimed)": _one_line(attempt.evidence),
        "Idea class": attempt.idea_class,
        "Correctness checks": f"{attempt.verdict} ({attempt.reason})" if attempt.verdict else "not judged",
        "Receipt": attempt.receipt or "",
        "Cost": cost,
        "Post-checks": "; ".join(_one_line(told(check)) for check in attempt.checks),
        "Decision": " ".join(filter(None, (attempt.decision, f"({attempt.why})" if attempt.why else ""))),
        "Failure": " ".join(filter(None, (attempt.failure, _one_line(attempt.detail)[:300])))
        if attempt.failure
        else "",
        "Tokens": str(attempt.tokens) if attempt.usage else "",
        "Money": f"{attempt.cost_usd:.4f} USD" if attempt.cost_usd is not None else "",
    }
    lines = [f"- {name}: {value}" for name, value in fields.items() if value]
    return "\n".join([heading(attempt), "", *lines, ""])


def render_log(state: State, attempts: Iterable[Attempt] | None = None) -> str:
    """The whole log of a climb."""
    chosen = state.decided if attempts is None else attempts
    entries = [entry(attempt) for attempt in sorted(chosen, key=number_of)]
    return "\n".join([_head(state), *entries])


def _head(state: State) -> str:
    settings, measured = state.settings, state.measured or {}
    lines = [f"# Log of the climb {settings.get('name')}", ""]
    lines += [f"- {name}: {settings.get(name)}" for name in ("problem", "variant", "target")]
    if measured:
        lines.append(f"- Baseline: {measured['baseline']['variant']}, {_us(anchor_us(measured['baseline']))}")
        lines.append(f"- Start: {_us(anchor_us(measured['start']))}")
    return "\n".join([*lines, "", "Rendered from the ledger; change nothing here by hand.", ""])


def write_log(state: State, path: Path, attempt: Attempt) -> None:
    """Append an attempt's entry once; write the log anew when its place is not at the end, or the log is gone."""
    if not path.is_file() or path.is_symlink():
        write_atomic(path, render_log(state))
        return
    with path.open("r+b") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        tail = file.read()
        told = _NUMBER.findall(tail)
        if not told or int(told[-1]) < number_of(attempt):
            file.write((b"" if tail.endswith(b"\n\n") else b"\n") + entry(attempt).encode("utf-8", "replace"))
            return
    if f"- Attempt: {attempt.id}\n".encode() not in path.read_bytes():
        write_atomic(path, render_log(state))


def _us(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f} us"


def _one_line(text: str) -> str:
    return " ".join(text.split())
