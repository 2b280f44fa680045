"""Tables of the noise floor."""

from __future__ import annotations

import polars as pl

from sclandmarks.schema.base import Column, Table

NOISE = Table(
    "noise",
    (
        Column("dataset", pl.String, "entry of datasets.yaml, or all"),
        Column("cell_type", pl.String, "cell type, or all"),
        Column("n_cells", pl.Int64, "cells the floor is estimated on"),
        Column("n_genes", pl.Int64, "genes pooled"),
        Column("variance", pl.Float64, "mean variance of the log-normalised values"),
        Column("floor", pl.Float64, "mean noise floor, in the units of an MSE"),
        Column("floor_low", pl.Float64, "lower end of its bootstrap interval", nullable=True),
        Column("floor_high", pl.Float64, "upper end of its bootstrap interval", nullable=True),
        Column("explainable", pl.Float64, "part of the variance that is not sampling noise", nullable=True),
        Column("explainable_low", pl.Float64, "lower end of its bootstrap interval", nullable=True),
        Column("explainable_high", pl.Float64, "upper end of its bootstrap interval", nullable=True),
        Column("repeat_spread", pl.Float64, "standard deviation of the floor over single thinnings", nullable=True),
    ),
    key=("dataset", "cell_type"),
)

NOISE_PER_GENE = Table(
    "noise_per_gene",
    (
        Column("gene_id", pl.String, "gene"),
        Column("symbol", pl.String, "current symbol"),
        Column("variance", pl.Float64, "variance of the log-normalised values over these cells"),
        Column("r", pl.Float64, "correlation of two halves of the counts; null for a constant gene", nullable=True),
        Column("reliability", pl.Float64, "part of the variance that is not sampling noise, not cut", nullable=True),
        Column("floor", pl.Float64, "noise floor, in the units of an MSE"),
        Column("floor_low", pl.Float64, "lower end of its bootstrap interval", nullable=True),
        Column("floor_high", pl.Float64, "upper end of its bootstrap interval", nullable=True),
    ),
    key=("gene_id",),
)
