"""Two at once, and a record of runs that is dead or off: no result suffers."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from mlflow import MlflowClient

if TYPE_CHECKING:
    from conftest import Project

SECONDS = 1200


def test_two_repros_in_one_clone_corrupt_nothing(done: Project, fresh: Project, tmp_path: Path) -> None:
    project = fresh.copy(tmp_path / "project")
    goal = ("dvc", "repro", "select@random-0")
    with project.started(*goal) as one, project.started(*goal) as two:
        said = [process.communicate(timeout=SECONDS)[0] for process in (one, two)]
    for process, text in zip((one, two), said, strict=True):  # both may fail: DVC waits three seconds for its lock
        errors = [line for line in text.splitlines() if line.startswith("ERROR")]
        assert process.returncode == 0 or any("lock" in line or "is busy" in line for line in errors), text
    project.dvc(*goal[1:])
    assert "Data and pipelines are up to date." in project.dvc(*goal[1:])
    locked, want = (yaml.safe_load(one.lock())["stages"] for one in (project, done))
    assert locked == {name: want[name] for name in locked}
    assert not project.parts()


def test_two_fits_at_once_are_both_recorded(project: Project) -> None:
    project.set("tracking.enabled", True)
    names = ("l1000-ridge", "group_lasso-ridge")
    before = {name: (project.root / "models" / name / "model.json").read_bytes() for name in names}
    with ExitStack() as stack:
        fits = [
            stack.enter_context(project.started("python", "-P", "pipelines/fit.py", name, DVC_STAGE=f"fit@{name}"))
            for name in names
        ]
        said = [fit.communicate(timeout=SECONDS)[0] for fit in fits]
    assert [fit.returncode for fit in fits] == [0, 0], said
    assert not [text for text in said if "WARNING" in text]
    assert {name: (project.root / "models" / name / "model.json").read_bytes() for name in names} == before

    database = project.root / "state/mlflow.db"
    client = MlflowClient(f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("e2e")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.data.tags["dvc.stage"] for run in runs} == {f"fit@{name}" for name in names}
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert all(run.data.metrics and run.outputs.model_outputs for run in runs)
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_dead_server_costs_one_warning(project: Project) -> None:
    panel = project.root / "panels/l1000.parquet"
    before = panel.read_bytes()
    panel.unlink()
    with socket.socket() as closed:  # bound, so that nobody else gets the port; not listening, so that all are refused
        closed.bind(("127.0.0.1", 0))
        project.set("tracking.enabled", True)
        project.set("tracking.uri", f"http://127.0.0.1:{closed.getsockname()[1]}")
        said = project.stage("select", "l1000")
    assert said.count("WARNING") == 1
    assert "Traceback" not in said
    assert panel.read_bytes() == before


def test_without_record_mlflow_is_not_even_imported(project: Project) -> None:
    said = project.run("python", "-P", "-X", "importtime", "pipelines/select.py", "l1000").stdout
    imported = {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}
    assert {"sclandmarks.tracking", "torch"} <= imported
    assert not {name for name in imported if name.partition(".")[0] == "mlflow"}
