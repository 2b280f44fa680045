"""From a file of counts to predictions: of the panel alone, or of whole cells, or refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from click.testing import CliRunner

from sclandmarks import paths
from sclandmarks.cli import main
from sclandmarks.errors import DataError, PanelError, SchemaError
from sclandmarks.genes import l1000_landmarks
from sclandmarks.io import predicting
from sclandmarks.io.models import load_model, save_model
from sclandmarks.io.normalisation import made_of
from sclandmarks.io.predicting import predict_file
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
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


def test_the_command_says_what_it_normalised_by(
    models: Path, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of a fit, or a folder; its help says which model needs what; errors are one line, no traceback."""
    file, params = write(SYMBOLS), (Path(__file__).parents[3] / "params.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    paths.PARAMS.write_text(params)
    assert load_params().prepare.log_base == 10
    (tmp_path / paths.MODELS).symlink_to(models)
    for model in ("own", str(models / "own")):
        result = CliRunner().invoke(main, ["predict", model, str(file), "--out", "out.parquet"])
        assert result.exit_code == 0, result.output
        assert result.output == "out.parquet: 30 cells x 74 genes, from values normalised by the panel's own total\n"
    assert "panel's own total" in " ".join(CliRunner().invoke(main, ["predict", "-h"]).output.split())
    failed = CliRunner().invoke(main, ["predict", "absent", str(file), "--out", "o.parquet"])
    assert failed.exit_code == 1
    assert not isinstance(failed.exception, SchemaError)


@pytest.mark.parametrize("out", ["assay.csv", "link.csv", "models/own/model.json", "models", "."])
def test_what_is_read_is_never_written_over(
    out: str, models: Path, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts and model stay as they are, and a folder is no file."""
    params = (Path(__file__).parents[3] / "params.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    paths.PARAMS.write_text(params)
    shutil.copytree(models, paths.MODELS)
    file = write(SYMBOLS)
    Path("link.csv").symlink_to(file)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = CliRunner().invoke(main, ["predict", "own", str(file), "--out", out])
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "error: expected a file for --out" in result.output
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
