"""`cairn climb status`, `resume`, `stop` and `log`: what can be done with a climb from outside."""

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from cairn.cli.climb_options import default_options
from cairn.cli.climbing import OPTIONS_FILE, OWNER_FILE, Outcome, Say, name_of, outcome_of, run_climb
from cairn.cli.progress import fleet_view
from cairn.cli.tables import fleet_table
from cairn.climb.climb_log import render_log
from cairn.climb.control import NOW, STOP_FILE
from cairn.climb.ledger import Ledger
from cairn.climb.log_lint import ALL, LintOptions, lint_log
from cairn.climb.occupancy import fleet_use
from cairn.climb.state import State, fold
from cairn.errors import BadInput, Missing, TryAgain
from cairn.git import Git
from cairn.journal import write_atomic
from cairn.problem import load_problem
from cairn.registry import Registry, load_registry

_POLL_S = 0.2


@dataclass(frozen=True)
class Found:
    """A climb on disk."""

    registry: Registry
    folder: Path
    state: State

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"


def find_climb(which: str, root: Path | None, registry_path: Path | None, options: Mapping[str, Any]) -> Found:
    """A climb by its problem's folder, or by its own name.

    Raises:
        Missing: there is no such climb.
    """
    problem = Path(which) if root is None or Path(which).is_absolute() else root / which
    if (problem / "problem.yaml").is_file():
        loaded = load_problem(problem)
        registry = load_registry(loaded.folder, registry_path)
        name = name_of(loaded, options)
    else:
        registry, name = load_registry(root or Path.cwd(), registry_path), options.get("name") or which
    folder = registry.paths.runs / name
    path = folder / "ledger.jsonl"
    if not path.is_file() or Path(name).name != name:
        known = sorted(each.parent.name for each in registry.paths.runs.glob("*/ledger.jsonl"))
        hint = f"there are {', '.join(known[-10:])}" if known else "cairn climb PROBLEM begins one"
        raise Missing(f"no climb `{name}`: {path} does not exist", hint=hint)
    return Found(registry, folder, fold(Ledger(path).events))


def read_status(which: str, root: Path | None, registry_path: Path | None, options: Mapping[str, Any]) -> Outcome:
    """How a climb stands; exit code 0 whatever it found."""
    found = find_climb(which, root, registry_path, options)
    outcome = outcome_of(found.state, found.ledger, str(found.state.branch))
    owner = owner_of(found.folder)
    use = fleet_use(Ledger(found.ledger).events)
    data = {**outcome.data, "running": owner is not None, "pid": owner.pid if owner else None, **fleet_view(use)}
    goes_on = f"it does not run; cairn climb resume {found.folder.name}"
    line = f"it runs as process {owner.pid}" if owner else "" if found.state.ended else goes_on
    return Outcome(data, lambda: "\n".join(filter(None, (outcome.table(), fleet_table(data), line))))


def owner_of(folder: Path) -> psutil.Process | None:
    """The process that runs a climb on this machine now; a number that was given to a stranger does not count."""
    try:
        note = json.loads((folder / OWNER_FILE).read_text(encoding="utf-8"))
        process = psutil.Process(int(note["pid"]))
        same = abs(process.create_time() - float(note["started"])) < 1.0
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    return process if same and note.get("host") == os.uname().nodename else None


def resume_climb(
    which: str, root: Path | None, registry_path: Path | None, options: Mapping[str, Any], say: Say
) -> Outcome:
    """Launch a climb again with what its last launch was told.

    Raises:
        Missing, BadInput: its options were not kept, or cannot be read.
    """
    found = find_climb(which, root, registry_path, options)
    problem, registry, kept = _kept(found.folder / OPTIONS_FILE)
    told = {**default_options(), **kept, "name": found.folder.name}  # one that is new since has its default
    told |= {key: options[key] for key in ("attempts", "max_minutes") if options[key] is not None}
    return run_climb(problem, registry, told, say)


def _kept(path: Path) -> tuple[Path, Path | None, dict[str, Any]]:
    """Problem, registry and options of the last launch."""
    if not path.is_file():
        raise Missing(f"{path} does not exist", hint="give the whole `cairn climb` command again")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        told = dict(kept["options"])
        told["directive_files"] = [Path(each) for each in told["directive_files"]]
        for key in ("prompt_file", "prices"):
            told[key] = Path(told[key]) if told[key] else None
        return Path(kept["problem"]), Path(kept["registry"]) if kept["registry"] else None, told
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"cannot be read: {error}", path=path, hint="give the whole command again") from error


def stop_climb(which: str, root: Path | None, registry_path: Path | None, options: Mapping[str, Any]) -> Outcome:
    """Ask a climb to end; with `now` its running edit is ended as well.

    Raises:
        TryAgain: it did not end within `wait_s`.
    """
    found = find_climb(which, root, registry_path, options)
    owner = owner_of(found.folder)
    data = {"name": found.folder.name, "running": owner is not None, "asked": "now" if options["now"] else "phase"}
    if owner is None:
        return Outcome({**data, "asked": None}, lambda: f"`{found.folder.name}` does not run")
    write_atomic(found.folder / STOP_FILE, f"{NOW if options['now'] else 'phase'}\n")
    if options["now"]:
        owner.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + options["wait_s"]
    while options["wait_s"] and owner_of(found.folder) is not None:
        if time.monotonic() > deadline:
            raise TryAgain(f"`{found.folder.name}` still runs as {owner.pid}", hint="wait longer, or --now")
        time.sleep(_POLL_S)
    data["running"] = owner_of(found.folder) is not None
    text = "ended" if not data["running"] else "ends after its current phase"
    return Outcome(data, lambda: f"`{found.folder.name}` (process {owner.pid}) {text}")


def show_log(which: str, root: Path | None, registry_path: Path | None, options: Mapping[str, Any]) -> Outcome:
    """The log from the ledger, or what is wrong with the one on disk (exit code 1)."""
    found = find_climb(which, root, registry_path, options)
    path = found.folder / "log.md"
    if not options["lint"]:
        text = render_log(found.state)
        return Outcome({"path": str(path), "log": text}, lambda: text)
    git = Git(found.registry.root)
    if not found.state.decided and not path.exists():
        return Outcome(
            {"path": str(path), "findings": []}, lambda: "no attempt was decided yet, so there is no log"
        )
    findings = lint_log(path, found.state, LintOptions(ALL), lambda sha: git.commit_of(sha) is not None)
    data = {"path": str(path), "findings": [vars(finding) for finding in findings]}
    lines = [f"{path}:{each.line}: {each.code}: {each.message}" for each in findings] or [f"{path}: in order"]
    return Outcome(data, lambda: "\n".join(lines), code=1 if findings else 0)
