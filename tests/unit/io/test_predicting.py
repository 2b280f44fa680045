"""From a file of counts to predictions: of the panel alone, or of whole cells, or refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file
from scipy import sparse

from sclandmarks import paths
from sclandmarks.cli import main
from sclandmarks.errors import DataError, PanelError, SourceError
from sclandmarks.genes import l1000_landmarks
from sclandmarks.io import predicting
from sclandmarks.io.models import load_model, save_model, weights_hash
from sclandmarks.io.normalisation import made_of
from sclandmarks.io.predicting import predict_file
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import ExpressionMatrix, MemoryBatches
from sclandmarks.params import PrepareParams, Section, load_params
from sclandmarks.params.predictors import PaperLinearPredictor, RidgePredictor
from sclandmarks.predict import PREDICTORS

PREPARE = PrepareParams(min_library_size=1, min_reads=1, min_cells=1, scale=10000, log_base=10)
SETTINGS: dict[str, Section] = {
    "own": RidgePredictor(method="ridge", panel_total=True),
    "whole": RidgePredictor(method="ridge"),
    "counts": PaperLinearPredictor(
        method="paper_linear", scale="counts", seed=0, learning_rate=0.5, max_epochs=3, patience=3
    ),
}
SYMBOLS = ["INS", "GCG", "SST", "PPY", "GHRL", "KRT19"]  # the planted landmarks in a file


@pytest.fixture(scope="module")
def names(planted: Any) -> list[str]:
    """A human symbol for every planted gene."""
    genes = l1000_landmarks()["current_symbol"][:80].to_list()
    for place, symbol in zip(planted.positions, SYMBOLS, strict=True):
        genes[place] = symbol
    return genes


@pytest.fixture(scope="module")
def models(planted: Any, names: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of stored models, one a kind of input."""
    folder, (inputs, outputs) = tmp_path_factory.mktemp("models"), split_genes(80, planted.positions)
    for name, settings in SETTINGS.items():
        X_CG = planted.counts.X_CG.astype(np.float32) if name == "counts" else planted.values
        task = Task(MemoryBatches(X_CG[:300]), MemoryBatches(X_CG[300:]), inputs, outputs, log_base=10)
        fitted = PREDICTORS[getattr(settings, "method")](task, settings, Hooks())  # noqa: B009
        targets = [names[i] for i in outputs]
        save_model(folder / name, fitted, SYMBOLS, targets, made_of(getattr(settings, "unit", "log"), PREPARE, 80))
    return folder


@pytest.fixture
def write(planted: Any, names: list[str], tmp_path: Path) -> Callable[..., Path]:
    """Write counts of some cells and genes as a table of text."""

    def written(genes: list[str], rows: slice = slice(300, 330), times: int = 1) -> Path:
        counts_CG = planted.counts.X_CG[rows].toarray() * times
        columns = {gene: counts_CG[:, names.index(gene)] for gene in genes}
        path = tmp_path / "assay.csv"
        pl.DataFrame({"cell": [f"c/{i}" for i in range(len(counts_CG))], **columns}).write_csv(path)
        return path

    return written


def read(out: Path, model: Any) -> np.ndarray:
    """Predictions of a file, its columns checked."""
    frame = pl.read_parquet(out)
    assert frame.columns == ["cell_id", *model.targets]
    assert frame["cell_id"].to_list() == [f"c/{i}" for i in range(frame.height)]
    assert set(frame.dtypes[1:]) == {pl.Float32}
    return frame.drop("cell_id").to_numpy()


@pytest.mark.parametrize("times", [1, 7])
def test_counts_of_the_panel_alone_in_any_order(
    times: int, models: Path, write: Any, planted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the depth, the predictions are those from values of the whole cells; blocks do not matter."""
    monkeypatch.setattr(predicting, "BLOCK", 7)
    model, out = load_model(models / "own"), tmp_path / "out.parquet"
    done = predict_file(models / "own", write(SYMBOLS[::-1], times=times), out)
    assert done == (30, 74, "the panel's own total")
    values_CL = torch.from_numpy(planted.values[300:330].toarray()[:, planted.positions])
    np.testing.assert_allclose(read(out, model), model.module(values_CL).detach(), rtol=1e-4, atol=1e-4)


def test_whole_cells_are_normalised_by_the_genes_of_the_model(
    models: Path, write: Any, planted: Any, names: list[str], tmp_path: Path
) -> None:
    """As the matrix was that it learned from."""
    model, out = load_model(models / "whole"), tmp_path / "out.parquet"
    assert predict_file(models / "whole", write(names), out).normalised_by == "all reads of a cell"
    values_CL = torch.from_numpy(planted.values[300:330].toarray()[:, planted.positions])
    np.testing.assert_allclose(read(out, model), model.module(values_CL).detach(), rtol=1e-4, atol=1e-4)


def test_a_model_of_counts_needs_the_panel_alone(models: Path, write: Any, planted: Any, tmp_path: Path) -> None:
    """Nothing is normalised."""
    model, out = load_model(models / "counts"), tmp_path / "out.parquet"
    assert predict_file(models / "counts", write(SYMBOLS), out).normalised_by == "nothing"
    counts_CL = torch.from_numpy(planted.counts.X_CG[300:330].toarray()[:, planted.positions]).float()
    np.testing.assert_allclose(read(out, model), model.module(counts_CL).detach(), rtol=1e-5)


def test_the_panel_alone_is_refused_where_whole_cells_are_needed(models: Path, write: Any, tmp_path: Path) -> None:
    """With the setting that would do; nothing is written."""
    with pytest.raises(PanelError, match=r"80 genes of the model; got 74 that are not in .*panel_total: true"):
        predict_file(models / "whole", write(SYMBOLS), tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_a_panel_with_a_gene_missing_is_refused(models: Path, write: Any, tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(PanelError, match=r"6 genes of the model; got 1 that are not in .*first KRT19"):
        predict_file(models / "own", write(SYMBOLS[:-1]), tmp_path / "out.parquet")


def test_what_is_no_raw_counts_is_refused(models: Path, write: Any, tmp_path: Path) -> None:
    """As inspect says."""
    path = write(SYMBOLS)
    path.write_text(path.read_text().replace("c/3,", "c/3,0.5"))
    with pytest.raises(DataError, match="raw counts of cells x genes in"):
        predict_file(models / "own", path, tmp_path / "out.parquet")


def test_genes_are_found_by_id_symbol_or_ensembl_id() -> None:
    """A name of two genes of the file is none of them, unless it is an id."""
    genes = pl.DataFrame(
        {"gene_id": ["ENSG1", "ENSG2", "B"], "symbol": ["A", "A", "C"], "ensembl_id": ["ENSG1", "ENSG2", "ENSG3"]}
    )
    assert predicting.gene_places(genes, ["B", "C", "ENSG3", "ENSG2"], Path("f"), "Mend.").tolist() == [2, 2, 2, 1]
    with pytest.raises(PanelError, match=r"first A.*Mend\."):
        predicting.gene_places(genes, ["A"], Path("f"), "Mend.")


@pytest.fixture
def place(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models/ and nothing else, least of all params.yaml."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(models, paths.MODELS)
    return tmp_path


@pytest.fixture
def raw(planted: Any, names: list[str], monkeypatch: pytest.MonkeyPatch) -> ExpressionMatrix:
    """Counts of 30 cells that stand for whatever file is read: reading takes a process, and has tests of its own."""
    genes = planted.counts.genes.with_columns(gene_id=pl.Series(names), symbol=pl.Series(names))
    matrix = replace(planted.counts.take(np.arange(300, 330)), genes=genes)
    monkeypatch.setattr(predicting, "read_counts", lambda _: matrix)
    return matrix


def run(*arguments: str) -> Result:
    """Run the command, which ends well or with one error, never with a traceback."""
    result = CliRunner().invoke(main, ["predict", *arguments])
    assert (result.exit_code, type(result.exception)) in [(0, type(None)), (1, SystemExit)], result.output
    assert "Traceback" not in result.output
    return result


@pytest.mark.parametrize("model", ["own", "models/own", "./models/own/", "whole"])
def test_the_command_says_what_it_normalised_by(model: str, place: Path, raw: ExpressionMatrix) -> None:
    """By the name of a fit, or a folder; no params.yaml is asked for."""
    result = run(model, "assay.csv", "--out", "out.parquet")
    how = "all reads of a cell" if model == "whole" else "the panel's own total"
    assert result.output == f"out.parquet: 30 cells x 74 genes, from values normalised by {how}\n"


def test_another_params_changes_nothing(place: Path, raw: ExpressionMatrix) -> None:
    """The model says how its values were made, whatever the folder's params.yaml is."""
    run("whole", "assay.csv", "--out", "before.parquet")
    text = (Path(__file__).parents[3] / "params.yaml").read_text()
    paths.PARAMS.write_text(text.replace("scale: 10000", "scale: 77").replace("log_base: 10", "log_base: 2"))
    assert (load_params().prepare.scale, load_params().prepare.log_base) == (77, 2)
    run("whole", "assay.csv", "--out", "after.parquet")
    assert Path("before.parquet").read_bytes() == Path("after.parquet").read_bytes()


def test_a_scale_of_its_own_is_used(place: Path, raw: ExpressionMatrix) -> None:
    """What the other test holds still does matter."""
    run("whole", "assay.csv", "--out", "before.parquet")
    about = json.loads(Path("models/whole/model.json").read_text())
    about["normalisation"]["scale"] = 77
    Path("models/whole/model.json").write_text(json.dumps(about))
    run("whole", "assay.csv", "--out", "after.parquet")
    assert not pl.read_parquet("before.parquet").equals(pl.read_parquet("after.parquet"))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_model_that_does_not_say_how_is_refused_where_it_matters(
    name: str, place: Path, raw: ExpressionMatrix
) -> None:
    """Those of before: not by guess, and only where more than the panel is needed."""
    path = Path("models") / name / "model.json"
    about = json.loads(path.read_text())
    assert (about.pop("normalisation", None) is None) == (name == "counts")
    path.write_text(json.dumps(about))
    result = run(name, "assay.csv", "--out", "out.parquet")
    assert result.exit_code == (name == "whole")
    assert ("expected a model that says how its values were made" in result.output) == (name == "whole")
    assert Path("out.parquet").exists() == (name != "whole")


def test_the_help_says_what_is_needed_and_what_empty_cells_get() -> None:
    """In the terms of the user."""
    text = " ".join(run("-h").output.split())
    for said in ("panel's own total", "the folder of a stored model", "params.yaml is not read", "a panel of zeros"):
        assert said in text


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("absent", "'absent', which is not there. Models here: counts, own, whole."),
        ("own/../own", "which is not there. Models here"),
        ("models", "'models', a folder without model.json"),
        ("", "a folder without model.json"),
        ("models/own/model.json", "a file. Models here"),
        ("x" * 300, "xxx', which is not there"),
        ("own/" + "x" * 300, "which is not there"),
        ("../secrets", "which is not there"),
        ("own\0", "which is not there"),
        ("ein Modell äöü", "which is not there"),
    ],
)
def test_what_is_no_model_is_said(model: str, says: str, place: Path) -> None:
    """One error before anything is read; it names what would do."""
    result = run(model, "assay.csv", "--out", "out.parquet")
    assert "error: expected a folder with a model.json, or the name of a fit with one in models/; got " in result.output
    assert says in result.output
    assert result.exit_code == 1


def test_where_there_are_no_models_a_path_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that is no repository."""
    monkeypatch.chdir(tmp_path)
    assert "Give the path of the model's folder" in run("own", "assay.csv", "--out", "out.parquet").output


def test_a_broken_model_is_to_be_copied_or_fitted_again(place: Path, raw: ExpressionMatrix) -> None:
    """There may be no DVC where a model is used."""
    Path("models/own/weights.safetensors").write_bytes(b"")
    result = run("own", "assay.csv", "--out", "out.parquet")
    assert (
        "error: expected the weights that models/own/model.json names; got a file with another hash." in result.output
    )
    assert "fit it again" in result.output
    assert "dvc" not in result.output


@pytest.mark.parametrize(
    "out",
    ["assay.csv", "link.csv", "models/own/model.json", "models", ".", "no/out.parquet", "assay.csv/out.parquet",
     "pipe", "x" * 300, "no/" + "x" * 300],
)  # fmt: skip
def test_what_is_read_is_never_written_over(out: str, place: Path) -> None:
    """Counts and model stay as they are; a folder or a pipe is no file, and no folder is made."""
    Path("assay.csv").write_text("counts\n")
    Path("link.csv").symlink_to("assay.csv")
    os.mkfifo("pipe")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    result = run("own", "assay.csv", "--out", out)
    assert "error: expected a file for --out" in result.output
    assert result.exit_code == 1
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert not Path("no").exists()


def test_a_closed_folder_is_said_before_reading(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a long file whose predictions have no place; root may write anywhere, so the answer is made."""
    monkeypatch.setattr(os, "access", lambda path, how: False)
    result = run("own", "assay.csv", "--out", "out.parquet")
    assert "got out.parquet, in a folder that may not be written to. Choose another --out." in result.output


@pytest.mark.parametrize("name", SETTINGS)
def test_cells_without_a_read_of_the_panel_are_counted(
    name: str, place: Path, raw: ExpressionMatrix, planted: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """They are predicted, alike, and a warning says how many there are; without any there is none."""
    predict_file(Path("models") / name, Path("assay.csv"), Path("out.parquet"))
    assert not caplog.records
    counts_CG = raw.X_CG.toarray()
    counts_CG[2:5, planted.positions] = 0
    counts_CG[4] = 0
    silent = replace(raw, X_CG=sparse.csr_matrix(counts_CG))
    monkeypatch.setattr(predicting, "read_counts", lambda _: silent)
    predict_file(Path("models") / name, Path("assay.csv"), Path("out.parquet"))
    says = "3 of 30 cells of assay.csv have no read of the panel: each gets what the model gives for a panel of zeros"
    assert [record.getMessage() for record in caplog.records] == [says]
    model, rows = load_model(Path("models") / name), pl.read_parquet("out.parquet").drop("cell_id").to_numpy()
    wanted_T = model.module(torch.zeros(1, 6)).detach()[0]
    for row in rows[2:5]:
        np.testing.assert_allclose(row, wanted_T, rtol=1e-5, atol=1e-5)


def test_predictions_that_are_not_finite_are_not_written(
    place: Path, raw: ExpressionMatrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound weights, and values far beyond those fitted to."""
    weights = load_file("models/counts/weights.safetensors")
    weights["weight"].fill_(3e38)
    save_file(weights, "models/counts/weights.safetensors")
    about = json.loads(Path("models/counts/model.json").read_text())
    about["sha256"] = weights_hash(Path("models/counts"))
    Path("models/counts/model.json").write_text(json.dumps(about))
    assert "error: expected predictions that are finite" in run("counts", "assay.csv", "--out", "out.parquet").output
    assert not Path("out.parquet").exists()


TABLE = "cell,INS,GCG,SST\nc1,1,2,3\nc2,4,0,1\n"
FILES = {
    "cells twice": (TABLE.replace("c2", "c1"), "repeated barcodes: 1"),
    "no cells": (TABLE.split("\n")[0] + "\n", "a single line"),
    "nothing": ("", "an empty file"),
    "fractions": (TABLE.replace("4", "4.5"), r"has fractions, first 4\.5"),
    "below zero": (TABLE.replace("4", "-4"), "has negative values"),
    "genes nobody knows": (TABLE.replace("INS,GCG,SST", "a,b,c"), "genes are rows or columns"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_with_a_file_is_said_without_the_registry(name: str, tmp_path: Path) -> None:
    """Remedies speak of the file: there is no entry of datasets.yaml to mend."""
    text, says = FILES[name]
    path = tmp_path / "assay.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=f"(?s){says}") as caught:
        predicting.read_counts(path)
    assert str(path) in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert "datasets.yaml" not in str(caught.value)
    assert caught.value.remedy


def test_whole_numbers_with_a_point_are_counts(tmp_path: Path) -> None:
    """As other programs write them."""
    path = tmp_path / "assay.csv"
    path.write_text(TABLE.replace("4", "4.0"))
    assert predicting.read_counts(path).X_CG.toarray().tolist() == [[1, 2, 3], [4, 0, 1]]


@pytest.mark.parametrize("name", ["absent.csv", "x" * 300])
def test_no_file_is_said(name: str, tmp_path: Path) -> None:
    """Too long a name is none either."""
    with pytest.raises(SourceError) as caught:
        predicting.read_counts(tmp_path / name)
    assert name in str(caught.value)
    assert "datasets.yaml" not in str(caught.value)
