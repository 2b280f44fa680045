"""Runs of an MLflow store that are written whole and found again, by the client of `MlflowTracker`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sclandmarks.tracking.base import Run
from sclandmarks.tracking.ledger import Entry, Found, Point, Status
from sclandmarks.tracking.mlflow import MlflowRun, MlflowTracker, milliseconds

PARENT = "mlflow.parentRunId"
PAGE = 1000  # runs of one answer


class MlflowLedger:
    """See `Ledger`.

    Parameters
    ----------
    tracker : MlflowTracker
        Gives the client, the experiment and the tags that every run has.
    """

    def __init__(self, tracker: MlflowTracker) -> None:
        self._client, self._experiment, self._tags = tracker.client, tracker.experiment_id, tracker.tags

    def find(self, tags: Mapping[str, str]) -> list[Found]:
        """Runs that have all these tags, see `Ledger`."""
        wanted = " and ".join(f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items())
        return [_found(run) for run in self._search(wanted)]

    def _search(self, wanted: str) -> Iterator[Any]:
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self._experiment], wanted, max_results=PAGE, order_by=["attributes.start_time ASC"], page_token=token
            )
            yield from page
            if not (token := page.token):
                return

    def write(self, entry: Entry) -> str:
        """Write a run, its status last, see `Ledger`."""
        tags = self._tags | dict(entry.tags) | {"kind": entry.kind} | ({PARENT: entry.parent} if entry.parent else {})
        run = MlflowRun.create(self._client, self._experiment, entry.name, tags, milliseconds(entry.started))
        run.log_params(entry.params)
        run.log_points(entry.points)
        for name, frame in entry.tables.items():
            run.log_table(name, frame)
        if entry.status != "RUNNING":
            ended = milliseconds(entry.ended) if entry.ended else None
            self._client.set_terminated(run.run_id, entry.status, ended)
        return run.run_id

    def remove(self, run_id: str) -> None:
        """Take a run out of the record; MLflow keeps it among the deleted ones."""
        self._client.delete_run(run_id)

    def edit(self, run_id: str) -> Run:
        """A run to add to, see `Ledger`."""
        return self._run(run_id)

    def add(self, run_id: str, params: Mapping[str, object], points: Iterable[Point]) -> None:
        """Add settings and figures, see `Ledger`. A figure's key in MLflow is name, time, step and value."""
        run = self._run(run_id)
        run.log_params(params)
        run.log_points(points)

    def mark(self, run_id: str, status: Status, tags: Mapping[str, str]) -> None:
        """Set tags, then the status, see `Ledger`."""
        for key, value in tags.items():
            self._client.set_tag(run_id, key, value)
        if status == "RUNNING":
            self._client.update_run(run_id, status)
        else:
            self._client.set_terminated(run_id, status)

    def remove_models(self, run_id: str) -> None:
        """Take the logged models of a run out of the record."""
        for model in self._client.search_logged_models([self._experiment], f"source_run_id = {_quoted(run_id)}"):
            self._client.delete_logged_model(model.model_id)

    def _run(self, run_id: str) -> MlflowRun:
        return MlflowRun(self._client, self._experiment, run_id)


def _quoted(value: str) -> str:
    """A value in MLflow's filter language, which has no escapes."""
    if "'" in value:
        raise ValueError(f"expected a tag to look for without quotes; got {value!r}. Rename the study.")
    return f"'{value}'"


def _found(run: Any) -> Found:
    data, tags = run.data, dict(run.data.tags)
    return Found(run.info.run_id, run.info.status, tags, dict(data.params), dict(data.metrics), parent=tags.get(PARENT))
