"""The path of the penalised network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from sclandmarks import schema
from sclandmarks.errors import TrainingError
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import GroupLassoNetworkPanel, GroupLassoPanel
from sclandmarks.select import SelectionTask
from sclandmarks.select.base import Selected
from sclandmarks.select.group_lasso import select_group_lasso
from sclandmarks.select.group_lasso_network import select_group_lasso_network

SETTINGS = GroupLassoNetworkPanel(
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
)


@pytest.fixture(scope="module")
def task(planted) -> SelectionTask:
    """300 planted cells to learn from, 100 held back."""
    train, validation = MemoryBatches(planted.values[:300], 64), MemoryBatches(planted.values[300:], 64)
    return SelectionTask(train, validation, planted.counts.genes, n_landmarks=6)


def select(task: SelectionTask, hooks: Hooks | None = None, **changes: Any) -> Selected:
    """Choose with changed settings."""
    return select_group_lasso_network(task, SETTINGS.model_copy(update=changes), hooks or Hooks())


@pytest.fixture(scope="module")
def selected(task: SelectionTask) -> Selected:
    """With the settings as they stand."""
    return select(task)


def test_the_path_falls_from_lambda_max(selected: Selected) -> None:
    """No gene at lambda_max, where nothing is left to wish, and the path ends where enough are in."""
    figures = [step.metrics for step in selected.history]
    assert [f["lambda_ratio"] for f in figures] == pytest.approx([0.7**i for i in range(len(figures))])
    assert (figures[0]["n_active"], figures[0]["kkt"], figures[0]["epochs"]) == (0, 0, 0)
    assert [f["n_active"] >= 6 for f in figures] == [False] * (len(figures) - 1) + [True]
    assert figures[-1]["validation_mse"] < figures[0]["validation_mse"]
    assert selected.facts["n_active"] == figures[-1]["n_active"]


def test_the_table_says_who_is_in(selected: Selected) -> None:
    """At every place as many genes as the history says, and the panel is the strongest of the last."""
    table = schema.check(selected.path, schema.PANEL_PATH)
    in_G = dict(table.group_by("step").len().iter_rows())
    assert in_G == {step.step: step.metrics["n_active"] for step in selected.history if step.metrics["n_active"]}
    last = table.filter(step=selected.history[-1].step)
    assert last["gene_id"].to_list()[:6] == selected.panel["gene_id"].to_list()


def test_without_blocks_it_is_the_convex_problem(task: SelectionTask) -> None:
    """Whole batches and a falling rate settle where the solver does: the same norms, and a small residual."""
    one = replace(task, train=MemoryBatches(task.train.X_CG, 300))  # type: ignore[attr-defined]
    got = select(one, depth=0, lambda_ratio=0.3, max_epochs=600, patience=600, path_ratio=0.3)
    convex = GroupLassoPanel(
        selector="group_lasso", seed=0, width=8, standardise=True, path_ratio=0.3, max_steps=2000, tolerance=1e-6,
        lambda_ratio=0.3,
    )  # fmt: skip
    want = select_group_lasso(one, convex, Hooks())
    assert got.facts["kkt"] < 0.02
    assert got.facts["n_active"] == want.facts["n_active"]
    assert got.panel["gene_id"].to_list() == want.panel["gene_id"].to_list()
    assert got.panel["score"].to_list() == pytest.approx(want.panel["score"].to_list(), rel=0.02, abs=1e-3)


def test_blocks_explain_more_than_the_linear_network(task: SelectionTask) -> None:
    """Half of the planted genes bend: at the same penalty the objective is lower."""
    objectives = [select(task, depth=depth, lambda_ratio=0.1).history[-1].metrics["objective"] for depth in (0, 2)]
    assert objectives[1] < 0.99 * objectives[0]


def test_a_given_end_of_the_path_is_kept(task: SelectionTask) -> None:
    """However many genes are in; those nearest to entering fill the panel."""
    short = select(replace(task, n_landmarks=40), lambda_ratio=0.85)
    assert [step.metrics["lambda_ratio"] for step in short.history] == pytest.approx([1.0, 0.85])
    assert 0 < short.facts["n_active"] < 40 == short.panel.height
    assert short.panel["reason"].str.starts_with("not on the path yet").any()


def test_the_study_s_loss_is_a_choice(task: SelectionTask, selected: Selected) -> None:
    """Another loss gives other norms."""
    other = select(task, loss="weighted_mse")
    assert other.panel["score"].to_list() != selected.panel["score"].to_list()
    assert other.panel.height == 6


def test_the_adaptive_pass_finds_the_planted_genes(task: SelectionTask, planted) -> None:
    """And leaves out what the first pass left out."""
    adaptive = select(task, adaptive=True)
    assert set(adaptive.panel["gene_id"]) == {task.genes["gene_id"][int(place)] for place in planted.positions}


def test_a_short_adaptive_path_is_filled_up_as_the_first_would_be(task: SelectionTask) -> None:
    """By nearness to entering, though the second pass knows nothing of genes that the first left out."""
    thirty = replace(task, n_landmarks=30)
    first, adaptive = (select(thirty, adaptive=on, lambda_ratio=0.9).panel for on in (False, True))
    n_first = first["score"].gt(0).sum()
    assert 0 < n_first < 28
    assert adaptive["gene_id"][n_first:].equals(first["gene_id"][n_first:])


def test_the_refit_is_better_than_the_penalised_weights(task: SelectionTask, selected: Selected) -> None:
    """Shrunken weights predict worse on held-back cells; the panel is the same."""
    refitted = select(task, refit=True)
    assert refitted.facts["refit_validation_mse"] < refitted.facts["validation_mse"]
    assert refitted.panel.equals(selected.panel)


class Interrupted(Exception):
    """As by a kill."""


class Kept:
    """A checkpoint in memory; the process dies after so many savings."""

    def __init__(self, most: int | None) -> None:
        self.state, self.most = None, most

    def load(self) -> Any:
        """Return the last state."""
        return self.state

    def save(self, state: Any) -> None:
        """Keep a copy."""
        self.state = torch.utils._pytree.tree_map(lambda one: one.clone() if torch.is_tensor(one) else one, state)
        if self.most is not None:
            self.most -= 1
            if not self.most:
                raise Interrupted


def test_a_killed_path_goes_on(task: SelectionTask, selected: Selected) -> None:
    """To the same panel, history and table."""
    kept = Kept(most=2)
    with pytest.raises(Interrupted):
        select(task, Hooks(checkpoint=kept))
    kept.most = None
    seen: list[int] = []
    again = select(task, Hooks(lambda _, step: seen.append(step), kept))
    assert again.panel.equals(selected.panel)
    assert again.history == selected.history
    assert again.path.equals(selected.path)
    assert seen == [step.step for step in selected.history]


def test_an_objective_that_is_not_finite_is_an_error(task: SelectionTask) -> None:
    """With the learning rate named."""
    with pytest.raises(TrainingError, match="learning rate 9e"):
        select(task, learning_rate=9e35)
