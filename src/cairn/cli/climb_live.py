"""A climb's own output while it runs: a panel that redraws itself on a terminal, plain lines elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live

from cairn.cli.output import unheard_is_fine
from cairn.cli.progress import StageLine, tell
from cairn.cli.report_find import LEDGER
from cairn.cli.watch_follow import Follower
from cairn.cli.watch_view import standing, view
from cairn.climb.ledger import Event

Say = Callable[[str], None]


class LineView:
    """One line for each event and stage."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.stage: Callable[[str, str], None] = StageLine(say)

    def tell(self, event: Event) -> None:
        tell(event, self._say)


class PanelView:
    """The panel of `cairn watch`, with the lines above it."""

    def __init__(self, live: Live, folder: Path) -> None:
        self._live = live
        self._follower = Follower(folder, folder / LEDGER)

    def stage(self, stage: str, text: str) -> None:
        """The panel shows the phase; stages within it pass too quickly to be read."""

    def tell(self, event: Event) -> None:
        self._follower.look()
        with unheard_is_fine():
            tell(event, lambda line: self._live.console.print(line, markup=False, highlight=False))
            self._live.update(view(standing(self._follower)), refresh=True)


@contextlib.contextmanager
def watched(folder: Path, say: Say) -> Iterator[LineView | PanelView]:
    """A view for the length of a launch."""
    if not sys.stderr.isatty():
        yield LineView(say)
        return
    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield PanelView(live, folder)
