"""Options that the commands of `cairn lab` share: what to look at, on which targets, with what patience."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cairn.cli.output import json_option, root_option

F = TypeVar("F", bound=Callable[..., Any])

SUBJECT_HELP = """
    SUBJECT is a problem's folder (kernels/gdn), FILE.py:FUNCTION, package.module:FUNCTION, or a file that jax.export
    wrote. A function runs in a locked process that sees its own files and those it imports, nothing else.
"""

_SUBJECT = (
    click.option(
        "--variant", default=None, help="Of a problem: the variant. Default: the one that climbs start from."
    ),
    click.option(
        "--shape", default=None, metavar="SIZES", help="Of a problem: B=8,T=4096, or a bench shape's number."
    ),
    click.option(
        "--shapes",
        multiple=True,
        metavar="ARRAYS",
        help="Of a function: its arguments, e.g. 'bf16[4096,4096], f32[4096]'; i32[4]=[3,1,0,4] is a constant.",
    ),
    click.option("--dtype", default=None, help="Type of arrays in --shapes that name none."),
    click.option(
        "--inputs",
        default=None,
        metavar="NAME",
        help="Of a function: a function beside it that makes its arguments.",
    ),
    click.option(
        "--with",
        "extra",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Of a function: a file or folder that it needs and that no import names.",
    ),
    click.option(
        "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="A keyword argument, or a field of Config."
    ),
)
_TARGETS = (
    click.option(
        "--target",
        "targets",
        multiple=True,
        help="tpu-v4, tpu-v5e, tpu-v5p, tpu-v6e, tpu7x or all; may be repeated. Default: the problem's first.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0.1),
        default=300.0,
        show_default=True,
        help="Seconds for one lowering and for one compile.",
    ),
    click.option("--no-cache", is_flag=True, help="Ask everything anew, and keep no answer."),
)


_DRAWINGS = (
    click.option(
        "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with the timeline."
    ),
    click.option(
        "--perfetto",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write the timeline for ui.perfetto.dev.",
    ),
    click.option("--dry-run", is_flag=True, help="Write no file."),
)


def drawing_options(command: F) -> F:
    """Files that draw a profile."""
    return _with(command, _DRAWINGS)


def subject_options(command: F) -> F:
    """What to look at."""
    return _with(command, _SUBJECT)


def target_options(command: F) -> F:
    """On what, with what patience, and how to print it."""
    return _with(json_option(root_option(command)), _TARGETS)


def _with(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
