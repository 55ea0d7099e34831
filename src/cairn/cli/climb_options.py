"""The options of `cairn climb run`, in the groups in which a person thinks of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cairn.cli.backend_options import backend_options, slots_option

F = TypeVar("F", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path)
_POLICY = click.Choice(["fail", "count-failure", "continue"])
_COUNT, _SHARE = click.IntRange(min=1), click.FloatRange(min=0, max=1)
_POSITIVE = click.FloatRange(min=0)

_WHAT = (
    click.option("--variant", default=None, help="The variant to edit. Default: `start` of problem.yaml."),
    click.option(
        "--target",
        "target_name",
        default=None,
        help="A chip, e.g. tpu-v5p, or cpu:device. Default: the first one.",
    ),
    click.option(
        "--name", default=None, help="Name of the climb and of its branch. Default: from problem and target."
    ),
)
_AGENT = (
    click.option(
        "--agent",
        "agent_name",
        type=click.Choice(["tuner", "codex", "claude", "gemini", "opencode", "command"]),
        default="tuner",
        show_default=True,
        help="Who edits: the embedded search over declared tunables, a coding assistant, or any program.",
    ),
    click.option("--model", default=None, help="Model for the agent, passed on unchanged."),
    click.option("--reasoning-effort", default=None, help="Reasoning effort, passed on unchanged."),
    click.option("--agent-profile", default=None, help="Configuration profile of the client (codex)."),
    click.option("--agent-binary", default=None, help="Program to run as the agent. Default: its name on PATH."),
    click.option("--agent-command", default=None, help="Shell command line of the agent `command`."),
    click.option("--search", is_flag=True, help="Let the model search the web, where the client can."),
    click.option("--agent-ephemeral", is_flag=True, help="The client keeps no session of its own."),
    click.option("--prices", type=_PATH, default=None, help="Price table in YAML, over the shipped one."),
    click.option("--agent-wall", type=click.FloatRange(min=1), default=None, help="Seconds an edit may take."),
    click.option(
        "--agent-idle", type=click.FloatRange(min=1), default=None, help="Seconds an edit may be silent."
    ),
)
_STEERING = (
    click.option(
        "--directive", "directives", multiple=True, help="A further instruction for the agent; repeatable."
    ),
    click.option("--directive-file", "directive_files", type=_PATH, multiple=True, help="The same, from a file."),
    click.option("--directive-preset", "directive_presets", multiple=True, help="The same, by a preset's name."),
    click.option("--prompt-file", type=_PATH, default=None, help="Prompt template instead of the built-in one."),
)
_BUDGETS = (
    click.option("--attempts", type=_COUNT, default=None, help="Attempts in all, earlier launches included."),
    click.option("--max-minutes", type=_POSITIVE, default=None, help="Wall clock of this launch."),
    click.option("--max-tokens", type=_COUNT, default=None, help="Tokens in all, as the agent reports them."),
    click.option("--max-cost", type=_POSITIVE, default=None, help="US dollars in all."),
    click.option("--max-device-minutes", type=_POSITIVE, default=None, help="Minutes of judging on a device."),
    click.option("--stall", type=_COUNT, default=None, help="End after so many attempts without a gain."),
    click.option("--plateau", type=_SHARE, default=None, help="End at this share of the target floor, e.g. 0.95."),
    click.option(
        "--max-failures", type=click.IntRange(min=-1), default=None, help="More failures end it; -1: any."
    ),
    click.option("--max-wait-minutes", type=_POSITIVE, default=None, help="Longest wait for a rate limit (360)."),
)
_POLICIES = (
    click.option(
        "--dirty-policy",
        type=click.Choice(["worktree", "stash", "fail", "allow"]),
        default="worktree",
        show_default=True,
        help="Uncommitted changes: left alone, put away until the end, refused, or not even mentioned.",
    ),
    click.option("--no-commit-policy", type=_POLICY, default="continue", help="An attempt that changes nothing."),
    click.option("--post-check", "post_checks", multiple=True, help="Shell command that a winner must pass."),
    click.option("--post-check-policy", type=_POLICY, default="count-failure", help="When one fails."),
    click.option(
        "--post-check-retries", type=click.IntRange(min=0), default=0, help="Further tries of a post-check."
    ),
    click.option("--post-check-minutes", type=_POSITIVE, default=30.0, help="Wall limit of a post-check."),
    click.option(
        "--sync-main-policy",
        type=click.Choice(["off", "once", "each-iteration"]),
        default="off",
        help="Merge a main branch into the champion, and price everything anew.",
    ),
    click.option("--sync-main-remote", default="origin", show_default=True, help="Its remote."),
    click.option("--sync-main-branch", default="main", show_default=True, help="Its branch."),
    click.option(
        "--sync-main-conflict-policy", type=click.Choice(["fail", "skip"]), default="fail", help="If not."
    ),
    click.option("--resilient", is_flag=True, help="Agents may fail for as long as the budgets last."),
    click.option("--sleep", "pause_s", type=_POSITIVE, default=0.0, help="Seconds between attempts."),
)
_ROUNDS = (
    click.option(
        "--variants", type=click.IntRange(min=1, max=256), default=1, help="Attempts side by side in a round."
    ),
    click.option("--lineages", type=click.IntRange(min=1, max=16), default=1, help="Lines of descent kept alive."),
    click.option("--workers", type=_COUNT, default=None, help="Agents at a time. Default: one per core."),
)
_TRACKING = (
    click.option(
        "--track",
        multiple=True,
        metavar="TRACKER[:WHERE]",
        help="Metrics and receipts to wandb, tensorboard or mlflow as well; repeatable. off: not even the registry's.",
    ),
)


def climb_options(command: F) -> F:
    """Every option of a launch; names are those of the mapping that `climbing` reads."""
    for option in reversed((*_WHAT, *_AGENT, *_STEERING, *_BUDGETS, *_POLICIES, *_ROUNDS, *_TRACKING)):
        command = option(command)
    return command


def default_options() -> dict[str, Any]:
    """The options of `cairn climb run` as they are when none is given."""
    launch = click.Command("run", callback=lambda **options: None)
    for with_options in (slots_option, backend_options, climb_options):
        with_options(launch)
    return launch.make_context("run", []).params
