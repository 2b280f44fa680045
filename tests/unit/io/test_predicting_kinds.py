"""Predictions from raw counts are those from the processed matrix, for a model of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse

from sclandmarks.genes import l1000_landmarks
from sclandmarks.io import predicting
from sclandmarks.io.models import load_model, save_model
from sclandmarks.io.normalisation import made_of
from sclandmarks.io.predicting import predict_file
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import ExpressionMatrix, MemoryBatches
from sclandmarks.params import PrepareParams, Section
from sclandmarks.params.predictors import (
    DGexPredictor,
    KernelPredictor,
    KnnPredictor,
    MeanPredictor,
    NetworkPredictor,
    PaperLinearPredictor,
    PaperNetworkPredictor,
    ReducedRankPredictor,
    RidgePredictor,
)
from sclandmarks.predict import PREDICTORS
from sclandmarks.prep.prepare import Prepared, filter_cells, prepare
from sclandmarks.prep.scprep_adapter import log_normalise

PREPARE = PrepareParams(min_library_size=50, min_reads=2, min_cells=5, scale=4321.5, log_base=2)
N_CELLS, N_GENES, N_RARE, TEST = 150, 50, 20, 30
PANEL = [7, 0, 31, 12, 3, 44, 20, 28]
TRAINED = {"learning_rate": 0.01, "batch_size": 32, "max_epochs": 2, "patience": 2, "seed": 0}
KERNEL = {"seed": 0, "max_cells": 40, "max_rank": 5, "bandwidth": 1.4, "axes": 4, "folds": 2}
NETWORK = {"members": 2, "width": 8, "depth": 1, "input_dropout": 0.1, "dropout": 0.1, "weight_decay": 0.0}
KINDS: dict[str, Section] = {
    "mean": MeanPredictor(method="mean"),
    "ridge": RidgePredictor(method="ridge"),
    "reduced_rank": ReducedRankPredictor(method="reduced_rank", max_rank=6),
    "knn": KnnPredictor(method="knn", seed=0, max_cells=60),
    "kernel": KernelPredictor(method="kernel", **KERNEL),
    "kernel, adaptive": KernelPredictor(method="kernel", adaptive=True, **KERNEL),
    "paper_linear": PaperLinearPredictor(
        method="paper_linear", scale="log", seed=0, learning_rate=0.02, max_epochs=2, patience=2
    ),
    "paper_linear on counts": PaperLinearPredictor(
        method="paper_linear", scale="counts", seed=0, learning_rate=0.5, max_epochs=2, patience=2
    ),
    "paper_network": PaperNetworkPredictor(
        method="paper_network", width=8, depth=1, dropout=0.1, loss="mse", **TRAINED
    ),
    "d_gex": DGexPredictor(method="d_gex", width=8, **TRAINED),
    "network": NetworkPredictor(method="network", loss="mse", **TRAINED | KERNEL | NETWORK),
    "network by counts": NetworkPredictor(method="network", loss="negative_binomial", **TRAINED | KERNEL | NETWORK),
    "ridge, own total": RidgePredictor(method="ridge", panel_total=True),
    "reduced_rank, own total": ReducedRankPredictor(method="reduced_rank", max_rank=6, panel_total=True),
    "kernel, own total": KernelPredictor(method="kernel", panel_total=True, **KERNEL),
    "network, own total": NetworkPredictor(
        method="network", loss="mse", panel_total=True, **TRAINED | KERNEL | NETWORK
    ),
}


class Assay(NamedTuple):
    """A processed matrix, and the raw counts of its test cells as `predict` reads them, in another order of genes."""

    prepared: Prepared
    raw: ExpressionMatrix

    def rows(self, subset: slice) -> np.ndarray:
        """Rows of the processed matrix whose cells are these of the raw matrix."""
        names = self.prepared.counts.cells["cell_id"].to_list()
        places = {int(name.rpartition("c")[2]): row for row, name in enumerate(names)}
        return np.array([places[cell] for cell in range(N_CELLS)[subset]])


@pytest.fixture(scope="module")
def assay(make_matrix: Any, tmp_path_factory: pytest.TempPathFactory) -> Assay:
    """Cells of many depths; the last genes have reads in test cells alone, so that `prepare` drops them."""
    rng = np.random.default_rng(5)
    symbols = l1000_landmarks()["current_symbol"][: N_GENES + N_RARE].to_list()
    state_CK = rng.normal(0, 0.7, (N_CELLS, 3))
    rate_CG = 6 * np.exp(state_CK @ rng.normal(0, 0.6, (3, N_GENES))) * rng.uniform(0.5, 3, (N_CELLS, 1))
    rare_CG = rng.poisson(30, (N_CELLS, N_RARE)) * (np.arange(N_CELLS) >= N_CELLS - TEST)[:, None]
    counts_CG = np.hstack([rng.poisson(rate_CG), rare_CG])
    names = [f"c{i}" for i in range(N_CELLS)]
    matrix = make_matrix(counts=counts_CG, dataset="assay")
    genes = matrix.genes.with_columns(gene_id=pl.Series(symbols), symbol=pl.Series(symbols))
    cells = matrix.cells.with_columns(cell_id="assay/" + pl.Series(names))
    subsets = ["train"] * 100 + ["validation"] * 20 + ["test"] * TEST
    split = pl.DataFrame({"cell_id": cells["cell_id"], "subset": subsets})
    prepared = prepare(filter_cells(ExpressionMatrix(matrix.X_CG, cells, genes), PREPARE), split, PREPARE, seed=3)
    path = tmp_path_factory.mktemp("assay") / "assay.csv"
    columns = {symbols[i]: counts_CG[-TEST:, i] for i in rng.permutation(len(symbols))}
    pl.DataFrame({"cell": names[-TEST:], **columns}).write_csv(path)
    return Assay(prepared, predicting.read_counts(path))


def fit(assay: Assay, settings: Any, folder: Path) -> None:
    """Fit and save as the stage does."""
    inputs, outputs = split_genes(N_GENES, PANEL)
    counts_CG = assay.prepared.counts.X_CG.astype(np.float32)
    X_CG = counts_CG if settings.unit == "counts" else assay.prepared.value
    train, validation = (MemoryBatches(X_CG[assay.rows(rows)]) for rows in (slice(100), slice(100, 120)))
    counts = MemoryBatches(counts_CG[assay.rows(slice(100))])
    task = Task(train, validation, inputs, outputs, log_base=PREPARE.log_base, counts=counts)
    fitted = PREDICTORS[settings.method](task, settings, Hooks())
    genes = assay.prepared.counts.genes["gene_id"]
    about = made_of(settings.unit, PREPARE, len(genes))
    save_model(folder, fitted, genes[PANEL], genes.gather(outputs.numpy()), about)


def test_the_total_is_over_the_genes_that_prepare_kept(assay: Assay) -> None:
    """Else the test below could not fail: most reads of test cells are in genes that were dropped."""
    assert assay.prepared.counts.n_genes == N_GENES
    whole = log_normalise(assay.raw.X_CG, PREPARE.scale, PREPARE.log_base)
    assert abs(whole.sum() / assay.prepared.value[assay.rows(slice(-TEST, None))].sum() - 1) > 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_those_from_the_processed_matrix(
    kind: str, assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the model's folder alone: there is no params.yaml, and the scale and base are not the defaults."""
    settings: Any = KINDS[kind]
    fit(assay, settings, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predicting, "read_counts", lambda _: assay.raw)
    monkeypatch.setattr(predicting, "BLOCK", 13)
    predict_file(Path("model"), Path("assay.csv"), Path("out.parquet"))
    model, predicted = load_model(Path("model")), pl.read_parquet("out.parquet")
    X_CG = assay.prepared.counts.X_CG if settings.unit == "counts" else assay.prepared.value
    x_CL = sparse.csr_matrix(X_CG[assay.rows(slice(-TEST, None))])[:, PANEL].toarray().astype(np.float32)
    assert predicted["cell_id"].to_list() == [f"c{i}" for i in range(N_CELLS - TEST, N_CELLS)]
    assert predicted.columns[1:] == model.targets
    with torch.no_grad():
        wanted = model.module(torch.from_numpy(x_CL)).numpy()
    np.testing.assert_allclose(predicted.drop("cell_id").to_numpy(), wanted, rtol=1e-5, atol=1e-5)
    assert kind == "mean" or wanted.std(axis=0).max() > 1e-4
