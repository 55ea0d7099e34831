"""What `cairn climb` does between its options and its output."""

import contextlib
import functools
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from cairn.agents.codex import CodexAgent
from cairn.agents.protocol import Agent
from cairn.agents.tuner import TunerAgent
from cairn.cli.judging import choose_target, keep_out_of_git
from cairn.cli.progress import StageLine, climb_view, tell
from cairn.cli.tables import climb_table
from cairn.climb.engine import Climb, ClimbSpec
from cairn.climb.ledger import Ledger
from cairn.climb.policy import Margins
from cairn.climb.state import State, fold
from cairn.errors import Missing, TryAgain, UsageError
from cairn.execution.interpreter import find_python
from cairn.git import Git
from cairn.judge.referee import Judge
from cairn.problem import Problem, load_problem
from cairn.process import Limits
from cairn.registry import Registry, load_registry

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a command prints: an object, or a table."""

    data: dict[str, Any]
    table: Callable[[], str]


def run_climb(folder: Path, registry_path: Path | None, options: Mapping[str, Any], say: Say) -> Outcome:
    """Run one launch of a climb under its lock.

    Raises:
        TryAgain: the climb is already running.
    """
    problem = load_problem(folder)
    registry = load_registry(problem.folder, registry_path)
    spec = _spec(problem, registry, options)
    for warning in (*registry.warnings, *_uncommitted(problem)):
        say(f"note: {warning}")
    keep_out_of_git(registry.paths.runs)
    with _locked(spec.folder):
        climb = Climb(
            spec,
            _agent(registry, options, spec.folder / "tmp"),
            on_event=lambda event: tell(event, say),
            open_judge=functools.partial(
                Judge,
                target=spec.target,
                python=find_python(registry),
                on_stage=StageLine(say),
            ),
        )
        say(f"climbing {problem.name} as `{spec.name}` for {spec.target.name}, {spec.attempts} attempts in all")
        say(f"ledger {climb.ledger.path}")
        if climb.state.launches:
            say(f"resuming: {len(climb.state.decided)} attempts are done")
        with _terminable():
            state = climb.run()
    return _outcome(state, climb.ledger.path, spec.branch)


def read_status(folder: Path, registry_path: Path | None, options: Mapping[str, Any]) -> Outcome:
    """Fold a climb's ledger.

    Raises:
        Missing: there is no such climb.
    """
    problem = load_problem(folder)
    registry = load_registry(problem.folder, registry_path)
    name = _name(problem, options)
    path = registry.paths.runs / name / "ledger.jsonl"
    if not path.exists():
        raise Missing(f"no climb `{name}`: {path} does not exist", hint=f"cairn climb {folder}")
    state = fold(Ledger(path).events)
    return _outcome(state, path, str(state.branch))


def _name(problem: Problem, options: Mapping[str, Any]) -> str:
    name = options["name"] or f"{problem.name}-{choose_target(problem, options['target_name']).name}"
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith(("-", ".")):
        raise UsageError(f"`{name}` is no good as a name", hint="letters, digits, `-`, `_` and `.`")
    return str(name)


def _spec(problem: Problem, registry: Registry, options: Mapping[str, Any]) -> ClimbSpec:
    variant = options["variant"] or problem.start
    if variant is None:
        raise UsageError(
            "which variant is to be edited?", hint=f"--variant, one of {', '.join(problem.variants())}"
        )
    if variant == problem.baseline:
        raise UsageError(f"`{variant}` is the baseline and frozen", hint="copy it to a new variant and climb that")
    problem.variant(variant)
    settings = registry.climb
    name = _name(problem, options)
    target = choose_target(problem, options["target_name"])
    if target.measured:
        hint = "climb a chip such as tpu-v5p; judge run measures single variants"
        raise Missing(f"climbs on `{target.name}` are not there yet: they predict cost", hint=hint)
    return ClimbSpec(
        name=name,
        problem=problem.folder,
        variant=variant,
        target=target,
        folder=registry.paths.runs / name,
        attempts=options["attempts"] or settings.attempts,
        margins=Margins(sweep=settings.margin, edit=2 * settings.margin),
        agent_limits=Limits(
            wall_s=options["agent_wall"] or settings.agent_wall_s,
            idle_s=options["agent_idle"] or settings.agent_idle_s,
        ),
        learnings=registry.paths.learnings,
        wall_s=float("inf") if options["max_minutes"] is None else options["max_minutes"] * 60,
    )


def _agent(registry: Registry, options: Mapping[str, Any], temporary: Path) -> Agent:
    if options["agent_name"] == "tuner":
        return TunerAgent()
    settings = registry.climb
    temporary.mkdir(parents=True, exist_ok=True)
    return CodexAgent(
        binary=options["agent_binary"] or "codex",
        model=options["model"] or settings.codex_model,
        reasoning_effort=settings.codex_reasoning_effort,
        sandbox=settings.codex_sandbox,
        # a temporary folder of the climb's own: the system's is shared with the judge and everybody else
        environment={"TMPDIR": str(temporary)},
        extra_config=["sandbox_workspace_write.exclude_slash_tmp=true"],
    )


def _uncommitted(problem: Problem) -> list[str]:
    git = Git(problem.folder)
    paths = git.dirty([git.relative(problem.folder) + "/"])
    return [f"uncommitted changes are not part of the climb: {', '.join(paths[:5])}"] if paths else []


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One launch at a time. The lock dies with its process; the owner's note beside it is for people."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / "owner.json"
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = owner.read_text(encoding="utf-8").strip() if owner.exists() else "another process"
        raise TryAgain(f"the climb is already running: {who}", hint="wait for it, or stop that process") from error
    try:
        owner.write_text(json.dumps({"pid": os.getpid(), "host": os.uname().nodename}) + "\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and a hang-up unwind like Ctrl-C, so that worktrees and children are cleaned up."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _outcome(state: State, ledger: Path, branch: str) -> Outcome:
    data = climb_view(state, ledger, branch)
    return Outcome(data, functools.partial(climb_table, data))
