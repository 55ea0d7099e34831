"""`gdnctl dev-tpu-allocate`, `dev-tpu-test` and `dev-tpu-profile`: a held device, through the project's commands."""

import contextlib
import shlex
import time
from pathlib import Path
from typing import Any

import click

from cairn.cli.gdnctl.config import Config, chosen_tests, find_root, load_config
from cairn.cli.gdnctl.counted import lacking, run_and_keep
from cairn.cli.gdnctl.holding import Device, open_allocator
from cairn.cli.gdnctl.outside import held_device, require, words_of
from cairn.cli.gdnctl.profile_options import knobs, profile_options
from cairn.cli.output import say
from cairn.errors import Missing
from cairn.execution.leases import shared_chip

_HINT = "configure [allocator] and [remote] in scripts/gdn/gdnctl.toml (docs/gdnctl.md)"
_WAIT_FOR_CHIP_S = 1800.0
_LOGS = Path(".agents/logs/gdn_dev_tpu")
_LOOK_S = 1.0

cluster_option = click.option("--cluster", default="us-central1", show_default=True, help="Where it is.")
_name = click.option("--tpu-name", required=True, help="The device's name.")
_no_sync = click.option("--no-sync", is_flag=True, help="Do not copy files first.")


@click.command("dev-tpu-allocate")
@cluster_option
@_name
@click.option("--tpu-type", default="", help="E.g. v5p-8.")
def dev_tpu_allocate(cluster: str, tpu_name: str, tpu_type: str) -> None:
    """Hold a device until interrupted, with the project's allocator; got again when it is lost, always given back.

    \b
    Example:
      gdnctl dev-tpu-allocate --cluster us-central1 --tpu-name me-gdn --tpu-type v5p-8
    """
    from cairn.climb.interrupts import Interrupts
    from cairn.execution.leases import Lease, LeaseRules

    root = find_root(Path.cwd())
    folder = root / _LOGS / Path(tpu_name).name
    log = folder / "dev_tpu_allocate.log"
    config = load_config(root)
    allocator = open_allocator(config, Device(tpu_name, tpu_type, log))
    rules = LeaseRules([cluster], reacquire_s=0.0, most_s=config.allocator.most_s)
    with (
        contextlib.suppress(KeyboardInterrupt),
        Interrupts().listening(),
        Lease(tpu_name, allocator, rules, folder, say) as lease,
    ):
        say(f"Ctrl-C gives it back; log {log}")
        while lease.ensure():
            time.sleep(_LOOK_S)


@click.command("dev-tpu-test")
@cluster_option
@_name
@click.option("--tests", type=click.Choice(["kernels", "layer", "both"]), default="both", help="The slice.")
@click.option("--pytest-args", default="", help="Appended to the test command.")
@_no_sync
@click.pass_context
def dev_tpu_test(
    context: click.Context, /, cluster: str, tpu_name: str, tests: str, pytest_args: str, no_sync: bool
) -> None:
    """Run the test slices on a held device; the first failure's exit code is the command's.

    \b
    Example:
      gdnctl dev-tpu-test --cluster us-central1 --tpu-name me-gdn --tests both
    """
    config = load_config(find_root(Path.cwd()))
    slices = chosen_tests(config.tests, tests)
    if not slices:
        raise Missing(f"no command for the test slice `{tests}`", hint="[tests] in scripts/gdn/gdnctl.toml")
    if tests == "both" and len(slices) < 2:
        say(f"note: only the slice `{next(iter(slices))}` has a command here")
    code = 0
    for name, command in slices.items():
        say(f"testing {name} on {tpu_name}")
        words = f"{command} {pytest_args}".strip()
        found, said = on_device(config, (tpu_name, cluster), words, no_sync=no_sync)
        if not found and (why := lacking(said, config.tests)):
            say(f"{name}: {why}")
            found = 1
        code = code or found
    context.exit(code)


@click.command("dev-tpu-profile")
@cluster_option
@_name
@profile_options
@click.option("--marin-prefix", default=None, help="Where the run writes its output.")
@click.option("--dry-run", is_flag=True, help="Print the command and its variables; run nothing.")
@_no_sync
@click.pass_context
def dev_tpu_profile(
    context: click.Context, /, cluster: str, tpu_name: str, dry_run: bool, no_sync: bool, **more: Any
) -> None:
    """Run the project's profiled command on a held device.

    \b
    Example:
      gdnctl dev-tpu-profile --tpu-name me-gdn --size 130m --num-steps 20 --dry-run
    """
    config = load_config(find_root(Path.cwd()))
    variables = knobs(more)
    command = profiled(config, variables)
    if dry_run:
        click.echo(command)
        return
    context.exit(on_device(config, (tpu_name, cluster), command, no_sync=no_sync)[0])


def profiled(config: Config, variables: dict[str, str]) -> str:
    """The project's profiled command with its knobs as variables.

    Raises:
        Missing: the project names no such command.
    """
    if not config.profile.command:
        hint = "[profile] command = '...' in scripts/gdn/gdnctl.toml"
        raise Missing("this project names no profiled run", hint=hint)
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    return f"env {settings} {config.profile.command}"


def on_device(config: Config, device: tuple[str, str], command: str, *, no_sync: bool) -> tuple[int, str]:
    """Run a shell command on a held device, alone on it; its exit code and its last words.

    Args:
        device: its name and its cluster.
    """
    name, cluster = device
    place, lock, warning = held_device(name, cluster)
    if warning:
        say(f"warning: {warning}")
    template = config.remote.execute_no_sync if no_sync else config.remote.execute
    words = words_of(template, {"name": name, "place": place, "cluster": place})
    require(words[0], _HINT)
    with shared_chip(lock, _WAIT_FOR_CHIP_S):
        return run_and_keep([*words, "/bin/bash", "-lc", command])
