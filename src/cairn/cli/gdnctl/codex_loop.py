"""`gdnctl codex-loop`: a climb on the GDN problem with Codex, behind the flags of the loop that it replaces."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from cairn.cli.gdnctl.config import LOG_VARIABLE, Config, find_root, load_config
from cairn.cli.gdnctl.holding import Device, open_allocator
from cairn.cli.gdnctl.loop_options import GROUPS, Plan, plan_loop, wrong_device_checks
from cairn.cli.output import emit, json_option, say
from cairn.errors import Missing, UsageError

_SESSION_DIRECTIVES = Path("scripts/gdn/session_directives")
_REPEATED_WORK = (
    "note: with a held device the post-checks run for winners only; the judge has tested every attempt before"
)


def _all_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    for flag in reversed([flag for group in GROUPS.values() for flag in group]):
        command = flag.option()(command)
    return command


@click.command("codex-loop")
@_all_flags
@click.option("--dry-run", is_flag=True, help="Say what would be done; start nothing.")
@json_option
@click.pass_context
def codex_loop(context: click.Context, /, dry_run: bool, as_json: bool, **values: Any) -> None:
    """Run attempts on the GDN problem with Codex, unattended.

    It is `cairn climb run` with this problem's defaults: the same engine, judge, ledger and branch. Flags that have
    nothing to do here are accepted and said; docs/gdnctl.md lists every one.

    \b
    Example:
      gdnctl codex-loop --iterations 10 --model gpt-5.3-codex --directive-preset triangular-inversion --resilient
    """
    source = click.core.ParameterSource.DEFAULT
    given = {name for name in values if context.get_parameter_source(name) is not source}
    plan = plan_loop(values, given)
    root = Path(values["workdir"]).resolve() if values["workdir"] else find_root(Path.cwd())
    for note in plan.notes:
        say(f"note: {note}")
    outcome = _run(root, plan, dry_run)
    emit(outcome.data, as_json, outcome.table)
    context.exit(outcome.code)


def _run(root: Path, plan: Plan, dry_run: bool) -> Any:
    from cairn.cli.climb_options import default_options
    from cairn.cli.climbing import plan_climb, run_climb
    from cairn.climb.ledger import Ledger
    from cairn.climb.state import fold

    config = load_config(root)
    values = plan.values
    problem = root / (values["problem"] or config.problem)
    if not (problem / "problem.yaml").is_file():
        hint = "--problem FOLDER, or `problem` in gdnctl.toml"
        raise Missing(f"{problem} holds no problem.yaml", hint=hint)
    folder = root / values["log_dir"]
    options = {**default_options(), **_prompt(root, plan.options), "name": folder.name}
    if dry_run:
        return plan_climb(problem, None, {**options, "attempts": values["iterations"]})
    done = len(fold(Ledger(folder / "ledger.jsonl").events).decided) if (folder / "ledger.jsonl").exists() else 0
    options["attempts"] = done + values["iterations"]
    with (
        _lease(root, folder, config, plan) as lease,
        _exported({**lease.environment(), LOG_VARIABLE: str(folder)}),
    ):
        outcome = run_climb(problem, None, options, say, runs=folder.parent, lease=lease)
    log = values["hillclimb_log_file"]
    if log and (folder / "log.md").exists():
        target = root / log
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "log.md", target)
    return outcome


@contextlib.contextmanager
def _exported(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the post-checks, which are commands of this very program as a rule."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _prompt(root: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Paths are the project's; its own prompt file is the default, its own directives come before cairn's presets."""
    beside = Path("scripts/gdn/codex_iteration_prompt.md")
    prompt = options["prompt_file"] or (beside if (root / beside).is_file() else None)
    own = {name: root / _SESSION_DIRECTIVES / f"{name}.md" for name in options["directive_presets"]}
    presets = tuple(name for name, path in own.items() if not path.is_file())
    files = (
        *(path for path in own.values() if path.is_file()),
        *(root / path for path in options["directive_files"]),
    )
    return {
        **options,
        "prompt_file": None if prompt is None else root / prompt,
        "directive_files": files,
        "directive_presets": presets,
    }


@contextlib.contextmanager
def _lease(root: Path, folder: Path, config: Config, plan: Plan) -> Iterator[Any]:
    from cairn.execution.leases import NO_LEASE, Lease, LeaseRules

    values = plan.values
    if not values["hold_dev_tpu"]:
        yield NO_LEASE
        return
    rules = LeaseRules(
        places=list(dict.fromkeys([values["dev_tpu_cluster"], *values["dev_tpu_fallback_cluster"]])),
        passes=values["dev_tpu_allocate_attempts"],
        pause_s=values["dev_tpu_allocate_retry_sleep"],
        policy=values["hold_dev_tpu_policy"],
        most_s=config.allocator.most_s,
    )
    log = values["dev_tpu_allocate_log"]
    device = Device(
        values["dev_tpu_name"],
        values["dev_tpu_type"] or "",
        root / log if log else folder / "dev_tpu_allocate.log",
        ready_s=values["dev_tpu_ready_timeout"],
        stop_s=values["dev_tpu_stop_timeout"],
        sync=values["dev_tpu_sync_path"],
    )
    from cairn.climb.interrupts import Interrupts

    # heard from here on, so that a signal during the allocation gives the device back as well
    with (
        Interrupts().listening(),
        Lease(values["dev_tpu_name"], open_allocator(config, device), rules, folder, say) as lease,
    ):
        _compare(plan, lease.place)
        if values["post_check"]:
            say(_REPEATED_WORK)
        yield lease


def _compare(plan: Plan, place: str) -> None:
    """A post-check on another device than the held one is an error, or with --resilient said.

    Raises:
        UsageError: a post-check names another cluster or another device.
    """
    values = plan.values
    for message in wrong_device_checks(values["post_check"], values["dev_tpu_name"], place):
        if not values["resilient"]:
            raise UsageError(message, hint="name the held device, or leave --cluster out")
        say(f"warning: {message}; dev-tpu-test uses the held device")
