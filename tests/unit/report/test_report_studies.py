"""The page of the studies, from small tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.params import load_params
from sclandmarks.report.studies import TIDY, StudyReport, build_studies
from sclandmarks.report.study_tables import equivalents_grid, frequency_grid, groups_grid, line_label, lost_grid

SETTINGS = load_params(Path(__file__).parents[3] / "params.yaml").studies


def frame(table: schema.Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return schema.check(pl.DataFrame(rows, schema=table.dtypes), table)


def around(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def curve_rows(metric: str) -> list[dict[str, Any]]:
    common = {"n_repeats": 1, "metric": metric, "n_cells": 100}
    rows = []
    for target_set, n_targets in (("common", 40), ("total", 90)):
        kind = common | {"target_set": target_set, "n_targets": n_targets}
        greedy = {"panel": "gre&dy", "axis": "landmarks"}
        rows += [kind | around(n / 100) | greedy | {"n_landmarks": n} for n in (10, 20, 40)]
        rows.append(kind | around(0.2) | {"panel": "gre&dy", "axis": "cells", "n_landmarks": 10})
        rows.append(kind | around(0.1) | {"panel": "gre&dy", "axis": "cells", "n_landmarks": 10, "n_cells": 50})
        for name, n, value in (("l1000", 30, 0.25), ("half_genes", 45, 0.5), ("cell_types", 0, 0.15)):
            rows.append(kind | around(value) | {"panel": name, "axis": "reference", "n_landmarks": n})
    return rows


def equivalent(**changes: Any) -> dict[str, Any]:
    return {
        "panel": "gre&dy", "reference": "l1000", "reference_landmarks": 30, "target_set": "total",
        "metric": "explained", "value": 25.0, "low": 10.0, "high": None, "smallest": 10, "largest": 40, "reached": 0.9,
    } | changes  # fmt: skip


def generalised(group: str, **values: float) -> list[dict[str, Any]]:
    about = {"by": "cell_type", "group": group, "panel": "gre&dy", "predictor": "ridge", "n_landmarks": 10}
    return [
        about | {"n_targets": 80, "n_test": 30, "quantity": quantity} | around(value)
        for quantity, value in values.items()
    ]


@pytest.fixture(scope="module")
def tables() -> dict[schema.Table, pl.DataFrame]:
    values = {"within": 0.3, "without": 0.1, "same_size": 0.28, "lost": 0.2, "lost_same_size": 0.18}
    stable = {"panel": "gre&dy", "over": "resamples", "n_landmarks": 10, "n_panels": 5}
    noisy = {"panel": "gre&dy", "n_landmarks": 10, "metric": "explained", "n_repeats": 2}
    noisy |= {"change": -0.1, "change_low": -0.12, "change_high": -0.08}
    levels = [("own_total", 1.0, "clean", 0.3), ("own_total", 1.0, "matching", 0.3)]
    levels += [("efficiency", part, kind, part / 2) for part in (0.1, 0.5) for kind in ("clean", "matching")]
    status = "skipped: 3 test cells, fewer than 20"
    return {
        schema.CURVES: frame(schema.CURVES, curve_rows("explained")),
        schema.EQUIVALENTS: frame(schema.EQUIVALENTS, [equivalent(), equivalent(target_set="common", value=None)]),
        schema.GROUPS: frame(
            schema.GROUPS,
            [
                {"by": "cell_type", "group": "beta", "n_train": 70, "n_test": 30, "n_genes": 90, "n_genes_lost": 4,
                 "status": "judged"},
                {"by": "cell_type", "group": "mast", "n_train": 99, "n_test": 3, "n_genes": 0, "n_genes_lost": 0,
                 "status": status},
            ],
        ),
        schema.GENERALISATION: frame(
            schema.GENERALISATION, generalised("beta", **values) + generalised("(mean)", **values)
        ),
        schema.STABILITY: frame(
            schema.STABILITY,
            [
                stable | {"measure": "nogueira"} | around(0.7),
                stable | {"measure": "jaccard", "value": 0.6, "low": None, "high": None},
            ],
        ),
        schema.FREQUENCY: frame(
            schema.FREQUENCY,
            [
                {"panel": "gre&dy", "over": "resamples", "n_landmarks": 10, "gene_id": f"g{i}", "symbol": f"G{i}",
                 "frequency": 1 - i / 5}
                for i in range(3)
            ],
        ),
        schema.REALISTIC: frame(
            schema.REALISTIC,
            [noisy | {"noise": a, "level": b, "trained_on": c} | around(d) for a, b, c, d in levels],
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def report(tables: dict[schema.Table, pl.DataFrame]) -> StudyReport:
    return build_studies(tables, SETTINGS, "made", "1.2.3")


def test_the_page_stands_alone_and_is_whole(report: StudyReport) -> None:
    assert report.html.startswith("<!doctype html>")
    assert report.html.rstrip().endswith("</html>")
    assert "<title>Studies of landmark genes: made</title>" in report.html
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", report.html)
    anchors = set(re.findall(r'href="#([a-z]+)"', report.html))
    assert anchors <= set(re.findall(r'id="([^"]+)"', report.html))
    assert "None" not in re.sub(r"<script.*?</script>", "", report.html, flags=re.DOTALL)
    assert "nan" not in re.findall(r">([^<]*)<", report.html)


def test_names_are_escaped(report: StudyReport) -> None:
    assert "gre&amp;dy" in report.html
    assert not re.search(r"gre&dy", report.html)


def test_every_study_has_its_figures(report: StudyReport) -> None:
    assert set(report.figures) == {
        "landmarks-common", "landmarks-total", "cells-common", "cells-total", "left-out-cell_type", "stability",
        "noise-efficiency",
    }  # fmt: skip
    assert report.html.count('<svg role="img"') == len(report.figures)


def test_the_same_tables_give_the_same_bytes(tables: dict[schema.Table, pl.DataFrame], report: StudyReport) -> None:
    again = build_studies(tables, SETTINGS, "made", "1.2.3")
    assert again.html == report.html
    assert again.figures == report.figures


def test_the_answer_says_how_many_genes_and_what_is_lost(report: StudyReport) -> None:
    (answer,) = re.findall(r'<p class="answer">(.*?)</p>', report.html, flags=re.DOTALL)
    assert "the 30 genes of L1000 are matched by <b>25</b> of gre&amp;dy (≤ 10 to &gt; 40)" in answer
    assert "cell type never seen, gre&amp;dy explains 10.0\N{NO-BREAK SPACE}% on average; 30.0" in answer
    assert "gre&amp;dy 0.700" in answer


def test_captured_is_drawn_where_it_is_known(tables: dict[schema.Table, pl.DataFrame]) -> None:
    both = frame(schema.CURVES, curve_rows("explained") + curve_rows("captured"))
    drawn = build_studies(tables | {schema.CURVES: both}, SETTINGS, "made", "1").figures
    assert "captured, common targets" in drawn["landmarks-common"]


def test_equivalents_say_where_the_range_ends() -> None:
    grid = equivalents_grid(frame(schema.EQUIVALENTS, [equivalent(), equivalent(target_set="common", value=None)]))
    (row,) = grid.rows
    assert [cell.text for cell in row] == ["gre&dy", "L1000 (30)", "> 40", "25"]
    assert row[3].note == "≤ 10 to > 40"


def test_lost_is_in_points(tables: dict[schema.Table, pl.DataFrame]) -> None:
    rows = lost_grid(tables[schema.GENERALISATION]).rows
    assert [row[0].text for row in rows] == ["beta", "mean over groups"]
    assert (rows[0][6].text, rows[0][6].note) == ("20.0", "19.0 to 21.0")


def test_skipped_groups_say_why(tables: dict[schema.Table, pl.DataFrame]) -> None:
    rows = groups_grid(tables[schema.GROUPS]).rows
    assert [cell.text for cell in rows[0]] == ["beta", "judged", "70", "30", "90", "4"]
    assert [cell.text for cell in rows[1]][1:] == ["skipped: 3 test cells, fewer than 20", "99", "3", "–", "–"]


def test_frequencies_stand_most_often_first(tables: dict[schema.Table, pl.DataFrame]) -> None:
    rows = frequency_grid(tables[schema.FREQUENCY]).rows
    assert [row[1].text for row in rows] == [f"G{i} {100 - 20 * i}\N{NO-BREAK SPACE}%" for i in range(3)]


def test_labels_of_lines() -> None:
    assert line_label({"panel": "cell_types", "n_landmarks": 0}) == "cell-type means"
    assert line_label({"panel": "half_genes", "n_landmarks": 4000}) == "half of all genes (4,000)"


def test_a_run_in_which_no_group_could_be_judged_has_a_page(tables: dict[schema.Table, pl.DataFrame]) -> None:
    skipped = tables[schema.GROUPS].filter(pl.col("status") != "judged")
    none = {schema.GROUPS: skipped, schema.GENERALISATION: schema.GENERALISATION.empty()}
    report = build_studies(tables | none, SETTINGS, "made", "1")
    assert "No group could be judged" in report.html
    assert not [name for name in report.figures if name.startswith("left-out")]


def test_all_tables_of_the_studies_are_read() -> None:
    assert {table.name for table in TIDY} == {
        "curves", "equivalents", "groups", "generalisation", "stability", "frequency", "realistic",
    }  # fmt: skip
