"""`--backend` and what belongs to it: on which hosts a device target's workers run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cairn.errors import UsageError

if TYPE_CHECKING:  # commands are declared without loading what they need to run
    from cairn.execution.places import Wanted
    from cairn.roofline import Target

F = TypeVar("F", bound=Any)
_BACKENDS = ("local", "ssh", "ray")


def backend_options(command: F) -> F:
    """`--backend`, `--address`, `--far-python`, `--resource`."""
    options = (
        click.option(
            "--backend",
            type=click.Choice(_BACKENDS),
            default="local",
            show_default=True,
            help="Where kernels of a `:device` target run; the judge stays here.",
        ),
        click.option("--address", default="", metavar="HOST", help="ssh: the host. ray: the cluster."),
        click.option("--far-python", default="", help="The interpreter on the hosts that has jax."),
        click.option(
            "--resource",
            "resources",
            multiple=True,
            metavar="NAME=COUNT",
            help="ray: what a worker needs, e.g. TPU=4.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def wanted_of(options: Mapping[str, Any], target: "Target") -> "Wanted":
    """What the options ask for.

    Raises:
        UsageError: a backend for a target that needs no device, or a resource that is not NAME=COUNT.
    """
    from cairn.execution.places import Wanted

    wanted = Wanted(
        options["backend"],
        (options["address"],) if options["address"] else (),
        options["far_python"],
        resources=dict(map(_resource, options["resources"])),
    )
    if wanted.backend != "local" and not target.measured:
        hint = f"--target {target.name}:device measures there; without --backend it is predicted here"
        raise UsageError(f"{target.name} needs no device, so no --backend {wanted.backend}", hint=hint)
    return wanted


def _resource(text: str) -> tuple[str, float]:
    name, _, count = text.partition("=")
    try:
        return name, float(count)
    except ValueError as error:
        raise UsageError(f"--resource {text} is not NAME=COUNT", hint="for example: --resource TPU=4") from error
