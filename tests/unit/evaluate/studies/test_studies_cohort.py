"""Subsets in memory, subsamples, and panels chosen from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from sclandmarks.errors import DataError
from sclandmarks.evaluate.studies.cohort import Cohort, choose, divide, is_seeded, reseeded, subsample
from sclandmarks.params import StudiesParams


def test_divide_takes_each_cell_once_and_leaves_other_subsets_out(make_matrix: Any) -> None:
    matrix = make_matrix(6, 4)
    subset = ["test", "train", "left out", "validation", "train", "test"]
    cohort = divide(matrix, pl.DataFrame({"cell_id": matrix.cells["cell_id"], "subset": subset}))
    assert cohort.train.cells["cell_id"].to_list() == ["toy/1", "toy/4"]
    assert [part.n_cells for part in cohort] == [2, 1, 2]
    assert (matrix.X_CG[[0, 5]] != cohort.test.X_CG).nnz == 0


def test_divide_refuses_an_empty_subset(make_matrix: Any) -> None:
    matrix = make_matrix(3, 4)
    split = pl.DataFrame({"cell_id": matrix.cells["cell_id"], "subset": ["train", "train", "test"]})
    with pytest.raises(DataError, match="validation"):
        divide(matrix, split)


def test_a_subsample_is_a_part_of_both_learning_subsets_and_leaves_test_cells(values: Cohort) -> None:
    part = subsample(values, 0.5, [0, 1])
    assert [one.n_cells for one in part] == [120, 40, 80]
    assert set(part.train.cells["cell_id"]) < set(values.train.cells["cell_id"])
    assert part.test is values.test
    again, other = subsample(values, 0.5, [0, 1]), subsample(values, 0.5, [0, 2])
    assert again.train.cells.equals(part.train.cells)
    assert not other.train.cells.equals(part.train.cells)


def test_a_subsample_keeps_two_cells_at_least(values: Cohort) -> None:
    assert [one.n_cells for one in subsample(values, 0.001, [0])[:2]] == [2, 2]


def test_only_panels_with_a_seed_are_reseeded(study: StudiesParams) -> None:
    assert is_seeded(study.panels["random"])
    assert not is_seeded(study.panels["greedy"])
    assert reseeded(study.panels["random"], 3).seed == 3  # type: ignore[union-attr]
    assert reseeded(study.panels["greedy"], 3) == study.panels["greedy"]


def test_panels_are_nested_and_test_cells_decide_nothing(values: Cohort, study: StudiesParams) -> None:
    for name in ("greedy", "top_variance", "random"):
        large = choose(study.panels[name], values, 12)
        assert choose(study.panels[name], values, 5).tolist() == large[:5].tolist(), name
        blind = values._replace(test=values.test.take(np.array([0])))
        assert choose(study.panels[name], blind, 12).tolist() == large.tolist()


def test_greedy_takes_the_planted_landmarks_first(values: Cohort, study: StudiesParams, planted: Any) -> None:
    assert set(choose(study.panels["greedy"], values, 6)) == set(planted.positions)


def test_a_panel_larger_than_the_genes_is_cut(values: Cohort, study: StudiesParams) -> None:
    assert len(choose(study.panels["random"], values, 500)) == values.train.n_genes - 1
