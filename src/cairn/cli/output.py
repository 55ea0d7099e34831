"""How every command prints: one JSON object on stdout with `--json`, text otherwise; logs go to stderr."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def emit(data: dict[str, Any], as_json: bool, text: str | Callable[[], str]) -> None:
    """Print a result: `data` as one JSON object, or `text`, which is only built when it is wanted."""
    if as_json:
        click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))
    else:
        click.echo(text if isinstance(text, str) else text())


def say(message: str) -> None:
    """Progress for a person, on stderr."""
    with unheard_is_fine():
        click.echo(message, err=True)


@contextlib.contextmanager
def unheard_is_fine() -> Iterator[None]:
    """Write progress inside; from the first time on that nobody can read it (a terminal or a pipe is gone), to nobody.

    Without this a climb would end with the window that it was started in.
    """
    try:
        yield
    except OSError:
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, 2)
        os.close(nobody)


def json_option(command: F) -> F:
    """`--json`: one object on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")(command)


def root_option(command: F) -> F:
    """`--root`: the project to work in."""
    return click.option(
        "--root",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        default=None,
        help="The project's folder. Default: found from the current directory upwards.",
    )(command)


def registry_option(command: F) -> F:
    """`--registry`: read this registry.json instead of the nearest one."""
    return click.option(
        "--registry",
        "registry_path",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
        help="Read this registry instead of the nearest one (also: CAIRN_REGISTRY).",
    )(command)


def dry_run_option(command: F) -> F:
    """`--dry-run`: show what would be written, write nothing."""
    return click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")(command)
