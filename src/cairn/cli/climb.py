"""`cairn climb`: run attempts until a kernel is faster; look at a climb, stop it, take it up again, ask it why."""

from pathlib import Path
from typing import Any

import click

from cairn.cli.backend_options import backend_options, slots_option
from cairn.cli.climb_options import climb_options
from cairn.cli.output import emit, json_option, registry_option, root_option, say


class DefaultRun(click.Group):
    """`cairn climb PROBLEM` means `cairn climb run PROBLEM`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


_which = click.argument("which", metavar="PROBLEM|NAME")
_target = click.option("--target", "target_name", default=None, help="The climb's target. Default: the first one.")
_name = click.option("--name", default=None, help="The climb's name, when it was given one.")


@click.group(cls=DefaultRun)
def climb() -> None:
    """Make a kernel faster, attempt by attempt, unattended and resumable.

    `cairn climb PROBLEM` is short for `cairn climb run PROBLEM`. A climb writes `.git` (objects and its own branch
    `cairn/NAME`) and its run folder; your files and your branch stay as they are.
    """


@climb.command("run")
@click.argument("problem", type=click.Path(path_type=Path))
@climb_options
@backend_options
@slots_option
@click.option("--dry-run", is_flag=True, help="Check the options and say what would be done; start nothing.")
@registry_option
@json_option
def run(problem: Path, as_json: bool, dry_run: bool, registry_path: Path | None, **options: Any) -> None:
    """Climb: plan, edit, commit, judge, check, decide, record, until a budget is used up.

    The same command again goes on where the last one stopped, also after a kill. Each kept attempt is one commit
    on the branch `cairn/NAME`, with its hypothesis, its numbers and its receipt; the rest is in the ledger. The
    exit code says how it ended: 0 done, 1 gave up, 69 the agent cannot work, 75 try again, 130 interrupted.

    \b
    Examples:
      cairn climb kernels/gdn --target tpu-v5p --attempts 6
      cairn climb kernels/gdn --agent codex --attempts 40 --max-minutes 480 --max-cost 20 --name night
      cairn climb kernels/gdn --agent claude --variants 4 --lineages 2 --attempts 24
      cairn climb kernels/gdn --variants 8 --target tpu-v5p:device --backend ray --resource TPU=4 --slots 2
    """
    from cairn.cli.climbing import plan_climb, run_climb

    if dry_run:
        plan = plan_climb(problem, registry_path, options)
        emit(plan.data, as_json, plan.table)
        return
    outcome = run_climb(problem, registry_path, options, say)
    emit(outcome.data, as_json, outcome.table)
    click.get_current_context().exit(outcome.code)


@climb.command("status")
@_which
@_target
@_name
@registry_option
@json_option
@root_option
def status(which: str, as_json: bool, registry_path: Path | None, root: Path | None, **options: Any) -> None:
    """Show how a climb stands, from its ledger alone; safe while it runs.

    \b
    Example:
      cairn climb status kernels/gdn --json
    """
    from cairn.cli.climb_control import read_status

    outcome = read_status(which, root, registry_path, options)
    emit(outcome.data, as_json, outcome.table)


@climb.command("resume")
@_which
@_target
@_name
@click.option(
    "--attempts", type=click.IntRange(min=1), default=None, help="Attempts in all, instead of last time's."
)
@click.option("--max-minutes", type=click.FloatRange(min=0), default=None, help="Wall clock of this launch.")
@registry_option
@json_option
@root_option
def resume(which: str, as_json: bool, registry_path: Path | None, root: Path | None, **options: Any) -> None:
    """Take a climb up again with the options of its last launch.

    \b
    Example:
      cairn climb resume gdn-tpu-v5p --attempts 40
    """
    from cairn.cli.climb_control import resume_climb

    outcome = resume_climb(which, root, registry_path, options, say)
    emit(outcome.data, as_json, outcome.table)
    click.get_current_context().exit(outcome.code)


@climb.command("stop")
@_which
@_target
@_name
@click.option("--now", is_flag=True, help="End the running edit as well, instead of waiting for its phase.")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for its end.")
@registry_option
@json_option
@root_option
def stop(which: str, as_json: bool, registry_path: Path | None, root: Path | None, **options: Any) -> None:
    """Ask a running climb to end after its current phase. It can be taken up again.

    \b
    Example:
      cairn climb stop kernels/gdn --wait 600
    """
    from cairn.cli.climb_control import stop_climb

    outcome = stop_climb(which, root, registry_path, options)
    emit(outcome.data, as_json, outcome.table)


@climb.command("explain")
@click.argument("attempt")
@click.option("--name", default=None, help="The climb. Default: the one that was active last and has the attempt.")
@registry_option
@json_option
@root_option
def explain(attempt: str, name: str | None, as_json: bool, registry_path: Path | None, root: Path | None) -> None:
    """Say what an attempt was, what the judge found, and why it was decided so.

    \b
    Example:
      cairn climb explain a0003
    """
    from cairn.cli.climb_explain import explain_attempt

    outcome = explain_attempt(attempt, name, root, registry_path)
    emit(outcome.data, as_json, outcome.table)


@climb.command("log")
@_which
@_target
@_name
@click.option(
    "--lint", is_flag=True, help="Check the log against the ledger instead of printing it; exit 1 if wrong."
)
@registry_option
@json_option
@root_option
def log(which: str, as_json: bool, registry_path: Path | None, root: Path | None, **options: Any) -> None:
    """Print a climb's log, rendered from its ledger, or check the one that lies in its folder.

    \b
    Examples:
      cairn climb log kernels/gdn
      cairn climb log kernels/gdn --lint
    """
    from cairn.cli.climb_control import show_log

    outcome = show_log(which, root, registry_path, options)
    emit(outcome.data, as_json, outcome.table)
    click.get_current_context().exit(outcome.code)
