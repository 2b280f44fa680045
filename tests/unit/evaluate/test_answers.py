"""The answer per gene: captured and trust by hand, the join by names."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.evaluate.answers import per_gene
from sclandmarks.params import FitParams

FITS = {"f": FitParams(panel="p", predictor="ridge"), "h": FitParams(panel="q", predictor="ridge")}


def frame(table: schema.Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of a table; what is not given is null, or 0 where it may not be."""
    filled = [
        {column.name: row.get(column.name, None if column.nullable else 0) for column in table.columns} for row in rows
    ]
    return schema.check(pl.DataFrame(filled, schema=table.dtypes, strict=False), table)


def answers(r2: tuple[float | None, ...] = (0.4, 0.3, 0.5), reliability: float | None = 0.5) -> dict[str, Any]:
    """The answer for gene a of fit f."""
    judged = dict(zip(("r2", "r2_low", "r2_high"), r2, strict=True))
    tables = {
        schema.GENEWISE: frame(schema.GENEWISE, [
            {"fit": "f", "gene_id": "a", "symbol": "A"} | judged,
            {"fit": "h", "gene_id": "a", "symbol": "A", "r2": 0.9},
        ]),
        schema.NOISE_PER_GENE: frame(schema.NOISE_PER_GENE, [
            {"gene_id": "a", "symbol": "A", "reliability": reliability},
            {"gene_id": "b", "symbol": "B", "reliability": 0.9},
        ]),
        schema.INTERVALS: frame(schema.INTERVALS, [
            {"fit": "f", "gene_id": "a", "symbol": "A", "level": level, "half_width": level, "coverage": 0.9}
            for level in (0.8, 0.95)
        ]),
        schema.NEIGHBOURS: frame(schema.NEIGHBOURS, [
            {"panel": "q", "gene_id": "a", "symbol": "A", "landmark": "WRONG", "r": 0.1},
            {"panel": "p", "gene_id": "a", "symbol": "A", "landmark": "X", "r": -0.7},
        ]),
    }  # fmt: skip
    rows = schema.check(per_gene(tables, FITS), schema.PER_GENE)
    assert rows.height == 1
    return rows.row(0, named=True)


def test_captured_is_r2_over_reliability() -> None:
    row = answers()
    assert (row["captured"], row["captured_low"], row["captured_high"]) == pytest.approx((0.8, 0.6, 1.0))


def test_the_largest_level_and_the_panel_of_the_fit() -> None:
    row = answers()
    assert (row["level"], row["half_width"], row["landmark"], row["landmark_r"]) == (0.95, 0.95, "X", -0.7)


@pytest.mark.parametrize(
    ("r2", "reliability", "trust"),
    [
        ((0.4, 0.3, 0.5), 0.5, "well"),
        ((0.4, 0.25, 0.5), 0.5, "well"),  # lower end at a half
        ((0.4, 0.24, 0.5), 0.5, "partly"),
        ((0.1, -0.01, 0.2), 0.5, "not predictable"),
        ((0.4, 0.3, 0.5), 0.09, "not predictable"),  # next to nothing to know
        ((0.4, 0.3, 0.5), None, "not predictable"),
        ((None, None, None), 0.5, "not predictable"),  # constant among the test cells
    ],
)
def test_trust(r2: tuple[float | None, ...], reliability: float | None, trust: str) -> None:
    assert answers(r2, reliability)["trust"] == trust


def test_nothing_to_know_has_no_captured() -> None:
    assert answers(reliability=0.05)["captured"] is None
    assert answers(reliability=0.05)["r2"] == 0.4
