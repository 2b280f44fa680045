"""Learning curves and the lines beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.errors import PanelError
from sclandmarks.evaluate.bootstrap import resample
from sclandmarks.evaluate.studies.cohort import Cohort
from sclandmarks.evaluate.studies.curves import learning_curves, log_spaced, over_landmarks
from sclandmarks.evaluate.studies.judge import cell_types, floor_of, half_of_genes, open_judge
from sclandmarks.evaluate.studies.scores import explained, to_interval
from sclandmarks.genes import l1000_landmarks
from sclandmarks.params import NoiseParams, PrepareParams, SizesParams, StudiesParams


@pytest.fixture(scope="module")
def without_l1000(study: StudiesParams) -> StudiesParams:
    """The planted genes are none of L1000's."""
    panels = {name: panel for name, panel in study.panels.items() if name != "l1000"}
    return study.model_copy(update={"panels": panels})


@pytest.fixture(scope="module")
def tables(
    values: Cohort, counts: Cohort, without_l1000: StudiesParams, preparation: PrepareParams
) -> dict[schema.Table, pl.DataFrame]:
    floor = floor_of(counts.test, without_l1000, preparation, NoiseParams(seed=0, n_repeats=3, n_bootstrap=20))
    return learning_curves(values, without_l1000, floor)


def curve(frame: pl.DataFrame, panel: str, target_set: str, metric: str = "explained", axis: str = "landmarks") -> Any:
    kind = (frame["panel"] == panel) & (frame["target_set"] == target_set) & (frame["metric"] == metric)
    return frame.filter(kind & (frame["axis"] == axis))


def test_sizes_are_log_spaced_and_leave_genes() -> None:
    assert log_spaced(SizesParams(smallest=10, largest=1000, n=3), 5000) == [10, 100, 1000]
    assert log_spaced(SizesParams(smallest=10, largest=1000, n=3), 150) == [10, 75]


def test_the_planted_landmarks_explain_more_than_as_many_random_genes(tables: Any) -> None:
    frame = schema.check(tables[schema.CURVES], schema.CURVES)
    greedy, random = (curve(frame, name, "common") for name in ("greedy", "random"))
    assert greedy["n_landmarks"].to_list() == [2, 4, 9, 20]
    at_9 = pl.col("n_landmarks") == 9
    assert greedy.filter(at_9)["low"].item() > random.filter(at_9)["value"].item()  # two repeats show no more
    one, two = (frame.filter(at_9)["high"].item() - frame.filter(at_9)["low"].item() for frame in (greedy, random))
    assert two > one
    assert random["n_repeats"].unique().to_list() == [2]
    assert (frame["low"] <= frame["value"] + 1e-9).all()
    assert (frame["value"] <= frame["high"] + 1e-9).all()


def test_the_common_targets_are_the_same_for_every_point(tables: Any) -> None:
    frame = tables[schema.CURVES].filter((pl.col("target_set") == "common") & (pl.col("axis") == "landmarks"))
    assert frame["n_targets"].n_unique() == 1
    total = tables[schema.CURVES].filter(pl.col("target_set") == "total")
    assert total["n_targets"].unique().to_list() == [80]


def test_all_genes_gain_by_what_is_measured(tables: Any) -> None:
    total = curve(tables[schema.CURVES], "random", "total")["value"].to_list()
    assert total == sorted(total)


def test_captured_is_explained_over_what_can_be(tables: Any) -> None:
    frame = tables[schema.CURVES]
    ratio = curve(frame, "greedy", "common")["value"] / curve(frame, "greedy", "common", "captured")["value"]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)  # the same floor at every size
    assert 0 < ratio[0] < 1


def test_more_cells_are_no_worse(tables: Any) -> None:
    frame = curve(tables[schema.CURVES], "greedy", "common", axis="cells").sort("n_cells")
    assert frame["n_cells"].to_list() == [72, 240]
    assert frame["n_repeats"].to_list() == [2, 1]
    assert frame["value"][1] > frame["value"][0]


def test_a_curve_ends_where_its_panel_does(values: Cohort, study: StudiesParams) -> None:
    """L1000 has five genes here, whatever size is asked: two points, and the others go on."""
    symbols = [*l1000_landmarks()["current_symbol"].to_list()[:5], *values.train.genes["symbol"].to_list()[5:]]
    named = Cohort(*(replace(one, genes=one.genes.with_columns(symbol=pl.Series(symbols))) for one in values))
    only = study.curves.model_copy(update={"panels": ("l1000", "greedy"), "repeats": 1})
    points = over_landmarks(named, study.model_copy(update={"curves": only}), [2, 4, 9], None)
    sizes = [(point.panel, point.n_landmarks) for point in points if point.axis == "landmarks"]
    assert sizes == [("l1000", 2), ("l1000", 4), ("greedy", 2), ("greedy", 4), ("greedy", 9)]


@pytest.mark.parametrize(("n_donors", "unit"), [(4, "cell"), (6, "donor")])
def test_donors_are_drawn_as_in_the_comparison(
    values: Cohort, without_l1000: StudiesParams, n_donors: int, unit: str
) -> None:
    """From five on; by the line of cell types on all genes, which hangs on no panel."""
    donor = pl.Series([f"d{i % n_donors}" for i in range(values.test.n_cells)])
    mine = values._replace(test=replace(values.test, cells=values.test.cells.with_columns(donor=donor)))
    small = without_l1000.curves.model_copy(update={"panels": ("greedy",), "fractions": (1.0,), "subsamples": 1})
    settings = without_l1000.model_copy(update={"curves": small})
    resamples = resample(mine.test.cells, settings.n_bootstrap, settings.seed)
    score = cell_types(mine, open_judge(mine, [np.arange(3)]))["total"]
    expected = to_interval(explained(score, resamples.weights_NC), settings.confidence)
    row = curve(learning_curves(mine, settings)[schema.CURVES], "cell_types", "total", axis="reference")
    assert resamples.unit == unit
    assert row.select("value", "low", "high").row(0) == pytest.approx(expected)


def test_equivalents_name_every_line(tables: Any) -> None:
    frame = schema.check(tables[schema.EQUIVALENTS], schema.EQUIVALENTS)
    assert set(frame["reference"]) == {"half_genes", "cell_types"}
    assert frame.filter((pl.col("reference") == "half_genes") & (pl.col("target_set") == "total")).is_empty()
    types = frame.filter((pl.col("panel") == "greedy") & (pl.col("reference") == "cell_types"))
    assert types["value"].to_list() == [2, 2]  # types are no programme of these cells: the smallest size beats them


def test_nothing_is_said_of_captured_without_a_floor(values: Cohort, without_l1000: StudiesParams) -> None:
    small = without_l1000.curves.model_copy(update={"fractions": (1.0,), "subsamples": 1, "repeats": 1})
    frame = learning_curves(values, without_l1000.model_copy(update={"curves": small}))[schema.CURVES]
    assert set(frame["metric"]) == {"explained"}


def test_values_of_test_cells_change_no_fit(values: Cohort, without_l1000: StudiesParams) -> None:
    """The leakage proof: with the test cells replaced, panels and predictions of any cell stay the same."""
    from sclandmarks.evaluate.studies.cohort import choose
    from sclandmarks.evaluate.studies.judge import fit_order

    other = values._replace(test=values.validation)
    for name in without_l1000.panels:
        orders = [choose(without_l1000.panels[name], cohort, 6) for cohort in (values, other)]
        assert orders[0].tolist() == orders[1].tolist()
        one, two = (fit_order(cohort, orders[0], [6], 5)[6] for cohort in (values, other))
        assert (one.A_LR == two.A_LR).all()
        assert (one.B_RG == two.B_RG).all()


def test_cell_types_predict_the_mean_of_the_type(values: Cohort) -> None:
    judge = open_judge(values, [np.arange(3)])
    found = cell_types(values, judge)["total"]
    Y_CG, types = values.test.X_CG.toarray().astype(np.float64), values.test.cells["cell_type"].to_list()
    train, names = values.train.X_CG.toarray().astype(np.float64), values.train.cells["cell_type"].to_numpy()
    by_hand = [((train[names == name].mean(0) - y) ** 2).sum() for y, name in zip(Y_CG, types, strict=True)]
    np.testing.assert_allclose(found.sse_C, by_hand, rtol=1e-4)


def test_a_type_without_training_cells_gets_the_mean_of_all(values: Cohort) -> None:
    cells = values.test.cells.with_columns(cell_type=pl.lit("never seen"))
    unseen = values._replace(test=type(values.test)(values.test.X_CG, cells, values.test.genes))
    judge = open_judge(unseen, [np.arange(3)])
    found = cell_types(unseen, judge)["total"]
    np.testing.assert_allclose(found.sse_C, found.baseline_C, rtol=1e-6)


def test_half_of_the_genes_holds_no_common_target(values: Cohort) -> None:
    judge = open_judge(values, [np.arange(60)])
    half = half_of_genes(judge, seed=0)
    assert len(half) == len(set(half)) == 40
    assert max(half) < 60
    assert len(half_of_genes(open_judge(values, [np.arange(10)]), seed=0)) == 10


def test_measured_genes_count_as_predicted_without_error(values: Cohort) -> None:
    judge = open_judge(values, [np.arange(10)])
    everything = np.arange(80)
    scores = judge.score(lambda X_BL: X_BL * 0, values.test.X_CG[:, everything], everything)
    assert not scores["total"].sse_C.any()
    assert scores["total"].baseline_C.all()


def test_panels_that_hold_all_genes_leave_nothing_to_judge(values: Cohort) -> None:
    with pytest.raises(PanelError, match="no panel of a study holds"):
        open_judge(values, [np.arange(40), np.arange(40, 80)])
