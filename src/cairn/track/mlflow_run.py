"""MLflow: a climb as a run on a tracking server, or in an SQLite file beside the climb."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while mlflow is imported

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cairn.errors import Unreachable
from cairn.track.points import Point, Run

_EXPERIMENT = "cairn"
_IDENTITY, _EVENT = "cairn.climb", "ledger_event"
_LONGEST_VALUE = 5000
_MOST_METRICS = 1000  # in one request, by MLflow's own limit
Given = TypeVar("Given")


class MlflowSink:
    """Finds the climb's run by its identity, wherever it was begun; the run itself knows its last line."""

    def __init__(self, run: Run, where: str, after: int) -> None:
        del after  # the run knows better: somebody may have removed it
        uri, artifacts = _uri(run, where)
        self._artifacts = artifacts
        self._client = _reached(lambda: MlflowClient(tracking_uri=uri))
        self._run = _reached(lambda: self._find(run))
        found = _reached(lambda: self._client.get_run(self._run))
        self.last = int(found.data.metrics.get(_EVENT, 0))
        self.place = f"{uri} run {self._run}"

    def _find(self, run: Run) -> str:
        experiment = self._client.get_experiment_by_name(_EXPERIMENT)
        number = (
            experiment.experiment_id
            if experiment
            else self._client.create_experiment(_EXPERIMENT, artifact_location=self._artifacts)
        )
        known = self._client.search_runs([number], f"tags.`{_IDENTITY}` = '{run.label}'", max_results=1)
        if known:
            self._client.update_run(known[0].info.run_id, status="RUNNING")
            return str(known[0].info.run_id)
        made = self._client.create_run(number, run_name=run.name, tags={_IDENTITY: run.label})
        params = [Param(name, value[:_LONGEST_VALUE]) for name, value in run.settings.items()]
        self._client.log_batch(made.info.run_id, params=params)
        return str(made.info.run_id)

    def add(self, points: Sequence[Point]) -> None:
        """Points that a service has already, from a call that broke off, are left out."""
        for point in points:
            if point.n > self.last:
                _reached(partial(self._add, point))
                self.last = point.n

    def _add(self, point: Point) -> None:
        """One line in one request, with its number; receipts go first, because a file may be written twice."""
        for receipt in point.receipts:
            self._client.log_dict(self._run, dict(receipt), f"receipts/{receipt['id']}.json")
        when_ms = int(point.time_s * 1000)
        metrics = [Metric(name, value, when_ms, point.n) for name, value in point.metrics.items()]
        metrics = [*metrics[: _MOST_METRICS - 1], Metric(_EVENT, point.n, when_ms, point.n)]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self, summary: Mapping[str, str | float]) -> None:
        tags = [RunTag(f"cairn.{name}", str(value)[:_LONGEST_VALUE]) for name, value in summary.items()]

        def end() -> None:
            self._client.log_batch(self._run, tags=tags)
            self._client.set_terminated(self._run)

        _reached(end)


def _uri(run: Run, where: str) -> tuple[str, str | None]:
    """The tracking URI, and where files go: a plain path is an SQLite file, with a folder for files beside it."""
    where = where or os.environ.get("MLFLOW_TRACKING_URI", "")
    if "://" in where or where.startswith(("databricks", "file:")):
        return where, None
    path = (Path(where).expanduser() if where else run.folder / "mlflow.db").resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{path}", (path.parent / f"{path.stem}-files").as_uri()


def _reached(act: Callable[[], Given]) -> Given:
    try:
        return act()
    except (MlflowException, OSError) as error:
        raise Unreachable(f"MLflow: {str(error).splitlines()[0][:300]}") from error
