"""`cairn watch`: a climb while it runs, live on a terminal, line by line elsewhere; it ends when the climb ends."""

import time
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.live import Live

from cairn.cli.output import json_option, registry_option, root_option
from cairn.cli.progress import tell
from cairn.cli.report_find import LEDGER, find_source
from cairn.cli.watch_follow import Follower
from cairn.cli.watch_view import standing, view
from cairn.errors import UsageError
from cairn.registry import load_registry
from cairn.report import words
from cairn.report.inert import one_line

_REDRAW_S = 0.5
_GRACE_LOOKS = 4  # a process that is gone may have written its last line after our look


@click.command()
@click.argument("run", required=False)
@click.option("--once", is_flag=True, help="Show how it stands now and stop.")
@root_option
@registry_option
@json_option
def watch(run: str | None, once: bool, as_json: bool, root: Path | None, registry_path: Path | None) -> None:
    """Watch a climb: progress, what it does now, verdicts, champion against the floor, budget, alerts.

    RUN is a climb's name or its folder; without one, the climb that was active last. It only reads, so it can be
    started, stopped and started again at any time. Without a terminal it prints one line for each event. It ends
    when the climb ends or its process is gone. With --json it waits just as long and prints how it stands then.

    \b
    Examples:
      cairn watch
      cairn watch gdn-tpu-v5p --once
    """
    source = find_source(run, load_registry(root or Path.cwd(), registry_path))
    if source.kind != "climb":
        raise UsageError(f"{source.folder} is no climb", hint=f"cairn report {source.folder} shows it")
    follower = Follower(source.folder, source.folder / LEDGER)
    console = Console()
    if once or as_json:
        follower.look()
        if as_json and not once:
            _follow(follower, lambda: None)
        now = standing(follower)
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(now), indent=2))
        else:
            console.print(view(now))
    elif console.is_terminal:
        _live(follower, console)
    else:
        _lines(follower)


def _follow(follower: Follower, look: Callable[[], None]) -> None:
    """Look again and again until the climb has ended, or its process is gone for good."""
    gone = 0
    while follower.ended is None and gone < _GRACE_LOOKS:
        time.sleep(_REDRAW_S)
        follower.look()
        look()
        gone = 0 if follower.running else gone + 1


def _live(follower: Follower, console: Console) -> None:
    follower.look()
    with Live(view(standing(follower)), console=console, refresh_per_second=4, transient=False) as live:
        _follow(follower, lambda: live.update(view(standing(follower))))
        live.update(view(standing(follower)))


def _lines(follower: Follower) -> None:
    """The same as plain lines; what was before is one line, so that a log does not repeat itself."""
    follower.look()
    now = standing(follower)
    click.echo(f"{now.name}: {now.state}, {words.plural(now.done, 'attempt')} done; {one_line(now.phase)}")
    _champion_line(follower)
    told = len(follower.events)

    def look() -> None:
        nonlocal told
        for event in follower.events[told:]:
            tell(event, lambda line: click.echo(one_line(line)))
        told = len(follower.events)

    _follow(follower, look)
    if told != len(follower.events) or now.state == "running":
        _champion_line(follower)
    for alert in standing(follower).alerts:
        click.echo(f"! {alert}")


def _champion_line(follower: Follower) -> None:
    now = standing(follower)
    if now.champion_us is not None:
        floor = f", floor {words.microseconds(now.floor_us)} µs" if now.floor_us else ""
        click.echo(f"champion {now.champion} {words.microseconds(now.champion_us)} µs {now.kind}{floor}")
