"""Tables of the studies."""

from __future__ import annotations

import polars as pl

from sclandmarks.schema.base import Column, Table

_VALUE = (
    Column("value", pl.Float64, "over all test cells, mean over repeats", nullable=True),
    Column(
        "low",
        pl.Float64,
        "lower end of the interval, over test cells (donors from five on) and repeats",
        nullable=True,
    ),
    Column("high", pl.Float64, "upper end of the bootstrap interval", nullable=True),
)

CURVES = Table(
    "curves",
    (
        Column("panel", pl.String, "entry of studies.panels; cell_types or half_genes for a reference line"),
        Column("axis", pl.String, "landmarks or cells: what is varied; reference for a line"),
        Column("n_landmarks", pl.Int64, "genes in the panel, 0 for cell_types"),
        Column("n_cells", pl.Int64, "training cells"),
        Column("target_set", pl.String, "common (in no panel at the largest size) or total (panel genes as measured)"),
        Column("n_targets", pl.Int64, "genes of the target set"),
        Column("metric", pl.String, "explained (1 - SSE / SSE of the training mean), or captured of what can be"),
        *_VALUE,
        Column("n_repeats", pl.Int64, "seeds or subsamples behind the value"),
    ),
    key=("panel", "axis", "n_landmarks", "n_cells", "target_set", "metric"),
)

EQUIVALENTS = Table(
    "equivalents",
    (
        Column("panel", pl.String, "panel whose curve is read"),
        Column("reference", pl.String, "line that the curve has to reach"),
        Column("reference_landmarks", pl.Int64, "genes of the reference, 0 for cell_types"),
        Column("target_set", pl.String, "common or total"),
        Column("metric", pl.String, "explained"),
        Column("value", pl.Float64, "genes at which the curve crosses; null beyond the largest size", nullable=True),
        Column("low", pl.Float64, "lower end of the interval; null beyond the largest size", nullable=True),
        Column("high", pl.Float64, "upper end of the interval; null beyond the largest size", nullable=True),
        Column("smallest", pl.Int64, "smallest size tried: a value there means so many or fewer"),
        Column("largest", pl.Int64, "largest size tried"),
        Column("reached", pl.Float64, "share of resamples in which the curve reaches the line at all"),
    ),
    key=("panel", "reference", "target_set", "metric"),
)

GROUPS = Table(
    "groups",
    (
        Column("by", pl.String, "dataset, donor, sample, tissue, condition or cell_type"),
        Column("group", pl.String, "the group left out"),
        Column("n_train", pl.Int64, "training cells of the other groups"),
        Column("n_test", pl.Int64, "test cells of the group"),
        Column("n_genes", pl.Int64, "genes kept without the group; 0 where it is skipped"),
        Column("n_genes_lost", pl.Int64, "genes kept only because of the group's cells, on which nothing is judged"),
        Column("status", pl.String, "judged, or why not"),
    ),
    key=("by", "group"),
)

GENERALISATION = Table(
    "generalisation",
    (
        Column("by", pl.String, "dataset, donor, sample, tissue, condition or cell_type"),
        Column("group", pl.String, "the group left out; (mean) for the mean over groups"),
        Column("panel", pl.String, "panel"),
        Column("predictor", pl.String, "predictor"),
        Column("n_landmarks", pl.Int64, "genes of the panel chosen without the group; 0 for the mean over groups"),
        Column("n_targets", pl.Int64, "genes judged; 0 for the mean over groups"),
        Column("n_test", pl.Int64, "test cells, the same for all quantities"),
        Column(
            "quantity",
            pl.String,
            "explained when learned without the group, within (with it), same_size (with it, on as few cells as "
            "without); lost = within - without, lost_same_size = same_size - without",
        ),
        Column("value", pl.Float64, "over the group's test cells", nullable=True),
        Column("low", pl.Float64, "lower end of the paired bootstrap interval", nullable=True),
        Column("high", pl.Float64, "upper end of the paired bootstrap interval", nullable=True),
    ),
    key=("by", "group", "panel", "predictor", "quantity"),
)

STABILITY = Table(
    "stability",
    (
        Column("panel", pl.String, "panel"),
        Column("over", pl.String, "seeds (all training cells) or resamples (subsamples of them)"),
        Column("n_landmarks", pl.Int64, "genes in each panel"),
        Column("n_panels", pl.Int64, "panels compared"),
        Column("measure", pl.String, "nogueira (with its asymptotic interval) or jaccard (mean over pairs)"),
        Column("value", pl.Float64, "1 = always the same genes; nogueira is 0 for genes drawn at random"),
        Column("low", pl.Float64, "lower end of the interval", nullable=True),
        Column("high", pl.Float64, "upper end of the interval", nullable=True),
    ),
    key=("panel", "over", "n_landmarks", "measure"),
)

FREQUENCY = Table(
    "frequency",
    (
        Column("panel", pl.String, "panel"),
        Column("over", pl.String, "seeds or resamples"),
        Column("n_landmarks", pl.Int64, "genes in each panel"),
        Column("gene_id", pl.String, "gene that was chosen at least once"),
        Column("symbol", pl.String, "current symbol"),
        Column("frequency", pl.Float64, "part of the panels that hold the gene"),
    ),
    key=("panel", "over", "n_landmarks", "gene_id"),
)

REALISTIC = Table(
    "realistic",
    (
        Column("panel", pl.String, "panel"),
        Column("n_landmarks", pl.Int64, "genes in the panel"),
        Column("noise", pl.String, "full_library, own_total, efficiency, dropout, saturation or crowding"),
        Column("level", pl.Float64, "as in studies.realistic; 1 for full_library and own_total"),
        Column("trained_on", pl.String, "clean (own total, no noise) or matching (noise as in the test)"),
        Column("metric", pl.String, "explained or captured, on the genes outside the panel"),
        *_VALUE,
        Column("change", pl.Float64, "against own_total without noise, trained on the same", nullable=True),
        Column("change_low", pl.Float64, "lower end of the paired interval", nullable=True),
        Column("change_high", pl.Float64, "upper end of the paired interval", nullable=True),
        Column("n_repeats", pl.Int64, "draws of the noise"),
    ),
    key=("panel", "noise", "level", "trained_on", "metric"),
)
