"""Figures: areas are right, styles stay inside, texts are plain."""

from __future__ import annotations

import math

import matplotlib as mpl
import polars as pl
import pytest

from sclandmarks.report.cells import embedding, kinds, library_sizes
from sclandmarks.report.figures import by_cell_type, forest, training
from sclandmarks.report.style import inline, plain, signed, styled, to_svg
from sclandmarks.report.venn import circle_distance, lens_area, venn


@pytest.mark.parametrize(("left", "right"), [(1.0, 1.0), (3.0, 1.0), (1.0, 2.5)])
@pytest.mark.parametrize("part", [0.001, 0.2, 0.5, 0.99])
def test_circles_share_the_area_asked_for(left, right, part):
    area = part * math.pi * min(left, right) ** 2
    assert lens_area(left, right, circle_distance(left, right, area)) == pytest.approx(area, rel=1e-6)


def test_circles_may_be_apart_or_inside_each_other():
    assert circle_distance(1, 2, 0) > 3
    assert circle_distance(1, 2, math.pi) == 1
    assert lens_area(1, 2, 0.5) == pytest.approx(math.pi)
    assert lens_area(1, 2, 3.1) == 0


def test_half_overlapping_unit_circles_share_the_known_area():
    assert lens_area(1, 1, 1) == pytest.approx(2 * math.pi / 3 - math.sqrt(3) / 2)


@pytest.mark.parametrize("numbers", [(10, 0, 10), (0, 10, 5), (0, 7, 0), (900, 30, 950)])
def test_every_venn_can_be_drawn(numbers):
    svg = to_svg(venn(*numbers, "a", "b"), "v")
    assert f"{numbers[1]} shared" in svg


def test_drawing_leaves_the_settings_of_matplotlib_alone(make_tables):
    before = dict(mpl.rcParams)
    to_svg(library_sizes(make_tables().library_sizes, "toy"), "x")
    assert dict(mpl.rcParams) == before


def test_cell_types_come_by_number_of_cells_and_unknown_last():
    frame = pl.DataFrame({"cell_type": ["Unknown"] * 5 + ["b"] * 2 + ["a"] * 2 + ["c"] * 3})
    assert [(kind.number, kind.name) for kind in kinds(frame)] == [(1, "c"), (2, "a"), (3, "b"), (0, "Unknown")]


def test_thirty_types_look_different():
    frame = pl.DataFrame({"cell_type": [f"t{i}" for i in range(30)]})
    assert len({(kind.colour, kind.marker) for kind in kinds(frame)}) == 30


def test_points_are_pixels_and_texts_are_text(make_tables):
    tables = make_tables()
    svg = to_svg(embedding(tables.embedding, "pc1", "pc2", ("PC 1", "PC 2"), "toy"), "e")
    assert "<image" in svg and ">PC 1</text>" in svg and svg.count("<use") < 60


def test_a_value_beyond_the_axis_is_an_arrow_and_keeps_its_number():
    frame = pl.DataFrame(
        {
            "panel": ["a", "a"],
            "label": ["zero", "ridge"],
            "family": ["control", "linear"],
            "value": [-0.4, 0.05],
            "low": [-0.41, 0.04],
            "high": [-0.39, 0.06],
        }
    )
    figure = forest(frame, 0.05, "a + ridge", "captured")
    left, right = figure.axes[0].get_xlim()
    assert left > -0.1 and right > 0.06
    assert "−40.0 %" in to_svg(figure, "f")


def test_a_cell_type_without_a_figure_stays_blank():
    frame = pl.DataFrame({"fit": ["a", "a"], "cell_type": ["x", "y"], "n_cells": [3, 1], "explained": [0.2, None]})
    texts = [text.get_text() for text in by_cell_type(frame).axes[0].texts]
    assert texts == ["20"]


def test_losses_below_zero_are_drawn_on_a_linear_axis():
    rows = [(1, "train_loss", -1.0), (2, "train_loss", 1.0), (1, "validation_loss", 2.0), (2, "validation_loss", None)]
    frame = pl.DataFrame(rows, schema={"step": pl.Int32, "metric": pl.String, "value": pl.Float64}, orient="row")
    assert training(frame, "x").axes[0].get_yscale() == "linear"


def test_plain_text_has_no_mathematics_and_one_line():
    assert plain("a$b$\nc") == r"a\$b\$ c"
    assert plain("x" * 50, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(("number", "wanted"), [("-0.00", "0.00"), ("-0.05", "−0.05"), ("-10", "−10"), ("3", "3")])
def test_minus_signs(number, wanted):
    assert signed(number) == wanted


def test_an_inlined_figure_has_ids_of_its_own_and_the_colours_of_the_page(make_tables):
    svg = to_svg(library_sizes(make_tables().library_sizes, "toy"), "x")
    body = inline(svg, "x", 'a "quoted" <text>')
    assert 'aria-label="a &#34;quoted&#34; &lt;text&gt;"' in body
    assert "var(--figure-ink)" in body and "<style" not in body and "<metadata" not in body
    assert 'id="x-figure_1"' in body and "url(#x-" in body


def test_styled_keeps_the_name_of_a_function():
    assert styled(venn).__name__ == "venn"
