"""From counts to a fitted predictor without DVC: nothing about test cells, counts or labels, gets through.

Their number alone does: how many pass the filter of cells decides the shuffled order of all, and so the rounding of
sums. Here the same cells pass.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse
from torch import Tensor

from sclandmarks.learn.task import Hooks, Step, Task, split_genes
from sclandmarks.matrix import ExpressionMatrix, MemoryBatches
from sclandmarks.moments import gene_means
from sclandmarks.params import (
    GreedyPanel,
    GroupLassoPanel,
    NetworkPredictor,
    PrepareParams,
    RidgePredictor,
    SplitParams,
    TopVariancePanel,
)
from sclandmarks.predict import PREDICTORS
from sclandmarks.predict.linear import fit_ridge
from sclandmarks.prep.join import join_datasets
from sclandmarks.prep.prepare import filter_cells, prepare
from sclandmarks.prep.split import split_cells
from sclandmarks.select import SELECTORS, SelectionTask

PREPARE = PrepareParams(min_library_size=60, min_reads=2, min_cells=5, scale=1e4, log_base=10)
NETWORK = NetworkPredictor(
    method="network", seed=0, learning_rate=0.01, max_epochs=2, patience=2, batch_size=16, width=4, depth=1,
    dropout=0.1, weight_decay=0.1, loss="mse", members=1, input_dropout=0.1, max_cells=100, max_rank=5,
    bandwidth=1.8, axes=5, folds=2,
)  # fmt: skip
PANELS = {
    "top_variance": TopVariancePanel(selector="top_variance"),
    "greedy": GreedyPanel(selector="greedy", ridge=0.1),
    "group_lasso": GroupLassoPanel(
        selector="group_lasso", seed=0, width=8, standardise=False, path_ratio=0.8, max_steps=200, tolerance=1e-3
    ),
}


class Result(NamedTuple):
    """What a test cell must not change."""

    genes: pl.DataFrame
    panel: pl.DataFrame
    weights: dict[str, Tensor]
    chosen: dict[str, float]
    history: list[Step]


@pytest.fixture(scope="module")
def counts(make_matrix) -> ExpressionMatrix:
    """160 cells x 60 genes of three types, some genes near the filter."""
    rng = np.random.default_rng(11)
    kinds_KG = rng.gamma(1, 4, (3, 60)) * np.geomspace(0.1, 1, 60)
    return make_matrix(counts=rng.poisson(kinds_KG[np.arange(160) % 3] * rng.gamma(4, 0.25, (160, 1)) + 0.02))


@pytest.fixture(scope="module")
def split(counts: ExpressionMatrix) -> pl.DataFrame:
    """As the split stage makes it: from ids and annotations."""
    return split_cells(counts.cells, SplitParams(seed=0, test=0.25, validation=0.15))


def learn(counts: ExpressionMatrix, split: pl.DataFrame, selector: str, leak: str = "") -> Result:
    """The stages prepare, select and fit; `leak` says where test cells are let in on purpose."""
    told = pl.when(pl.col("subset") == "test").then(pl.lit("train")).otherwise("subset")
    matrix = join_datasets([filter_cells(counts, PREPARE)]).matrix
    prepared = prepare(matrix, split.with_columns(subset=told) if leak == "filter" else split, PREPARE, seed=0)
    subset = prepared.counts.cells.join(split, on="cell_id", how="left", maintain_order="left")["subset"]
    train, validation, everything = (
        MemoryBatches(prepared.value[np.flatnonzero(subset.is_in(names).to_numpy())], 32)
        for names in (["train"], ["validation"], ["train", "test"])
    )
    chosen = MemoryBatches(prepared.value[np.flatnonzero((subset == "test").to_numpy())], 32)
    selected = SELECTORS[selector](
        SelectionTask(everything if leak == "panel" else train, validation, prepared.counts.genes, 8),
        PANELS[selector],
        Hooks(),
    )
    inputs = prepared.counts.positions(selected.panel["gene_id"].to_list())
    task = Task(
        everything if leak == "weights" else train,
        chosen if leak == "lambda" else validation,
        *split_genes(prepared.counts.n_genes, inputs),
    )
    fitted = fit_ridge(task, RidgePredictor(method="ridge"), Hooks())
    means = gene_means((everything if leak == "means" else train).in_order())
    weights = fitted.module.state_dict() | {"means": means} | _network_weights(task)
    return Result(prepared.counts.genes, selected.panel, weights, fitted.chosen, fitted.history)


def _network_weights(task: Task) -> dict[str, Tensor]:
    """A network of two epochs: shuffling, scalings and early stopping are of training and held-back cells too."""
    fitted = PREDICTORS["network"](task, NETWORK, Hooks())
    return {f"network.{name}": value for name, value in fitted.module.state_dict().items()}


def unchanged(want: Result, got: Result) -> bool:
    """Whether genes, panel with scores, means, weights, lambda and its whole grid are the same to the last bit."""
    same = got.genes.equals(want.genes) and got.panel.equals(want.panel) and got.weights.keys() == want.weights.keys()
    same = same and all(torch.equal(got.weights[name], want.weights[name]) for name in want.weights)
    return same and (got.chosen, got.history) == (want.chosen, want.history)


def alter(counts: ExpressionMatrix, split: pl.DataFrame, subset: str) -> ExpressionMatrix:
    """Other counts and labels for cells of a subset that pass the filter: permuted among themselves, then changed."""
    large = counts.cells["library_size"] >= PREPARE.min_library_size
    rows = np.flatnonzero(((split["subset"] == subset) & large).to_numpy())
    rng = np.random.default_rng(1)
    X_CG = counts.X_CG.toarray()
    X_CG[rows] = 3 * X_CG[rng.permutation(rows)][:, rng.permutation(counts.n_genes)] + 7
    labels = np.array(counts.cells["cell_type"].to_list(), dtype=object)
    labels[rows] = [f"other {i % 5}" for i in range(len(rows))]
    sizes = pl.Series("library_size", X_CG.sum(axis=1), dtype=pl.Int64)
    cells = counts.cells.with_columns(pl.Series("cell_type", labels.tolist()), sizes)
    return replace(counts, X_CG=sparse.csr_matrix(X_CG), cells=cells)


@pytest.mark.parametrize("selector", PANELS)
def test_test_cells_change_nothing_that_is_learned(
    selector: str, counts: ExpressionMatrix, split: pl.DataFrame
) -> None:
    """Genes, panel with scores, weights, lambda and its whole grid are the same to the last bit."""
    want, got = learn(counts, split, selector), learn(alter(counts, split, "test"), split, selector)
    assert unchanged(want, got)


@pytest.mark.parametrize("leak", ["filter", "means", "panel", "weights", "lambda"])
def test_a_planted_leak_is_caught(leak: str, counts: ExpressionMatrix, split: pl.DataFrame) -> None:
    """Each one alone: the same comparison sees that test cells have changed what is learned."""
    want, got = (learn(each, split, "top_variance", leak) for each in (counts, alter(counts, split, "test")))
    assert not unchanged(want, got)


@pytest.mark.parametrize("selector", PANELS)
def test_held_back_cells_choose_lambda_and_nothing_else(
    selector: str, counts: ExpressionMatrix, split: pl.DataFrame
) -> None:
    """Validation cells move the errors of the grid; neither genes nor panel."""
    want, got = learn(counts, split, selector), learn(alter(counts, split, "validation"), split, selector)
    assert got.genes.equals(want.genes)
    assert got.panel.equals(want.panel)
    assert got.history != want.history


def test_training_cells_do_change_it(counts: ExpressionMatrix, split: pl.DataFrame) -> None:
    """Or the proof above would prove nothing: the filter and the panel depend on them."""
    want, got = learn(counts, split, "group_lasso"), learn(alter(counts, split, "train"), split, "group_lasso")
    assert not got.genes.equals(want.genes)
    assert not got.panel.equals(want.panel)


def test_the_made_matrix_has_something_to_filter(counts: ExpressionMatrix, split: pl.DataFrame) -> None:
    """Some cells and some genes go out, so that the filters are part of the proof."""
    assert filter_cells(counts, PREPARE).n_cells < counts.n_cells
    assert 20 < learn(counts, split, "top_variance").genes.height < counts.n_genes
