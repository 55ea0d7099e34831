"""`--backend` and what belongs to it: on which hosts a device target's workers run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cairn.errors import UsageError

if TYPE_CHECKING:  # commands are declared without loading what they need to run
    from cairn.execution.hosts import Wanted
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
        click.option(
            "--address",
            "addresses",
            multiple=True,
            metavar="HOST",
            help="ssh: a host; repeatable, each judges. ray: the cluster.",
        ),
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


slots_option = click.option(
    "--slots",
    type=click.IntRange(1, 1024),
    default=None,
    help="Variants of a round judged at a time. ray: workers to hold. ssh: one on each host. local: predicted targets.",
)


def wanted_of(options: Mapping[str, Any], target: "Target") -> "Wanted":
    """What the options ask for.

    Raises:
        UsageError: a backend for a target that needs no device, slots where they would spoil each other's timing, or
            a resource that is not NAME=COUNT.
    """
    from cairn.execution.hosts import Wanted

    backend, addresses, slots = options["backend"], tuple(options["addresses"]), options.get("slots")
    if backend != "local" and not target.measured:
        hint = f"--target {target.name}:device measures there; without --backend it is predicted here"
        raise UsageError(f"{target.name} needs no device, so no --backend {backend}", hint=hint)
    if backend == "local" and target.measured and (slots or 1) > 1:
        hint = "one after the other here; or several hosts: --backend ssh --address A --address B"
        raise UsageError("two variants that are timed on one machine at once disturb each other", hint=hint)
    if backend == "ssh" and slots not in (None, len(addresses)):
        raise UsageError(f"--slots {slots} with {len(addresses)} hosts", hint="each ssh host judges one at a time")
    one = backend == "ray" or "slots" not in options
    if len(set(addresses)) < len(addresses) or (one and len(addresses) > 1):
        raise UsageError("an --address too many", hint="a climb: each ssh host once, or one Ray cluster")
    resources = dict(map(_resource, options["resources"]))
    return Wanted(backend, addresses, options["far_python"], slots or 1, resources)


def _resource(text: str) -> tuple[str, float]:
    name, _, count = text.partition("=")
    try:
        return name, float(count)
    except ValueError as error:
        raise UsageError(f"--resource {text} is not NAME=COUNT", hint="for example: --resource TPU=4") from error
