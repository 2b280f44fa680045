"""The reference panel and the controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from sclandmarks.errors import PanelError
from sclandmarks.genes import gene_table, l1000_landmarks
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import ExpressionMatrix, MemoryBatches
from sclandmarks.params import L1000Panel, RandomPanel, TopVariancePanel
from sclandmarks.select import SelectionTask
from sclandmarks.select.simple import select_l1000, select_random, select_top_variance


def task_of(matrix: ExpressionMatrix, n_landmarks: int = 5, batch_size: int = 7) -> SelectionTask:
    """Select among all genes, from all cells."""
    batches = MemoryBatches(matrix.X_CG, batch_size)
    return SelectionTask(batches, batches, matrix.genes, n_landmarks)


def test_l1000_takes_what_is_measured_and_counts_the_missing(make_matrix) -> None:
    """In L1000's order, whatever the panel size; 974 of 978 are missing here."""
    symbols = l1000_landmarks()["current_symbol"].to_list()
    names = ["NOT_ONE", symbols[7], symbols[900], "NOR_THIS", symbols[0], symbols[3]]
    matrix = replace(make_matrix(4, 6), genes=gene_table(names, names, [None] * 6))
    selected = select_l1000(task_of(matrix, 2), L1000Panel(selector="l1000"), Hooks())
    assert selected.panel["symbol"].to_list() == [symbols[i] for i in (0, 3, 7, 900)]
    assert selected.panel["rank"].to_list() == [1, 2, 3, 4]
    assert selected.facts == {"n_measured": 4, "n_missing": 974}


def test_l1000_without_a_landmark_is_an_error(make_matrix) -> None:
    """Mouse data, for example."""
    with pytest.raises(PanelError, match=r"none of L1000's 978 landmarks among \['g0', 'g1', 'g2'\]"):
        select_l1000(task_of(make_matrix()), L1000Panel(selector="l1000"), Hooks())


def test_random_panels_differ_by_seed_and_repeat(make_matrix) -> None:
    """Drawn without replacement, from all genes."""
    task = task_of(make_matrix(3, 200), 50)
    panels = [
        select_random(task, RandomPanel(selector="random", seed=seed), Hooks()).panel["gene_id"].to_list()
        for seed in (0, 0, 1, 2)
    ]
    assert panels[0] == panels[1]
    assert len({tuple(panel) for panel in panels}) == 3
    assert all(len(set(panel)) == 50 for panel in panels)
    assert len(set().union(*panels)) > 100


def test_top_variance_is_numpys(make_matrix, planted) -> None:
    """Genes and scores; the highest means alone do not win."""
    matrix = replace(planted.counts, X_CG=planted.values)
    variance_G = planted.values.toarray().astype(np.float64).var(axis=0)
    panel = select_top_variance(task_of(matrix, 20, 64), TopVariancePanel(selector="top_variance"), Hooks()).panel
    order = np.argsort(-variance_G)[:20]
    assert panel["gene_id"].to_list() == [f"g{i}" for i in order]
    np.testing.assert_allclose(panel["score"], variance_G[order], rtol=1e-6)
    constant = make_matrix(counts=np.column_stack([np.full(30, 1000), np.arange(30) % 2, np.arange(30) % 3]))
    two = select_top_variance(task_of(constant, 2), TopVariancePanel(selector="top_variance"), Hooks()).panel
    assert two["gene_id"].to_list() == ["g2", "g1"]


@pytest.mark.parametrize("n_landmarks", [0, 10, 11])
def test_a_panel_leaves_genes_to_predict(make_matrix, n_landmarks: int) -> None:
    """Neither an empty panel nor one of all genes."""
    with pytest.raises(PanelError, match=f"select.n_landmarks = {n_landmarks}"):
        task_of(make_matrix(), n_landmarks)


def test_ranks_start_at_one_in_the_order_given(make_matrix) -> None:
    """Names follow positions."""
    panel = select_random(task_of(make_matrix(3, 9), 4), RandomPanel(selector="random", seed=5), Hooks()).panel
    order = np.random.default_rng(5).permutation(9)[:4]
    assert panel.select("rank", "gene_id").rows() == [(i + 1, f"g{gene}") for i, gene in enumerate(order)]
    assert panel.select(pl.col("score").is_null().all()).item()
