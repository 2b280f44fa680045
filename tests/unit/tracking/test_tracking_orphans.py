"""A run whose process was killed is ended by the next process, one that is at work is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities import Run as Entity

from sclandmarks.runtime import identity
from sclandmarks.tracking import orphans
from sclandmarks.tracking.mlflow import MlflowTracker
from sclandmarks.tracking.orphans import PROCESS, end_orphans, is_orphan, process_tags

DIES = """
import os, signal, sys
from sclandmarks.tracking.mlflow import MlflowTracker
with MlflowTracker(sys.argv[1], "orphans", "fit").run("killed") as run:
    run.log_metrics({"mse": 0.5})
    os.kill(os.getpid(), signal.SIGKILL)
"""
Tags = dict[str, str]


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path}/runs.db"


def runs(tracker: MlflowTracker) -> dict[str, Entity]:
    return {run.info.run_name: run for run in tracker.client.search_runs([tracker.experiment_id])}


def test_a_killed_run_is_ended_with_the_reason_and_its_figures(uri: str) -> None:
    tracker = MlflowTracker(uri, "orphans", "fit")
    source = str(Path(__file__).parents[3] / "src")
    command = [sys.executable, "-c", DIES, uri]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": source}, check=False, timeout=600)
    assert done.returncode == -signal.SIGKILL
    assert runs(tracker)["killed"].info.status == "RUNNING"
    with tracker.run("at work"):
        later = MlflowTracker(uri, "orphans", "compare")
        killed, at_work = (runs(later)[name] for name in ("killed", "at work"))
        assert (killed.info.status, at_work.info.status) == ("KILLED", "RUNNING")
        assert "was killed" in killed.data.tags["error"]
        assert killed.data.metrics == {"mse": 0.5}
        assert killed.info.end_time >= killed.info.start_time
    assert end_orphans(tracker.client, tracker.experiment_id) == 0


def test_runs_of_others_stay(uri: str) -> None:
    tracker = MlflowTracker(uri, "orphans", "fit")
    for name, tags in {"study": {}, "elsewhere": process_tags() | {"process.boot": "b", "process.host": "h"}}.items():
        tracker.client.create_run(tracker.experiment_id, tags=tags, run_name=name)
    assert end_orphans(tracker.client, tracker.experiment_id) == 0
    assert {run.info.status for run in runs(tracker).values()} == {"RUNNING"}


def put(**changes: str) -> Callable[[Tags], Tags]:
    return lambda tags: tags | {f"{PROCESS}{key}": value for key, value in changes.items()}


@pytest.mark.parametrize(
    ("edit", "orphan"),
    [
        (put(), False),
        (put(start="1"), True),
        (put(pid="4194305"), True),  # above the largest a kernel gives
        (put(boot="before pid:[1]"), True),  # this machine, started again since
        (put(boot="before pid:[1]", host="another"), False),
        (put(boot=f"{identity.boot().partition(' ')[0]} pid:[1]"), False),  # a container beside this one
        (put(pid="many"), False),
        (lambda _: {}, False),
    ],
)
def test_only_what_is_certain_counts(edit: Callable[[Tags], Tags], orphan: bool) -> None:
    assert is_orphan(edit(process_tags())) is orphan


def test_a_system_without_proc_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "boot", lambda: "")
    assert process_tags() == {}
