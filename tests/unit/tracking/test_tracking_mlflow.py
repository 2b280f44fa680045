"""Runs in a real SQLite store, read back by MLflow's own client."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run as Entity
from safetensors.torch import load_file

from sclandmarks import paths
from sclandmarks.params import TrackingParams
from sclandmarks.tracking import Tracker, open_tracker
from sclandmarks.tracking.mlflow import MlflowTracker

SETTINGS = TrackingParams(enabled=True, uri=None, experiment="tests")
LOCK = "stages: {prepare: {outs: [{path: data/processed, md5: 0123456789abcdef0123456789abcdef.dir}]}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One working directory, hence one database, for the module: creating one takes over a second."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A client of the default store of that directory."""
    monkeypatch.chdir(folder)
    (folder / "dvc.lock").write_text(LOCK)
    monkeypatch.setenv("DVC_STAGE", "fit@a")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with open_tracker(SETTINGS, "fit"):
        return MlflowClient(f"sqlite:///{folder / paths.MLFLOW_DATABASE}")


@pytest.fixture
def tracker(client: MlflowClient) -> Tracker:
    """An unguarded tracker on that store: a failure is a failure of the test."""
    return MlflowTracker(None, "tests", "fit")


def last(client: MlflowClient) -> Entity:
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    return client.search_runs([experiment.experiment_id], max_results=1)[0]


def python(script: str, cwd: Path, **env: str) -> str:
    source = str(Path(__file__).parents[3] / "src")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=cwd, env=os.environ | {"PYTHONPATH": source} | env,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_is_named_tagged_and_finished(tracker: Tracker, client: MlflowClient) -> None:
    tags, params = {"dataset": "pancreas", "panel": "l1000"}, {"train": {"lr": 0.1}, "long": "x" * 9000}
    with tracker.run("l1000 + ridge", kind="final", params=params, tags=tags, inputs=[paths.EXPRESSION, Path("none")]):
        pass
    run = last(client)
    assert (run.info.run_name, run.info.status) == ("l1000 + ridge", "FINISHED")
    expected = tags | {
        "kind": "final",
        "stage": "fit",
        "dvc.stage": "fit@a",
        "dvc.md5.data/processed": "0123456789abcdef0123456789abcdef.dir",
    }
    assert expected.items() <= run.data.tags.items()
    assert "dvc.md5.none" not in run.data.tags
    assert run.data.params["train.lr"] == "0.1"
    assert run.data.params["long"].endswith("[cut: 9000 characters]")
    assert run.inputs is not None
    assert [(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs] == [
        ("data/processed", "0123456789abcdef0123456789abcdef.dir")
    ]


def test_more_params_than_one_batch_takes(tracker: Tracker, client: MlflowClient) -> None:
    with tracker.run("a", params={"section": {f"p{i}": i for i in range(250)}}):
        pass
    assert len(last(client).data.params) == 250


def test_metrics_are_buffered_by_step_and_final_ones_go_out(tracker: Tracker, client: MlflowClient) -> None:
    with tracker.run("a") as run:
        for step in range(1200):
            run.log_metrics({"train_mse": step / 10, "skipped": None}, step=step)
        seen = len(client.get_metric_history(last(client).info.run_id, "train_mse"))
        assert 0 < seen < 1200
        run.log_metrics({"r2@10 [test]": 0.5})
        run.log_metrics({"late": 1.0}, step=7)
    entity = last(client)
    assert len(client.get_metric_history(entity.info.run_id, "train_mse")) == 1200
    assert entity.data.metrics["r2_10 _test_"] == 0.5
    assert entity.data.metrics["late"] == 1.0
    assert "skipped" not in entity.data.metrics


def test_a_loss_that_is_not_finite_is_kept(tracker: Tracker, client: MlflowClient) -> None:
    with tracker.run("a") as run:
        run.log_metrics({"nan": math.nan, "inf": math.inf})
    assert math.isnan(last(client).data.metrics["nan"])
    assert last(client).data.metrics["inf"] > 1e300


def test_tables_texts_files_and_figures(tracker: Tracker, client: MlflowClient, folder: Path) -> None:
    frame = pl.DataFrame({"gene_id": ["a", "b"], "ensembl_id": [None, "ENSG1"], "score": [1.5, None]})
    (folder / "plot.svg").write_text("<svg/>")
    with tracker.run("a") as run:
        run.log_table("panel", frame)
        run.log_text("notes/a.md", "hello")
        run.log_file(folder / "dvc.lock", "lineage")
        run.log_figure(folder / "plot.svg")
    stored = Path(client.download_artifacts(last(client).info.run_id, "", str(folder)))
    assert pl.read_csv(stored / "tables/panel.csv").equals(frame)
    table = json.loads((stored / "tables/panel.json").read_text())
    assert table == {"columns": frame.columns, "data": [["a", None, 1.5], ["b", "ENSG1", None]]}
    assert (stored / "notes/a.md").read_text() == "hello"
    assert (stored / "lineage/dvc.lock").is_file()
    assert (stored / "figures/plot.svg").is_file()


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_what_the_block_raises_ends_the_run(error: type[BaseException], status: str, client: MlflowClient) -> None:
    with open_tracker(SETTINGS, "fit") as tracker, pytest.raises(error, match="mine"), tracker.run("a") as run:
        run.log_metrics({"buffered": 1.0}, step=3)
        raise error("mine")
    assert last(client).info.status == status
    assert last(client).data.tags["error"] == f"{error.__name__}: mine"
    assert last(client).data.metrics["buffered"] == 1.0


def test_a_call_that_fails_marks_the_run_and_warns(client: MlflowClient, caplog: pytest.LogCaptureFixture) -> None:
    with open_tracker(SETTINGS, "fit") as tracker:
        with tracker.run("a") as run:
            run.log_file(Path("no-such-file"))
        with tracker.run("never opened"):
            pass
    assert last(client).info.status == "FAILED"
    assert "no-such-file" in last(client).data.tags["error"]
    assert [record.levelno for record in caplog.records if record.name.startswith("sclandmarks")] == [logging.WARNING]


def test_the_experiment_has_its_files_in_state(client: MlflowClient, folder: Path) -> None:
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    assert experiment.artifact_location == (folder / paths.MLFLOW_ARTIFACTS).as_uri()


class Network(torch.nn.Module):
    """Not importable in another process."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Dropout(0.5), torch.nn.ReLU())
        self.head = torch.nn.Linear(16, 3)
        self.mean: torch.Tensor
        self.register_buffer("mean", torch.ones(6))

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        predicted: torch.Tensor = self.head(self.body(cells - self.mean))
        return predicted + cells[:, :3]


LOAD = """
import numpy as np, torch, mlflow
mlflow.set_tracking_uri("{uri}")
import mlflow.pyfunc, mlflow.pytorch
cells = np.load("cells.npy")
model = mlflow.pytorch.load_model("models:/{model}")
wrapped = mlflow.pyfunc.load_model("runs:/{run}/model")
for rows in (1, 2, 5, 64):
    with torch.no_grad():
        np.save(f"torch-{{rows}}.npy", model(torch.from_numpy(cells[:rows])).numpy())
    np.save(f"pyfunc-{{rows}}.npy", wrapped.predict(cells[:rows]))
print(wrapped.metadata.signature.inputs.inputs[0].shape)
"""


def test_a_model_loads_without_pickle_and_computes_the_same(
    tracker: Tracker, client: MlflowClient, folder: Path
) -> None:
    module, cells = Network().train(), torch.randn(64, 6)
    with tracker.run("network") as run:
        run.log_metrics({"val_mse": 0.5}, step=3)
        run.log_metrics({"val_mse": 0.9}, step=4)
        run.log_model(module, cells, best_step=3)
    assert module.training
    entity = last(client)
    assert entity.outputs is not None
    (output,) = entity.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (output.step, model.name, str(model.status)) == (3, "model", "READY")
    assert [(one.key, one.value, one.step) for one in model.metrics or []] == [("val_mse", 0.5, 3)]

    np.save(folder / "cells.npy", cells.numpy())
    script = LOAD.format(uri=client.tracking_uri, model=output.model_id, run=entity.info.run_id)
    assert python(script, folder, MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false").strip() == "(-1, 6)"
    with torch.no_grad():
        expected = module.eval()(cells).numpy()
    for rows in (1, 2, 5, 64):
        for how in ("torch", "pyfunc"):
            np.testing.assert_allclose(np.load(folder / f"{how}-{rows}.npy"), expected[:rows], rtol=1e-5, atol=1e-6)


def test_the_weights_stand_beside_the_model(tracker: Tracker, client: MlflowClient, folder: Path) -> None:
    module = Network()
    with tracker.run("network") as run:
        run.log_model(module, torch.randn(2, 6), best_step=0)
    path = client.download_artifacts(last(client).info.run_id, "weights/model.safetensors", str(folder))
    weights = load_file(path)
    assert weights.keys() == module.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize("example", [torch.randn(1, 6), torch.randn(6), torch.randn(4, 6, dtype=torch.float64)])
def test_an_example_that_would_freeze_the_batch_size_is_refused(tracker: Tracker, example: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="at least two rows"), tracker.run("network") as run:
        run.log_model(Network(), example, best_step=0)


def test_a_model_that_cannot_be_exported_is_marked(tracker: Tracker, client: MlflowClient) -> None:
    class Branching(torch.nn.Module):
        def forward(self, cells: torch.Tensor) -> torch.Tensor:
            return cells if cells.sum() > 0 else -cells

    with pytest.raises(Exception, match=r"data-dependent|Dynamic|branch"), tracker.run("bad") as run:
        run.log_model(Branching(), torch.ones(2, 6), best_step=0)
    assert last(client).info.status == "FAILED"
    experiment = last(client).info.experiment_id
    models = client.search_logged_models([experiment], filter_string=f"source_run_id = '{last(client).info.run_id}'")
    assert [str(model.status) for model in models] == ["FAILED"]


OFF = """
import sys
from sclandmarks.params import TrackingParams
from sclandmarks.tracking import open_tracker
with open_tracker(TrackingParams(enabled=False, uri=None, experiment="off"), "fit") as tracker:
    with tracker.run("one") as run:
        run.log_metrics({"mse": 0.1})
print(sorted({"mlflow", "torch"} & sys.modules.keys()))
"""


def test_switched_off_mlflow_is_not_imported(tmp_path: Path) -> None:
    assert python(OFF, tmp_path).strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_a_database_given_by_uri(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"uri": f"sqlite:///{tmp_path}/sub/runs.db"})
    with open_tracker(settings, "fit") as tracker, tracker.run("a") as run:
        run.log_text("a.txt", "a")
    assert (tmp_path / "sub/runs.db").is_file()
    assert len(list((tmp_path / "sub/mlartifacts").rglob("a.txt"))) == 1


def test_what_the_user_set_stays(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    with open_tracker(SETTINGS, "fit"):
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"


@pytest.mark.parametrize("broken", ["folder", "garbage", "no folder"])
def test_a_database_that_does_not_open_costs_a_warning(
    broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    path = tmp_path / "runs.db"
    if broken == "folder":
        path.mkdir()
    elif broken == "garbage":
        path.write_bytes(b"no database " * 999)
    else:
        (tmp_path / "file").write_text("")
        path = tmp_path / "file/runs.db"
    settings = SETTINGS.model_copy(update={"uri": f"sqlite:///{path}"})
    with open_tracker(settings, "fit") as tracker, tracker.run("a") as run:
        run.log_metrics({"mse": 0.1})
    assert pauses == [], "MLflow by itself would try again for minutes"
    assert [record.levelno for record in caplog.records if record.name.startswith("sclandmarks")] == [logging.WARNING]
