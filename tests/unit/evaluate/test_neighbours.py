"""The panel gene nearest to each target, against numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from sclandmarks import schema
from sclandmarks.evaluate.neighbours import best_landmarks
from sclandmarks.matrix import MemoryBatches

if TYPE_CHECKING:
    from conftest import MatrixMaker


def test_largest_absolute_correlation(make_matrix: MatrixMaker) -> None:
    matrix = make_matrix(40, 12, seed=3)
    inputs, outputs = torch.tensor([7, 2, 9]), torch.tensor([0, 1, 3, 4])
    rows = best_landmarks("p", MemoryBatches(matrix.X_CG.astype(np.float32), 16), inputs, outputs, matrix.genes)
    schema.check(rows, schema.NEIGHBOURS)
    r_GG = np.corrcoef(matrix.X_CG.toarray(), rowvar=False)[np.ix_(inputs, outputs)]
    place = np.abs(r_GG).argmax(axis=0)
    assert rows["landmark_id"].to_list() == [f"g{inputs[i]}" for i in place]
    np.testing.assert_allclose(rows["r"].to_numpy(), r_GG[place, range(4)], atol=1e-5)
    assert set(rows["panel"]) == {"p"}


def test_a_constant_gene_has_no_neighbour_and_is_none(make_matrix: MatrixMaker) -> None:
    counts = np.random.default_rng(0).poisson(2, (30, 5))
    counts[:, 1], counts[:, 3] = 4, 0  # a constant target; a constant landmark
    cells = MemoryBatches(make_matrix(counts=counts).X_CG.astype(np.float32), 8)
    genes = make_matrix(counts=counts).genes
    rows = best_landmarks("p", cells, torch.tensor([3, 4]), torch.tensor([0, 1, 2]), genes)
    assert rows["landmark_id"].to_list() == ["g4", None, "g4"]
    assert rows["r"].is_null().to_list() == [False, True, False]


def test_a_copy_of_a_landmark_is_no_nearer_than_1(make_matrix: MatrixMaker) -> None:
    """Sums in float32 of two equal genes pass each other."""
    rng = np.random.default_rng(0)
    half_CG = np.log1p(rng.poisson(3, (400, 60))).astype(np.float32)
    genes = make_matrix(2, 120).genes
    cells = MemoryBatches(sparse.csr_matrix(np.hstack([half_CG, half_CG])), 64)
    rows = best_landmarks("p", cells, torch.arange(60), torch.arange(60, 120), genes)
    assert rows["landmark_id"].to_list() == [f"g{i}" for i in range(60)]
    np.testing.assert_allclose(rows["r"], 1, atol=1e-5)
    assert rows["r"].max() <= 1
