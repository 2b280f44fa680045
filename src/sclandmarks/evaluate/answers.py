"""What a user may expect of each gene: how much of what can be known is captured, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from sclandmarks import schema
from sclandmarks.evaluate.noise import LEAST_OF_A_GENE
from sclandmarks.params import FitParams

WELL, PARTLY, NOT = schema.TRUST
LEAST_WELL = 0.5
"""Lower end of captured from which a gene is predicted well: more than half of what can be known, surely."""


def per_gene(tables: Mapping[schema.Table, pl.DataFrame], fits: Mapping[str, FitParams]) -> pl.DataFrame:
    """Join all that is known of every target of every fit.

    captured = r2 / reliability, both ends of its interval alike: the interval is that of the error over test cells;
    the reliability comes from all cells and is taken as known. A gene with a reliability below 0.1 has no captured:
    there is next to nothing to know. Trust is `well` where the lower end of captured is at least 0.5, `partly` where
    it is above 0, else `not predictable`: not from this panel, by this fit, on these cells.

    Parameters
    ----------
    tables : mapping of schema.Table to polars.DataFrame
        `schema.GENEWISE`, `NOISE_PER_GENE`, `INTERVALS`, of which the largest level is taken, and `NEIGHBOURS`.
    fits : mapping of str to FitParams
        By name; its panel is that of `NEIGHBOURS`.

    Returns
    -------
    polars.DataFrame
        As `schema.PER_GENE`: the fits of the intervals, their genes in order.
    """
    panels = {name: fit.panel for name, fit in fits.items()}
    intervals = tables[schema.INTERVALS]
    largest = intervals.filter(pl.col("level") == pl.col("level").max())
    near = tables[schema.NEIGHBOURS].select("panel", "gene_id", "landmark", pl.col("r").alias("landmark_r"))
    known = tables[schema.NOISE_PER_GENE].select("gene_id", "reliability")
    judged = tables[schema.GENEWISE].select("fit", "gene_id", "r2", "r2_low", "r2_high")
    joined = (
        largest.with_columns(pl.col("fit").replace_strict(panels).alias("panel"))
        .join(judged, on=["fit", "gene_id"], how="left", maintain_order="left")
        .join(near, on=["panel", "gene_id"], how="left", maintain_order="left")
        .join(known, on="gene_id", how="left", maintain_order="left")
    )
    worth = pl.when(pl.col("reliability") >= LEAST_OF_A_GENE)
    ends = {"captured": "r2", "captured_low": "r2_low", "captured_high": "r2_high"}
    captured = [worth.then(pl.col(r2) / pl.col("reliability")).alias(name) for name, r2 in ends.items()]
    return schema.ordered(joined.with_columns(captured).with_columns(_trust().alias("trust")), schema.PER_GENE)


def _trust() -> pl.Expr:
    low = pl.col("captured_low").fill_null(-1)
    return pl.when(low >= LEAST_WELL).then(pl.lit(WELL)).when(low > 0).then(pl.lit(PARTLY)).otherwise(pl.lit(NOT))
