"""`gdnctl ray-test`, `ray-profile`, `ray-wait` and `ray-logs`: Ray jobs through the `ray` program."""

import re
import shlex
import time
from pathlib import Path
from typing import Any

import click

from cairn.cli.gdnctl.config import Config, chosen_tests, find_root, load_config
from cairn.cli.gdnctl.device import cluster_option, profiled
from cairn.cli.gdnctl.outside import read_output, require
from cairn.cli.gdnctl.profile_options import knobs, profile_options
from cairn.cli.output import say
from cairn.errors import Missing, TryAgain, UsageError

_HINT = "pip install 'kernel-cairn[ray]' 'ray[default]'"
_OVER = ("SUCCEEDED", "FAILED", "STOPPED")
_STATUS = re.compile(r"\b(PENDING|RUNNING|SUCCEEDED|FAILED|STOPPED)\b", re.I)
_SUBMITTED = re.compile(r"\b(raysubmit_\w+|[\w-]+-\d{8}-\d{6})\b")
_TEST_ENVIRONMENT = {"EQX_ON_ERROR": "nan", "WANDB_MODE": "offline"}
_NO_WAIT = click.option("--no-wait", is_flag=True, help="Print the job's id and do not wait.")


@click.command("ray-test")
@cluster_option
@click.option("--tpu", default="auto", show_default=True, help="Slice type; auto leaves it to the cluster.")
@click.option("--tests", type=click.Choice(["kernels", "layer", "both"]), default="both", help="The slice.")
@click.option("--pytest-args", default="", help="Appended to the test command.")
@_NO_WAIT
@click.pass_context
def ray_test(
    context: click.Context, /, cluster: str, tpu: str, tests: str, pytest_args: str, no_wait: bool
) -> None:
    """Submit the test slices as a Ray job.

    \b
    Example:
      gdnctl ray-test --cluster us-central1 --tests kernels --no-wait
    """
    config = load_config(find_root(Path.cwd()))
    slices = chosen_tests(config.tests, tests)
    if not slices:
        raise Missing(f"no command for the test slice `{tests}`", hint="[tests] in scripts/gdn/gdnctl.toml")
    settings = " ".join(f"{name}={value}" for name, value in _TEST_ENVIRONMENT.items())
    command = " && ".join(f"env {settings} {line} {pytest_args}".strip() for line in slices.values())
    context.exit(_submit(config, (cluster, tpu), command, no_wait=no_wait))


@click.command("ray-profile")
@cluster_option
@profile_options
@click.option("--dry-run", is_flag=True, help="Print the command and its variables; submit nothing.")
@_NO_WAIT
@click.pass_context
def ray_profile(context: click.Context, /, cluster: str, dry_run: bool, no_wait: bool, **more: Any) -> None:
    """Submit the project's profiled command as a Ray job.

    \b
    Example:
      gdnctl ray-profile --cluster us-central1 --size 130m --no-wait
    """
    config = load_config(find_root(Path.cwd()))
    command = profiled(config, knobs(more))
    if dry_run:
        click.echo(command)
        return
    context.exit(_submit(config, (cluster, str(more["tpu"])), command, no_wait=no_wait))


@click.command("ray-wait")
@click.argument("job_id")
@cluster_option
@click.option(
    "--poll", type=click.FloatRange(min=0.05), default=5.0, show_default=True, help="Seconds between looks."
)
@click.option("--timeout", type=click.FloatRange(min=0), default=None, help="Seconds to wait at most.")
@click.option("--show-logs", is_flag=True, help="Print the end of the log when it is over.")
@click.option("--tail", type=click.IntRange(min=1), default=200, show_default=True, help="Lines of it.")
@click.option("--grep", default=None, help="Only lines that match.")
@click.pass_context
def ray_wait(context: click.Context, /, job_id: str, cluster: str, **options: Any) -> None:
    """Wait for a Ray job; exit 0 when it succeeded, 1 when it failed or was stopped, 75 when the time is over.

    \b
    Example:
      gdnctl ray-wait raysubmit_abc --timeout 1800 --show-logs
    """
    config = load_config(find_root(Path.cwd()))
    context.exit(_wait(config, cluster, job_id, options))


@click.command("ray-logs")
@click.argument("job_id")
@cluster_option
@click.option("--tail", type=click.IntRange(min=1), default=400, show_default=True, help="Lines from the end.")
@click.option("--grep", default=None, help="Only lines that match.")
def ray_logs(job_id: str, cluster: str, tail: int, grep: str | None) -> None:
    """Print the end of a Ray job's log.

    \b
    Example:
      gdnctl ray-logs raysubmit_abc --tail 100 --grep error
    """
    config = load_config(find_root(Path.cwd()))
    click.echo(_log(config, cluster, job_id, tail, grep))


def _ray(config: Config, cluster: str, *words: str) -> list[str]:
    address = config.ray.addresses.get(cluster, cluster)
    return [require("ray", _HINT), "job", words[0], "--address", address, *words[1:]]


def _submit(config: Config, where: tuple[str, str], command: str, *, no_wait: bool) -> int:
    cluster, tpu = where
    resources = [] if tpu == "auto" else ["--entrypoint-resources", f'{{"TPU-{tpu}-head": 1}}']
    words = ("submit", "--no-wait", "--working-dir", ".", *resources, "--", "/bin/bash", "-lc", command)
    said = read_output(_ray(config, cluster, *words))
    match = _SUBMITTED.search(said)
    if match is None:
        raise TryAgain(f"ray did not name the job: {shlex.join(words[:3])}: {said.strip()[-300:]}")
    click.echo(match[1])
    return 0 if no_wait else _wait(config, cluster, match[1], {"poll": 5.0, "show_logs": True, "tail": 200})


def _wait(config: Config, cluster: str, job_id: str, options: dict[str, Any]) -> int:
    timeout = options.get("timeout")
    deadline = None if timeout is None else time.monotonic() + timeout
    while (status := _status(config, cluster, job_id)) not in _OVER:
        if deadline is not None and time.monotonic() > deadline:
            raise TryAgain(f"{job_id} is still {status}", hint="wait longer, or look at gdnctl ray-logs")
        time.sleep(options["poll"])
    if options.get("show_logs"):
        click.echo(_log(config, cluster, job_id, options["tail"], options.get("grep")))
    say(f"{job_id}: {status}")
    return 0 if status == "SUCCEEDED" else 1


def _status(config: Config, cluster: str, job_id: str) -> str:
    found = _STATUS.findall(read_output(_ray(config, cluster, "status", job_id)))
    if not found:
        raise TryAgain(f"ray says nothing about {job_id}", hint="check the job's id and --cluster")
    return str(found[-1]).upper()


def _log(config: Config, cluster: str, job_id: str, tail: int, grep: str | None) -> str:
    lines = read_output(_ray(config, cluster, "logs", job_id)).splitlines()
    if grep is not None:
        try:
            pattern = re.compile(grep)
        except re.error as error:
            raise UsageError(f"--grep {grep}: {error}", hint="a regular expression") from error
        lines = [line for line in lines if pattern.search(line)]
    return "\n".join(lines[-tail:])
