"""The knobs of a profiled run: options that travel as `GDN_PROFILE_*` variables."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from cairn.errors import UsageError

_KNOBS = (
    click.option("--tpu", default="v5p-8", show_default=True, help="Slice type."),
    click.option(
        "--size", type=click.Choice(["130m", "300m", "520m", "1_2b"]), default="130m", help="Model size."
    ),
    click.option("--num-steps", type=click.IntRange(min=1), default=20, show_default=True, help="Steps in all."),
    click.option("--profile-start-step", type=int, default=2, show_default=True, help="First profiled step."),
    click.option("--profile-num-steps", type=int, default=6, show_default=True, help="Profiled steps."),
    click.option("--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Sequences."),
    click.option("--chunk-size", type=int, default=None, help="Chunk length."),
    click.option("--segment-size", type=int, default=None, help="Chunks in a segment."),
    click.option("--gdn-layers-per-block", type=int, default=None, help="Layers with the operator in a block."),
    click.option("--gdn-block-size", type=int, default=None, help="Layers in a block."),
    click.option("--all-transformer", is_flag=True, help="No layer with the operator: the ceiling control."),
    click.option("--profile-env", multiple=True, metavar="KEY=VALUE", help="A further variable; repeatable."),
    click.option(
        "--ce-implementation",
        type=click.Choice(["auto", "xla", "reference", "pallas_tpu", "pallas_gpu"]),
        default="auto",
        help="Cross-entropy backend.",
    ),
    click.option(
        "--ce-bwd-mode", type=click.Choice(["pallas", "xla_streaming"]), default="pallas", help="Backward."
    ),
    click.option("--run-name-prefix", default="gdn_tinyprof", show_default=True, help="Of the run's name."),
    click.option(
        "--wandb-mode", type=click.Choice(["online", "offline", "disabled"]), default="online", help="W&B."
    ),
)


def profile_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All knobs."""
    for option in reversed(_KNOBS):
        command = option(command)
    return command


def knobs(values: Mapping[str, Any]) -> dict[str, str]:
    """Variables for the run; what was not given is left out.

    Raises:
        UsageError: a --profile-env without `=`.
    """
    found = {}
    for name, value in values.items():
        if name == "profile_env" or value is None or value is False:
            continue
        variable = "WANDB_MODE" if name == "wandb_mode" else f"GDN_PROFILE_{name.upper()}"
        found[variable] = "1" if value is True else str(value)
    for pair in values.get("profile_env", ()):
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"--profile-env {pair}", hint="KEY=VALUE")
        found[key] = value
    return found
