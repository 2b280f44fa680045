"""Moments against numpy on the dense matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.matrix import MemoryBatches
from sclandmarks.moments import gather


@pytest.mark.parametrize("batch_size", [400, 64, 1])
def test_moments_are_numpys(planted, batch_size: int) -> None:
    """Mean and covariance, whatever the blocks."""
    rows = torch.from_numpy(planted.positions)
    moments = gather(MemoryBatches(planted.values, batch_size).in_order(), rows)
    dense_CG = planted.values.toarray().astype(np.float64)
    covariance_LG = np.cov(dense_CG, rowvar=False)[planted.positions]
    np.testing.assert_allclose(moments.mean_G, dense_CG.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(moments.S_LG / (len(dense_CG) - 1), covariance_LG, rtol=1e-4, atol=1e-5)
    assert (moments.n_cells, moments.S_LG.dtype, moments.mean_G.dtype) == (400, torch.float64, torch.float64)
    assert torch.equal(moments.rows, rows)


def test_constant_genes_have_no_moment() -> None:
    """A gene without variance gives exact zeros, not rounding."""
    columns = [np.full(50, 3.3), np.zeros(50), np.arange(50), np.full(50, 0.7)]
    X_CG = sparse.csr_matrix(np.column_stack(columns).astype(np.float32))
    moments = gather(MemoryBatches(X_CG, 7).in_order(), torch.tensor([0, 1, 2]))
    assert torch.count_nonzero(moments.S_LG[:, :3]).item() == 1
    assert moments.S_LG[2, 2].item() == pytest.approx(np.var(np.arange(50)) * 50)
    assert moments.S_LG[2, 3].item() == pytest.approx(0, abs=1e-4)  # a column without a row is as it comes


def test_no_cells_is_an_error() -> None:
    """A split without training cells is named here, not as a division by zero."""
    with pytest.raises(DataError, match="at least one cell"):
        gather([], torch.tensor([0]))


@pytest.mark.parametrize("batch_size", [400, 64])
def test_weighted_moments_are_those_of_repeated_cells(planted, batch_size: int) -> None:
    """A cell of weight 3 counts as three; weights have mean 1."""
    times_C = np.arange(400) % 3 + 1
    weight_C = torch.from_numpy(times_C / times_C.mean())
    rows = torch.from_numpy(planted.positions)
    got = gather(MemoryBatches(planted.values, batch_size).in_order(), rows, weight_C=weight_C)
    repeated = np.repeat(planted.values.toarray().astype(np.float64), times_C, axis=0)
    np.testing.assert_allclose(got.mean_G, repeated.mean(0), rtol=1e-5)
    want_GG = np.cov(repeated, rowvar=False, bias=True)
    np.testing.assert_allclose(got.S_LG / 400, want_GG[planted.positions], rtol=1e-3, atol=1e-5)
