"""Weights & Biases: a climb as a run, online, or offline for `wandb sync` later."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read while wandb is imported

import wandb

from cairn.errors import Missing, Unreachable
from cairn.track.points import Point, Run

_PROJECT = "cairn"
Mode = Literal["online", "offline", "disabled"]
_MODES: dict[str, Mode] = {"online": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}
_LONGEST_ID = 64
# no source, no git state, no console, no figures of the machine
_ONLY_THE_CLIMB: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}


class WandbSink:
    """Writes metrics with the ledger's line as their step, and receipts as files.

    The run's id is the climb's identity. Online the service knows how far it is and drops what it has; offline each
    sitting is a folder of its own, and only what cairn itself noted keeps a line from standing in two of them.
    Nothing but the climb is sent.
    """

    def __init__(self, run: Run, where: str, after: int) -> None:
        self._about = run
        self._mode, self._entity, self._project = _where(where)
        self._opened: wandb.Run | None = None  # begun when there is something to send
        self.last = after
        self.place = f"{self._mode} project {self._project}"

    def _open(self) -> wandb.Run:
        if self._opened is not None:
            return self._opened
        online = self._mode == "online"
        try:
            run = wandb.init(
                project=self._project,
                entity=self._entity,
                id=self._about.label[-_LONGEST_ID:].lstrip("-"),
                name=self._about.name,
                dir=str(self._about.folder),
                config=dict(self._about.settings),
                mode=self._mode,
                resume="allow" if online else None,
                settings=wandb.Settings(**_ONLY_THE_CLIMB),
            )
        except (wandb.errors.UsageError, wandb.errors.AuthenticationError) as error:
            raise Missing(f"W&B refuses: {_first_line(error)}", hint="wandb login, or wandb:offline") from error
        except (wandb.errors.Error, OSError) as error:
            raise Unreachable(f"W&B: {_first_line(error)}") from error
        if online:
            self.last = max(self.last, run.step - 1)
        self.place = str((run.url if online else None) or Path(run.dir).parent)
        self._opened = run
        return run

    def add(self, points: Sequence[Point]) -> None:
        run = self._open()
        for point in points:
            if point.n <= self.last:
                continue
            for receipt in point.receipts:
                _keep(run, receipt)
            if point.metrics:
                run.log({**point.metrics, "_timestamp": point.time_s}, step=point.n)
            self.last = point.n

    def close(self, summary: Mapping[str, str | float]) -> None:
        if self._opened is not None:
            for name, value in summary.items():
                self._opened.summary[name] = value
            self._opened.finish()


def _keep(run: wandb.Run, receipt: Mapping[str, object]) -> None:
    base = Path(run.dir)
    path = base / "receipts" / f"{receipt['id']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")
    run.save(str(path), base_path=str(base), policy="now")


def _where(where: str) -> tuple[Mode, str | None, str]:
    """Mode, entity and project; the mode of the environment holds where none is given."""
    words = [word for word in where.split(":") if word]
    named = words.pop(0) if words and words[0] in ("online", "offline") else os.environ.get("WANDB_MODE", "online")
    entity, _, project = (words[0] if words else os.environ.get("WANDB_PROJECT", _PROJECT)).rpartition("/")
    return _MODES.get(named, "online"), entity or None, project


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
