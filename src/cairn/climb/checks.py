"""Post-checks: the user's own shell commands, run on a candidate that the judge would keep.

Each runs in a checkout of the candidate, with a closed standard input, a wall limit and its output in a file, and
inside the fence of the agents: what it runs was written by one, and so may be the shell's profile. A failure that
comes back in the same words is settled; only one that changes is worth the further tries asked for.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cairn.climb.desk import Desk
from cairn.climb.fencing import fence_round
from cairn.climb.state import Attempt
from cairn.learnings.signature import signature
from cairn.process import Streams, run_bounded

_TAIL_BYTES = 4096
_BASH = shutil.which("bash") or "bash"  # found once: an agent may write to a folder on PATH
# a login shell's profile may reset PATH, and what works in the caller's terminal has to work here
_KEEP_PATH = 'export PATH="$CAIRN_CALLERS_PATH:$PATH"\n'


def run_checks(desk: Desk, attempt: Attempt) -> list[dict[str, Any]]:
    """Run every command until one fails; the records go into the ledger."""
    assert attempt.candidate is not None
    name = f"check-{attempt.id}"
    tree = desk.worktrees.open(name, attempt.candidate)
    records: list[dict[str, Any]] = []
    try:
        for number, command in enumerate(desk.spec.checks.commands, start=1):
            log = desk.keep_file(attempt.id, f"check-{number}.log", b"")
            records.append(_run(desk, attempt, command, (tree, log)))
            if records[-1]["outcome"] != "passed":
                break
    finally:
        desk.worktrees.close(name)
    return records


def told(check: Mapping[str, Any]) -> str:
    """A record in words; a check that passed only when it was repeated is told from one that holds."""
    late = f", only at try {check['tries']}" if check["outcome"] == "passed" and check["tries"] > 1 else ""
    return f"{check['outcome']}{late}: {check['command']}"


def _run(desk: Desk, attempt: Attempt, command: str, places: tuple[Path, Path]) -> dict[str, Any]:
    tree, log = places
    environment = {
        **os.environ,
        "CAIRN_ATTEMPT": attempt.id,
        "CAIRN_CANDIDATE": str(attempt.candidate),
        "CAIRN_CALLERS_PATH": os.environ.get("PATH", os.defpath),
    }
    fenced = fence_round(desk, [tree])
    seen: set[str] = set()
    tries, wall_s = 0, 0.0
    while True:
        outcome = run_bounded(
            fenced([_BASH, "-lc", _KEEP_PATH + command]),
            cwd=tree,
            environment=environment,
            streams=Streams(log, log.with_suffix(".err")),
            limits=desk.spec.checks.limits,
            cancelled=desk.control.cancelled,
        )
        tries, wall_s = tries + 1, wall_s + outcome.wall_s
        said = _tail(log.with_suffix(".err")) or _tail(log)
        mark = f"{outcome.ended_by} {outcome.returncode} {signature(said)}"
        if outcome.ok or tries > desk.spec.checks.retries or mark in seen or desk.control.cancelled():
            break
        seen.add(mark)
    return {
        "command": command[:500],
        "outcome": "passed" if outcome.ok else "failed" if outcome.ended_by == "exit" else outcome.ended_by,
        "code": outcome.returncode,
        "tries": tries,
        "s": round(wall_s, 2),
        "said": "" if outcome.ok else signature(said)[:300],
    }


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
