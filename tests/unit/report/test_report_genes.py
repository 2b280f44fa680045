"""Single genes on the page: the searchable rows, trust, noise, coverage."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl

from sclandmarks.report.genes import coverage_grid, noise_grid, searchable, shown_fit, trust_grid
from sclandmarks.report.inputs import results
from sclandmarks.report.page import build


def test_the_rows_say_what_the_table_says(make_tables):
    tables = make_tables()
    data = json.loads(searchable(tables, "l1000-ridge"))
    rows = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    assert [row["symbol"] for row in rows] == ["G0", "G1", "G2"]  # best captured first, none last
    assert [data["trust"][row["trust"]] for row in rows] == ["well", "partly", "not predictable"]
    assert (rows[0]["captured"], rows[0]["captured_low"], rows[0]["landmark"]) == (0.8, 0.6, "g9")
    assert rows[2]["captured"] is None


def test_no_text_ends_the_script(make_tables):
    tables = make_tables()
    evil = "</script><script>alert(1)</script>"
    tables = replace(tables, per_gene=tables.per_gene.with_columns(pl.lit(evil).alias("symbol")))
    assert "<" not in searchable(tables, "l1000-ridge")
    assert json.loads(searchable(tables, "l1000-ridge"))["rows"][0][0] == evil
    assert evil not in build(tables).html


def test_genes_of_the_best_fit_are_shown(make_tables):
    tables = make_tables()
    found = results(tables)
    best = max((result for result in found if result.explained is not None), key=lambda result: result.explained)
    assert shown_fit(tables, found).fit == best.fit
    assert shown_fit(replace(tables, per_gene=tables.per_gene.clear()), found) is None


def test_a_page_without_answers_has_no_search(make_tables):
    tables = make_tables()
    assert 'id="gene-rows"' in build(tables).html
    assert 'id="gene-rows"' not in build(replace(tables, per_gene=tables.per_gene.clear())).html


def test_a_control_without_a_panel_is_never_the_best(make_tables):
    tables = make_tables()
    control = tables.comparison.filter(pl.col("fit") == "l1000-ridge").with_columns(
        pl.lit("cell_type_mean").alias("fit"), pl.lit("none").alias("panel"),
        pl.lit("cell_type_mean").alias("predictor"), pl.lit(0, pl.Int64).alias("n_landmarks"), pl.col("value") + 0.5,
    )  # fmt: skip
    tables = replace(tables, comparison=pl.concat([tables.comparison, control]))
    assert shown_fit(tables, results(tables)).panel != "none"
    assert "cell_type_mean" in build(tables).html


def test_trust_is_counted(make_tables):
    row = trust_grid(make_tables(), results(make_tables())).rows[0]
    assert [cell.text for cell in row[1:]] == ["3", "1", "1", "1", "50.0\N{NO-BREAK SPACE}%"]


def test_noise_and_coverage(make_tables):
    tables = make_tables(datasets=("a", "b"), types=("x", "y"))
    whole = noise_grid(tables.noise).rows[0]
    assert [cell.text for cell in whole] == ["all", "60", "0.0500", "0.0300", "40.0\N{NO-BREAK SPACE}%"]
    rows = coverage_grid(tables.coverage, "l1000-ridge").rows
    assert [(row[0].number, row[1].text) for row in rows] == [
        (level, name) for level in (0.8, 0.95) for name in ("all", "a", "b")
    ]
    assert rows[0][3].number == 0.81
    assert rows[0][4].number == 0.79
    assert rows[0][4].note.endswith("20 cells")
