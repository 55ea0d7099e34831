"""`cairn retro report`: the comparison as one HTML file."""

from pathlib import Path
from typing import Any

import click

from cairn.cli.output import emit
from cairn.cli.retro_compare import comparison
from cairn.cli.retro_project import direction_option, directions, open_project, project_options, sources_argument
from cairn.journal import write_atomic
from cairn.retro.ingest.text import decode


@click.command()
@click.argument("subject")
@sources_argument
@direction_option
@click.option(
    "--summary",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The Markdown summary, folded into the page.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("retrospective.html"),
    show_default=True,
    help="The file to write.",
)
@project_options
def report(
    subject: str,
    sources: tuple[str, ...],
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a one-file HTML retrospective: running best, effect of single changes, failures. Opens without a network.

    \b
    Example:
      cairn retro report "block sizes" benchmark_results --out retrospective.html
    """
    from cairn.retro.page import retrospective_page  # needs the report extra

    with open_project(root, registry_path) as project:
        found = comparison(project, project.documents(sources, options["since"]), directions(options["told"]))
    text = decode(options["summary"].read_bytes())[0] if options["summary"] else ""
    page = retrospective_page(
        subject, text, found.boards, found.pairs, (found.series, found.failures, found.questions)
    )
    write_atomic(options["out"], page)
    emit({"file": str(options["out"]), "bytes": len(page.encode())}, as_json, str(options["out"]))
