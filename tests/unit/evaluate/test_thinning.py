"""Halves of counts: fair, independent, the same in any order, and normalised as the preparation does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from sclandmarks.evaluate.noise import Thinning, log_values, thin, thinning
from sclandmarks.prep.scprep_adapter import log_normalise


def made_up(n_cells: int, n_genes: int, mean: float = 2.0, seed: int = 0) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix(rng.poisson(mean, (n_cells, n_genes)).astype(np.int32))


def halves(counts: sparse.csr_matrix, repeat: int = 0, seed: int = 0) -> np.ndarray:
    return thin(counts, Thinning(seed, repeat), np.arange(counts.shape[0]), np.arange(counts.shape[1]))


@pytest.mark.parametrize("count", [1, 2, 7, 63, 64, 65, 128, 1000])
def test_a_half_is_binomial(count: int) -> None:
    """Chi-square against Binomial(count, 1/2) over 20,000 entries, around the word size of 64 too."""
    counts = sparse.csr_matrix(np.full((100, 200), count, dtype=np.int32))
    drawn = halves(counts)
    edges = np.unique(stats.binom.ppf(np.linspace(0, 1, 9)[1:-1], count, 0.5))
    seen = np.bincount(np.searchsorted(edges, drawn), minlength=len(edges) + 1)
    below = stats.binom.cdf(np.concatenate([edges, [count]]), count, 0.5)
    possible = np.diff(below, prepend=0) > 0
    assert stats.chisquare(seen[possible], np.diff(below, prepend=0)[possible] * len(drawn)).pvalue > 1e-3
    assert drawn.min() >= 0
    assert drawn.max() <= count


@pytest.mark.parametrize("count", [2**20 + 1, 2**31 - 1])
def test_a_half_of_a_huge_count_is_as_good_as_binomial(count: int) -> None:
    """Kolmogorov and Smirnov over 20,000 entries; bits looked at one by one would be 40 billion words."""
    drawn = halves(sparse.csr_matrix(np.full((100, 200), count, dtype=np.int64)))
    assert stats.kstest((drawn - count / 2) / (np.sqrt(count) / 2), "norm").pvalue > 1e-3
    assert not np.array_equal(drawn, halves(sparse.csr_matrix(np.full((100, 200), count, dtype=np.int64)), repeat=1))


def test_neither_the_size_of_the_parts_nor_huge_neighbours_change_a_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = sparse.csr_matrix(np.random.default_rng(0).integers(1, 5000, (40, 30)))
    whole = halves(counts)
    monkeypatch.setattr(thinning, "WORDS", 50)
    assert np.array_equal(halves(counts), whole)
    counts.data[::7] = 2**30
    other = halves(counts)
    kept = np.arange(len(other)) % 7 != 0
    assert np.array_equal(other[kept], whole[kept])


def test_draws_stay_what_they_were() -> None:
    """Figures that are published depend on them."""
    counts = sparse.csr_matrix(np.array([[1, 2, 64, 65], [128, 129, 1000, 100_000]]))
    assert halves(counts, repeat=3, seed=1).tolist() == [1, 1, 36, 31, 66, 64, 499, 49735]


def test_halves_of_a_poisson_count_are_independent() -> None:
    """Their covariance is zero and each has half the mean and half the variance."""
    counts = made_up(300, 300, mean=5.0)
    first = halves(counts)
    second = counts.data - first
    dense = np.zeros((2, counts.shape[0] * counts.shape[1]))
    places = np.repeat(np.arange(300), np.diff(counts.indptr)) * 300 + counts.indices
    dense[:, places] = first, second
    assert dense.mean(axis=1) == pytest.approx([2.5, 2.5], abs=0.03)
    assert dense.var(axis=1) == pytest.approx([2.5, 2.5], rel=0.03)
    assert abs(np.corrcoef(dense)[0, 1]) < 4 / np.sqrt(dense.shape[1])


def test_draws_of_cells_genes_and_repeats_are_unrelated() -> None:
    """A bit of one entry says nothing of its neighbours, of the next repeat, or of the next seed."""
    counts = sparse.csr_matrix(np.ones((400, 400), dtype=np.int32))
    bits = halves(counts).reshape(400, 400) - 0.5
    others = {
        "next gene": (bits[:, :-1], bits[:, 1:]),
        "next cell": (bits[:-1], bits[1:]),
        "mirrored": (bits, bits.T),
        "next repeat": (bits, halves(counts, repeat=1).reshape(400, 400) - 0.5),
        "next seed": (bits, halves(counts, seed=1).reshape(400, 400) - 0.5),
    }
    for what, (one, other) in others.items():
        product = 4 * one * other
        off = ~np.eye(400, dtype=bool) if what == "mirrored" else np.ones(product.shape, dtype=bool)
        assert abs(product[off].mean()) < 4.5 / np.sqrt(off.sum() / (2 if what == "mirrored" else 1)), what


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 20), st.integers(0, 10**6))
def test_halves_sum_to_the_whole_in_any_order(seed: int, repeat: int, shuffle: int) -> None:
    """Never more than the whole; numbers of cells and genes alone decide the draw, not the order."""
    counts = made_up(12, 9, mean=30.0, seed=seed)
    thinning, rng = Thinning(seed, repeat), np.random.default_rng(shuffle)
    cells, genes = np.arange(12), np.arange(9)
    drawn = counts.copy()
    drawn.data = thin(counts, thinning, cells, genes)
    assert (drawn.data >= 0).all()
    assert (drawn.data <= counts.data).all()
    by_cell, by_gene = rng.permutation(12), rng.permutation(9)
    mixed = counts[by_cell][:, by_gene].tocsr()
    mixed_drawn = mixed.copy()
    mixed_drawn.data = thin(mixed, thinning, by_cell, by_gene)
    assert (mixed_drawn.toarray() == drawn.toarray()[by_cell][:, by_gene]).all()


def test_large_counts_and_stored_zeros_are_thinned() -> None:
    """A count of a million halves within five standard deviations; a stored zero stays zero."""
    counts = sparse.csr_matrix((np.array([1_000_000, 0, 3]), np.array([0, 1, 2]), np.array([0, 3])), shape=(1, 3))
    drawn = halves(counts)
    assert abs(drawn[0] - 500_000) < 5 * 500
    assert drawn[1] == 0


@pytest.mark.parametrize("base", [2, 10, "e"])
def test_values_are_those_of_the_preparation(base: int | str) -> None:
    """log_values equals scprep's normalisation of the same counts, an empty cell included."""
    counts = made_up(20, 30, mean=1.0).tolil()
    counts[3] = 0
    csr = counts.tocsr()
    got = log_values(csr.data.astype(np.int64), csr.indptr, 1e4, base)
    np.testing.assert_allclose(got, log_normalise(csr, 1e4, base).data, rtol=1e-6)


def test_a_cell_by_hand() -> None:
    """Counts 1 and 3 scaled to 8 reads are 2 and 6: log2(3) and log2(7)."""
    got = log_values(np.array([1, 3]), np.array([0, 2]), 8, 2)
    np.testing.assert_allclose(got, [np.log2(3), np.log2(7)])
