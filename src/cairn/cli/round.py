"""`cairn round`: the facts of a batch round, the files around it, and recording what it taught.

Everything here works on files; only `record` writes `.git`, and only when the sandbox lets it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cairn.cli.comment import private_words
from cairn.cli.learning_file import learnings_path, project_options, used_elsewhere
from cairn.cli.output import dry_run_option, emit, say
from cairn.cli.round_facts import fact_row, facts_of, verdicts
from cairn.errors import TryAgain, UsageError
from cairn.journal import write_atomic
from cairn.learnings.edit import next_id
from cairn.learnings.identity import KINDS
from cairn.learnings.store import read_document
from cairn.rounds.digest import Digest
from cairn.rounds.lineages import Limits, Selection, seen, select
from cairn.rounds.plan import check_plan, read_plan
from cairn.rounds.progress import HANDOFF, Step, handoff, next_step, steps
from cairn.rounds.reading import ANALYSIS, LINEAGES, SELECTION, Run, read_run
from cairn.rounds.record import Recording, preview_learnings
from cairn.rounds.tables import batch_analysis, selection_page
from cairn.text.diff import unified
from cairn.text.table import figure

_run_argument = click.argument("folder", metavar="RUN_DIR", type=click.Path(path_type=Path))
_number = click.option("--round", "number", type=int, help="The round. Default: the last one.")


@click.group("round")
def round_group() -> None:
    """Digest a batch round, keep its lineages, and record what it taught.

    RUN_DIR holds iteration_N/variants/NAME/eval_result.json, as pallas-evolve leaves it. Half-finished rounds
    are read as they are.
    """


@round_group.command("digest")
@_run_argument
@_number
@click.option("--kernel", metavar="NAME", help="The kernel's name. Default: from config.yaml or the folder.")
@project_options
def show_digest(
    folder: Path,
    number: int | None,
    kernel: str | None,
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
) -> None:
    """Show the facts of a round: results, trust, equal errors, and entries of AGENT.md that may hold the lesson.

    \b
    Example:
      cairn round digest runs/gdn_20260506_101500 --json
    """
    path = learnings_path(root, registry_path)
    facts = facts_of(folder, number, path, kernel)
    document, elsewhere = read_document(path), used_elsewhere(path)
    data = {
        "run": str(folder),
        "round": facts.round.number,
        "kernel": facts.kernel,
        "learnings": str(path),
        "best_before": facts.best_before,
        "next_ids": {kind: next_id(document, kind, elsewhere) for kind in KINDS},
        "variants": [fact_row(fact) for fact in facts.facts],
        "lineages": list(facts.run.lineages.get("lineages") or ()),
        "faults": list(facts.run.faults),
    }
    emit(data, as_json, lambda: _facts(facts))


def _facts(facts: Digest) -> str:
    lines = [f"{facts.kernel}, round {facts.round.number}; best before {figure(facts.best_before, 'x')}"]
    for fact in facts.facts:
        speedup = figure(fact.variant.speedup, "x")
        lines.append(f"{fact.variant.name}: {fact.trust.status}, {speedup}, {fact.trust.level}")
        lines.append(f"    {fact.suggestion.kind}: {fact.suggestion.why}")
        if fact.message:
            lines.append(f"    {fact.message[:160]}")
    return "\n".join(lines)


@round_group.command("status")
@_run_argument
@_number
@project_options
def show_status(
    folder: Path, number: int | None, root: Path | None, registry_path: Path | None, as_json: bool
) -> int:
    """Prove where a round stands, from its files alone; exit 1 while something is open.

    \b
    Example:
      cairn round status runs/gdn_20260506_101500 --round 4
    """
    run = read_run(folder)
    this = run.round(number)
    found = steps(run, this, learnings_path(root, registry_path))
    going = next_step(found)
    data = {
        "run": str(folder),
        "round": this.number,
        "rounds": [each.number for each in run.rounds],
        "steps": [vars(step) for step in found],
        "next": vars(going) if going else None,
    }
    emit(data, as_json, lambda: _standing(found, going))
    return 1 if going else 0


def _standing(found: Sequence[Step], going: Step | None) -> str:
    lines = [f"{step.state:<7} {step.name}: {step.proof}" for step in found]
    return "\n".join([*lines, f"next: {going.command}" if going else "nothing is open"])


@round_group.command("handoff")
@_run_argument
@_number
@dry_run_option
@project_options
def write_handoff(
    folder: Path, number: int | None, dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool
) -> None:
    """Write handoff.md: what a fresh context needs to go on. Do this before the context is shortened.

    \b
    Example:
      cairn round handoff runs/gdn_20260506_101500
    """
    agent_md = learnings_path(root, registry_path)
    facts = facts_of(folder, number, agent_md)
    text = handoff(facts, steps(facts.run, facts.round, agent_md), agent_md)
    path = folder / HANDOFF
    if not dry_run:
        write_atomic(path, text)
    emit({"path": str(path), "written": not dry_run, "text": text}, as_json, text if dry_run else f"wrote {path}")


@round_group.command("select")
@_run_argument
@_number
@click.option("--top-k", default=2, show_default=True, type=click.IntRange(1), help="Variants that live on.")
@click.option("--max-active", default=4, show_default=True, type=click.IntRange(1), help="Lineages that may live.")
@click.option("--force", is_flag=True, help="Replace an analysis or selection that somebody else wrote.")
@dry_run_option
@project_options
def write_selection(
    folder: Path, number: int | None, dry_run: bool, root: Path | None, registry_path: Path | None, **given: Any
) -> None:
    """Rank the round's variants, choose the survivors, and write batch_analysis.md, selection.md, lineages.json.

    Only results that the gate does not contradict take part. A round that lineages.json has seen is not applied
    again, and keys that cairn does not know are kept.

    \b
    Example:
      cairn round select runs/gdn_20260506_101500 --top-k 2
    """
    run = read_run(folder)
    this = run.round(number)
    if run.faults:
        raise UsageError(f"{folder}: {run.faults[0]}", hint="mend or remove the file; its lineages would be lost")
    trusted = verdicts(run)
    chosen = None
    if seen(run.lineages) < this.number:
        chosen = select(run.lineages, this, trusted, Limits(given["top_k"], given["max_active"]))
    files = {this.folder / ANALYSIS: batch_analysis(run, this, trusted)}
    if chosen:
        files[this.folder / SELECTION] = selection_page(this, chosen)
        files[folder / LINEAGES] = json.dumps(chosen.lineages, indent=2, ensure_ascii=False) + "\n"
    files = {path: text for path, text in files.items() if _may_write(path, given["force"])}
    for path, text in {} if dry_run else files.items():
        write_atomic(path, text)
    data = {
        "round": this.number,
        "applied": chosen is not None,
        "selected": [{"lineage": each.lineage, "variant": each.variant.name} for each in chosen.selected]
        if chosen
        else [],
        "written": [] if dry_run else [str(path) for path in files],
    }
    emit(data, given["as_json"], lambda: _chosen(chosen, run, files))


def _may_write(path: Path, force: bool) -> bool:
    """Lineages are merged, so they may always be written; pages only where cairn wrote them before."""
    if force or not path.is_file() or path.suffix == ".json":
        return True
    if path.read_bytes().startswith(b"<!-- cairn:"):
        return True
    say(f"cairn: {path} is somebody else's and stays; --force replaces it")
    return False


def _chosen(chosen: Selection | None, run: Run, files: dict[Path, str]) -> str:
    if chosen is None:
        return f"{LINEAGES} has seen round {seen(run.lineages)} already; the selection stays"
    lines = [f"{each.lineage}: {each.variant.name} ({figure(each.speedup, 'x')})" for each in chosen.selected]
    return "\n".join([*(lines or ["no variant survives"]), *(f"wrote {path}" for path in files)])


@round_group.command("record")
@click.argument("plan_path", metavar="PLAN.json", type=click.Path(path_type=Path))
@click.option("--no-commit", is_flag=True, help="Leave the commit to you.")
@click.option("--accept-unproven", is_flag=True, help="Let gains without a fingerprint teach, as hypotheses.")
@dry_run_option
@project_options
def record(
    plan_path: Path, dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool, **given: Any
) -> int:
    """Carry out a plan: AGENT.md in one write, the comment's text, one commit of AGENT.md alone.

    Every variant of the round must be decided. UNTRUSTED results teach nothing. A repeat goes on where a kill
    left off. What cannot be done now, such as the commit in a sandbox, is named as pending (exit 75); the
    comment is posted by `cairn comment post`.

    \b
    {"run": "runs/x", "round": 4, "kernel": "gdn",
     "add": [{"type": "failure", "title": "...", "variants": ["a", "b"], "fields": {"Symptom": "...", ...}}],
     "extend": [{"id": "F003", "variants": ["c"], "text": "also with bfloat16"}],
     "skip": {"d": "1 % slower"}, "notes": {"a": "a few words"}}

    \b
    Example:
      cairn round record plan.json --json
    """
    plan = read_plan(plan_path)
    agent_md = learnings_path(root, registry_path)
    facts = facts_of(plan.run, plan.keys.round, agent_md, plan.keys.kernel)
    check_plan(plan, facts, accept_unproven=given["accept_unproven"])
    if dry_run:
        edit = preview_learnings(plan, facts, agent_md)
        diff = unified(edit.before, edit.after, agent_md.name, exists=agent_md.exists())
        emit({"ids": list(edit.ids), "written": False, "diff": diff}, as_json, diff)
        return 0
    recording = Recording(plan, facts, agent_md, private=private_words())
    recording.begin()
    ids = recording.write_learnings()
    comment = recording.write_comment(ids)
    pending = []
    commit = None
    if given["no_commit"] and ids:
        pending.append({"step": "commit", "why": "--no-commit", "command": _commit_command(agent_md, facts)})
    elif not given["no_commit"]:
        commit = recording.commit(ids)
        if commit.pending:
            pending.append({"step": "commit", "why": commit.reason, "command": _commit_command(agent_md, facts)})
    target = f"--repo {plan.keys.repo or 'OWNER/NAME'} --issue {plan.keys.issue or 'N'}"
    post = [{"step": "comment", "command": f"cairn comment post {path} {target}"} for path in comment]
    data = {
        "round": facts.round.number,
        "ids": list(ids),
        "learnings": str(agent_md),
        "comment": [str(path) for path in comment],
        "commit": commit.id if commit else None,
        "commit_note": commit.reason if commit else None,
        "pending": pending,
        "post": post,
    }
    emit(data, as_json, lambda: _recorded(data))
    return TryAgain.exit_code if pending and not given["no_commit"] else 0


def _commit_command(agent_md: Path, facts: Digest) -> str:
    from cairn.rounds.commit import message_for

    message = message_for(facts.kernel, facts.round.number)
    return f"git add {agent_md.name} && git commit -m '{message}' -- {agent_md.name}"


def _recorded(data: dict[str, Any]) -> str:
    commit = data["commit"] or data["commit_note"] or "left to you"
    lines = [f"learnings: {', '.join(data['ids']) or 'none'}", f"commit: {commit}"]
    lines += [f"comment: {path}" for path in data["comment"]]
    lines += [f"pending: {each['command']} ({each.get('why')})" for each in data["pending"]]
    lines += [f"to post: {each['command']}" for each in data["post"]]
    return "\n".join(lines)


round = round_group  # the name that the command loader looks for
