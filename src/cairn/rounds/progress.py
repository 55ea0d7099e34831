"""Where a round stands, proved by what is there: no phase is ever written down, so none can be wrong.

`handoff` puts into one file what a fresh context needs to go on: the run, the facts, the lineages and the next
command.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.journal import Journal
from cairn.learnings.store import read_document
from cairn.rounds.digest import Digest
from cairn.rounds.lineages import seen
from cairn.rounds.reading import ANALYSIS, LINEAGES, SELECTION, STRATEGY, Round, Run, number
from cairn.rounds.record import COMMENT, JOURNAL, last
from cairn.text.table import figure

DONE, PARTLY, OPEN = "done", "partly", "open"
HANDOFF = "handoff.md"


@dataclass(frozen=True)
class Step:
    """One step of a round: its state, what proves it, and the command that goes on from here."""

    name: str
    state: str
    proof: str
    command: str = ""


def steps(run: Run, this: Round, agent_md: Path) -> list[Step]:
    """Every step of a round in order."""
    folder, at = run.folder, f"{run.folder} --round {this.number}"
    results = [each for each in this.variants if each.fault is None]
    broken = [f"{each.name}: {each.fault}" for each in this.variants if each.fault]
    state = OPEN if not results else PARTLY if broken else DONE
    found = [
        _file(this, STRATEGY, "write the strategy"),
        Step(
            "results",
            state,
            f"{len(results)} of {len(this.variants)} results" + _list(broken),
            "evaluate the rest",
        ),
        _file(this, ANALYSIS, f"cairn round select {at}"),
        _file(this, SELECTION, f"cairn round select {at}"),
    ]
    applied = seen(run.lineages)
    reached = DONE if applied >= this.number else OPEN
    proof = f"{LINEAGES} is at round {applied}" if applied >= 0 else f"{LINEAGES} has seen no round"
    found.append(Step("lineages", reached, proof, f"cairn round select {at}"))
    plan = folder / f"iteration_{this.number}" / "plan.json"
    return [*found, *_recorded(this, agent_md, f"cairn round record {plan if plan.exists() else 'PLAN.json'}")]


def next_step(found: Sequence[Step]) -> Step | None:
    """The first step that is not done; a missing strategy does not matter once there are results."""
    results = any(step.name == "results" and step.state != OPEN for step in found)
    open_steps = [step for step in found if step.state != DONE and not (results and step.name == STRATEGY)]
    return open_steps[0] if open_steps else None


def _file(this: Round, name: str, command: str) -> Step:
    there = this.has(name) and (this.folder / name).stat().st_size > 0
    return Step(name, DONE if there else OPEN, "there" if there else "not there", command)


def _recorded(this: Round, agent_md: Path, command: str) -> list[Step]:
    """What the journal says, held against the file, the commit and the comment themselves."""
    records = Journal(this.folder / JOURNAL).read().records
    before, written = last(records, "learnings.before"), last(records, "learnings.done")
    text = read_document(agent_md).markdown.text
    blocks = before["blocks"] if before else []
    held = [block for block in blocks if block in text]
    if written and len(held) == len(blocks):
        ids = ", ".join(written["ids"]) or "nothing new"
        found = [Step("learnings", DONE, f"{ids}; the text is in {agent_md.name}", command)]
    elif before and held:
        found = [Step("learnings", PARTLY, f"{len(held)} of {len(blocks)} pieces are in {agent_md.name}", command)]
    else:
        why = f"recorded, but {agent_md.name} does not hold it" if written else "not recorded"
        found = [Step("learnings", OPEN, why, command)]
    posted = last(records, "comment.posted")
    if posted:
        found.append(Step("comment", DONE, f"posted: {posted['url']}"))
    else:
        is_written = (this.folder / COMMENT).is_file()
        proof = f"{COMMENT} is written, not posted" if is_written else "not written"
        post = f"cairn comment post {this.folder / COMMENT} --repo OWNER/NAME --issue N"
        found.append(Step("comment", PARTLY if is_written else OPEN, proof, post if is_written else command))
    return [*found, _committed(last(records, "commit.done"), agent_md, command)]


def _committed(record: dict[str, object] | None, agent_md: Path, command: str) -> Step:
    if record is None:
        return Step("commit", OPEN, "not committed", command)
    commit = record.get("commit")
    if not commit:
        return Step("commit", DONE, f"none needed: {record.get('reason')}")
    known = subprocess.run(
        ["git", "-C", str(agent_md.resolve().parent), "cat-file", "-e", f"{commit}^{{commit}}"],
        capture_output=True,
        check=False,
    )
    if known.returncode:
        return Step("commit", OPEN, f"{str(commit)[:12]} is not in the repository", command)
    return Step("commit", DONE, f"commit {str(commit)[:12]}")


def handoff(digest: Digest, found: Sequence[Step], agent_md: Path) -> str:
    """A page with all that is needed to go on after the context was shortened."""
    run, this = digest.run, digest.round
    rows = [row for row in run.lineages.get("lineages") or () if isinstance(row, dict)]
    doubtful = [
        f"- {each.variant.name}: {each.trust.level}, {', '.join(each.trust.codes)}"
        for each in digest.facts
        if each.trust.codes
    ]
    going = next_step(found)
    lines = [
        f"# Where {digest.kernel} stands after round {this.number}",
        "",
        f"- Run: {run.folder.resolve()}",
        f"- Learnings: {agent_md.resolve()}",
        f"- Best before this round: {digest.best_before:.3f}x",
        f"- Next: {going.name}: {going.command}"
        if going
        else "- Next: a new round; everything of this one is done",
        "",
        "## Steps",
        "",
        *[f"- {step.name}: {step.state} ({step.proof})" for step in found],
        "",
        "## Variants",
        "",
        *[_fact_line(digest, at) for at in range(len(digest.facts))],
        "",
        "## Lineages",
        "",
        *([f"- {json.dumps(row, ensure_ascii=False)}" for row in rows] or ["None."]),
        "",
        "## Not resolved",
        "",
        *(doubtful or ["Nothing."]),
        *[f"- {fault}" for fault in run.faults],
        *_lost_kernels(run),
    ]
    return "\n".join(lines) + "\n"


def _fact_line(digest: Digest, at: int) -> str:
    fact = digest.facts[at]
    words = [fact.trust.status, figure(fact.variant.speedup, "x"), fact.variant.intent.direction or "no direction"]
    return f"- {fact.variant.name}: {', '.join(words)}"


def _lost_kernels(run: Run) -> list[str]:
    """Best kernels that `lineages.json` names and that are not there."""
    lost = []
    for row in run.lineages.get("lineages") or ():
        kernel = row.get("best_kernel") if isinstance(row, dict) else None
        if isinstance(kernel, str) and number(row.get("best_speedup")) and not (run.folder / kernel).is_file():
            lost.append(f"- {row.get('id')}: evidence missing, {kernel} is not there")
    return lost


def _list(values: Sequence[str]) -> str:
    return f" ({'; '.join(values[:4])})" if values else ""
