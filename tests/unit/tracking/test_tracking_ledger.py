"""Runs that are written whole and found again, in a real SQLite store."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import torch
from mlflow import MlflowClient

from sclandmarks.params import TrackingParams
from sclandmarks.tracking import Entry, Ledger, Point, open_ledger
from sclandmarks.tracking.guard import Patience

START = datetime(2020, 1, 1, 12)
END = START + timedelta(seconds=90)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/runs.db"


@pytest.fixture
def ledger(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.chdir(tmp_path)
    return open_ledger(TrackingParams(enabled=True, uri=uri, experiment="ledger"), "tune")


def entry(name: str, **own: object) -> Entry:
    known = {"kind": "trial", "tags": {"study": name}, "status": "FINISHED", "started": START, "ended": END}
    return Entry(name, **(known | own))  # type: ignore[arg-type]


def test_a_run_is_found_as_it_was_written(ledger: Ledger, uri: str) -> None:
    points = (Point("mse", 0.5, 0, START), Point("mse", 0.4, 1, END))
    tables = {"panel": pl.DataFrame({"gene_id": ["a"]})}
    run_id = ledger.write(entry("whole", params={"a": {"b": 1}}, points=points, tables=tables, parent="parent"))
    (found,) = ledger.find({"study": "whole", "kind": "trial"})
    assert (found.run_id, found.status, found.parent) == (run_id, "FINISHED", "parent")
    assert (found.params, found.metrics) == ({"a.b": "1"}, {"mse": 0.4})
    assert found.tags["stage"] == "tune"
    client = MlflowClient(uri)
    info = client.get_run(run_id).info
    assert (info.start_time, info.end_time) == (START.timestamp() * 1000, END.timestamp() * 1000)
    assert [(one.step, one.value, one.timestamp) for one in client.get_metric_history(run_id, "mse")] == [
        (0, 0.5, START.timestamp() * 1000), (1, 0.4, END.timestamp() * 1000),
    ]  # fmt: skip
    assert {one.path for one in client.list_artifacts(run_id, "tables")} == {"tables/panel.json", "tables/panel.csv"}


def test_runs_are_found_by_all_tags_the_oldest_first(ledger: Ledger) -> None:
    late = ledger.write(entry("many", tags={"study": "many", "trial": "1"}, started=END))
    early = ledger.write(entry("many", tags={"study": "many", "trial": "0"}))
    assert [one.run_id for one in ledger.find({"study": "many"})] == [early, late]
    assert [one.run_id for one in ledger.find({"study": "many", "trial": "1"})] == [late]
    assert ledger.find({"study": "many", "trial": "2"}) == []


def test_more_than_a_page_is_found(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sclandmarks.tracking.mlflow_ledger.PAGE", 2)
    written = {ledger.write(entry("pages")) for _ in range(5)}
    assert {one.run_id for one in ledger.find({"study": "pages"})} == written


def test_a_removed_run_is_not_found(ledger: Ledger) -> None:
    ledger.remove(ledger.write(entry("removed")))
    assert ledger.find({"study": "removed"}) == []


def test_what_is_added_twice_is_there_once(ledger: Ledger, uri: str) -> None:
    run_id = ledger.write(entry("twice", status="RUNNING", ended=None))
    for _ in range(2):
        ledger.add(run_id, {"depth": 1}, [Point("best", 0.5, 3, END)])
    assert len(MlflowClient(uri).get_metric_history(run_id, "best")) == 1
    with pytest.raises(Exception, match="depth"):
        ledger.add(run_id, {"depth": 2}, [])


def test_a_run_is_marked_and_opened_again(ledger: Ledger) -> None:
    run_id = ledger.write(entry("marked", status="RUNNING", ended=None))
    for status in ("FINISHED", "RUNNING", "KILLED"):
        ledger.mark(run_id, status, {"seen": status})  # type: ignore[arg-type]
        (found,) = ledger.find({"study": "marked"})
        assert (found.status, found.tags["seen"]) == (status, status)


def test_models_of_a_run_are_removed(ledger: Ledger, uri: str) -> None:
    kept, run_id = ledger.write(entry("other")), ledger.write(entry("model"))
    for one in (kept, run_id):
        ledger.edit(one).log_model(torch.nn.Linear(3, 2), torch.zeros(4, 3), best_step=0)
    ledger.remove_models(run_id)
    client = MlflowClient(uri)
    experiment = client.get_run(run_id).info.experiment_id
    assert [model.source_run_id for model in client.search_logged_models([experiment])] == [kept]


def test_a_tag_with_quotes_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="without quotes"):
        ledger.find({"study": "a' or tags.kind != '"})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fail() -> None:
    raise ConnectionError("dead")


def test_patience_warns_once_and_tries_more_and_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    patience = Patience("the record", first=10, longest=40, clock=clock)
    tried = []

    def attempt() -> None:
        tried.append(clock.now)
        fail()

    for clock.now in range(200):
        assert not patience.call(attempt)
    assert tried == [0, 10, 30, 70, 110, 150, 190]
    assert [one.levelno for one in caplog.records] == [logging.WARNING]
    assert patience.call(lambda: None, now=True)
    assert caplog.records[-1].message == "the record: caught up"
    clock.now = 300
    assert not patience.call(fail)
    assert [one.levelno for one in caplog.records].count(logging.WARNING) == 2, "a new trouble is said again"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interrupts_go_through_patience(kind: type[BaseException]) -> None:
    def interrupt() -> None:
        raise kind

    with pytest.raises(kind):
        Patience("the record").call(interrupt)
