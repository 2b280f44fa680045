"""Noise of an assay, and normalisation by the panel's own total."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sclandmarks.evaluate.studies.assay import (
    NOISES,
    crowd,
    drop_genes,
    lower_efficiency,
    panel_share,
    panel_values,
    saturate,
)


def some_counts(n_cells: int = 300, n_genes: int = 12, mean: float = 4.0, seed: int = 0) -> Any:
    return sparse.csr_matrix(np.random.default_rng(seed).poisson(mean, (n_cells, n_genes)).astype(np.int32))


@given(st.sampled_from(sorted(NOISES)), st.integers(0, 1000))
def test_noise_only_removes_molecules_and_is_seeded(noise: str, seed: int) -> None:
    counts, level = some_counts(20, 6, seed=seed), {"saturation": 3.0, "crowding": 10.0}.get(noise, 0.4)
    before = counts.copy()
    noisy = NOISES[noise](counts, level, np.random.default_rng(seed))
    assert noisy.dtype == np.int32
    assert noisy.shape == counts.shape
    assert (noisy.toarray() <= counts.toarray()).all()
    assert (noisy.toarray() >= 0).all()
    assert (noisy != NOISES[noise](counts, level, np.random.default_rng(seed))).nnz == 0
    assert (counts != before).nnz == 0
    assert noisy.nnz == (noisy.toarray() > 0).sum()


def test_efficiency_keeps_that_part_and_all_at_1() -> None:
    counts = some_counts()
    kept = lower_efficiency(counts, 0.3, np.random.default_rng(0)).sum() / counts.sum()
    assert kept == pytest.approx(0.3, abs=0.02)
    assert (lower_efficiency(counts, 1.0, np.random.default_rng(0)) != counts).nnz == 0


def test_drop_out_loses_whole_genes() -> None:
    counts = some_counts(n_genes=12)
    noisy = drop_genes(counts, 0.25, np.random.default_rng(0)).toarray()
    lost = ~noisy.any(axis=0)
    assert lost.sum() == 3
    np.testing.assert_array_equal(noisy[:, ~lost], counts.toarray()[:, ~lost])


@pytest.mark.parametrize(("level", "lost"), [(0.001, 1), (0.999, 11)])
def test_drop_out_loses_one_gene_at_least_and_leaves_one(level: float, lost: int) -> None:
    noisy = drop_genes(some_counts(n_genes=12), level, np.random.default_rng(0)).toarray()
    assert (~noisy.any(axis=0)).sum() == lost


def test_saturation_is_a_cap() -> None:
    counts = some_counts()
    noisy = saturate(counts, 3.0, np.random.default_rng(0))
    np.testing.assert_array_equal(noisy.toarray(), np.minimum(counts.toarray(), 3))


def test_crowding_lights_as_many_spots_as_molecules_thrown_at_random_do() -> None:
    """Independent: throw the molecules of a cell on spots, and count the spots that are hit."""
    counts, rng = some_counts(400, 12, mean=8.0), np.random.default_rng(1)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    hit = np.mean([len(np.unique(rng.integers(50, size=total))) for total in totals])
    assert crowd(counts, 50.0, rng).sum() / 400 == pytest.approx(hit, rel=0.03)


def test_crowding_hardly_touches_cells_with_room() -> None:
    counts = some_counts(mean=0.5)
    assert crowd(counts, 1e6, np.random.default_rng(0)).sum() / counts.sum() > 0.999
    empty = sparse.csr_matrix((3, 4), dtype=np.int32)
    assert crowd(empty, 10.0, np.random.default_rng(0)).sum() == 0


def test_panel_values_by_hand() -> None:
    counts = sparse.csr_matrix(np.array([[1, 3], [0, 0]], dtype=np.int32))
    found = panel_values(counts, 400.0, 10).toarray()
    np.testing.assert_allclose(found, [[np.log10(101), np.log10(301)], [0, 0]], rtol=1e-6)


def test_at_the_usual_share_own_total_and_full_library_agree_where_shares_do() -> None:
    counts = sparse.csr_matrix(np.array([[2, 2, 4], [1, 3, 4]], dtype=np.int32))
    panel = np.array([0, 1])
    share = panel_share(counts, panel)
    assert share == pytest.approx(0.5)
    full = panel_values(counts, 1e4, 10)[:, panel]
    np.testing.assert_allclose(panel_values(counts[:, panel], share * 1e4, 10).toarray(), full.toarray(), rtol=1e-6)
