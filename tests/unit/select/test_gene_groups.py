"""Groups of genes that enter whole: against the definition, and what a panel of them is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sclandmarks.errors import PanelError
from sclandmarks.learn.task import Hooks
from sclandmarks.params import GroupLassoPanel
from sclandmarks.select import SelectionTask
from sclandmarks.select.base import Selected
from sclandmarks.select.gene_groups import GeneGroups, find_groups
from sclandmarks.select.group_lasso import select_group_lasso
from sclandmarks.select.lasso_solver import Problem, solve, start

SETTINGS = GroupLassoPanel(
    selector="group_lasso", seed=0, width=8, standardise=True, path_ratio=0.8, max_steps=400, tolerance=1e-4
)
LISTS = {"@a.txt": {"g1": 1.0, "g5": 1.0, "g9": 1.0}, "@b.txt": {"g9": 1.0, "g20": 1.0}, "@far.txt": {"nobody": 1.0}}


@pytest.fixture(scope="module")
def task(planted_task) -> SelectionTask:
    """Lists beside it: a and b share g9."""
    return replace(planted_task, n_landmarks=12, lists=LISTS)


def select(task: SelectionTask, *groups: str, **changes: object) -> Selected:
    """Choose with groups."""
    return select_group_lasso(task, SETTINGS.model_copy(update={"groups": groups, **changes}), Hooks())


def test_a_gene_has_a_row_in_each_of_its_groups(task: SelectionTask) -> None:
    """And all others one of their own."""
    groups = find_groups(task, SETTINGS.model_copy(update={"groups": ("@a.txt", "@b.txt")}))
    assert groups is not None
    assert groups.gene_R[:5].tolist() == [1, 5, 9, 9, 20]
    assert groups.group_R[:6].tolist() == [0, 0, 0, 1, 1, 2]
    assert sorted(groups.gene_R.tolist()) == sorted([*range(80), 9])
    assert len(set(groups.group_R[5:].tolist())) == 76


@pytest.mark.parametrize(("token", "n"), [("@far.txt", 12), ("@a.txt", 2)])
def test_a_group_that_cannot_enter_is_refused(task: SelectionTask, token: str, n: int) -> None:
    """Without a measured gene, or larger than the panel."""
    with pytest.raises(PanelError, match=token):
        select(replace(task, n_landmarks=n), token)


def test_largest_groups_that_fit_are_taken_whole() -> None:
    """A gene counts once; a group too large is left out and smaller ones follow."""
    groups = GeneGroups(torch.tensor([0, 1, 2, 2, 3, 4]), torch.tensor([0, 0, 0, 1, 1, 2]))
    key_R = torch.tensor([5.0, 5, 5, 7, 7, 3])
    assert groups.whole(key_R, 5) == [2, 3, 0, 1, 4]
    assert groups.whole(key_R, 3) == [2, 3, 4]
    assert groups.per_gene(key_R, 5).tolist() == [5, 5, 7, 7, 3]


def grouped_problem(seed: int = 0) -> tuple[Problem, np.ndarray, np.ndarray]:
    """Twelve rows in groups of 3, 4, 2 and three of one."""
    rng = np.random.default_rng(seed)
    X_CG = rng.normal(size=(60, 12))
    Y_CH = X_CG[:, :7] @ rng.normal(size=(7, 3)) + rng.normal(size=(60, 3))
    group_G = torch.tensor([0] * 3 + [1] * 4 + [2] * 2 + [3, 4, 5])
    moments = (torch.from_numpy(one).float() for one in (X_CG.T @ X_CG / 60, X_CG.T @ Y_CH / 60))
    return Problem(*moments, float((Y_CH**2).sum() / 60), group_G), X_CG, Y_CH


@pytest.mark.parametrize("part", [0.7, 0.4, 0.1])
def test_a_solution_is_optimal(part: float) -> None:
    """Zero is in the subdifferential of the definition: strength sum_g sqrt(p_g) |W_g|, all weights of a group."""
    problem, X_CG, Y_CH = grouped_problem()
    strength = part * problem.largest()
    place = solve(problem, strength, start(problem), max_steps=5000, tolerance=1e-7)
    W_GH = np.zeros((12, 3))
    W_GH[place.active] = place.W_AH
    gradient_GH = X_CG.T @ (X_CG @ W_GH - Y_CH) / 60
    for group in range(6):
        rows = np.flatnonzero(problem.group_G.numpy() == group)  # type: ignore[union-attr]
        weight, norm = strength * np.sqrt(len(rows)), np.linalg.norm(W_GH[rows])
        assert (W_GH[rows].any(axis=1)).all() or not W_GH[rows].any()
        if norm:
            np.testing.assert_allclose(gradient_GH[rows], -weight * W_GH[rows] / norm, atol=5e-3 * weight)
        else:
            assert np.linalg.norm(gradient_GH[rows]) <= weight * (1 + 1e-3)
    assert 0 <= place.gap + 1e-6 * problem.constant <= 2e-6 * problem.constant


def test_no_group_enters_at_lambda_max_and_one_just_below() -> None:
    """The largest norm of a group's gradient, divided by the root of its size."""
    problem, X_CG, Y_CH = grouped_problem()
    gradient_GH, group_G = X_CG.T @ Y_CH / 60, problem.group_G.numpy()  # type: ignore[union-attr]
    want = max(np.linalg.norm(gradient_GH[group_G == g]) / np.sqrt((group_G == g).sum()) for g in range(6))
    assert problem.largest() == pytest.approx(want, rel=1e-5)
    sizes = [len(solve(problem, r * want, start(problem), 2000, 1e-8).active) for r in (1.00001, 0.995)]
    assert sizes[0] == 0 < sizes[1]


def test_groups_of_one_are_the_problem_of_single_genes(task: SelectionTask) -> None:
    """The same panel and path as without groups."""
    alone, plain = select(task, "g1", "g7"), select(task)
    assert alone.panel["gene_id"].to_list() == plain.panel["gene_id"].to_list()
    assert alone.panel["score"].to_list() == pytest.approx(plain.panel["score"].to_list(), rel=1e-3)


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_group_is_in_the_panel_whole_or_not_at_all(task: SelectionTask, planted, adaptive: bool) -> None:
    """Of planted genes it comes in, with its companion, at one place of the path with it."""
    first, second = (f"g{place}" for place in planted.positions[:2])
    lists = {"@p.txt": dict.fromkeys([first, second, "g0"], 1.0), **LISTS}
    got = select(replace(task, lists=lists), "@p.txt", "@a.txt", "@b.txt", adaptive=adaptive, refit=True)
    chosen = set(got.panel["gene_id"])
    assert {first, second, "g0"} <= chosen
    for group in LISTS["@a.txt"], LISTS["@b.txt"]:
        assert set(group) <= chosen or not (set(group) - {"g9"}) & chosen
    steps = {gene: got.path.filter(gene_id=gene)["step"].min() for gene in (first, second, "g0")}
    assert len(set(steps.values())) == 1
    assert got.facts["refit_validation_error"] < 1
