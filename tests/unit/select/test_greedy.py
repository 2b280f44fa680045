"""Greedy selection against the naive version, and what it promises."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from sclandmarks import schema
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import GreedyPanel
from sclandmarks.select import Selected, SelectionTask
from sclandmarks.select.greedy import open_deflation, select_greedy
from sclandmarks.select.residual import CellDeflation, GramDeflation

SETTINGS = GreedyPanel(selector="greedy", ridge=0.1)


def genes(n_genes: int) -> pl.DataFrame:
    names = [f"g{i}" for i in range(n_genes)]
    columns = {"gene_id": names, "symbol": names, "ensembl_id": [None] * n_genes, "original": names}
    return pl.DataFrame(columns, schema=schema.GENES.dtypes)


def task_of(X_CG: np.ndarray | sparse.csr_matrix, n_landmarks: int) -> SelectionTask:
    batches = MemoryBatches(sparse.csr_matrix(X_CG, dtype=np.float32), 7)
    return SelectionTask(batches, batches, genes(batches.n_genes), n_landmarks)


def random_values(n_cells: int, n_genes: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.gamma(1, size=(n_cells, 4)) @ rng.gamma(0.5, size=(4, n_genes))
    return (mixed + rng.gamma(1, size=(n_cells, n_genes))).astype(np.float32)


def naive(X_CG: np.ndarray, n_landmarks: int, ridge: float) -> tuple[list[int], list[float], list[float]]:
    """Forward selection on the residual matrix itself: genes, gains and explained fractions."""
    S_GG = np.cov(X_CG.astype(np.float64), rowvar=False, bias=True)
    R_GG, strength, total = S_GG.copy(), ridge * np.diag(S_GG).mean(), np.trace(S_GG)
    chosen, gains, explained = [], [], []
    for _ in range(n_landmarks):
        free = [g for g in range(len(S_GG)) if g not in chosen]
        gain = {j: sum(R_GG[g, j] ** 2 for g in free if g != j) / (R_GG[j, j] + strength) for j in free}
        best = max(gain, key=gain.get)
        R_GG = R_GG - np.outer(R_GG[best], R_GG[best]) / (R_GG[best, best] + strength)
        chosen.append(best)
        gains.append(gain[best] / total)
        rest = [g for g in free if g != best]
        explained.append(1 - np.diag(R_GG)[rest].sum() / np.diag(S_GG)[rest].sum())
    return chosen, gains, explained


def run(X_CG: np.ndarray, n_landmarks: int, settings: GreedyPanel = SETTINGS) -> Selected:
    return select_greedy(task_of(X_CG, n_landmarks), settings, Hooks())


@pytest.mark.parametrize("n_cells", [25, 70])
@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_agrees_with_the_naive_version_step_by_step(n_cells: int, ridge: float) -> None:
    """Fewer cells than genes, and more: genes, gains and explained fractions."""
    X_CG = random_values(n_cells, 40)
    chosen, gains, explained = naive(X_CG, 20, ridge)
    selected = run(X_CG, 20, GreedyPanel(selector="greedy", ridge=ridge))
    assert selected.panel["gene_id"].to_list() == [f"g{i}" for i in chosen]
    np.testing.assert_allclose(selected.panel["score"], gains, rtol=1e-5)
    np.testing.assert_allclose([step.metrics["explained"] for step in selected.history], explained, rtol=1e-5)
    assert [step.step for step in selected.history] == list(range(1, 21))
    assert selected.facts["explained"] == pytest.approx(explained[-1], rel=1e-5)


@pytest.mark.parametrize(("n_cells", "kind"), [(10, CellDeflation), (20, GramDeflation), (30, GramDeflation)])
def test_the_smaller_side_is_held(n_cells: int, kind: type) -> None:
    """Cells where they are fewer than genes."""
    assert isinstance(open_deflation(task_of(random_values(n_cells, 20), 3)), kind)


def test_panels_are_nested() -> None:
    """A smaller panel is the beginning of a larger one."""
    X_CG = random_values(25, 40)
    panels = [run(X_CG, n).panel for n in (3, 8, 15)]
    for small, large in pairwise(panels):
        assert large[: small.height].equals(small)


def test_permuted_genes_permute_the_selection() -> None:
    """Names follow."""
    X_CG = random_values(25, 40)
    order = np.random.default_rng(3).permutation(40)
    want = run(X_CG, 10).panel["gene_id"].to_list()
    assert [f"g{order[int(gene[1:])]}" for gene in run(X_CG[:, order], 10).panel["gene_id"]] == want


def test_order_of_cells_and_a_constant_added_change_nothing() -> None:
    """A covariance knows neither."""
    X_CG = random_values(25, 40)
    want = run(X_CG, 10).panel["gene_id"].to_list()
    assert run(X_CG[::-1], 10).panel["gene_id"].to_list() == want
    assert run(X_CG + np.float32(2), 10).panel["gene_id"].to_list() == want


def test_a_gene_does_not_count_itself() -> None:
    """Alone with its variance, the most variable gene of all explains nothing and is not chosen first."""
    X_CG = random_values(60, 12)
    X_CG[:, 5] = 100 * np.random.default_rng(9).normal(size=60)
    X_CG[:, 5] -= X_CG[:, [0, 1, 2]] @ np.linalg.lstsq(X_CG[:, [0, 1, 2]], X_CG[:, 5], rcond=None)[0]
    assert "g5" not in run(X_CG, 3).panel["gene_id"]


def test_matrix_without_variance_still_gives_a_panel() -> None:
    """Every gain is zero; the first genes are taken."""
    selected = run(np.ones((9, 6), dtype=np.float32), 3)
    assert selected.panel["gene_id"].to_list() == ["g0", "g1", "g2"]
    assert selected.facts == {"explained": 0.0, "n_swaps": 0.0, "settled": 0.0}


def test_reports_about_a_hundred_times_and_keeps_every_step() -> None:
    """A panel of 230 genes reports each third."""
    seen: list[int] = []
    hooks = Hooks(lambda metrics, step: seen.append(step))
    selected = select_greedy(task_of(random_values(20, 300), 230), SETTINGS, hooks)
    assert seen == list(range(3, 231, 3))
    assert len(selected.history) == 230


@pytest.mark.parametrize("n_cells", [12, 60])
def test_exchanges_at_the_least_ridge_keep_their_digits(n_cells: int) -> None:
    """Doubled genes and more landmarks than axes: what is said to be explained is what is explained."""
    X_CG = random_values(n_cells, 40)
    X_CG[:, 20:30] = X_CG[:, 10:20]
    selected = run(X_CG, 15, GreedyPanel(selector="greedy", ridge=1e-6, sweeps=4))
    chosen = [int(gene[1:]) for gene in selected.panel["gene_id"]]
    rest = [gene for gene in range(40) if gene not in chosen]
    S_GG = np.cov(X_CG.astype(np.float64), rowvar=False, bias=True)
    S_AA = S_GG[np.ix_(chosen, chosen)] + 1e-6 * np.trace(S_GG) / 40 * np.eye(15)
    S_AT = S_GG[np.ix_(chosen, rest)]
    want = (S_AT * np.linalg.solve(S_AA, S_AT)).sum() / np.trace(S_GG[np.ix_(rest, rest)])
    assert selected.facts["explained"] == pytest.approx(want, rel=1e-3)
