"""The `cairn` command: subcommands are imported only when called, errors become exit codes here and only here."""

import contextlib
import errno
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from cairn import __version__
from cairn.errors import CairnError, DiskFull, Missing

# command -> the line that `cairn --help` shows; the module cairn.cli.<command> is not imported for it
COMMANDS = {
    "climb": "Run attempts on a kernel until one is faster; resumable.",
    "comment": "Write the summary comment of a round and send it to its issue.",
    "doctor": "Say what works on this machine, and how to get the rest.",
    "gdnctl": "Climb the GDN problem with the flags of gdnctl; devices, jobs, profiles.",
    "init": "Adopt a project: registry, AGENT.md, merge driver; with undo.",
    "judge": "Judge one variant: correctness, compilation, predicted cost, physics.",
    "lab": "Compile, predict, explain and sweep kernels for TPUs that are not here.",
    "learnings": "Read and extend AGENT.md, the numbered learnings.",
    "problem": "Make a problem from your own function; say whether it is fit to climb.",
    "profile": "Record, read and compare profiles of jax.profiler; figures for one step.",
    "report": "Show a run as one page, a picture or a mail; compare runs; a gallery.",
    "round": "Digest a batch round, keep its lineages, record what it taught.",
    "track": "Give a climb's metrics and receipts to W&B, TensorBoard or MLflow.",
    "watch": "Watch a climb while it runs.",
    "retro": "Gather what a retrospective needs.",
}
# packages that a small install leaves out -> the extra that brings them
EXTRAS = {"numpy": "judge"}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"cairn.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from cairn.settings import did_you_mean

            hint = did_you_mean(args[0], list(COMMANDS))
            raise click.UsageError(f"no such command `{args[0]}`" + (f"; {hint}" if hint else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 done, 1 measured and not good, 2 usage, 65 bad input file, "
        "69 something missing, 75 try again."
    ),
)
@click.version_option(__version__, prog_name="cairn", message="%(prog)s %(version)s")
def cairn() -> None:
    """Make accelerator kernels faster with a coding assistant, unattended, and keep what was learned.

    Start with `cairn doctor`, then `cairn climb kernels/gdn --target tpu-v5p --attempts 6`.
    """


def _open_streams() -> None:
    """Give a process that was started without them its standard streams: a file opened later would take their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for as long as we live


def _told(error: CairnError, as_json: bool) -> int:
    """Say what is wrong and how to mend it, on stdout too for a program that reads one object there; the exit code."""
    click.echo(f"cairn: {error}", err=True)
    if error.hint:
        click.echo(f"  fix: {error.hint}", err=True)
    if as_json:
        with contextlib.suppress(OSError):  # it may be the output that has no room
            click.echo(json.dumps({"error": str(error), "fix": error.hint, "exit_code": error.exit_code}))
    return error.exit_code


def _drop_output(error: OSError) -> None:
    """Where it may be the output that has no room, let nothing be left for it: the exit code would be its failure."""
    if error.filename is not None:
        return
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _of_a_place(error: OSError) -> CairnError | None:
    """What an error of the file system says to a user; None when it is about something else."""
    said = f"{error.filename or 'output'}: {error.strerror}"
    if error.errno in _NO_ROOM:
        return DiskFull(said)
    if error.errno in _NO_RIGHT and error.filename is not None:
        return Missing(said, hint="let your user read and write there, or use another folder")
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code."""
    _open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        result = cairn.main(args=words, standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        click.echo("cairn: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        if as_json:
            click.echo(json.dumps({"error": error.format_message(), "fix": None, "exit_code": error.exit_code}))
        sys.exit(error.exit_code)
    except CairnError as error:
        sys.exit(_told(error, as_json))
    except OSError as error:
        if (told := _of_a_place(error)) is None:
            raise
        code = _told(told, as_json)
        _drop_output(error)
        sys.exit(code)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        hint = f"pip install 'kernel-cairn[{EXTRAS[error.name]}]'"
        missing = Missing(f"this command needs the package {error.name}, which is not installed", hint=hint)
        sys.exit(_told(missing, as_json))
    sys.exit(result if isinstance(result, int) else 0)
