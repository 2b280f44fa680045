"""What every selector promises, one suite over all of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError, PanelError
from sclandmarks.genes import gene_table, l1000_landmarks
from sclandmarks.learn.task import Hooks, history_table
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import (
    EnsemblePanel,
    GreedyPanel,
    GroupLassoNetworkPanel,
    GroupLassoPanel,
    GuidedPanel,
    HvgPanel,
    KMeansPanel,
    L1000Panel,
    LoadingsPanel,
    PaperPanel,
    RandomPanel,
    TopVariancePanel,
)
from sclandmarks.prep.scprep_adapter import log_normalise
from sclandmarks.select import SELECTORS, Selected, SelectionTask

N_LANDMARKS = 6
SETTINGS = {
    "l1000": L1000Panel(selector="l1000"),
    "random": RandomPanel(selector="random", seed=0),
    "top_variance": TopVariancePanel(selector="top_variance"),
    "paper_f910": PaperPanel(
        selector="paper_f910",
        width=16,
        depth=1,
        dropout=0.2,
        penalty=1e-3,
        n_extremes=None,
        learning_rate=0.01,
        batch_size=64,
        max_epochs=4,
        patience=4,
        seed=0,
    ),
    "group_lasso": GroupLassoPanel(
        selector="group_lasso", seed=0, width=8, standardise=True, path_ratio=0.8, max_steps=300, tolerance=1e-4
    ),
    "group_lasso_network": GroupLassoNetworkPanel(
        selector="group_lasso_network",
        width=8,
        depth=1,
        dropout=0.1,
        loss="mse",
        standardise=True,
        path_ratio=0.7,
        learning_rate=0.02,
        batch_size=64,
        max_epochs=16,
        patience=3,
        seed=0,
    ),
    "greedy": GreedyPanel(selector="greedy", ridge=0.1, sweeps=3),
    "guided": GuidedPanel(selector="guided", ridge=0.1, start="l1000", sweeps=3, denoised=True, n_axes=8),
    "l1000_kmeans": KMeansPanel(selector="l1000_kmeans", seed=0, n_components=10, rounds=2, ridge=0.1),
    "hvg": HvgPanel(selector="hvg", flavour="pearson"),
    "pca_loadings": LoadingsPanel(selector="pca_loadings", n_components=6, weight="leverage"),
    "ensemble": EnsemblePanel(
        selector="ensemble",
        seed=0,
        n_resamples=4,
        fraction=0.5,
        base=GreedyPanel(selector="greedy", ridge=0.1),
    ),
}
RANKED_BY_ENTRY = ("greedy", "guided")  # a later gene can gain more than one before
SEEDED = ("random", "paper_f910", "group_lasso_network", "l1000_kmeans", "ensemble")
FINDERS = ("group_lasso", "group_lasso_network", "greedy", "guided", "ensemble")
EPOCHS_STOP = ("paper_f910",)
BY_VARIANCE = (
    "top_variance",
    "group_lasso",
    "group_lasso_network",
    "greedy",
    "l1000_kmeans",
    "pca_loadings",
    "ensemble",
)

every_selector = pytest.mark.parametrize("name", SELECTORS)


@pytest.fixture(scope="module")
def task(planted: Any) -> SelectionTask:
    """300 training cells, 100 held back; the planted landmarks are landmarks of L1000 by name."""
    symbols = planted.counts.genes["symbol"].to_list()
    for place, symbol in zip(planted.positions, l1000_landmarks()["current_symbol"], strict=False):
        symbols[place] = symbol
    genes = gene_table(symbols, symbols, [None] * len(symbols))
    train, validation = MemoryBatches(planted.values[:300], 64), MemoryBatches(planted.values[300:], 64)
    return SelectionTask(
        train,
        validation,
        genes,
        N_LANDMARKS,
        cells=planted.counts.cells[:300],
        counts=MemoryBatches(planted.counts.X_CG[:300], 64),
        normalise=partial(log_normalise, scale=1e4, base=10),
    )


def select(name: str, task: SelectionTask, settings: Any = None) -> Selected:
    """Choose without reporting."""
    return SELECTORS[name](task, settings or SETTINGS[name], Hooks())


def test_every_selector_has_settings_here() -> None:
    """So that a new one is tested, under the name that params.yaml gives it."""
    assert set(SETTINGS) == set(SELECTORS)
    assert {name: settings.selector for name, settings in SETTINGS.items()} == {name: name for name in SELECTORS}


@every_selector
def test_the_panel_is_a_ranked_table_of_genes_of_the_matrix(name: str, task: SelectionTask) -> None:
    """Right size, no gene twice, ranks from 1, names as in the matrix, a reason for each, falling scores if any."""
    panel = schema.check(select(name, task).panel, schema.PANEL)
    assert panel["rank"].to_list() == list(range(1, N_LANDMARKS + 1))
    assert panel["gene_id"].n_unique() == N_LANDMARKS
    names = ["gene_id", "symbol", "ensembl_id"]
    assert panel.join(task.genes, on=names, how="anti", nulls_equal=True).is_empty()
    assert panel["reason"].str.len_chars().min() > 5
    scores = panel["score"]
    assert scores.is_null().all() or scores.is_sorted(descending=True) or name in RANKED_BY_ENTRY


@every_selector
def test_history_and_facts_can_be_written(name: str, task: SelectionTask) -> None:
    """As a table of finite figures, and as JSON numbers."""
    selected = select(name, task)
    table = schema.check(history_table(selected.history), schema.HISTORY)
    assert table["value"].null_count() == 0
    assert all(np.isfinite(float(value)) for value in selected.facts.values())


@every_selector
def test_the_same_seed_repeats_the_panel(name: str, task: SelectionTask) -> None:
    """Genes, scores and history, whatever the state of the global random streams, which are left alone."""
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    streams = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = select(name, task)
    assert torch.equal(torch.get_rng_state(), streams[0])
    assert (np.random.get_state()[1] == streams[1]).all()  # noqa: NPY002
    torch.manual_seed(2)
    again = select(name, task)
    assert again.panel.equals(first.panel)
    assert again.history == first.history


@pytest.mark.parametrize("name", SEEDED)
def test_another_seed_gives_another_panel(name: str, task: SelectionTask) -> None:
    """The seed is used."""
    other = select(name, task, SETTINGS[name].model_copy(update={"seed": 1}))
    assert not other.panel.equals(select(name, task).panel)


@every_selector
def test_held_back_cells_do_not_choose(name: str, task: SelectionTask) -> None:
    """Other validation cells leave the panel; where epochs are stopped by them, a single epoch leaves no choice."""
    rng = np.random.default_rng(0)
    other = MemoryBatches(sparse.csr_matrix(rng.gamma(1, 2, (30, 80)).astype(np.float32)), 64)
    settings = SETTINGS[name].model_copy(update={"max_epochs": 1}) if name in EPOCHS_STOP else SETTINGS[name]
    want = select(name, task, settings).panel
    assert select(name, replace(task, validation=other), settings).panel.equals(want)


@every_selector
def test_choosing_leaves_the_cells_as_they_were(name: str, task: SelectionTask) -> None:
    """Nobody else's values change."""
    before_CG = task.train.X_CG.toarray()
    select(name, task)
    np.testing.assert_array_equal(task.train.X_CG.toarray(), before_CG)


@every_selector
@pytest.mark.parametrize("n_landmarks", [0, 80, 81])
def test_a_panel_of_no_or_all_genes_is_refused(name: str, n_landmarks: int, task: SelectionTask) -> None:
    """Before anything is computed."""
    with pytest.raises(PanelError, match="smaller than the 80 genes"):
        select(name, replace(task, n_landmarks=n_landmarks))


def test_no_training_cells_are_refused(task: SelectionTask) -> None:
    """Whatever the selector."""
    with pytest.raises(DataError, match="at least one training cell; got none"):
        replace(task, train=MemoryBatches(task.train.X_CG[:0]))


@pytest.mark.parametrize("name", ["paper_f910", "group_lasso_network"])
def test_networks_ask_for_held_back_cells(name: str, task: SelectionTask) -> None:
    """They report the error on them."""
    with pytest.raises(DataError, match="at least one held-back cell; got none"):
        select(name, replace(task, validation=MemoryBatches(task.train.X_CG[:0])))


@pytest.mark.parametrize("name", sorted({*SELECTORS} - {"l1000", "random", "hvg"}))
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e25])
def test_values_that_are_no_expression_are_refused(name: str, value: float, task: SelectionTask) -> None:
    """By all that look at values."""
    X_CG = task.train.X_CG.copy()
    X_CG.data[5] = value
    settings = SETTINGS[name].model_copy(update={"denoised": False} if name == "guided" else {})
    with pytest.raises(DataError, match="finite values up to 1e"):
        select(name, replace(task, train=MemoryBatches(X_CG, 64)), settings)


@every_selector
@pytest.mark.parametrize("n_cells", [1, 20, 120])
def test_cells_that_are_all_alike_give_a_panel_or_say_so(name: str, n_cells: int, task: SelectionTask) -> None:
    """No rounding is taken for variance, and no division by what is not there."""
    values = np.full((n_cells, 80), 3.3, dtype=np.float32)
    values[:, 40:60], values[:, 60:] = 0.7, 0
    counts = MemoryBatches(sparse.csr_matrix(np.ceil(values).astype(np.int32)), 16)
    cells = task.cells[[0] * n_cells].with_columns(cell_id=pl.format("toy/{}", pl.int_range(n_cells)))
    alike = replace(task, train=MemoryBatches(sparse.csr_matrix(values), 16), counts=counts, cells=cells)
    try:
        panel = select(name, alike).panel
    except PanelError as error:
        assert "vary over the training cells; got none" in str(error) or "halves of the counts" in str(error)
        assert name in ("group_lasso", "group_lasso_network", "guided", "l1000_kmeans", "pca_loadings")
    else:
        assert panel["gene_id"].n_unique() == N_LANDMARKS
        assert np.isfinite(panel["score"].drop_nulls().to_numpy()).all()


@pytest.mark.parametrize("name", BY_VARIANCE)
@pytest.mark.parametrize("n_cells", [20, 120])
def test_genes_that_are_constant_are_not_chosen(name: str, n_cells: int, task: SelectionTask) -> None:
    """What rounding makes of them is no variance."""
    values, constant = task.train.X_CG[:n_cells].toarray(), [3, 17, 40]
    values[:, constant] = 3.3
    panel = select(name, replace(task, train=MemoryBatches(sparse.csr_matrix(values), 16), counts=None)).panel
    assert not set(panel["gene_id"]) & set(task.genes["gene_id"][constant])


@pytest.mark.parametrize("name", FINDERS)
def test_planted_landmarks_are_recovered(name: str, task: SelectionTask, planted: Any) -> None:
    """Exactly the six genes that drive all others, first of all; more variance is elsewhere."""
    chosen = task.genes["gene_id"][planted.positions].to_list()
    assert set(select(name, task).panel["gene_id"]) == set(chosen)
    assert set(select("top_variance", task).panel["gene_id"]) != set(chosen)


def test_the_studys_selection_sees_the_planted_landmarks(task: SelectionTask, planted: Any) -> None:
    """With time to learn, most of the six are among its twelve."""
    settings = SETTINGS["paper_f910"].model_copy(update={"max_epochs": 40, "patience": 40, "dropout": 0.0})
    panel = select("paper_f910", replace(task, n_landmarks=12), settings).panel
    chosen = set(task.genes["gene_id"][planted.positions])
    assert len(chosen & set(panel["gene_id"])) >= 4
