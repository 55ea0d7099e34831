"""TensorBoard: event files of a climb, one folder a climb, one file a sitting."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from cairn.track.points import Point, Run

_LONGEST_TEXT = 16_384
_NEVER_S = 86_400  # it is flushed after each batch


class TensorBoardSink:
    """Writes scalars, notes and receipts.

    Each file begins with the order to forget what earlier files say from that line on: a line that was written just
    before a kill, and is written again, counts once.
    """

    def __init__(self, run: Run, where: str, after: int) -> None:
        root = Path(where).expanduser() if where else run.folder / "tensorboard"
        folder = root / run.label
        self.last = after if any(folder.glob("events.out.*")) else 0
        self.place = str(folder)
        self._settings = dict(run.settings)
        self._writer: SummaryWriter | None = None  # a file is begun when there is something to write

    def _opened(self) -> SummaryWriter:
        if self._writer is None:
            self._writer = SummaryWriter(logdir=self.place, purge_step=self.last + 1, flush_secs=_NEVER_S)
            self._writer.add_text("climb", _as_code(self._settings), global_step=self.last)
        return self._writer

    def add(self, points: Sequence[Point]) -> None:
        writer = self._opened()
        for point in points:
            for name, value in point.metrics.items():
                writer.add_scalar(name, value, global_step=point.n, walltime=point.time_s)
            if point.note:
                writer.add_text("log", point.note, global_step=point.n, walltime=point.time_s)
            for receipt in point.receipts:
                writer.add_text("receipts", _as_code(receipt), global_step=point.n, walltime=point.time_s)
            self.last = point.n
        writer.flush()

    def close(self, summary: Mapping[str, str | float]) -> None:
        if self._writer is not None:
            self._writer.add_text("summary", _as_code(summary), global_step=self.last)
            self._writer.close()


def _as_code(data: Mapping[str, Any]) -> str:
    """JSON as an indented block of Markdown, which is how TensorBoard shows text; a very long one is cut."""
    text = json.dumps(data, indent=2)
    if len(text) > _LONGEST_TEXT:
        text = text[:_LONGEST_TEXT] + f"\n... {len(text) - _LONGEST_TEXT} more characters in the climb's receipts"
    return "\n".join(f"    {line}" for line in text.splitlines())
