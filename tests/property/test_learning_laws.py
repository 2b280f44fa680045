"""Laws of preparation, selection and metrics that hold for any data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import GroupLassoPanel, TopVariancePanel
from sclandmarks.prep.scprep_adapter import expressed_genes, large_enough_cells, log_normalise
from sclandmarks.select import SELECTORS, SelectionTask, prox

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)
NUMBERS = st.floats(-10, 10, width=32, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-3)
COUNTS = hnp.arrays(np.int32, SHAPES, elements=st.one_of(st.just(0), st.integers(0, 200)))
THRESHOLDS = st.floats(0, 8, allow_subnormal=False)
SETTINGS = {
    "top_variance": TopVariancePanel(selector="top_variance"),
    "group_lasso": GroupLassoPanel(
        selector="group_lasso", seed=0, width=8, standardise=True, path_ratio=0.8, max_steps=400, tolerance=1e-5
    ),
}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Two matrices of one shape."""
    shape = draw(SHAPES)
    first, second = (draw(hnp.arrays(np.float64, shape, elements=NUMBERS)) for _ in range(2))
    return torch.from_numpy(first), torch.from_numpy(second)


@given(pair=pairs(), threshold=THRESHOLDS)
def test_prox_brings_no_two_points_apart(pair: tuple[torch.Tensor, torch.Tensor], threshold: float) -> None:
    """Non-expansive, in all and group by group."""
    first_GH, second_GH = pair
    before = prox.norms(first_GH - second_GH)
    after = prox.norms(prox.prox(first_GH, threshold) - prox.prox(second_GH, threshold))
    assert (after <= before * (1 + 1e-12) + 1e-12).all()


@given(pair=pairs(), threshold=THRESHOLDS, factor=st.floats(0.01, 100))
def test_prox_scales_with_its_input(pair: tuple[torch.Tensor, torch.Tensor], threshold: float, factor: float) -> None:
    """Weights and threshold in another unit give the result in that unit."""
    W_GH, _ = pair
    torch.testing.assert_close(prox.prox(factor * W_GH, factor * threshold), factor * prox.prox(W_GH, threshold))


@given(pair=pairs(), threshold=st.floats(0.01, 8))
def test_prox_is_where_the_distance_vanishes(pair: tuple[torch.Tensor, torch.Tensor], threshold: float) -> None:
    """W - prox(W) is in the subdifferential at prox(W): the two functions describe one penalty."""
    W_GH, _ = pair
    X_GH = prox.prox(W_GH, threshold)
    assert float(prox.distance(X_GH, X_GH - W_GH, threshold).max()) <= 1e-9


@given(counts=COUNTS, factors=st.lists(st.integers(1, 50), min_size=8, max_size=8))
def test_sequencing_a_cell_deeper_changes_nothing(counts: np.ndarray, factors: list[int]) -> None:
    """Counts times a whole number, another for each cell, have the same normalised values."""
    assume(counts.any())
    deeper = counts * np.array(factors[: len(counts)], dtype=np.int32)[:, None]
    first, second = (log_normalise(sparse.csr_matrix(c), 1e4, 10).toarray() for c in (counts, deeper))
    np.testing.assert_allclose(second, first, rtol=1e-6)


@given(counts=COUNTS, scale=st.floats(1, 1e6), reads=st.integers(1, 100), cells=st.integers(1, 5))
def test_preparation_of_sparse_is_that_of_dense(counts: np.ndarray, scale: float, reads: int, cells: int) -> None:
    """Filters and values by their formulas on the dense matrix, explicit zeros or not."""
    assume(counts.any())
    full = sparse.csr_matrix(
        (
            counts.ravel(),
            np.tile(np.arange(counts.shape[1]), len(counts)),
            np.arange(len(counts) + 1) * counts.shape[1],
        ),
        shape=counts.shape,
    )
    totals_C1 = counts.sum(axis=1, keepdims=True)
    want_CG = np.log10(scale * counts / np.maximum(totals_C1, 1) + 1)
    for matrix in (sparse.csr_matrix(counts), full):
        np.testing.assert_allclose(log_normalise(matrix, scale, 10).toarray(), want_CG, rtol=1e-5, atol=1e-12)
        assert large_enough_cells(matrix, reads).tolist() == np.flatnonzero(totals_C1.ravel() >= reads).tolist()
        want = np.flatnonzero((counts >= reads).sum(axis=0) >= cells).tolist()
        assert expressed_genes(matrix, reads, cells).tolist() == want


def panel_of(name: str, planted: Any, order: np.ndarray, cells: np.ndarray | None = None) -> list[str]:
    """Panel of six chosen with the genes (and cells) in another order."""
    X_CG = planted.values[:, order] if cells is None else planted.values[cells][:, order]
    batches = MemoryBatches(sparse.csr_matrix(X_CG))
    task = SelectionTask(batches, batches, planted.counts.genes[order], 6)
    return SELECTORS[name](task, SETTINGS[name], Hooks()).panel["gene_id"].to_list()


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_permuting_genes_or_cells_changes_no_panel(planted: Any, seed: int) -> None:
    """Genes are named by id: neither their order nor that of the cells decides."""
    rng, plain = np.random.default_rng(seed), np.arange(80)
    genes, cells = rng.permutation(80), rng.permutation(400)
    for name in SETTINGS:
        want = panel_of(name, planted, plain)
        assert panel_of(name, planted, genes) == want
        assert panel_of(name, planted, genes, cells) == want


@settings(max_examples=20)
@given(factor=st.floats(0.1, 10), data=st.data())
def test_top_variance_follows_the_scale_of_a_gene(planted: Any, factor: float, data: st.DataObject) -> None:
    """A gene made larger never falls in rank, made smaller never rises."""
    gene = data.draw(st.integers(0, 79))
    scale_G = np.ones(80)
    scale_G[gene] = factor
    batches = [MemoryBatches(planted.values), MemoryBatches(sparse.csr_matrix(planted.values.multiply(scale_G)))]
    ranks = []
    for each in batches:
        task = SelectionTask(each, each, planted.counts.genes, 79)
        panel = SELECTORS["top_variance"](task, SETTINGS["top_variance"], Hooks()).panel
        ranks.append([*panel["gene_id"], f"g{gene}"].index(f"g{gene}"))
    assert (ranks[1] - ranks[0]) * np.sign(1 - factor) >= 0


@given(size=st.integers(2, 8), data=st.data())
def test_a_panel_table_keeps_names_with_positions(make_matrix: Any, size: int, data: st.DataObject) -> None:
    """Renaming the genes renames the panel and nothing else."""
    matrix = make_matrix(12, 9, seed=data.draw(st.integers(0, 99)), mean=3)
    names = data.draw(st.permutations([f"n{i}" for i in range(9)]))
    renamed = replace(matrix, genes=matrix.genes.with_columns(pl.Series("gene_id", names)))
    batches = MemoryBatches(matrix.X_CG)
    panels = [
        SELECTORS["top_variance"](
            SelectionTask(batches, batches, m.genes, size), SETTINGS["top_variance"], Hooks()
        ).panel
        for m in (matrix, renamed)
    ]
    assert [names[int(gene[1:])] for gene in panels[0]["gene_id"]] == panels[1]["gene_id"].to_list()
    assert panels[0]["score"].equals(panels[1]["score"])
