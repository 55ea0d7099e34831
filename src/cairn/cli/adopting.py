"""What `cairn init` does between its options and its exit code."""

import shlex
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click

from cairn.adopt.changes import RECORD, Change, apply, pending, undo
from cairn.adopt.ground import DOMAINS, Ground, survey
from cairn.adopt.scaffold import scaffold
from cairn.cli.output import say
from cairn.errors import Missing, TryAgain
from cairn.learnings.merge_driver import SETTINGS
from cairn.roofline import parse_target

Result = tuple[dict[str, Any], str, int]


def adopt(
    root: Path | None, domain: str | None, targets: Sequence[str], today: date, *, dry_run: bool, ask: bool
) -> Result:
    """Write what is missing; give the data, the text and the exit code.

    Raises:
        UsageError: there is no project here, or a target is unknown.
    """
    for name in targets:
        parse_target(name)
    ground = survey(Path.cwd(), root)
    chosen = domain or (_asked(ground) if ask and ground.registry is None else ground.domain)
    plan = scaffold(ground, chosen, targets, today)
    wanted = pending(ground.root, plan.files)
    settings = pending(ground.root, plan.git_config)
    refused = ""
    if not dry_run:
        apply(ground.root, plan.files)
        refused = _configure(ground.root, plan.git_config)
    code = TryAgain.exit_code if refused else 0
    commands = [
        f"git -C {shlex.quote(str(ground.root))} config {name} {shlex.quote(value)}" for name, value in SETTINGS
    ]
    made = [*wanted, *([] if refused else settings)]
    data = {
        "root": str(ground.root),
        "domain": ground.registry.domain if ground.registry else chosen,
        "written": not dry_run,
        "changes": [{"path": str(change.path), "why": change.why} for change in made],
        "kept": list(plan.kept),
        "pending": commands if refused else [],
        "undo": None if dry_run or not (ground.root / RECORD).exists() else "cairn init --undo",
        "next": _next_steps(ground),
    }
    return data, _text(data, refused), code


def _configure(root: Path, changes: Sequence[Change]) -> str:
    """Write git's configuration; the reason when that is refused here."""
    try:
        apply(root, changes)
    except Missing as error:
        return error.message
    return ""


def _asked(ground: Ground) -> str:
    say(f"{ground.root}: {ground.evidence} files speak of {ground.domain}")
    return str(click.prompt("domain", type=click.Choice(DOMAINS), default=ground.domain, err=True))


def _next_steps(ground: Ground) -> list[str]:
    steps = [
        "cairn doctor",
        "cairn problem new my_package.kernels:my_kernel --baseline my_package.reference:my_function",
    ]
    return steps if ground.git else ["git init && git add -A && git commit -m start", *steps]


def _text(data: dict[str, Any], refused: str) -> str:
    verb = "written" if data["written"] else "would write"
    lines = [f"{data['root']} ({data['domain']})"]
    lines += [f"  {verb}: {change['path']}  {change['why']}" for change in data["changes"]]
    lines += [f"  kept: {line}" for line in data["kept"]]
    if not data["changes"] and not refused:
        lines.append("  nothing to do: everything is there")
    if refused:
        lines.append(f"  pending: {refused}; run outside the sandbox:")
        lines += [f"    {command}" for command in data["pending"]]
    lines += ["next:", *(f"  {step}" for step in data["next"])]
    return "\n".join([*lines, f"take it back: {data['undo']}"] if data["undo"] else lines)


def take_back(start: Path, *, dry_run: bool) -> Result:
    """Undo an init; exit code 1 when a file had to be left because it was edited since."""
    root = survey(start, start if (start / RECORD).is_file() else None).root
    done = undo(root, dry_run=dry_run)
    data = {
        "root": str(root),
        "written": not dry_run,
        "restored": list(done.restored),
        "removed": list(done.removed),
        "left": list(done.left),
    }
    verb = "" if not dry_run else "would be "
    lines = [f"{verb}{what}: {name}" for what in ("restored", "removed") for name in data[what]]  # type: ignore[attr-defined]
    lines += [f"left, because it was edited since: {name}" for name in done.left]
    return data, "\n".join(lines or ["nothing was changed since"]), 1 if done.left else 0
