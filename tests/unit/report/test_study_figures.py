"""Figures of the studies: what is drawn where."""

from __future__ import annotations

import polars as pl
import pytest

from sclandmarks.report import study_figures as figures
from sclandmarks.report.style import to_svg

CURVE = pl.DataFrame(
    {"panel": ["a", "a", "b", "b"], "n": [20, 200, 20, 200], "value": [0.1, 0.3, 0.05, 0.2],
     "low": [0.05, 0.25, None, None], "high": [0.15, 0.35, None, None]}
)  # fmt: skip
LINES = pl.DataFrame({"panel": ["l1000", "cell_types"], "label": ["L1000 (90)", "types"], "n_landmarks": [90, 0],
                      "value": [0.2, 0.12]})  # fmt: skip


def test_a_curve_has_a_band_each_and_lines_with_a_ring_at_their_own_size() -> None:
    (axes,) = figures.learning_curve(CURVE, "n", "genes", "captured", LINES).axes
    assert axes.get_xscale() == "log"
    drawn = {line.get_label(): line for line in axes.lines}
    assert drawn["a"].get_ydata().tolist() == [0.1, 0.3]
    assert drawn["L1000 (90)"].get_linestyle() != "-"
    rings = [line for line in axes.lines if line.get_fillstyle() == "none"]
    assert [(float(ring.get_xdata()[0]), float(ring.get_ydata()[0])) for ring in rings] == [(90, 0.2)]
    assert len(axes.collections) == 2


def test_a_line_beyond_the_curve_has_no_ring() -> None:
    far = LINES.with_columns(n_landmarks=pl.lit(4000))
    (axes,) = figures.learning_curve(CURVE, "n", "genes", "captured", far).axes
    assert not [line for line in axes.lines if line.get_fillstyle() == "none"]


def test_a_value_without_an_interval_has_a_band_of_no_height() -> None:
    (axes,) = figures.learning_curve(CURVE, "n", "genes", "captured", LINES.clear()).axes
    heights = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert set(heights.round(6)) == {0.05, 0.2}


def test_groups_are_drawn_seen_and_left_out_with_the_difference_in_points() -> None:
    row = {"heading": "beta (9 test cells)", "label": "greedy", "within": 0.3, "within_low": 0.2, "within_high": 0.4}
    row |= {"without": 0.1, "without_low": -0.05, "without_high": 0.2}
    (axes,) = figures.groups_left_out(pl.DataFrame([row, row | {"label": "random"}])).axes
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == "beta (9 test cells)"
    assert texts.count("−20.0") == 2
    start, end = axes.get_xlim()
    assert start < -0.05
    assert end > 0.4


def test_stability_is_on_one_scale() -> None:
    frame = pl.DataFrame({"label": ["x", "x"], "n_landmarks": [50, 100], "value": [0.4, 0.5], "low": [0.3, 0.4],
                          "high": [0.5, 0.6]})  # fmt: skip
    (axes,) = figures.stability(frame).axes
    assert axes.get_ylim() == pytest.approx((-0.05, 1.03))


def test_noise_shows_both_trainings_and_no_noise() -> None:
    rows = [
        {"panel": "p", "trained_on": kind, "level": level, "value": level, "low": level - 0.1, "high": level + 0.1}
        for kind in ("clean", "matching") for level in (0.1, 0.5)
    ]  # fmt: skip
    clean = pl.DataFrame({"panel": ["p"], "value": [0.6]})
    figure = figures.noise_curve(pl.DataFrame(rows), clean, "seen", "captured", percent=True)
    (axes,) = figure.axes
    labels = {container.get_label() for container in axes.containers}
    assert labels == {"p, clean", "p, matching"}
    assert 0.6 in {float(line.get_ydata()[0]) for line in axes.lines if len(line.get_ydata()) == 2}
    assert "10 %" in to_svg(figure, "noise")
