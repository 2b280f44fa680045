"""`dvc repro` and what people do after it: look, change a setting, push, pull, clone."""

from __future__ import annotations

import json
import math
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pytorch
import numpy as np
import polars as pl
import pytest
import torch
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from sclandmarks import schema
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.models import load_model
from sclandmarks.io.tables import read_table
from sclandmarks.matrix import gene_positions

if TYPE_CHECKING:
    from conftest import Project

SCHEMAS = {table.name: table for table in vars(schema).values() if isinstance(table, schema.Table)}
FITS = {"l1000-mean", "l1000-ridge", "l1000-network", "group_lasso-ridge"}
CONTROLS = {"library_size", "cell_type_mean"}
PANELS = {"l1000", "group_lasso", "random-0"}


def outs_of(project: Project) -> list[Path]:
    """Every file that is, or lies in, an out of dvc.lock."""
    stages = yaml.safe_load(project.lock())["stages"].values()
    paths = [project.root / out["path"] for stage in stages for out in stage.get("outs", [])]
    assert all(path.exists() for path in paths)
    return [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]


MAY_BE_EMPTY = (schema.HISTORY, schema.PANEL_PATH, schema.SEEDS)


def contract(path: Path) -> schema.Table | None:
    """Schema of a Parquet file of the project; None for the values of a matrix, which have none."""
    special = {"panels": schema.PANEL, "matrix.parquet": None}
    if path.name.endswith("history.parquet"):
        return schema.HISTORY
    if path.name.endswith(".path.parquet"):
        return schema.PANEL_PATH
    return special[path.name] if path.name in special else special.get(path.parent.name, SCHEMAS.get(path.stem))


def stages_run(output: str) -> set[str]:
    """Stages that dvc says it ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def test_every_out_is_there_and_follows_its_schema(done: Project) -> None:
    seen = set()
    for path in outs_of(done):
        seen.add(path.suffix)
        assert path.stat().st_size > 0
        if path.suffix == ".parquet" and path.name != "matrix.parquet":
            table = contract(path)
            assert table is not None, path
            assert read_table(path, table).height > 0 or table in MAY_BE_EMPTY, path
        elif path.suffix == ".json":
            json.loads(path.read_text())
    assert {".parquet", ".json", ".safetensors"} <= seen
    assert not done.parts()


def test_matrix_models_and_panels_belong_together(done: Project) -> None:
    matrix = read_matrix(done.root / "data/processed")
    raw = [read_matrix(done.root / "data/raw" / name, "count") for name in ("islets", "biopsies")]
    assert matrix.n_cells == sum(one.n_cells for one in raw) == 260
    assert matrix.n_genes == 114  # those both data sets have
    ids = set(matrix.genes["gene_id"])
    for name in FITS:
        model = load_model(done.root / "models" / name)
        panel = read_table(done.root / f"panels/{name.rpartition('-')[0]}.parquet", schema.PANEL)
        assert model.landmarks == panel["gene_id"].to_list()
        assert set(model.landmarks) | set(model.targets) == ids
    assert read_table(done.root / "panels/random-0.parquet", schema.PANEL).height == 20


@pytest.mark.parametrize("name", sorted(FITS))
def test_a_model_predicts_elsewhere_what_it_does_here(name: str, done: Project, tmp_path: Path) -> None:
    """From its folder and a lab's own file alone, without params.yaml: as from the processed matrix."""
    shutil.copytree(done.root / "models" / name, tmp_path / "copied")
    command = ["sclandmarks", "predict", "copied", str(done.root / "own/islets.csv"), "--out", "out.parquet"]
    ran = subprocess.run(command, cwd=tmp_path, env=done.environment, capture_output=True, text=True, timeout=1200)
    assert ran.returncode == 0, ran.stderr
    matrix, model = read_matrix(done.root / "data/processed"), load_model(tmp_path / "copied")
    rows = np.flatnonzero((matrix.cells["dataset"] == "islets").to_numpy())
    x_CL = matrix.X_CG[rows][:, gene_positions(matrix.genes, model.landmarks)].toarray()
    cells = pl.DataFrame({"cell_id": matrix.cells["cell_id"][rows].str.strip_prefix("islets/")})
    predicted = cells.join(pl.read_parquet(tmp_path / "out.parquet"), on="cell_id", maintain_order="left")
    assert predicted.height == len(rows) == 180
    with torch.no_grad():
        wanted_CT = model.module(torch.from_numpy(x_CL)).numpy()
    np.testing.assert_allclose(predicted.select(model.targets).to_numpy(), wanted_CT, rtol=1e-5, atol=1e-5)


def test_the_comparison_says_what_must_be_so(done: Project) -> None:
    comparison = json.loads((done.root / "metrics/comparison.json").read_text())
    assert set(comparison) == FITS | CONTROLS
    for fit in comparison.values():
        assert set(fit) == {"own", "common", "all"}
        assert all(math.isfinite(value) for metrics in fit.values() for value in metrics.values() if value is not None)
    common = {name: fit["common"] for name, fit in comparison.items()}
    assert common["l1000-mean"]["explained"] == pytest.approx(0, abs=1e-3)
    for name in FITS - {"l1000-mean"}:  # the cells were made so that genes tell of each other
        assert common[name]["mse"] < 0.8 * common["l1000-mean"]["mse"]
        assert 0.2 < common[name]["explained"] < 1


def test_the_second_time_nothing_runs(logs: tuple[str, str], done: Project) -> None:
    first, second = logs
    stages = set(yaml.safe_load(done.lock())["stages"])
    assert stages_run(first) == stages
    assert not stages_run(second)
    assert "Data and pipelines are up to date." in second


@pytest.fixture(scope="module")
def runs(done: Project) -> list[Run]:
    client = MlflowClient(f"sqlite:///{done.root}/state/mlflow.db")
    experiment = client.get_experiment_by_name("e2e")
    assert experiment is not None
    return client.search_runs([experiment.experiment_id])


def named(runs: list[Run], **tags: str) -> dict[str, Run]:
    """Runs with these tags, by name."""
    chosen = [run for run in runs if tags.items() <= run.data.tags.items()]
    assert len({run.info.run_name for run in chosen}) == len(chosen)
    return {str(run.info.run_name): run for run in chosen}


def artifacts(run: Run) -> Path:
    """Folder of a run's files."""
    return Path(run.info.artifact_uri.removeprefix("file://"))


def test_each_selection_is_one_run_with_figures_and_genes(runs: list[Run], done: Project) -> None:
    selected = named(runs, stage="select")
    assert set(selected) == {f"select {name}" for name in PANELS}
    for name in PANELS:
        run = selected[f"select {name}"]
        panel = read_table(done.root / f"panels/{name}.parquet", schema.PANEL)
        assert run.data.metrics["final/n_landmarks"] == panel.height
        genes = (artifacts(run) / "tables/panel.csv").read_text().splitlines()
        assert len(genes) == panel.height + 1
        assert panel["gene_id"][0] in genes[1]


def test_each_fit_is_one_run_with_figures_and_a_model_without_pickle(runs: list[Run], done: Project) -> None:
    fitted = named(runs, stage="fit")
    assert {run.data.tags["dvc.stage"] for run in fitted.values()} == {f"fit@{name}" for name in FITS}
    client = MlflowClient(f"sqlite:///{done.root}/state/mlflow.db")
    for name, run in ((run.data.tags["dvc.stage"].removeprefix("fit@"), run) for run in fitted.values()):
        saved = load_model(done.root / "models" / name)
        for metric, value in saved.about["chosen"].items():
            assert run.data.metrics[f"final/{metric}"] == value
        (output,) = run.outputs.model_outputs
        location = Path(client.get_logged_model(output.model_id).artifact_location.removeprefix("file://"))
        x_CL = torch.rand(5, len(saved.landmarks))
        with torch.no_grad():
            torch.testing.assert_close(mlflow.pytorch.load_model(str(location))(x_CL), saved.module(x_CL))
    endings = {path.suffix for path in (done.root / "state/mlartifacts").rglob("*") if path.is_file()}
    assert not endings & {".pkl", ".pickle", ".pth", ".pt", ".bin", ".joblib"}


def test_each_fit_has_one_final_run_with_its_test_figures(runs: list[Run], done: Project) -> None:
    comparison = json.loads((done.root / "metrics/comparison.json").read_text())
    final = named(runs, kind="final")
    assert len(final) == len(FITS)
    for run in final.values():
        fit = comparison[f"{run.data.tags['panel']}-{run.data.tags['predictor']}"]
        assert set(fit["common"].values()) - {None} <= set(run.data.metrics.values())


def test_every_run_ended_well_and_says_where_it_comes_from(runs: list[Run], done: Project) -> None:
    assert len(named(runs, kind="stage")) == len(PANELS) + len(FITS) + len(named(runs, stage="report"))
    assert len(runs) == len(named(runs, kind="stage")) + len(named(runs, kind="final"))
    head = done.git("rev-parse", "HEAD").strip()
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.tags["git.commit"] == head
        assert run.data.tags["stage"] == "report" or run.data.tags["dataset"] == "islets+biopsies"
    with sqlite3.connect(f"file:{done.root}/state/mlflow.db?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_another_panel_size_reruns_the_panels_and_what_follows(project: Project, tmp_path: Path) -> None:
    project.commit("results")
    output = project.dvc("exp", "run", "-S", "select.n_landmarks=15")
    stages = set(yaml.safe_load(project.lock())["stages"])
    # l1000 is chosen again and is the same, so its fits stand
    kept = {
        "fetch",
        "ingest",
        "split",
        "prepare",
        "explore",
        "noise",
        "fit@l1000-mean",
        "fit@l1000-ridge",
        "fit@l1000-network",
    }
    assert stages_run(output) == stages - kept
    assert read_table(project.root / "panels/group_lasso.parquet", schema.PANEL).height == 15

    changed: dict[str, Any] = json.loads(project.dvc("metrics", "diff", "--json"))
    assert {"metrics/comparison.json", "metrics/panels/random-0.json"} <= set(changed)
    assert "metrics/fits/l1000-ridge.json" not in changed
    shown: dict[str, Any] = json.loads(project.dvc("metrics", "show", "--json"))
    assert "metrics/comparison.json" in json.dumps(shown)
    if "plots" in (project.root / "dvc.yaml").read_text():
        project.dvc("plots", "show", "-o", str(tmp_path / "plots"))
        assert (tmp_path / "plots/index.html").stat().st_size > 0


def test_a_clone_beside_it_pulls_all_results(project: Project, tmp_path: Path) -> None:
    project.git("add", "-f", "own")  # kept out of git by default; without it ingest would see its source gone
    project.commit("results")
    project.dvc("push")
    clone = type(project)(tmp_path / "clone")
    project.git("clone", "-q", str(project.root), str(clone.root))
    clone.dvc("pull")
    assert "up to date" in clone.dvc("status", "dvc.yaml")  # the studies have not run
    files = {path.relative_to(project.root): path.read_bytes() for path in outs_of(project)}
    assert {path.relative_to(clone.root): path.read_bytes() for path in outs_of(clone)} == files
    assert clone.git("status", "--porcelain") == ""
