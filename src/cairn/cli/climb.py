"""`cairn climb`: run attempts until a kernel is faster, and look at how a climb stands."""

from pathlib import Path
from typing import Any

import click

from cairn.cli.output import emit, json_option, registry_option, say


class DefaultRun(click.Group):
    """`cairn climb PROBLEM` means `cairn climb run PROBLEM`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=DefaultRun)
def climb() -> None:
    """Make a kernel faster, attempt by attempt, unattended and resumable.

    `cairn climb PROBLEM` is short for `cairn climb run PROBLEM`. A climb writes `.git` (worktrees and its own
    branch `cairn/NAME`) and its run folder; your files and your branch stay as they are.
    """


@climb.command("run")
@click.argument("problem", type=click.Path(path_type=Path))
@click.option("--variant", default=None, help="The variant to edit. Default: `start` of problem.yaml.")
@click.option(
    "--target", "target_name", default=None, help="A chip, e.g. tpu-v5p. Default: the problem's first target."
)
@click.option(
    "--agent",
    "agent_name",
    type=click.Choice(["tuner", "codex"]),
    default="tuner",
    show_default=True,
    help="Who edits: the embedded search over declared tunables, or the Codex CLI.",
)
@click.option(
    "--attempts", type=click.IntRange(min=1), default=None, help="Attempts in all, earlier launches included."
)
@click.option(
    "--name", default=None, help="Name of the climb and of its branch. Default: from problem and target."
)
@click.option(
    "--max-minutes", type=click.FloatRange(min=0), default=None, help="Stop starting attempts after this."
)
@click.option("--model", default=None, help="Model for the agent.")
@click.option(
    "--agent-binary", default=None, help="Program to run as the agent. Default: the agent's name on PATH."
)
@click.option("--agent-wall", type=click.FloatRange(min=1), default=None, help="Seconds an edit may take.")
@click.option("--agent-idle", type=click.FloatRange(min=1), default=None, help="Seconds an edit may be silent.")
@registry_option
@json_option
def run(problem: Path, as_json: bool, registry_path: Path | None, **options: Any) -> None:
    """Climb: plan, edit, judge, keep or discard, until the attempts are used up.

    The same command again goes on where the last one stopped, also after a kill. Each kept attempt is one commit
    on the branch `cairn/NAME`, with its hypothesis, its numbers and its receipt; the rest is in the ledger.

    \b
    Examples:
      cairn climb kernels/gdn --target tpu-v5p --attempts 6
      cairn climb kernels/gdn --agent codex --target tpu-v5p --attempts 20 --name night
    """
    from cairn.cli.climbing import run_climb

    outcome = run_climb(problem, registry_path, options, say)
    emit(outcome.data, as_json, outcome.table)


@climb.command("status")
@click.argument("problem", type=click.Path(path_type=Path))
@click.option("--target", "target_name", default=None, help="The climb's target. Default: the problem's first.")
@click.option("--name", default=None, help="The climb's name, when it was given one.")
@registry_option
@json_option
def status(problem: Path, as_json: bool, registry_path: Path | None, **options: Any) -> None:
    """Show how a climb stands, from its ledger alone; safe while it runs.

    \b
    Example:
      cairn climb status kernels/gdn --json
    """
    from cairn.cli.climbing import read_status

    outcome = read_status(problem, registry_path, options)
    emit(outcome.data, as_json, outcome.table)
