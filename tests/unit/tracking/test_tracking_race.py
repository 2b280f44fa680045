"""Several processes that start at once on an empty folder all get their run."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sclandmarks import paths
from sclandmarks.tracking.mlflow import MlflowTracker

N_PROCESSES = 4
SECONDS = 600  # nothing here takes a tenth of it
# Unguarded, so that a failure is the exit status; all wait, imported, for the same moment.
WORKER = """
import sys, time
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store
from sclandmarks.tracking.mlflow import MlflowTracker
Path(sys.argv[1]).touch()
while not Path("go").exists():
    time.sleep(0.001)
with MlflowTracker(None, "race", "fit").run("one") as run:
    run.log_metrics({"mse": 0.1})
"""


def test_four_processes_start_at_once_on_nothing(tmp_path: Path) -> None:
    names = [f"ready-{i}" for i in range(N_PROCESSES)]
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, name], cwd=tmp_path) for name in names]
    try:
        deadline = time.monotonic() + SECONDS
        while not all((tmp_path / name).exists() for name in names) and time.monotonic() < deadline:
            time.sleep(0.05)
        (tmp_path / "go").touch()
        assert [worker.wait(timeout=SECONDS) for worker in workers] == [0] * N_PROCESSES
    finally:
        for worker in workers:
            worker.kill()

    client = MlflowClient(f"sqlite:///{tmp_path / paths.MLFLOW_DATABASE}")
    experiment = client.get_experiment_by_name("race")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert [(run.info.status, run.data.metrics) for run in runs] == [("FINISHED", {"mse": 0.1})] * N_PROCESSES


@pytest.mark.parametrize("seed", range(3))
def test_a_process_killed_while_it_makes_the_database_leaves_no_half_of_it(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, aside = tmp_path / paths.MLFLOW_DATABASE, tmp_path / f"{paths.MLFLOW_DATABASE}.part"
    (tmp_path / "go").touch()
    worker = subprocess.Popen([sys.executable, "-c", WORKER, "ready"], cwd=tmp_path)
    while not aside.exists() and not made.exists() and worker.poll() is None:
        time.sleep(0.001)
    time.sleep(random.Random(seed).uniform(0, 0.5))
    worker.kill()
    worker.wait()
    if seed == 0:
        made.unlink(missing_ok=True)  # as if killed before the rename, whatever the machine's speed
        aside.write_bytes(b"half")
    monkeypatch.chdir(tmp_path)
    with MlflowTracker(None, "race", "fit").run("one") as run:
        run.log_metrics({"mse": 0.1})
    assert not aside.exists()
    assert made.stat().st_size
