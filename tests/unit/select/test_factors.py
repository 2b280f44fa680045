"""The factor model against the definition, and the gains under it against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sclandmarks.learn.task import Hooks
from sclandmarks.params import GreedyPanel
from sclandmarks.select import SELECTORS
from sclandmarks.select.factors import Blended, Factored, FactorModel, factor_model
from sclandmarks.select.forward import choose
from sclandmarks.select.residual import CellDeflation, GramDeflation, Residual


def make_cells(n_cells: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Centred cells of 30 genes with three factors, divided by sqrt(n_cells); their loadings and noise."""
    rng = np.random.default_rng(seed)
    L_GK, psi_G = rng.normal(size=(30, 3)), rng.uniform(0.2, 2, 30)
    X_CG = rng.normal(size=(n_cells, 3)) @ L_GK.T + rng.normal(size=(n_cells, 30)) * np.sqrt(psi_G)
    X_CG -= X_CG.mean(0)
    return torch.from_numpy(X_CG / np.sqrt(n_cells)), torch.from_numpy(L_GK), torch.from_numpy(psi_G)


def log_likelihood(S_GG: torch.Tensor, model: FactorModel) -> float:
    """-(log det C + tr C^-1 S) / 2 with C = L L' + psi."""
    C_GG = model.L_GK @ model.L_GK.T + model.psi_G.diag()
    return -float(torch.logdet(C_GG) + torch.trace(torch.linalg.solve(C_GG, S_GG))) / 2


def test_the_true_model_is_found_from_many_cells() -> None:
    """Its covariance, as loadings are known up to a rotation only."""
    X_CG, L_GK, psi_G = make_cells(20_000)
    model = factor_model(GramDeflation(X_CG.T @ X_CG, torch.ones(30).double()), 3)
    torch.testing.assert_close(model.L_GK @ model.L_GK.T, L_GK @ L_GK.T, atol=0.2, rtol=0.1)
    torch.testing.assert_close(model.psi_G, psi_G, atol=0.1, rtol=0)


def test_it_agrees_with_scikit_learn() -> None:
    """At least its likelihood, by another algorithm to its end."""
    from sklearn.decomposition import FactorAnalysis

    X_CG, _, _ = make_cells(200)
    S_GG = X_CG.T @ X_CG
    model = factor_model(GramDeflation(S_GG, torch.ones(30).double()), 3)
    theirs = FactorAnalysis(3, tol=1e-8, max_iter=2000, svd_method="lapack").fit(X_CG.numpy() * np.sqrt(200))
    want = FactorModel(torch.from_numpy(theirs.components_.T.copy()), torch.from_numpy(theirs.noise_variance_))
    assert log_likelihood(S_GG, model) == pytest.approx(log_likelihood(S_GG, want), abs=0.02)


def test_cells_and_covariance_give_the_same_model() -> None:
    """Products alone are used."""
    X_CG, _, _ = make_cells(20)
    ones_G = torch.ones(30).double()
    models = [factor_model(one, 2) for one in (CellDeflation(X_CG, ones_G), GramDeflation(X_CG.T @ X_CG, ones_G))]
    torch.testing.assert_close(models[0].L_GK @ models[0].L_GK.T, models[1].L_GK @ models[1].L_GK.T)


def test_a_constant_gene_has_no_loading() -> None:
    """And nothing becomes infinite."""
    X_CG, _, _ = make_cells(50)
    X_CG[:, 4] = 0
    model = factor_model(GramDeflation(X_CG.T @ X_CG, torch.ones(30).double()), 3)
    assert not model.L_GK[4].any()
    assert torch.isfinite(model.L_GK).all()
    assert (model.psi_G > 0).all()


def unexplained(model: FactorModel, weight_G: torch.Tensor, chosen: list[int], others: list[int]) -> float:
    """Variance of the signals of `others` given the chosen genes, from the joint covariance."""
    signal_GG = model.L_GK @ model.L_GK.T
    C_AA = (signal_GG + model.psi_G.diag())[chosen][:, chosen]
    told_AG = signal_GG[chosen]
    left_GG = signal_GG - told_AG.T @ torch.linalg.solve(C_AA, told_AG)
    return float((weight_G * left_GG.diagonal())[others].sum())


def test_gains_are_differences_of_conditional_variances() -> None:
    """Of every gene, with some chosen, weighted; and a dropped gene leaves no trace."""
    _, L_GK, psi_G = make_cells(3)
    model, weight_G = FactorModel(L_GK, psi_G), torch.linspace(0, 2, 30).double()
    state = Factored(model, weight_G)
    for gene in (3, 17, 8, 20):
        state.add(gene)
    state.drop(17)
    chosen = [3, 8, 20]
    for gene in set(range(30)) - set(chosen):
        others = [one for one in range(30) if one not in {*chosen, gene}]
        want = unexplained(model, weight_G, chosen, others) - unexplained(model, weight_G, [*chosen, gene], others)
        assert float(state.gains()[gene]) == pytest.approx(want, rel=1e-8, abs=1e-12)
    state.reset()
    torch.testing.assert_close(state.gains(), Factored(model, weight_G).gains())


def blended(share: float, n_cells: int = 20) -> tuple[Blended, Residual]:
    """Both states of the same cells."""
    X_CG, _, _ = make_cells(n_cells)
    ones_G = torch.ones(30).double()
    return Blended(CellDeflation(X_CG, ones_G), 0.1, 3, share), Residual(CellDeflation(X_CG, ones_G), 0.1)


def test_a_blend_runs_from_the_residual_to_the_factors() -> None:
    """By share 0 it chooses as the one, by 1 as the other, between by both; it reports the residual's gains."""
    every = [torch.ones(30, dtype=torch.bool)]
    none, plain = blended(0.0)
    assert choose(none, every, 10, Hooks()) == choose(plain, every, 10, Hooks())
    state, plain = blended(0.4)
    for gene in (5, 9):
        state.add(gene)
        plain.add(gene)
    torch.testing.assert_close(state.gains(), plain.gains())
    want_G = plain.gains() ** 0.6 * state.factored.gains() ** 0.4
    torch.testing.assert_close(state.merits(), want_G)
    whole, _ = blended(1.0)
    torch.testing.assert_close(whole.merits(), whole.factored.gains())


def test_a_trial_taken_back_leaves_no_trace() -> None:
    """Exchanges move the factors too."""
    state, _ = blended(0.4)
    for gene in (5, 9, 1):
        state.add(gene)
    before_G = state.merits()
    state.keep_gene(state.try_without(9))
    torch.testing.assert_close(state.merits(), before_G)
    state.reset()
    torch.testing.assert_close(state.merits(), blended(0.4)[0].merits())


def test_the_share_is_a_setting(planted, planted_task) -> None:
    """The planted genes are found at every share."""
    for share in (0.0, 0.3, 1.0):
        settings = GreedyPanel(selector="greedy", ridge=0.1, factor_share=share, n_factors=6)
        panel = SELECTORS["greedy"](planted_task, settings, Hooks()).panel
        assert set(panel["gene_id"]) == {f"g{place}" for place in planted.positions}
