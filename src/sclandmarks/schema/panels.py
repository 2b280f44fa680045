"""Tables of panels, targets and what was seen while learning."""

from __future__ import annotations

import polars as pl

from sclandmarks.schema.base import Column, Table

PANEL = Table(
    "panel",
    (
        Column("rank", pl.Int32, "1 = first choice"),
        Column("gene_id", pl.String, "gene"),
        Column("symbol", pl.String, "current symbol"),
        Column("ensembl_id", pl.String, "Ensembl gene id", nullable=True),
        Column("score", pl.Float64, "the selector's own score, mostly falling with the rank", nullable=True),
        Column("reason", pl.String, "why the gene is in, in words"),
    ),
    key=("gene_id",),
)

PANEL_PATH = Table(
    "path",
    (
        Column("step", pl.Int32, "place on the path, as in the history"),
        Column("lambda_ratio", pl.Float64, "penalty there as a part of the smallest that keeps every gene out"),
        Column("gene_id", pl.String, "gene with a weight there"),
        Column("symbol", pl.String, "current symbol"),
        Column("norm", pl.Float64, "Euclidean norm of its first-layer weights, for the genes as the path scales them"),
    ),
    key=("step", "gene_id"),
)

TARGETS = Table(
    "targets",
    (
        Column("gene_id", pl.String, "gene in none of the compared panels"),
        Column("symbol", pl.String, "current symbol"),
    ),
    key=("gene_id",),
)

HISTORY = Table(
    "history",
    (
        Column("step", pl.Int32, "epoch, or place on the path or grid"),
        Column("metric", pl.String, "name of the figure"),
        Column("value", pl.Float64, "its value, null where it was not finite", nullable=True),
    ),
    key=("step", "metric"),
)

OVERLAP = Table(
    "overlap",
    (
        Column("panel", pl.String, "panel"),
        Column("n_landmarks", pl.Int64, "genes in the panel"),
        Column("n_reference", pl.Int64, "L1000 genes measured"),
        Column("n_shared", pl.Int64, "genes in both"),
        Column("jaccard", pl.Float64, "shared / united"),
        Column("p_value", pl.Float64, "hypergeometric, at least this many shared by chance"),
    ),
    key=("panel",),
)
