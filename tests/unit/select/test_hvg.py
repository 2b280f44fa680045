"""Highly variable genes against scanpy."""

from __future__ import annotations

import warnings
from dataclasses import replace

import anndata
import numpy as np
import pytest
from scipy import sparse

from sclandmarks.errors import PanelError
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import HvgPanel
from sclandmarks.select.hvg import normalised_dispersions, residual_variances, select_hvg


@pytest.fixture(scope="module")
def counted(make_task):
    """200 cells x 150 genes, overdispersed, some genes constant or absent."""
    rng = np.random.default_rng(4)
    rate_G = rng.gamma(0.5, 4, 150)
    counts = rng.poisson(rate_G * rng.gamma(2, 0.5, (200, 150)) * rng.lognormal(0, 0.3, (200, 1)))
    counts[:, 3] = 0
    counts[:, 0] += 1
    raw = sparse.csr_matrix(counts.astype(np.int32))
    return make_task(np.log1p(counts), 10, counts=MemoryBatches(raw, 64))


def theirs(task):
    import scanpy

    return scanpy, anndata.AnnData(task.counts.X_CG.astype(np.float64))


def test_dispersions_are_scanpys(counted) -> None:
    scanpy, data = theirs(counted)
    scanpy.pp.normalize_total(data, target_sum=1e4)
    scanpy.pp.log1p(data)
    scanpy.pp.highly_variable_genes(data, flavor="seurat", n_top_genes=10)
    want = data.var["dispersions_norm"].to_numpy()
    got = normalised_dispersions(counted, 20)
    known = np.isfinite(want) & np.isfinite(got)
    assert known.sum() > 140
    np.testing.assert_allclose(got[known], want[known], rtol=1e-3, atol=1e-4)


def test_residual_variances_are_scanpys(counted) -> None:
    scanpy, data = theirs(counted)
    scanpy.experimental.pp.highly_variable_genes(data, flavor="pearson_residuals", n_top_genes=10)
    want = np.nan_to_num(data.var["residual_variances"].to_numpy())
    np.testing.assert_allclose(residual_variances(counted, 100), want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("flavour", ["seurat", "pearson"])
def test_the_panel_takes_the_largest_and_absent_genes_last(counted, flavour: str) -> None:
    settings = HvgPanel(selector="hvg", flavour=flavour)
    score_G = normalised_dispersions(counted, 20) if flavour == "seurat" else residual_variances(counted, 100)
    panel = select_hvg(counted, settings, Hooks()).panel
    assert panel["gene_id"].to_list() == [f"g{i}" for i in np.argsort(-np.nan_to_num(score_G, nan=-np.inf))[:10]]
    assert panel["score"].is_sorted(descending=True)
    every = select_hvg(replace(counted, n_landmarks=149), settings, Hooks()).panel
    assert "g3" not in every["gene_id"][:140]


def test_genes_alike_in_their_bin_have_no_dispersion(make_task) -> None:
    """Nothing to divide by, and no warning."""
    counts = np.tile(np.random.default_rng(0).poisson(3, (9, 1)), (1, 6)).astype(np.int32)
    task = make_task(counts, 3, counts=MemoryBatches(sparse.csr_matrix(counts), 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        panel = select_hvg(task, HvgPanel(selector="hvg", flavour="seurat"), Hooks()).panel
    assert panel["gene_id"].to_list() == ["g0", "g1", "g2"]
    assert panel["score"].is_null().all()


def test_counts_are_needed(counted) -> None:
    with pytest.raises(PanelError, match="counts beside the task"):
        select_hvg(replace(counted, counts=None), HvgPanel(selector="hvg", flavour="pearson"), Hooks())
