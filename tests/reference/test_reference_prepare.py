"""Filters and normalisation against scanpy."""

from __future__ import annotations

import anndata
import numpy as np
import polars as pl
import pytest
import scanpy as sc

from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import PrepareParams
from sclandmarks.prep.prepare import filter_cells, prepare

SETTINGS = PrepareParams(min_library_size=60, min_reads=3, min_cells=5, scale=1e4, log_base=10)


@pytest.fixture(scope="module")
def counts(make_matrix) -> ExpressionMatrix:
    """80 cells x 50 genes on both sides of both filters."""
    rng = np.random.default_rng(0)
    return make_matrix(counts=rng.poisson(rng.uniform(0.5, 2.5, (80, 1)) * rng.gamma(0.5, 2, 50)))


def test_preparation_is_scanpys(counts: ExpressionMatrix) -> None:
    """filter_cells by counts, filter_genes on training cells, normalize_total and log1p in base 10."""
    train = np.arange(80) % 4 > 0
    split = pl.DataFrame({"cell_id": counts.cells["cell_id"], "subset": np.where(train, "train", "test").tolist()})
    kept = filter_cells(counts, SETTINGS)
    prepared = prepare(kept, split, SETTINGS, seed=1)

    data = anndata.AnnData(counts.X_CG.astype(np.float64))
    data.obs["train"] = train
    data.obs_names, data.var_names = counts.cells["cell_id"].to_list(), counts.genes["gene_id"].to_list()
    sc.pp.filter_cells(data, min_counts=60)
    many_reads = anndata.AnnData((data[data.obs["train"].to_numpy()].X >= 3).astype(np.float64))
    genes, _ = sc.pp.filter_genes(many_reads, min_cells=5, inplace=False)
    data = data[:, genes].copy()
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data, base=10)

    assert (kept.n_cells, prepared.counts.n_genes) == data.shape
    assert kept.n_cells < 80
    assert prepared.counts.n_genes < 50
    assert prepared.counts.genes["gene_id"].to_list() == data.var_names.to_list()
    want_CG = data[prepared.counts.cells["cell_id"].to_list()].X.toarray()
    np.testing.assert_allclose(prepared.value.toarray(), want_CG, rtol=1e-5)
