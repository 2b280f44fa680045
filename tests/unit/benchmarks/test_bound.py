"""Selection with hindsight against refits, and the table of the bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from bound import Hindsight, divide_again, learning_rows, open_deflation, table
from reach import explained

from sclandmarks import paths, schema
from sclandmarks.io.tables import read_table
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.select import forward


def make_cells(n_genes: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cells to learn from and others, of the same two factors; orthonormal axes."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(2, n_genes))
    X_CG, T_CG = (rng.normal(size=(n, 2)) @ loadings + rng.normal(size=(n, n_genes)) for n in (9, 15))
    V_GK = np.linalg.qr(rng.normal(size=(n_genes, 3))).Q
    return torch.from_numpy(X_CG), torch.from_numpy(T_CG), torch.from_numpy(V_GK)


def refitted(chosen: list[int], ridge: float = 0.5) -> float:
    """What the refitted regression on the chosen genes, cut to the axes, explains of the other cells."""
    X_CG, T_CG, V_GK = make_cells()
    A_CL = X_CG[:, chosen]
    B_LG = torch.linalg.solve(A_CL.T @ A_CL + ridge * torch.eye(len(chosen)).double(), A_CL.T @ X_CG)
    predicted_CG = T_CG[:, chosen] @ B_LG @ V_GK @ V_GK.T
    return float(T_CG.square().sum() - (T_CG - predicted_CG).square().sum())


def open_state() -> Hindsight:
    """No gene chosen."""
    X_CG, T_CG, V_GK = make_cells()
    return Hindsight(open_deflation(X_CG), T_CG, V_GK, 0.5)


def test_gains_are_differences_between_refits() -> None:
    """With some genes chosen, and one taken out again."""
    state = open_state()
    for gene in (3, 7, 1):
        state.add(gene)
    trial = state.try_without(7)
    state.keep_gene(trial)
    state.try_without(3)
    for gene in set(range(12)) - {7, 1}:
        assert float(state.gains()[gene]) == pytest.approx(refitted([7, 1, gene]) - refitted([7, 1]))
    assert state.explained_fraction() * state.total == pytest.approx(refitted([7, 1]))


def test_a_gene_is_chosen_even_where_every_gene_does_harm() -> None:
    """The panel has the size that is asked for, and each choice is the best there is."""
    state, every_G = open_state(), torch.ones(12, dtype=torch.bool)
    order = [entry.gene for entry in forward.choose(state, [every_G], 11, Hooks())]
    assert len(set(order)) == 11
    for n in range(1, 11):
        worths = {gene: refitted([*order[:n], gene]) for gene in range(12) if gene not in order[:n]}
        assert max(worths, key=lambda gene: worths[gene]) == order[n]


def test_exchanges_lower_the_error() -> None:
    """Until none does."""
    state, every_G = open_state(), torch.ones(12, dtype=torch.bool)
    order = [entry.gene for entry in forward.choose(state, [every_G], 4, Hooks())]
    before = refitted(order)
    _, settled = forward.exchange(state, order, every_G, 20)
    final = state.chosen_G.nonzero().squeeze(1).tolist()
    assert settled
    assert refitted(final) >= before
    for gene in final:
        rest = [one for one in final if one != gene]
        assert all(refitted([*rest, one]) <= refitted(final) + 1e-6 for one in range(12) if one not in final)


def test_the_table_has_means_over_divisions() -> None:
    """Two values of one division are one figure."""
    found = pl.DataFrame(
        {"panel": ["a"] * 4, "genes": [5] * 4, "division": [0, 0, 1, 1], "ratio": [1.0, 1.1, 1.2, 1.3]}
    )
    assert table(found, [5]).splitlines()[-1] == "| a | 1.150 ± 0.100 |"


def test_every_learning_cell_is_in_one_part(planted: Any) -> None:
    """And no other cell is in any."""
    rows = np.arange(10, 60)
    cohort = divide_again(planted.counts, rows, 0)
    assert [matrix.n_cells for matrix in cohort] == [35, 5, 10]
    names = pl.concat([matrix.cells for matrix in cohort])["cell_id"].to_list()
    assert sorted(names) == sorted(planted.counts.cells["cell_id"][10:60].to_list())


def test_learning_cells_are_those_of_two_subsets(planted: Any, planted_folder: Path) -> None:
    """Training cells before validation cells; no test cell."""
    split = read_table(planted_folder / paths.SPLIT, schema.SPLIT)
    rows = learning_rows(planted_folder, planted.counts)
    named = planted.counts.cells["cell_id"].gather(rows)
    subsets = pl.DataFrame({"cell_id": named}).join(split, on="cell_id", how="left", maintain_order="left")["subset"]
    counts = dict(split["subset"].value_counts().iter_rows())
    assert subsets.to_list() == ["train"] * counts["train"] + ["validation"] * counts["validation"]


def test_the_driving_genes_explain_more_by_any_predictor(planted: Any) -> None:
    """Than as many others; and a panel's own predictor is that of the settings."""
    values = ExpressionMatrix(planted.values, planted.counts.cells, planted.counts.genes)
    cohort = divide_again(values, np.arange(values.n_cells), 0)
    rest = np.setdiff1d(np.arange(values.n_genes), planted.positions)
    others, targets = rest[:6], rest[6:]
    for name in ("ridge", "reduced_rank"):
        figures = [explained(cohort, panel, targets, name) for panel in (planted.positions, others)]
        assert 1 > figures[0] > figures[1]
