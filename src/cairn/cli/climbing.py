"""What `cairn climb run` does between its options and its output."""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from cairn.agents.catalogue import AgentOptions, open_agent
from cairn.agents.protocol import Agent
from cairn.cli.backend_options import wanted_of
from cairn.cli.climb_live import watched
from cairn.cli.judging import choose_target, keep_out_of_git
from cairn.cli.progress import climb_view
from cairn.cli.tables import climb_table
from cairn.cli.track_children import tracked
from cairn.climb.bench import OpenJudge
from cairn.climb.directives import load_directives
from cairn.climb.ends import ENDS
from cairn.climb.engine import Climb
from cairn.climb.interrupts import Interrupts
from cairn.climb.leased import LeasedAgent
from cairn.climb.ledger import Event
from cairn.climb.policy import Margins
from cairn.climb.spec import Batch, Budgets, ClimbSpec, PostChecks, Sync
from cairn.climb.state import State
from cairn.errors import TryAgain, UsageError
from cairn.execution.interpreter import find_python
from cairn.execution.leases import NO_LEASE, Lease
from cairn.execution.places import Place, open_places
from cairn.fence import fence_level, libraries_of
from cairn.journal import write_atomic
from cairn.judge.referee import Judge
from cairn.problem import Problem, load_problem
from cairn.process import Limits
from cairn.registry import Registry, load_registry
from cairn.roofline import Target
from cairn.track.specs import SinkSpec, parse_sinks, require_installed

Say = Callable[[str], None]
OPTIONS_FILE, OWNER_FILE = "options.json", "owner.json"


@dataclass(frozen=True)
class Outcome:
    """What a command prints, an object or a table, and its exit code."""

    data: dict[str, Any]
    table: Callable[[], str]
    code: int = 0


def run_climb(
    folder: Path,
    registry_path: Path | None,
    options: Mapping[str, Any],
    say: Say,
    *,
    runs: Path | None = None,
    lease: Lease = NO_LEASE,
) -> Outcome:
    """Run one launch of a climb under its lock.

    Args:
        runs: where run folders are, instead of the registry's.
        lease: a device that the caller holds for this launch.

    Raises:
        TryAgain: the climb is already running.
    """
    problem = load_problem(folder)
    registry = load_registry(problem.folder, registry_path)
    if runs is not None:
        registry = replace(registry, paths=replace(registry.paths, runs=runs))
    python = find_python(registry)
    spec = replace(spec_of(problem, registry, options, say), trusted=tuple(libraries_of(python)))
    agent = LeasedAgent(_agent(registry, options, spec.folder / "tmp", lease.environment()), lease)
    for warning in registry.warnings:
        say(f"note: {warning}")
    if fence_level() != "fenced":
        say("note: no namespaces here, so no fence: the agent can write wherever you can, in this project too")
    keep_out_of_git(registry.paths.runs)
    interrupts = Interrupts()
    wanted = wanted_of(options, spec.target)
    sinks = trackers_of(registry, options)
    with _locked(spec.folder), interrupts.listening():
        _remember_options(spec.folder, folder, registry_path, options)
        with (
            open_places(wanted, python) as places,
            watched(spec.folder, say) as view,
            tracked(spec.folder, sinks, say) as trackers,
        ):
            climb = Climb(
                spec,
                agent,
                on_event=_each_told(view.tell, trackers.look),
                judges=_judges(places, spec, registry, view.stage),
                interrupts=interrupts,
                say=say,
            )
            climb.take_device, climb.rest_device = (None if lease is NO_LEASE else lease.chip), lease.rest
            say(
                f"climbing {problem.name} as `{spec.name}` for {spec.target.name}, {spec.attempts} attempts in all"
            )
            say(f"ledger {climb.ledger.path}")
            if len(places) > 1 and spec.batch is None:
                say(f"note: {len(places)} places, but one attempt at a time; --variants {len(places)} uses all")
            if climb.state.launches:
                say(f"resuming: {len(climb.state.decided)} attempts are done")
            state = climb.run()
    return outcome_of(state, climb.ledger.path, spec.branch)


def _judges(
    places: Sequence[Place], spec: ClimbSpec, registry: Registry, on_stage: Callable[[str, str], None]
) -> dict[str, OpenJudge]:
    """What opens the judge at each place, and tells of its stages."""

    def opener(place: Place) -> OpenJudge:
        def tell(stage: str, text: str) -> None:
            on_stage(stage if len(places) == 1 else f"{place.name} {stage}", text)

        def opened(problem: Problem) -> Judge:
            place.renew()
            trust = registry.climb.trust_interpreter
            return Judge(problem, spec.target, python=place.python, trust_interpreter=trust, on_stage=tell)

        return opened

    return {place.name: opener(place) for place in places}


def _each_told(tell: Callable[[Event], None], look: Callable[[], None]) -> Callable[[Event], None]:
    def on_event(event: Event) -> None:
        tell(event)
        look()

    return on_event


def plan_climb(folder: Path, registry_path: Path | None, options: Mapping[str, Any]) -> Outcome:
    """What a launch would do, as far as its options say; nothing is started and nothing written."""
    problem = load_problem(folder)
    registry = load_registry(problem.folder, registry_path)
    notes: list[str] = []
    spec = spec_of(problem, registry, options, notes.append)
    _agent(registry, options, None, {})
    sinks = trackers_of(registry, options)
    data = {
        "name": spec.name,
        "branch": spec.branch,
        "folder": str(spec.folder),
        "problem": str(spec.problem),
        "variant": spec.variant,
        "target": spec.target.name,
        "agent": options["agent_name"],
        "attempts": spec.attempts,
        "trackers": [sink.text for sink in sinks],
        "resumes": (spec.folder / "ledger.jsonl").exists(),
        "notes": notes,
    }
    return Outcome(data, lambda: "\n".join(f"{name}: {value}" for name, value in data.items()))


def outcome_of(state: State, ledger: Path, branch: str) -> Outcome:
    """A climb's state as a command's outcome; the exit code is that of its end."""
    data = climb_view(state, ledger, branch)
    code = ENDS[state.ended].code if state.ended in ENDS else 0
    return Outcome(data, functools.partial(climb_table, data), code)


def name_of(problem: Problem, options: Mapping[str, Any]) -> str:
    """The climb's name: the one given, else from problem and target.

    Raises:
        UsageError: it cannot be the name of a folder and a branch.
    """
    name = options["name"] or f"{problem.name}-{choose_target(problem, options['target_name']).name}"
    name = str(name).replace(":", "-")
    plain = name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    if not plain or name.startswith(("-", ".")) or name.endswith((".", ".lock")) or ".." in name:
        raise UsageError(f"`{name}` is no good as a name", hint="letters, digits, `-`, `_` and `.`")
    return name


def spec_of(problem: Problem, registry: Registry, options: Mapping[str, Any], say: Say) -> ClimbSpec:
    """The options of a launch, checked, over the registry's defaults."""
    variant = options["variant"] or problem.start
    if variant is None:
        raise UsageError(
            "which variant is to be edited?", hint=f"--variant, one of {', '.join(problem.variants())}"
        )
    if variant == problem.baseline:
        raise UsageError(f"`{variant}` is the baseline and frozen", hint="copy it to a new variant and climb that")
    problem.variant(variant)
    settings = registry.climb
    name, target = name_of(problem, options), choose_target(problem, options["target_name"])
    return ClimbSpec(
        name=name,
        problem=problem.folder,
        variant=variant,
        target=target,
        folder=registry.paths.runs / name,
        attempts=options["attempts"] or settings.attempts,
        margins=_margins(target, settings.margin),
        agent_limits=Limits(
            wall_s=options["agent_wall"] or settings.agent_wall_s,
            idle_s=options["agent_idle"] or settings.agent_idle_s,
        ),
        learnings=registry.paths.learnings,
        wall_s=_minutes(options["max_minutes"]),
        budgets=_budgets(options),
        sync=Sync(
            options["sync_main_policy"],
            options["sync_main_remote"],
            options["sync_main_branch"],
            options["sync_main_conflict_policy"],
        ),
        checks=PostChecks(
            tuple(options["post_checks"]),
            options["post_check_policy"],
            options["post_check_retries"],
            Limits(wall_s=options["post_check_minutes"] * 60, max_output_bytes=16 * 2**20),
        ),
        batch=_batch(options),
        dirty=options["dirty_policy"],
        no_commit=options["no_commit_policy"],
        resilient=options["resilient"],
        pause_s=options["pause_s"],
        directives=load_directives(
            options["directives"], options["directive_files"], options["directive_presets"], say
        ),
        template=options["prompt_file"],
        profile_brief=settings.profile_brief,
    )


def trackers_of(registry: Registry, options: Mapping[str, Any]) -> tuple[SinkSpec, ...]:
    """Where the climb's metrics go: what the options say, else the registry.

    Raises:
        UsageError: no such tracker. Missing: its package is not installed.
    """
    sinks = parse_sinks(options.get("track") or registry.climb.track)
    require_installed(sinks)
    return sinks


def _margins(target: Target, least: float) -> Margins:
    """On a device the calibrated noise decides; a prediction needs a margin for its own error."""
    return Margins(None, None) if target.measured else Margins(sweep=least, edit=2 * least)


def _minutes(value: float | None) -> float:
    return float("inf") if value is None else value * 60


def _budgets(options: Mapping[str, Any]) -> Budgets:
    device, wait = options["max_device_minutes"], options["max_wait_minutes"]
    failures = options["max_failures"]
    return Budgets(
        tokens=options["max_tokens"],
        cost_usd=options["max_cost"],
        device_s=None if device is None else device * 60,
        stall=options["stall"],
        plateau=options["plateau"],
        max_failures=-1 if failures is None else failures,
        wait_s=Budgets.wait_s if wait is None else wait * 60,
    )


def _batch(options: Mapping[str, Any]) -> Batch | None:
    variants, lineages = options["variants"], options["lineages"]
    if lineages > variants:
        raise UsageError(f"{lineages} lineages need as many variants", hint=f"--variants {lineages} or more")
    if variants == 1:
        return None
    return Batch(variants, lineages, options["workers"] or min(variants, os.cpu_count() or 1))


def _agent(
    registry: Registry, options: Mapping[str, Any], temporary: Path | None, environment: Mapping[str, str]
) -> Agent:
    settings, name = registry.climb, options["agent_name"]
    codex = name == "codex"
    return open_agent(
        name,
        AgentOptions(
            model=options["model"] or (settings.codex_model if codex else None),
            reasoning_effort=options["reasoning_effort"] or (settings.codex_reasoning_effort if codex else None),
            profile=options["agent_profile"],
            search=options["search"],
            ephemeral=options["agent_ephemeral"],
            binary=options["agent_binary"],
            command=options["agent_command"],
            sandbox=settings.codex_sandbox,
            prices=options["prices"],
            temporary=temporary,
            environment=environment,
        ),
    )


def _remember_options(folder: Path, problem: Path, registry: Path | None, options: Mapping[str, Any]) -> None:
    """For `cairn climb resume`; the ledger holds what matters, this only saves typing."""
    kept = {"problem": problem.resolve(), "registry": registry.resolve() if registry else None, "options": options}
    write_atomic(folder / OPTIONS_FILE, json.dumps(kept, indent=2, default=_absolute) + "\n")


def _absolute(value: object) -> str:
    return str(value.resolve()) if isinstance(value, Path) else str(value)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One launch at a time. The lock dies with its process; the owner's note beside it is for people and `stop`."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / OWNER_FILE
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        hint = f"wait for it, or: cairn climb stop {folder.name}"
        raise TryAgain(f"the climb is already running as {_owner(owner)}", hint=hint) from error
    try:
        started = psutil.Process().create_time()
        note = {"pid": os.getpid(), "started": started, "host": os.uname().nodename}
        owner.write_text(json.dumps(note) + "\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _owner(note: Path) -> str:
    """Who runs a climb, for people."""
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
        return f"process {told['pid']} on {told['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
