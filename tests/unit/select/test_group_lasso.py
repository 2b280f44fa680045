"""The path of the group lasso: exact size, certified places, full panels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import GroupLassoPanel
from sclandmarks.select import SelectionTask, lasso_solver, prox
from sclandmarks.select.base import Selected
from sclandmarks.select.group_lasso import select_group_lasso
from sclandmarks.select.lasso_solver import Problem, largest, lay_out, solve, start

SETTINGS = GroupLassoPanel(
    selector="group_lasso", seed=0, width=8, standardise=True, path_ratio=0.8, max_steps=400, tolerance=1e-4
)


@pytest.fixture(scope="module")
def task(planted) -> SelectionTask:
    """A panel of 10 of the 80 planted genes."""
    batches = MemoryBatches(planted.values)
    return SelectionTask(batches, batches, planted.counts.genes, n_landmarks=10)


@pytest.fixture(scope="module")
def selected(task: SelectionTask) -> Selected:
    """The panel with both standardised genes and a fine tolerance."""
    return select_group_lasso(task, SETTINGS, Hooks())


def test_the_panel_has_the_size_asked_for(selected: Selected) -> None:
    """Ranked by group norm, larger first, though the last place of the path lets in more genes than that."""
    panel = schema.check(selected.panel, schema.PANEL)
    assert panel.height == panel["gene_id"].n_unique() == 10
    assert selected.facts["n_active"] >= 10
    assert panel["score"].is_sorted(descending=True)
    assert panel["score"].min() > 0
    assert panel["reason"].str.starts_with("entered the path at lambda = ").all()


def test_the_path_falls_from_lambda_max(selected: Selected) -> None:
    """No gene at lambda_max, then lambda falls by its ratio until enough genes are in."""
    figures = [step.metrics for step in selected.history]
    ratios, n_active = [f["lambda_ratio"] for f in figures], [f["n_active"] for f in figures]
    assert ratios == pytest.approx([0.8**i for i in range(len(ratios))])
    assert n_active[0] == 0
    assert n_active[1] > 0
    assert [n >= 10 for n in n_active] == [False] * (len(n_active) - 1) + [True]


def test_every_place_carries_a_small_gap(selected: Selected) -> None:
    """The duality gap is within the tolerance all along, and that of the last place is a fact of the panel."""
    gaps = [step.metrics["gap"] for step in selected.history]
    assert max(gaps) <= SETTINGS.tolerance
    assert min(gaps) >= -1e-6
    assert selected.facts == {name: selected.history[-1].metrics[name] for name in ("gap", "n_active", "lambda_ratio")}


def test_every_step_is_reported(task: SelectionTask, selected: Selected) -> None:
    """The hook sees the history as it is made."""
    seen = []
    select_group_lasso(task, SETTINGS, Hooks(lambda metrics, step: seen.append((step, dict(metrics)))))
    assert seen == [(step, metrics) for step, metrics in selected.history]


@pytest.mark.parametrize("standardise", [True, False])
def test_a_solution_is_optimal_and_sparse(task: SelectionTask, standardise: bool) -> None:
    """Genes left out have exact zeros; zero is in the subdifferential at every gene, in or out."""
    settings = SETTINGS.model_copy(update={"standardise": standardise})
    problem = lay_out(task, settings, 0).problem()
    place = start(problem)
    for strength in [0.8**i * largest(problem.C_GH) for i in range(6)]:
        place = solve(problem, strength, place, max_steps=2000, tolerance=1e-6)
    W_GH = torch.zeros_like(problem.C_GH)
    W_GH[place.active] = place.W_AH
    assert 0 < torch.count_nonzero(prox.norms(W_GH)) == len(place.active) < 80
    distance_G = prox.distance(W_GH, problem.S_GG @ W_GH - problem.C_GH, strength)
    assert float(distance_G.max()) < 5e-3 * strength


@pytest.mark.parametrize("seed", range(20))
def test_the_first_place_is_empty_for_any_problem(seed: int) -> None:
    """Rounding at lambda_max lets in no gene."""
    generator = torch.Generator().manual_seed(seed)
    X_CG = torch.randn(50, 30, generator=generator) * torch.rand(30, generator=generator)
    C_GH = X_CG.T @ torch.randn(50, 4, generator=generator) / 50
    problem = Problem(X_CG.T @ X_CG / 50, C_GH, 4.0)
    place = solve(problem, largest(problem.C_GH), start(problem), 100, 1e-6)
    assert len(place.active) == 0


def test_a_path_that_ends_early_is_filled_up(task: SelectionTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Genes nearest to entering follow, below the active ones and marked as such."""
    monkeypatch.setattr(lasso_solver, "MAX_PLACES", 2)
    selected = select_group_lasso(task, SETTINGS, Hooks())
    n_active = int(selected.facts["n_active"])
    assert 0 < n_active < 10 == selected.panel["gene_id"].n_unique()
    outside = selected.panel["reason"].str.starts_with("not on the path yet")
    assert outside.to_list() == [False] * n_active + [True] * (10 - n_active)
    assert (selected.panel["score"] > 0).to_list() == [True] * n_active + [False] * (10 - n_active)


@pytest.mark.parametrize("constant", [0.0, 1.7, 2.3, 3.9])
@pytest.mark.parametrize("batch_size", [64, 256])
def test_a_constant_gene_is_never_chosen(constant: float, batch_size: int, task: SelectionTask, planted) -> None:
    """Standardising divides neither by zero nor by the rounding of a variance."""
    X_CG = planted.values.toarray()
    X_CG[:, 3] = constant
    batches = MemoryBatches(sparse.csr_matrix(X_CG), batch_size)
    selected = select_group_lasso(SelectionTask(batches, batches, task.genes, 10), SETTINGS, Hooks())
    assert "g3" not in selected.panel["gene_id"].to_list()
    assert {f"g{gene}" for gene in planted.positions} <= set(selected.panel["gene_id"])
    assert selected.facts["gap"] < 1e-3


def test_a_gene_that_helps_only_beside_another_joins() -> None:
    """B tells the noise in A and nothing else: no gradient at first, so no strong rule keeps it; it joins later.

    Target y, A = y + n, B = n, all of unit variance: the optimum is A = 1 - 2 s, B = -1 + 3 s at strength s.
    """
    S_GG, C_GH = torch.tensor([[2.0, 1.0], [1.0, 1.0]]), torch.tensor([[1.0], [0.0]])
    problem = Problem(S_GG, C_GH, 1.0)
    place = solve(problem, 0.05, start(problem), max_steps=2000, tolerance=1e-7)
    assert place.active.tolist() == [0, 1]
    torch.testing.assert_close(place.W_AH, torch.tensor([[0.9], [-0.85]]), rtol=1e-3, atol=0)


def changed(task: SelectionTask, **changes: object) -> Selected:
    """Choose with changed settings."""
    return select_group_lasso(task, SETTINGS.model_copy(update=changes), Hooks())


def test_the_table_says_who_is_in_where(selected: Selected) -> None:
    """As many genes at every place as the history says; the first ten of the last are the panel, with its scores."""
    table = schema.check(selected.path, schema.PANEL_PATH)
    in_S = dict(table.group_by("step").len().iter_rows())
    assert in_S == {step.step: step.metrics["n_active"] for step in selected.history if step.metrics["n_active"]}
    last = table.filter(step=selected.history[-1].step)[:10]
    assert last["gene_id"].to_list() == selected.panel["gene_id"].to_list()
    assert last["norm"].to_list() == pytest.approx(selected.panel["score"].to_list())


def test_a_given_end_of_the_path_is_reached_exactly(task: SelectionTask) -> None:
    """However many genes are in before."""
    got = changed(task, lambda_ratio=0.05)
    assert got.facts["lambda_ratio"] == 0.05
    assert got.history[-2].metrics["lambda_ratio"] > 0.05
    assert got.facts["n_active"] > got.panel.height == 10


def test_the_adaptive_pass_keeps_to_the_first_and_shrinks_less(task: SelectionTask, selected: Selected) -> None:
    """Genes of the second path were in the first, which went on to twice as many; fewer are in for the same fit."""
    first = changed(SelectionTask(task.train, task.validation, task.genes, 20))
    adaptive = changed(task, adaptive=True)
    assert set(adaptive.path["gene_id"]) <= set(first.path["gene_id"])
    assert adaptive.facts["gap"] <= SETTINGS.tolerance
    plain, adapted = (changed(task, adaptive=on, refit=True).facts["path_validation_error"] for on in (False, True))
    assert adapted < plain


def test_a_short_adaptive_path_is_filled_up_as_the_first_would_be(task: SelectionTask) -> None:
    """By nearness to entering, though the second pass knows nothing of genes that the first left out."""
    first, adaptive = (changed(task, adaptive=on, lambda_ratio=0.8).panel for on in (False, True))
    n_first = first["score"].gt(0).sum()
    assert 0 < n_first < 8
    assert adaptive["gene_id"][n_first:].equals(first["gene_id"][n_first:])
    assert set(adaptive["gene_id"]) == set(first["gene_id"])


def test_held_back_cells_without_variance_give_no_refit(task: SelectionTask) -> None:
    with pytest.raises(DataError, match="held-back cells that vary; got 1 that do not"):
        changed(SelectionTask(task.train, MemoryBatches(task.train.X_CG[:1]), task.genes, 10), refit=True)


def test_the_refit_is_least_squares_on_the_genes_that_are_in(task: SelectionTask, planted) -> None:
    """Its error on other cells, from the definition; shrunken weights do worse where cells are many."""
    half = SelectionTask(
        MemoryBatches(planted.values[:200]), MemoryBatches(planted.values[200:]), task.genes, task.n_landmarks
    )
    got = changed(half, refit=True)
    last = got.path.filter(step=got.history[-1].step)["gene_id"].to_list()
    genes = [task.genes["gene_id"].to_list().index(gene) for gene in last]
    train_CG, held_CG = (part.toarray().astype(np.float64) for part in (planted.values[:200], planted.values[200:]))
    train_CG, held_CG = train_CG - train_CG.mean(0), held_CG - held_CG.mean(0)
    axes_GH = np.linalg.svd(train_CG, full_matrices=False)[2][:8].T
    W_AH = np.linalg.lstsq(train_CG[:, genes], train_CG @ axes_GH, rcond=None)[0]
    error = ((held_CG @ axes_GH - held_CG[:, genes] @ W_AH) ** 2).sum() / ((held_CG @ axes_GH) ** 2).sum()
    assert got.facts["refit_validation_error"] == pytest.approx(error, rel=1e-2)
    assert got.facts["refit_validation_error"] < got.facts["path_validation_error"]
    assert got.panel.equals(changed(half).panel)
