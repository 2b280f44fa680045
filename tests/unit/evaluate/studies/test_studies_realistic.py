"""Quality under noise of the assay."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.evaluate.studies.cohort import Cohort
from sclandmarks.evaluate.studies.judge import floor_of
from sclandmarks.evaluate.studies.realistic import Assay, realistic_input
from sclandmarks.params import NoiseParams, PrepareParams, StudiesParams

PANEL = np.array([3, 9, 27])


@pytest.fixture(scope="module")
def table(values: Cohort, counts: Cohort, study: StudiesParams, preparation: PrepareParams) -> pl.DataFrame:
    floor = floor_of(counts.test, study, preparation, NoiseParams(seed=0, n_repeats=3, n_bootstrap=20))
    return schema.check(realistic_input(values, counts, study, preparation, floor), schema.REALISTIC)


def explained(table: pl.DataFrame, noise: str, level: float, trained_on: str) -> dict[str, float]:
    wanted = {"noise": noise, "level": level, "trained_on": trained_on, "metric": "explained"}
    (row,) = table.filter(*(pl.col(name) == value for name, value in wanted.items())).to_dicts()
    return row


def test_every_case_has_a_row(table: pl.DataFrame) -> None:
    cases = set(table.filter(pl.col("metric") == "explained").select("noise", "level", "trained_on").iter_rows())
    noises = {("efficiency", 0.1), ("efficiency", 0.5), ("dropout", 0.5), ("saturation", 2.0), ("crowding", 20.0)}
    both = {(*noise, trained) for noise in (*noises, ("own_total", 1.0)) for trained in ("clean", "matching")}
    assert cases == both | {("full_library", 1.0, "matching")}
    assert set(table["metric"]) == {"explained", "captured"}


def test_noise_costs_and_training_on_it_helps(table: pl.DataFrame) -> None:
    weak, strong = (explained(table, "efficiency", level, "matching") for level in (0.5, 0.1))
    assert strong["value"] < weak["value"] < explained(table, "own_total", 1.0, "clean")["value"]
    assert strong["change_high"] < 0
    assert explained(table, "efficiency", 0.1, "clean")["value"] < strong["value"]
    assert explained(table, "dropout", 0.5, "clean")["value"] < explained(table, "dropout", 0.5, "matching")["value"]


def test_no_noise_is_no_change(table: pl.DataFrame) -> None:
    for trained_on in ("clean", "matching"):
        row = explained(table, "own_total", 1.0, trained_on)
        assert row["change"] == row["change_low"] == row["change_high"] == 0


def test_repeats_are_those_of_chance(table: pl.DataFrame) -> None:
    assert explained(table, "efficiency", 0.1, "clean")["n_repeats"] == 2
    assert explained(table, "saturation", 2.0, "clean")["n_repeats"] == 1


def test_the_same_genes_fail_in_all_subsets_and_others_in_another_repeat(
    values: Cohort, counts: Cohort, study: StudiesParams, preparation: PrepareParams
) -> None:
    assay = Assay(values, counts, np.arange(20), preparation, study)
    lost = [[np.asarray(part.sum(axis=0)).ravel() == 0 for part in assay.own_total("dropout", 0.5, i)] for i in (0, 1)]
    assert lost[0][0].sum() == 10
    for subset in lost[0][1:]:
        np.testing.assert_array_equal(subset, lost[0][0])
    assert (lost[0][0] != lost[1][0]).any()


def test_own_total_is_learned_from_training_cells_alone(
    values: Cohort, counts: Cohort, study: StudiesParams, preparation: PrepareParams
) -> None:
    """Other test cells change nothing of the input of the training cells; genes outside the panel nothing at all."""
    assay = Assay(values, counts, PANEL, preparation, study)
    other = Assay(values, counts._replace(test=counts.validation), PANEL, preparation, study)
    assert (assay.own_total().train != other.own_total().train).nnz == 0
    one, two = assay.own_total().test, Assay(values, counts, PANEL, preparation, study).own_total().test
    assert (one != two).nnz == 0


def test_full_library_is_the_processed_values(
    values: Cohort, counts: Cohort, study: StudiesParams, preparation: PrepareParams
) -> None:
    inputs = Assay(values, counts, PANEL, preparation, study).full_library()
    assert (inputs.test != values.test.X_CG[:, PANEL]).nnz == 0
