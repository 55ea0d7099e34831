"""`cairn track`: a climb's metrics and receipts in Weights & Biases, TensorBoard or MLflow."""

import sys
from pathlib import Path
from typing import Any

import click

from cairn.cli.output import dry_run_option, emit, json_option, registry_option, root_option, say
from cairn.errors import UsageError


@click.group()
def track() -> None:
    """Give a climb's metrics and receipts to a tracker, from its ledger.

    A tracker is `wandb`, `tensorboard` or `mlflow`, with `:WHERE` for another place than its own. During a climb
    `cairn climb --track` does the same. What a tracker has already is not sent again.
    """


@track.command("export")
@click.argument("which", metavar="PROBLEM|NAME")
@click.option("--to", "trackers", multiple=True, required=True, metavar="TRACKER[:WHERE]", help="Repeatable.")
@click.option("--follow", is_flag=True, help="Go on until the climb ends; Ctrl-C ends only the following.")
@click.option("--until-eof", is_flag=True, hidden=True, help="Follow until standard input ends.")
@click.option("--target", "target_name", default=None, help="The climb's target. Default: the first one.")
@click.option("--name", default=None, help="The climb's name, when it was given one.")
@dry_run_option
@registry_option
@json_option
@root_option
def export(
    which: str, as_json: bool, registry_path: Path | None, root: Path | None, until_eof: bool, **options: Any
) -> None:
    """Send a climb's ledger and receipts to trackers; a second time sends only what is new.

    wandb: `online`, `offline`, `[ENTITY/]PROJECT`, or both as in `offline:kernels`; it may use the network.
    tensorboard: a folder. mlflow: a tracking URI, or the path of an SQLite file. The defaults lie in the climb's
    own folder.

    \b
    Examples:
      cairn track export kernels/gdn --to tensorboard
      cairn track export night --to wandb:offline:kernels --to mlflow:http://127.0.0.1:5000
    """
    from cairn.cli.track_children import follow_until_eof
    from cairn.cli.tracking import export as send
    from cairn.cli.tracking import plain
    from cairn.track.specs import parse_sinks, require_installed

    sinks = parse_sinks(options["trackers"])
    require_installed(sinks)
    if options["follow"] and len(sinks) > 1:
        raise UsageError(
            "--follow is for one tracker", hint="one command for each; or --track when the climb starts"
        )
    if until_eof:  # started by a climb, which names its folder
        follow_until_eof(Path(which), sinks[0])
        sys.exit(0)
    from cairn.cli.climb_control import find_climb

    folder = find_climb(which, root, registry_path, options).folder
    if options["dry_run"]:
        found: list[dict[str, Any]] = [{"tracker": sink.kind, "where": sink.where, "sent": 0} for sink in sinks]
        emit(
            {"climb": folder.name, "trackers": found},
            as_json,
            f"would send {folder.name} to {len(found)} trackers",
        )
        return
    found = [send(folder, sink, follow=options["follow"], said=say) for sink in sinks]
    emit({"climb": folder.name, "trackers": found}, as_json, "\n".join(map(plain, found)))
