"""Exchanges: none that helps is left, and small panels are the best there are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from sclandmarks.learn.task import Hooks
from sclandmarks.select.forward import LEAST, choose, exchange
from sclandmarks.select.projected import Projected
from sclandmarks.select.residual import CellDeflation, GramDeflation, Residual

RIDGE = 0.3


def covariance(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.cov(values.astype(np.float64), rowvar=False, bias=True))


def everything(n_genes: int) -> torch.Tensor:
    return torch.ones(n_genes, dtype=torch.bool)


def explained_of(S_GG: torch.Tensor, panel: list[int], targets: list[int]) -> float:
    """Explained variance of some targets, by its definition."""
    S_AA = S_GG[panel][:, panel] + RIDGE * torch.eye(len(panel)).double()
    S_AT = S_GG[panel][:, targets]
    return float((S_AT * torch.linalg.solve(S_AA, S_AT)).sum())


def settle(S_GG: torch.Tensor, n_landmarks: int) -> list[int]:
    """Choose, then exchange until none helps."""
    n_genes = len(S_GG)
    state = Residual(GramDeflation(S_GG, torch.ones(n_genes).double()), RIDGE)
    chosen = [entry.gene for entry in choose(state, [everything(n_genes)], n_landmarks, Hooks())]
    _, settled = exchange(state, chosen, everything(n_genes), sweeps=50)
    assert settled
    return torch.nonzero(state.chosen_G).squeeze(1).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_no_single_exchange_explains_more_of_the_common_targets(make_values, seed: int) -> None:
    """Every pair is tried by the definition."""
    S_GG = covariance(make_values(30, 14, seed))
    panel = settle(S_GG, 4)
    for out in panel:
        for into in set(range(14)) - set(panel):
            other = [into if gene == out else gene for gene in panel]
            common = [gene for gene in range(14) if gene not in panel and gene != into]
            gain = explained_of(S_GG, other, common) - explained_of(S_GG, panel, common)
            assert gain <= 10 * LEAST * float(S_GG.trace())


@pytest.mark.parametrize("seed", range(5))
def test_worth_of_an_exchange_is_what_it_adds_on_the_common_targets(make_values, seed: int) -> None:
    """From the cells and from the covariance."""
    values = make_values(10, 14, seed)
    S_GG = covariance(values)
    X_CG = torch.from_numpy((values - values.mean(0)).astype(np.float64)) / np.sqrt(10)
    one = torch.ones(14).double()
    for deflation in (GramDeflation(S_GG, one), CellDeflation(X_CG, one)):
        state = Residual(deflation, RIDGE)
        for gene in (2, 9, 5):
            state.add(gene)
        worth_G = state.try_without(9).worth_G
        for into in (0, 3, 13):
            common = [gene for gene in range(14) if gene not in (2, 9, 5, into)]
            want = explained_of(S_GG, [2, 5, into], common) - explained_of(S_GG, [2, 5, 9], common)
            assert float(worth_G[into]) == pytest.approx(want, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_fixed_targets_end_at_or_near_the_best_of_all_panels(make_values, seed: int) -> None:
    """Against exhaustive search: within 1 %, and exact in most cases; no exchange improves it."""
    S_GG = covariance(make_values(30, 11, seed))
    V_TG = torch.linalg.eigh(S_GG).eigenvectors.T[-3:]
    state = Projected(GramDeflation(S_GG, torch.ones(11).double()), V_TG, RIDGE)
    chosen = [entry.gene for entry in choose(state, [everything(11)], 3, Hooks())]
    before = state.explained
    exchange(state, chosen, everything(11), sweeps=50)

    def value(panel: tuple[int, ...]) -> float:
        S_AG = S_GG[list(panel)]
        S_AA = S_AG[:, list(panel)] + RIDGE * torch.eye(3).double()
        B_AT = S_AG @ V_TG.T
        return float((B_AT * torch.linalg.solve(S_AA, B_AT)).sum())

    best = max(combinations(range(11), 3), key=value)
    found = tuple(torch.nonzero(state.chosen_G).squeeze(1).tolist())
    assert state.explained == pytest.approx(value(found), rel=1e-6)
    assert state.explained >= before - 1e-12
    assert value(found) >= 0.99 * value(best)
    swapped = [(*(g for g in found if g != out), into) for out in found for into in set(range(11)) - set(found)]
    assert max(map(value, swapped)) <= value(found) * (1 + 1e-6)


@pytest.mark.parametrize("kind", ["plain", "fixed"])
def test_a_trial_taken_back_leaves_no_trace(make_values, kind: str) -> None:
    """Gains, what is explained and the next choice are as before."""
    S_GG = covariance(make_values(30, 14))
    deflation = GramDeflation(S_GG, torch.ones(14).double())
    state = Residual(deflation, RIDGE) if kind == "plain" else Projected(deflation, torch.eye(14).double()[:4], RIDGE)
    for gene in (1, 4, 7):
        state.add(gene)
    gains, fraction = state.gains(), state.explained_fraction()
    state.keep_gene(state.try_without(4))
    assert state.chosen_G.nonzero().squeeze(1).tolist() == [1, 4, 7]
    torch.testing.assert_close(state.gains(), gains)
    assert state.explained_fraction() == pytest.approx(fraction, rel=1e-12)
    state.add(3)
    state.reset()
    again = type(state)(deflation, *([RIDGE] if kind == "plain" else [torch.eye(14).double()[:4], RIDGE]))
    torch.testing.assert_close(state.gains(), again.gains())
    assert not state.chosen_G.any()


def test_groups_are_used_up_in_turn_and_budgets_are_heeded(make_values) -> None:
    """First of the first group; max_swaps bounds the exchanges and takes the most rewarding."""
    S_GG = covariance(make_values(30, 14))
    state = Residual(GramDeflation(S_GG, torch.ones(14).double()), RIDGE)
    first_G = torch.zeros(14, dtype=torch.bool)
    first_G[[11, 12, 13]] = True
    entries = choose(state, [first_G, everything(14)], 5, Hooks())
    assert {entry.gene for entry in entries[:3]} == {11, 12, 13}
    free = [entry.gene for entry in entries]
    swaps, settled = exchange(state, free, everything(14), sweeps=9, max_swaps=1)
    assert len(swaps) == 1
    assert not settled
    assert int(state.chosen_G.sum()) == 5
    barred_G = state.chosen_G.clone()
    assert exchange(state, state.chosen_G.nonzero().squeeze(1).tolist(), barred_G, sweeps=2) == ([], True)
