"""Figures of a study: they show the data that they are given, whatever was tried."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sclandmarks import schema
from sclandmarks.params import Choices, Range
from sclandmarks.report.style import to_svg
from sclandmarks.tune.figures import draw, draw_study, history, pareto
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.setting_figures import importances, parallel, places, slices
from sclandmarks.tune.tables import trials_table
from sclandmarks.tune.value_axes import Judged, value_limits

Make = Callable[..., tuple[optuna.Study, Plan]]
MSE, SIZE = Judged("mse", True), Judged("n_landmarks", True)
EXPLAINED = Judged("explained", False)
SPACE = {"width": Range(low=16, high=256, log=True), "loss": Choices(choices=("mse", "weighted_mse")),
         "dropout": Range(low=0.0, high=0.5, when={"loss": ("mse",)})}  # fmt: skip


def table(*rows: dict[str, Any]) -> pl.DataFrame:
    empty: dict[str, Any] = dict.fromkeys(schema.TRIALS.dtypes)
    known = {"study": "s", "state": "complete", "is_best": False, "settings": "{}"}
    full = [empty | known | {"number": i} | row for i, row in enumerate(rows)]
    return pl.DataFrame(full, schema=schema.TRIALS.dtypes)


def line(axes: Any, label: str) -> Any:
    (found,) = [one for one in axes.lines if one.get_label() == label]
    return found


def test_a_study_is_drawn_whole(make_study: Make) -> None:
    study, plan = make_study(12, files=False)
    names = [one.name for one in draw_study(study, trials_table(study), plan.search)]
    assert names == ["history", "importance", "slices", "parallel"]


def test_two_objectives_have_a_front(make_study: Make) -> None:
    study, plan = make_study(6, "select", objectives=("explained", "n_landmarks"), files=False)
    names = [one.name for one in draw_study(study, trials_table(study), plan.search)]
    assert names[:2] == ["history", "pareto"]


def test_without_a_complete_trial_nothing_is_drawn(make_study: Make) -> None:
    study, plan = make_study(0)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    assert draw(trials_table(study), {}, plan.search) == []


def test_the_same_trials_give_the_same_bytes(make_study: Make) -> None:
    study, plan = make_study(12, files=False)
    drawn = [
        [to_svg(one.figure, one.name) for one in draw_study(study, trials_table(study), plan.search)] for _ in "ab"
    ]
    assert drawn[0] == drawn[1]


def test_history_shows_every_fate() -> None:
    rows = [{"value": 0.5}, {"value": 0.7, "state": "pruned"}, {"state": "fail"}, {"value": 0.4}, {"value": 0.6}]
    (axes,) = history(table(*rows), MSE).axes
    assert line(axes, "complete").get_ydata().tolist() == [0.5, 0.4, 0.6]
    assert line(axes, "failed").get_xdata().tolist() == [2]
    assert line(axes, "best so far").get_ydata().tolist() == [0.5, 0.4, 0.4, 0.4]
    assert set(line(axes, "settings of params.yaml").get_ydata()) == {0.5}


def test_best_so_far_goes_up_where_large_is_good() -> None:
    (axes,) = history(table({"value": 0.2}, {"value": 0.1}, {"value": 0.3}), EXPLAINED).axes
    assert line(axes, "best so far").get_ydata().tolist() == [0.2, 0.2, 0.3, 0.3]


def test_what_is_far_off_stands_at_the_edge() -> None:
    values = [0.10, 0.11, 0.12, 0.13, 9.0]
    (axes,) = history(table(*({"value": value} for value in values)), MSE).axes
    top = axes.get_ylim()[1]
    assert top < 1
    edges = [one for one in axes.lines if one.get_marker() == "^"]
    assert [(one.get_xdata().tolist(), one.get_ydata().tolist()) for one in edges] == [([4], [top])]


@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=20), st.booleans())
def test_limits_hold_the_better_half(values: list[float], small: bool) -> None:
    array = np.array(values)
    low, high = value_limits(array, Judged("mse", small))
    costs = np.sort(array if small else -array)
    better = costs[: (len(costs) + 1) // 2]
    shown = better if small else -better
    assert low < high and (low <= shown).all() and (shown <= high).all()


def test_importances_are_bars_in_order() -> None:
    (axes,) = importances({"width": 0.7, "loss": 0.3}).axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([70, 30])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["width", "loss"]
    assert axes.yaxis_inverted()


ROWS = [
    {"value": 0.3, "settings": json.dumps({"width": 16, "loss": "mse", "dropout": 0.1})},
    {"value": 0.2, "settings": json.dumps({"width": 64, "loss": "weighted_mse"}), "is_best": True},
    {"value": 0.4, "settings": json.dumps({"width": 256, "loss": "mse", "dropout": 0.5})},
]


def test_slices_show_each_setting_where_it_was_tried() -> None:
    figure = slices(table(*ROWS), SPACE, MSE)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in shown] == ["width", "loss", "dropout"]
    width, loss, dropout = (line(axes, "complete") for axes in shown)
    assert width.get_xdata().tolist() == [16, 64, 256]
    assert loss.get_xdata().round().tolist() == [0, 1, 0]
    assert dropout.get_xdata().tolist() == [0.1, 0.5]
    assert shown[0].get_xscale() == "log"


def test_choices_are_spread_but_stay_theirs() -> None:
    at = places(["mse"] * 50, SPACE["loss"], spread=True)
    assert len(set(at)) == 50 and (abs(at) < 0.5).all()


def test_parallel_lines_break_where_a_setting_was_not_tried() -> None:
    (axes,) = parallel(table(*ROWS), SPACE, MSE).axes
    best = max((one for one in axes.lines if len(one.get_xdata()) == 3), key=lambda one: one.get_linewidth())
    heights = best.get_ydata()
    assert heights[:2] == pytest.approx([0.5, 1.0]) and np.isnan(heights[2])


def test_the_front_is_joined_in_order_of_size() -> None:
    rows = [
        {"value": 0.5, "value_2": 90.0, "is_best": True},
        {"value": 0.2, "value_2": 10.0, "is_best": True},
        {"value": 0.1, "value_2": 50.0},
    ]
    (axes,) = pareto(table(*rows), [EXPLAINED, SIZE]).axes
    assert line(axes, "front").get_xdata().tolist() == [10.0, 90.0]
    assert line(axes, "beaten").get_xdata().tolist() == [50.0]
    assert line(axes, "settings of params.yaml").get_ydata().tolist() == [0.5]
