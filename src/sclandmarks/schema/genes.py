"""Tables of what is known about single genes."""

from __future__ import annotations

import polars as pl

from sclandmarks.schema.base import Column, Table

TRUST = ("well", "partly", "not predictable")
"""How far a gene may be trusted, see `evaluate.answers`."""

INTERVALS = Table(
    "intervals",
    (
        Column("fit", pl.String, "entry of fits in params.yaml"),
        Column("gene_id", pl.String, "target gene"),
        Column("symbol", pl.String, "current symbol"),
        Column("level", pl.Float64, "promised coverage of a new cell like the held-back ones"),
        Column("half_width", pl.Float64, "the interval is prediction -/+ this, log10 units, cut off at zero"),
        Column("mean_length", pl.Float64, "mean length of the interval over test cells, log10 units"),
        Column("coverage", pl.Float64, "fraction of test cells inside"),
    ),
    key=("fit", "gene_id", "level"),
)

COVERAGE = Table(
    "coverage",
    (
        Column("fit", pl.String, "entry of fits in params.yaml"),
        Column("level", pl.Float64, "promised coverage"),
        Column("dataset", pl.String, "entry of datasets.yaml, or all"),
        Column("cell_type", pl.String, "cell type, or all"),
        Column("n_cells", pl.Int64, "test cells"),
        Column("coverage", pl.Float64, "fraction of values inside, over these cells and all targets"),
        Column("low", pl.Float64, "lower end of the bootstrap interval", nullable=True),
        Column("high", pl.Float64, "upper end of the bootstrap interval", nullable=True),
        Column("unit", pl.String, "what the bootstrap draws: cell, or donor with all its cells"),
    ),
    key=("fit", "level", "dataset", "cell_type"),
)

NEIGHBOURS = Table(
    "neighbours",
    (
        Column("panel", pl.String, "panel"),
        Column("gene_id", pl.String, "gene outside the panel"),
        Column("symbol", pl.String, "current symbol"),
        Column("landmark_id", pl.String, "panel gene of largest absolute correlation", nullable=True),
        Column("landmark", pl.String, "its current symbol", nullable=True),
        Column("r", pl.Float64, "that correlation, over training cells", nullable=True),
    ),
    key=("panel", "gene_id"),
)

PER_GENE = Table(
    "per_gene",
    (
        Column("fit", pl.String, "entry of fits in params.yaml"),
        Column("gene_id", pl.String, "target gene"),
        Column("symbol", pl.String, "current symbol"),
        Column("trust", pl.String, "well, partly or not predictable, see evaluate.answers"),
        Column("captured", pl.Float64, "r2 / reliability: part of what can be known; null below 0.1", nullable=True),
        Column("captured_low", pl.Float64, "lower end of its bootstrap interval", nullable=True),
        Column("captured_high", pl.Float64, "upper end of its bootstrap interval", nullable=True),
        Column("r2", pl.Float64, "1 - mse / variance over test cells; null for a constant gene", nullable=True),
        Column("r2_low", pl.Float64, "lower end of its bootstrap interval", nullable=True),
        Column("r2_high", pl.Float64, "upper end of its bootstrap interval", nullable=True),
        Column("reliability", pl.Float64, "part of its variance that is not sampling noise, all cells", nullable=True),
        Column("landmark", pl.String, "symbol of the panel gene of largest absolute correlation", nullable=True),
        Column("landmark_r", pl.Float64, "that correlation, over training cells", nullable=True),
        Column("level", pl.Float64, "promised coverage of the prediction interval, the largest asked for"),
        Column("half_width", pl.Float64, "the interval is prediction -/+ this, log10 units, cut off at zero"),
        Column("coverage", pl.Float64, "fraction of test cells inside"),
    ),
    key=("fit", "gene_id"),
)
