"""The kept state of a selection against the residual matrix it stands for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sclandmarks.matrix import MemoryBatches
from sclandmarks.select.residual import CellDeflation, GramDeflation, Residual, centred

RIDGE = 0.05


def cells(n_cells: int = 30, n_genes: int = 40, seed: int = 0) -> torch.Tensor:
    """Centred cells with a few strong directions."""
    rng = np.random.default_rng(seed)
    X_CG = rng.normal(size=(n_cells, 3)) @ rng.normal(size=(3, n_genes)) + rng.normal(size=(n_cells, n_genes))
    return torch.from_numpy((X_CG - X_CG.mean(0)) / np.sqrt(n_cells))


def open_both(X_CG: torch.Tensor, weight_G: torch.Tensor, ridge: float = RIDGE) -> list[Residual]:
    """From the cells, and from the covariance."""
    return [
        Residual(CellDeflation(X_CG, weight_G), ridge),
        Residual(GramDeflation(X_CG.T @ X_CG, weight_G), ridge),
    ]


def residual_matrix(X_CG: torch.Tensor, chosen: list[int], ridge: float = RIDGE) -> torch.Tensor:
    """S - S_A (S_AA + ridge)^-1 S_A, as it is defined."""
    S_GG = X_CG.T @ X_CG
    S_AG = S_GG[chosen]
    return S_GG - S_AG.T @ torch.linalg.solve(S_AG[:, chosen] + ridge * torch.eye(len(chosen)).double(), S_AG)


def check(residual: Residual, X_CG: torch.Tensor, weight_G: torch.Tensor, chosen: list[int]) -> None:
    """Diagonal, gains and explained variance are those of the matrix."""
    R_GG = residual_matrix(X_CG, chosen)
    u_G = weight_G.clone()
    u_G[chosen] = 0
    torch.testing.assert_close(residual.left_G, R_GG.diagonal(), rtol=1e-9, atol=1e-12)
    want = [
        sum(float(u_G[g] * R_GG[g, j] ** 2) for g in range(len(R_GG)) if g != j) / (float(R_GG[j, j]) + RIDGE)
        for j in range(len(R_GG))
    ]
    free = [j for j in range(len(R_GG)) if j not in chosen]
    torch.testing.assert_close(
        residual.gains()[free], torch.tensor(want, dtype=torch.float64)[free], rtol=1e-8, atol=1e-12
    )
    explained = float(u_G @ ((X_CG**2).sum(0) - R_GG.diagonal()))
    assert residual.explained() == pytest.approx(explained, rel=1e-9)
    assert residual.explained_fraction() == pytest.approx(explained / float(u_G @ (X_CG**2).sum(0)), rel=1e-9)


@pytest.mark.parametrize("kind", [0, 1])
def test_state_after_each_choice_and_drop_is_that_of_the_residual_matrix(kind: int) -> None:
    """With weights, some of them zero; a dropped gene can come back, beyond the first 64 changes too."""
    X_CG = cells()
    weight_G = torch.linspace(0, 2, 40).double()
    residual = open_both(X_CG, weight_G)[kind]
    rng, chosen = np.random.default_rng(1), list[int]()
    check(residual, X_CG, weight_G, chosen)
    for step in range(80):
        gene = int(rng.integers(40))
        if gene in chosen:
            residual.drop(gene)
            chosen.remove(gene)
        else:
            residual.add(gene)
            chosen.append(gene)
        if step < 8 or step > 75:
            check(residual, X_CG, weight_G, chosen)
    assert residual.chosen_G.nonzero().squeeze(1).tolist() == sorted(chosen)


@given(seed=st.integers(0, 1000), order=st.permutations(list(range(5))))
def test_the_order_of_choices_does_not_matter(seed: int, order: list[int]) -> None:
    """The state is that of the set."""
    X_CG = cells(12, 15, seed)
    one, other = (open_both(X_CG, torch.ones(15).double())[0] for _ in range(2))
    for gene in range(5):
        one.add(gene)
    for gene in order:
        other.add(gene)
    torch.testing.assert_close(one.gains()[5:], other.gains()[5:], rtol=1e-7, atol=1e-10)


def test_gain_is_what_the_explained_variance_of_the_others_grows_by() -> None:
    """The gene itself is no target before and after."""
    X_CG = cells()
    weight_G = torch.ones(40).double()
    weight_G[7] = 0
    residual = open_both(X_CG, weight_G)[0]
    residual.add(3)
    before, gain = residual.explained(), float(residual.gains()[7])
    residual.add(7)
    assert residual.explained() - before == pytest.approx(gain, rel=1e-9)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_change_taken_back_leaves_no_trace(kind: int) -> None:
    """Products after push and pop are those of before."""
    deflation = open_both(cells(), torch.ones(40).double())[kind].deflation
    want = deflation.pull(5, 1.0)
    deflation.pull(2, 0.7)
    deflation.push(-1.0)
    assert not torch.allclose(deflation.pull(5, 1.0).r_G, want.r_G)
    deflation.pop()
    torch.testing.assert_close(deflation.pull(5, 1.0), want)


def test_constant_and_doubled_genes_do_no_harm() -> None:
    """A gene without variance gains nothing; a copy of a chosen gene gains almost nothing."""
    X_CG = cells()
    X_CG[:, 0] = 0
    X_CG[:, 1] = X_CG[:, 2]
    for residual in open_both(X_CG, torch.ones(40).double(), 1e-6):
        assert float(residual.gains()[0]) == 0
        residual.add(0)
        residual.add(2)
        assert float(residual.gains()[1]) < 1e-4 * float(residual.gains()[3:].max())
        assert torch.isfinite(residual.gains()).all()


def test_centred_is_numpys(planted) -> None:
    """Whatever the blocks."""
    X_CG = centred(MemoryBatches(planted.values, 64).in_order(), 400, 80, torch.device("cpu"))
    dense = planted.values.toarray().astype(np.float64)
    np.testing.assert_allclose(X_CG.numpy(), (dense - dense.mean(0)) / 20, rtol=1e-9, atol=1e-12)


def test_cells_are_never_turned_into_a_covariance(monkeypatch) -> None:
    """No tensor of genes x genes on the way through the cells: every product has at most cells x genes numbers."""
    sizes, product = [], torch.Tensor.__matmul__

    def spy(left, right):
        result = product(left, right)
        sizes.append(result.numel())
        return result

    X_CG = cells(20, 3000)
    monkeypatch.setattr(torch.Tensor, "__matmul__", spy)
    residual = Residual(CellDeflation(X_CG, torch.ones(3000).double()), RIDGE)
    residual.add(0)
    assert max(sizes) <= 20 * 3000
    assert len(sizes) > 5


def test_weighted_cells_are_those_of_repeated_cells(planted) -> None:
    """The covariance of cells that are there so many times."""
    times_C = np.arange(400) % 3 + 1
    weight_C = torch.from_numpy(times_C / times_C.mean())
    X_CG = centred(MemoryBatches(planted.values, 64).in_order(), 400, 80, torch.device("cpu"), weight_C)
    repeated = np.repeat(planted.values.toarray().astype(np.float64), times_C, axis=0)
    np.testing.assert_allclose(X_CG.T @ X_CG, np.cov(repeated, rowvar=False, bias=True), rtol=1e-9, atol=1e-12)
