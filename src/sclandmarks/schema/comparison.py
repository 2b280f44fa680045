"""Tables of the comparison."""

from __future__ import annotations

import polars as pl

from sclandmarks.schema.base import Column, Table

_FIT = Column("fit", pl.String, "entry of fits in params.yaml")
_SET = Column(
    "target_set",
    pl.String,
    "own (all genes but the panel), common (in no compared panel), pair (in neither of two panels) or all (all genes; "
    "those of the panel count as measured, with error 0, and as captured whole)",
)
_N_TARGETS = Column("n_targets", pl.Int64, "genes in the set")
_UNIT = Column("unit", pl.String, "what the bootstrap draws: cell, or donor with all its cells")
_LOW = Column("low", pl.Float64, "lower end of the bootstrap interval", nullable=True)
_HIGH = Column("high", pl.Float64, "upper end of the bootstrap interval", nullable=True)
_DATASET = Column("dataset", pl.String, "entry of datasets.yaml")
_CELL_TYPE = Column("cell_type", pl.String, "cell type")


def _end(metric: str, side: str) -> Column:
    return Column(f"{metric}_{side}", pl.Float64, f"{side} end of its bootstrap interval", nullable=True)


COMPARISON = Table(
    "comparison",
    (
        _FIT,
        Column("panel", pl.String, "panel"),
        Column("predictor", pl.String, "predictor"),
        Column("scale", pl.String, "log (log10 of scaled counts) or counts"),
        _SET,
        Column("n_landmarks", pl.Int64, "genes in the panel"),
        _N_TARGETS,
        Column(
            "metric",
            pl.String,
            "pooled: mse, weighted_mse, mae, explained, captured; medians over genes: r2_median, pearson_gene, "
            "spearman_gene, auroc_gene (zero or not); medians over cells: pearson_cell, spearman_cell; "
            "n_constant, n_without_auroc (genes left out of these medians); means over cell types: profile_r, "
            "profile_change_r, profile_rmse, markers_shared, markers_jaccard (see profiles)",
        ),
        Column("value", pl.Float64, "value over all test cells", nullable=True),
        _LOW,
        _HIGH,
        _UNIT,
    ),
    key=("fit", "target_set", "metric"),
)

DIFFERENCES = Table(
    "differences",
    (
        _FIT,
        Column("reference", pl.String, "the fit it is compared with"),
        _SET,
        _N_TARGETS,
        Column("metric", pl.String, "mse, explained or captured"),
        Column("value", pl.Float64, "fit minus reference"),
        Column("low", pl.Float64, "lower end of the paired bootstrap interval, of this pair alone"),
        Column("high", pl.Float64, "upper end of the paired bootstrap interval, of this pair alone"),
        Column("p", pl.Float64, "two-sided bootstrap-t p-value of this pair alone"),
        Column("p_adjusted", pl.Float64, "corrected for all pairs of the target set, by step-down max-T"),
        _UNIT,
        Column("verdict", pl.String, "better, worse, or no difference shown, by the corrected p-value"),
    ),
    key=("fit", "reference", "target_set", "metric"),
)

SEEDS = Table(
    "seeds",
    (
        Column("group", pl.String, "fits that differ only in a seed: what their names share, * where they differ"),
        Column("fits", pl.String, "their names, with commas"),
        Column("n_fits", pl.Int64, "how many"),
        _SET,
        Column("metric", pl.String, "as in comparison"),
        Column("value", pl.Float64, "mean over the fits", nullable=True),
        Column("spread", pl.Float64, "standard deviation over the fits", nullable=True),
        Column("low", pl.Float64, "lower end of an interval over cells and seeds", nullable=True),
        Column("high", pl.Float64, "upper end of an interval over cells and seeds", nullable=True),
        _UNIT,
    ),
    key=("group", "target_set", "metric"),
)

PER_TYPE = Table(
    "per_type",
    (
        _FIT,
        _DATASET,
        _CELL_TYPE,
        Column("n_cells", pl.Int64, "test cells of the type"),
        Column("mse", pl.Float64, "mean squared error on the common targets", nullable=True),
        Column("explained", pl.Float64, "1 - SSE / SSE of the training mean", nullable=True),
        _end("explained", "low"),
        _end("explained", "high"),
        Column("captured", pl.Float64, "(MSE_mean - MSE) / (MSE_mean - MSE_floor) within the type", nullable=True),
        _end("captured", "low"),
        _end("captured", "high"),
    ),
    key=("fit", "dataset", "cell_type"),
)

GENEWISE = Table(
    "genewise",
    (
        _FIT,
        Column("gene_id", pl.String, "target gene"),
        Column("symbol", pl.String, "current symbol"),
        Column("mse", pl.Float64, "mean squared error over test cells"),
        Column("variance", pl.Float64, "variance over test cells"),
        Column("r2", pl.Float64, "1 - mse / variance; null for a constant gene", nullable=True),
        _end("r2", "low"),
        _end("r2", "high"),
        Column("pearson", pl.Float64, "correlation over cells; 0 for a constant prediction", nullable=True),
        Column("spearman", pl.Float64, "rank correlation over cells; 0 for a constant prediction", nullable=True),
        Column("auroc", pl.Float64, "zero against non-zero; null where only one of them occurs", nullable=True),
    ),
    key=("fit", "gene_id"),
)

PER_CELL = Table(
    "per_cell",
    (
        _FIT,
        Column("cell_id", pl.String, "test cell"),
        Column("mse", pl.Float64, "mean squared error over the common targets"),
        Column("pearson", pl.Float64, "correlation over the common targets", nullable=True),
        Column("spearman", pl.Float64, "rank correlation over the common targets", nullable=True),
    ),
    key=("fit", "cell_id"),
)

LEVELS = Table(
    "levels",
    (
        _FIT,
        _SET,
        Column("level", pl.Int64, "level of mean expression over training cells, 0 is the lowest"),
        Column("from_mean", pl.Float64, "lowest mean of the level, log units"),
        Column("to_mean", pl.Float64, "highest mean of the level, log units"),
        _N_TARGETS,
        Column("metric", pl.String, "mse, explained or captured, pooled"),
        Column("value", pl.Float64, "value over all test cells", nullable=True),
        _LOW,
        _HIGH,
    ),
    key=("fit", "target_set", "level", "metric"),
)

PROFILES = Table(
    "profiles",
    (
        _FIT,
        _DATASET,
        _CELL_TYPE,
        Column("n_cells", pl.Int64, "test cells of the type"),
        Column(
            "metric",
            pl.String,
            "imputed against measured mean profile over the common targets: profile_r (correlation), profile_change_r "
            "(of the differences from the training mean), profile_rmse; markers_shared and markers_jaccard (of the "
            "genes with the largest Welch t, type against rest)",
        ),
        Column("value", pl.Float64, "value over the test cells of the type", nullable=True),
        _LOW,
        _HIGH,
    ),
    key=("fit", "dataset", "cell_type", "metric"),
)

CLUSTERS = Table(
    "clusters",
    (
        Column("fit", pl.String, "entry of fits in params.yaml, or measured: the cells as measured"),
        Column("against", pl.String, "measured (clusters of the cells as measured; of other seeds) or cell types"),
        Column("n_clusters", pl.Int64, "clusters asked of k-means"),
        Column("value", pl.Float64, "adjusted Rand index, mean over seeds", nullable=True),
        _LOW,
        _HIGH,
    ),
    key=("fit", "against"),
)
