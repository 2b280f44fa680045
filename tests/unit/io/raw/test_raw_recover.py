"""Counts out of normalised values: exact where it can be, refused where it cannot."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw import recover
from sclandmarks.io.raw.recover import recovered

BASES = {"e": 1.0, "2": np.log(2), "10": np.log(10), "none": None}
READS = st.one_of(st.just(0), st.integers(0, 5), st.integers(0, 2000))


def normalise(
    counts: sparse.csr_matrix, scale: float, base: float | None, kind: type = np.float32
) -> sparse.csr_matrix:
    """As scanpy and scprep do, in the precision asked for."""
    totals = np.repeat(np.asarray(counts.sum(axis=1)).ravel(), np.diff(counts.indptr))
    scaled = counts.data.astype(kind) * (scale / totals).astype(kind)
    values = scaled if base is None else (np.log1p(scaled) / kind(base)).astype(kind)
    return sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)


def plain(n_cells: int = 300, n_genes: int = 200, seed: int = 0) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix(rng.negative_binomial(0.4, 0.1, (n_cells, n_genes)).astype(np.float64))


@given(
    arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(2, 9)), elements=READS),
    st.sampled_from([1e3, 1e4, 1e6, 5237.5]),
    st.sampled_from(sorted(BASES)),
    st.sampled_from([np.float32, np.float64]),
)
@example(np.array([[1, 1], [1, 123], [1, 0], [1, 0]]), 1e3, "2", np.float32)
def test_to_recover_is_the_inverse_of_to_normalise(X: np.ndarray, scale: float, base: str, kind: type) -> None:
    """For cells whose counts share no factor, and have one of 32 or less."""
    X = X[np.gcd.reduce(X, axis=1) == 1]
    X = X[np.where(X > 0, X, 10**6).min(axis=1, initial=10**6) <= recover.LOWEST]
    assume(len(X))
    counts = sparse.csr_matrix(X)
    try:
        found = recovered(normalise(counts, scale, BASES[base], kind))
    except DataError as error:
        telling = {tuple(cell) for cell in X.tolist() if len({*cell} - {0}) > 1}
        assert len(telling) < 4  # few small cells may be of two forms
        assert "either of" in error.got
        return
    np.testing.assert_array_equal(found, counts.data)


@pytest.mark.parametrize("factor", [2, 7])
def test_a_common_factor_is_lost(factor: int) -> None:
    """The known limit: it is divided out of the cell."""
    counts = plain()
    np.testing.assert_array_equal(recovered(normalise(counts * factor, 1e4, 1.0)), counts.data)


def test_cells_without_reads_and_blocks_of_one_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = plain()
    counts = sparse.vstack([counts[:0], sparse.csr_matrix((2, 200)), counts, sparse.csr_matrix((1, 200))], format="csr")
    whole = recovered(normalise(counts, 1e4, 1.0))
    monkeypatch.setattr(recover, "BLOCK", 7)
    monkeypatch.setattr(recover, "PROBE", 1)
    np.testing.assert_array_equal(recovered(normalise(counts, 1e4, 1.0)), whole)
    np.testing.assert_array_equal(whole, counts.data)


def test_as_scanpy_normalises() -> None:
    scanpy = pytest.importorskip("scanpy")
    anndata = pytest.importorskip("anndata")
    counts = plain()
    adata = anndata.AnnData(counts.astype(np.float32))
    scanpy.pp.normalize_total(adata)
    scanpy.pp.log1p(adata)
    np.testing.assert_array_equal(recovered(sparse.csr_matrix(adata.X)), counts.data)


def test_genes_left_out_after_normalising_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    counts = plain()
    kept = np.arange(0, 200, 2)
    with caplog.at_level(logging.WARNING):
        found = recovered(sparse.csr_matrix(normalise(counts, 1e4, 1.0)[:, kept]))
    np.testing.assert_array_equal(found, counts[:, kept].data)
    assert "genes were left out after normalising" in caplog.text


def test_the_form_and_the_total_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        recovered(normalise(plain(), 5000, np.log(10)))
    assert "normalised as log10(1 + x), each cell scaled to 5000" in caplog.text


def scaled(values: sparse.csr_matrix) -> np.ndarray:
    dense = values.toarray()
    return (dense - dense.mean(axis=0)) / dense.std(axis=0)


def corrected(values: sparse.csr_matrix) -> np.ndarray:
    """A shift of each gene in half of the cells, zeros kept."""
    dense = values.toarray()
    dense[::2] *= np.random.default_rng(1).uniform(0.9, 1.1, dense.shape[1])
    return dense


def shifted(values: sparse.csr_matrix) -> np.ndarray:
    """One value of all is off by a thousandth."""
    dense = values.toarray()
    dense[np.unravel_index(dense.argmax(), dense.shape)] *= 1.001
    return dense


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (scaled, "negative values, NaN or infinity"),
        (corrected, "no whole multiples"),
        (shifted, "no whole multiples"),
        (lambda values: np.round(values.toarray(), 2), "no whole multiples"),
        (lambda values: np.sqrt(values.toarray()), "no whole multiples"),
        (lambda values: np.where(values.toarray() > 2, np.nan, values.toarray()), "NaN"),
        (lambda values: values.toarray() * 1000, "no whole multiples"),
    ],
    ids=["z-scores", "batch-corrected", "one value", "rounded", "square root", "NaN", "overflow"],
)
@pytest.mark.parametrize("base", sorted(BASES))
def test_other_values_are_refused(change, message: str, base: str) -> None:
    values = sparse.csr_matrix(change(normalise(plain(), 1e4, BASES[base], np.float64)))
    if base == "none" and change not in (scaled, corrected, shifted) and "NaN" not in message:
        pytest.skip("a rounded, multiplied or rooted scale without a logarithm may be exact")
    with pytest.raises(DataError, match=message):
        recovered(values)


def test_counts_that_float32_cannot_tell_apart_are_refused() -> None:
    counts = sparse.csr_matrix(np.array([[1, 3_000_001, 5, 7]]))
    with pytest.raises(DataError, match="no whole multiples"):
        recovered(normalise(counts, 1e4, 1.0))


def test_smallest_counts_beyond_the_limit_are_refused() -> None:
    counts = sparse.csr_matrix(np.array([[101, 207, 1009], [1, 2, 3]]))
    with pytest.raises(DataError, match="no whole multiples"):
        recovered(normalise(counts, 1e4, 1.0))
