"""Tables of the comparison."""

from __future__ import annotations

import polars as pl

from sclandmarks.schema.base import Column, Table

COMPARISON = Table(
    "comparison",
    (
        Column("fit", pl.String, "entry of fits in params.yaml"),
        Column("panel", pl.String, "panel"),
        Column("predictor", pl.String, "predictor"),
        Column("scale", pl.String, "log (log10 of scaled counts) or counts"),
        Column("target_set", pl.String, "own (all genes but the panel) or common (in no panel)"),
        Column("n_landmarks", pl.Int64, "genes in the panel"),
        Column("n_targets", pl.Int64, "genes predicted"),
        Column("metric", pl.String, "mse, weighted_mse, explained, r2_median, n_constant (genes without R2)"),
        Column("value", pl.Float64, "value over all test cells", nullable=True),
        Column("low", pl.Float64, "lower end of the bootstrap interval", nullable=True),
        Column("high", pl.Float64, "upper end of the bootstrap interval", nullable=True),
    ),
    key=("fit", "target_set", "metric"),
)

DIFFERENCES = Table(
    "differences",
    (
        Column("fit", pl.String, "entry of fits in params.yaml"),
        Column("reference", pl.String, "the fit it is compared with"),
        Column("metric", pl.String, "mse or explained, on the common targets"),
        Column("value", pl.Float64, "fit minus reference"),
        Column("low", pl.Float64, "lower end of the paired bootstrap interval"),
        Column("high", pl.Float64, "upper end of the paired bootstrap interval"),
        Column("verdict", pl.String, "better, worse, or no difference shown"),
    ),
    key=("fit", "reference", "metric"),
)

PER_TYPE = Table(
    "per_type",
    (
        Column("fit", pl.String, "entry of fits in params.yaml"),
        Column("dataset", pl.String, "entry of datasets.yaml"),
        Column("cell_type", pl.String, "cell type"),
        Column("n_cells", pl.Int64, "test cells of the type"),
        Column("mse", pl.Float64, "mean squared error on the common targets"),
        Column("explained", pl.Float64, "1 - SSE / SSE of the training mean", nullable=True),
    ),
    key=("fit", "dataset", "cell_type"),
)

PER_GENE = Table(
    "per_gene",
    (
        Column("fit", pl.String, "entry of fits in params.yaml"),
        Column("gene_id", pl.String, "target gene"),
        Column("symbol", pl.String, "current symbol"),
        Column("mse", pl.Float64, "mean squared error over test cells"),
        Column("variance", pl.Float64, "variance over test cells"),
        Column("r2", pl.Float64, "1 - mse / variance; null for a constant gene", nullable=True),
    ),
    key=("fit", "gene_id"),
)
