"""`cairn report`: a run as a page, a picture or a mail; two runs side by side; many runs in a gallery."""

from pathlib import Path
from typing import Any

import click

from cairn.cli.output import dry_run_option, emit, json_option, registry_option, root_option


@click.command()
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option("--compare", is_flag=True, help="Two runs side by side.")
@click.option(
    "--gallery",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="One page over every run directly below this folder.",
)
@click.option("--morning", is_flag=True, help="One screen of Markdown on stdout, for a mail or a comment.")
@click.option("--picture", metavar="ADDRESS", default="", help="With --morning: show the picture at this address.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write the climb as SVG, not a page.")
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), help="Write the climb as PNG, not a page.")
@click.option("--dark", is_flag=True, help="With --png: the dark theme. An SVG has both.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Where the page goes.")
@dry_run_option
@root_option
@registry_option
@json_option
def report(runs: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Show a run as one page that opens from disk, or as a picture, or as a mail.

    RUN is a climb's name, its folder, a batch round's folder (iteration_N/variants/...) or a folder with
    receipts.jsonl; without one, the climb that was active last. The page goes to RUN/report.html. It needs no
    network and carries all numbers as JSON. A climb that still runs can be looked at any time; nothing is changed.

    Pages and pictures need the extra `report`; --morning needs nothing.

    \b
    Examples:
      cairn report gdn-tpu-v5p
      cairn report --compare gdn-tpu-v5p night -o both.html
      cairn report --gallery .cairn/runs
      cairn report gdn-tpu-v5p --morning
      cairn report gdn-tpu-v5p --svg climb.svg
    """
    from cairn.cli.reporting import make_report

    outcome = make_report(runs, options)
    emit(outcome.data, as_json, outcome.text)
