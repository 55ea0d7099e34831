"""`cairn init`: make a project one that cairn can work in, and take it back."""

import sys
from datetime import date
from pathlib import Path
from typing import Any

import click

from cairn.cli.output import dry_run_option, emit, json_option, root_option

_DOMAINS = ("pallas", "cuda", "unsloth", "research")  # adopt.ground.DOMAINS; not imported for --help


@click.command()
@click.option(
    "--domain", type=click.Choice(_DOMAINS), help="What the project is about. Default: found in its files."
)
@click.option("--target", "targets", multiple=True, metavar="CHIP", help="Where cost is obtained, e.g. tpu-v5p.")
@click.option("--undo", is_flag=True, help="Put back, byte for byte, what an earlier init changed.")
@root_option
@dry_run_option
@json_option
def init(root: Path | None, dry_run: bool, as_json: bool, undo: bool, **chosen: Any) -> None:
    """Adopt a project: registry.json, AGENT.md, the merge driver for it, and a line in .gitignore.

    What is there already stays as it is, a registry of another skill pack included. Everything can be undone;
    files that were edited since are named and left. Asks for the domain at a terminal only. Writes the project's
    folder, and .git/config for the merge driver: where a sandbox refuses that, the rest is done and the command to
    run outside is printed (exit code 75).

    \b
    Example:
      cairn init --dry-run
      cairn init --domain pallas --target tpu-v5p
      cairn init --undo
    """
    from cairn.cli.adopting import adopt, take_back

    if undo:
        data, text, code = take_back(root or Path.cwd(), dry_run=dry_run)
    else:
        ask = sys.stdin.isatty() and not (dry_run or as_json or chosen["domain"])
        data, text, code = adopt(root, chosen["domain"], chosen["targets"], date.today(), dry_run=dry_run, ask=ask)
    emit(data, as_json, text)
    sys.exit(code)
