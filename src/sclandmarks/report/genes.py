"""Single genes: how many can be trusted, and the table that is searched in the page."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from sclandmarks import schema
from sclandmarks.report.inputs import Result, Tables, ranked
from sclandmarks.report.tables import NONE, Cell, Grid, Head, count, percent

DIGITS = 3
LEAST_CELLS = 10
"""Of a type, to be called the worst."""
_NUMBERS = ("captured", "captured_low", "captured_high", "r2", "reliability", "landmark_r", "half_width", "coverage")


def shown_fit(tables: Tables, found: list[Result]) -> Result | None:
    """The fit whose genes are shown: the best of those with an answer per gene."""
    answered = set(tables.per_gene["fit"])
    return next((result for result in ranked(found) if result.fit in answered), None)


def searchable(tables: Tables, fit: str) -> str:
    """Genes of one fit as JSON for the page: columns, trust classes, and a list a gene, best captured first.

    `<` is written so that no text in it can end the script element.
    """
    columns = ("symbol", "gene_id", "trust", "landmark", *_NUMBERS)
    frame = tables.per_gene.filter(pl.col("fit") == fit).sort("captured", "symbol", descending=[True, False],
                                                              nulls_last=True)  # fmt: skip
    trust = pl.col("trust").replace_strict({name: i for i, name in enumerate(schema.TRUST)}, return_dtype=pl.Int64)
    rows = frame.with_columns(trust, pl.col(_NUMBERS).round(DIGITS)).select(columns).rows()
    text = json.dumps({"columns": columns, "trust": schema.TRUST, "rows": rows}, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def trust_grid(tables: Tables, found: list[Result]) -> Grid:
    """How many targets of every fit are in each class of trust, and the median of captured over genes."""
    heads = ("Panel + predictor", "Targets", "Well", "Partly", "Not predictable", "Median captured")
    labels = {result.fit: result.label for result in found}
    rows = []
    for (fit,), part in tables.per_gene.group_by("fit", maintain_order=True):
        sizes = [count(int((part["trust"] == trust).sum())) for trust in schema.TRUST]
        middle = part["captured"].median()
        median = Cell(NONE) if not isinstance(middle, float) else Cell(percent(middle), number=middle)
        rows.append([Cell(labels.get(str(fit), str(fit))), count(part.height), *sizes, median])
    return Grid(tuple(Head(text, i > 0) for i, text in enumerate(heads)), rows)


def noise_grid(noise: pl.DataFrame) -> Grid:
    """What part of the variance is not sampling noise, over all cells and within the types."""
    heads = ("Cells", "Number", "Variance", "Noise floor", "Explainable")
    rows = [
        [
            Cell(_cells(row)), count(row["n_cells"]), _figure(row["variance"]),
            _figure(row["floor"], f"{row['floor_low']:.4f} to {row['floor_high']:.4f}" if row["floor_low"] else ""),
            Cell(percent(row["explainable"]), _ends(row, "explainable"), row["explainable"]),
        ]
        for row in noise.to_dicts()
    ]  # fmt: skip
    return Grid(tuple(Head(text, i > 0) for i, text in enumerate(heads)), rows)


def _cells(row: dict[str, Any]) -> str:
    return row["dataset"] if row["cell_type"] == "all" else f"{row['dataset']}: {row['cell_type']}"


def coverage_grid(coverage: pl.DataFrame, fit: str) -> Grid:
    """How often the prediction intervals of one fit hold: over all, every data set, and the worst of its types."""
    heads = ("Promised", "Data set", "Cells", "Hold in", "Worst cell type")
    mine = coverage.filter(pl.col("fit") == fit)
    rows = []
    for row in mine.filter(pl.col("cell_type") == "all").sort("level", maintain_order=True).to_dicts():
        within = mine.filter((pl.col("level") == row["level"]) & (pl.col("cell_type") != "all"))
        if row["dataset"] != "all":
            within = within.filter(pl.col("dataset") == row["dataset"])
        worst = within.filter(pl.col("n_cells") >= LEAST_CELLS).sort("coverage").to_dicts()
        rows.append(
            [
                Cell(percent(row["level"], 0), number=row["level"]), Cell(row["dataset"]), count(row["n_cells"]),
                Cell(percent(row["coverage"]), _ends(row, ""), row["coverage"]),
                _worst(worst),
            ]
        )  # fmt: skip
    return Grid(tuple(Head(text, i not in (1,)) for i, text in enumerate(heads)), rows)


def _worst(types: list[dict[str, Any]]) -> Cell:
    if not types:
        return Cell(NONE)
    first = types[0]
    return Cell(percent(first["coverage"]), f"{first['cell_type']}, {first['n_cells']} cells", first["coverage"])


def _figure(value: float, note: str = "") -> Cell:
    return Cell(f"{value:.4f}", note, value)


def _ends(row: dict[str, float | None], name: str) -> str:
    low, high = (row[f"{name}_{end}" if name else end] for end in ("low", "high"))
    return "" if low is None or high is None else f"{percent(low)[:-2]} to {percent(high)[:-2]}"
