"""Several processes that start at once on an empty folder all get their run."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from mlflow import MlflowClient

from sclandmarks import paths
from sclandmarks.tracking.mlflow import MlflowTracker

N_PROCESSES = 4


def one_run(folder: Path) -> None:
    """Work of one process, unguarded: a failure is its exit status."""
    os.chdir(folder)
    with MlflowTracker(None, "race", "fit").run("one") as run:
        run.log_metrics({"mse": 0.1})


def test_four_processes_start_at_once_on_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    # imported once, so that the four meet at the empty folder
    context.set_forkserver_preload(["sclandmarks.tracking.mlflow", "mlflow.store.tracking.sqlalchemy_store"])
    workers = [context.Process(target=one_run, args=(tmp_path,)) for _ in range(N_PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert [worker.exitcode for worker in workers] == [0] * N_PROCESSES

    client = MlflowClient(f"sqlite:///{tmp_path / paths.MLFLOW_DATABASE}")
    experiment = client.get_experiment_by_name("race")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert [(run.info.status, run.data.metrics) for run in runs] == [("FINISHED", {"mse": 0.1})] * N_PROCESSES
