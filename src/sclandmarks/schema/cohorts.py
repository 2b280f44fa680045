"""Tables beside the raw matrix of a cohort: where its cells come from, and what was left out."""

from __future__ import annotations

import polars as pl

from sclandmarks.schema.base import Column, Table

PROVENANCE = Table(
    "provenance",
    (
        Column("member", pl.String, "entry of datasets.yaml, or panglaodb, that the sample belongs to"),
        Column("sample", pl.String, "sample, as in the table of cells"),
        Column("source", pl.String, "kind of the source: panglaodb, url, pypi or file"),
        Column("address", pl.String, "address, archive and member, or path of the counts"),
        Column("sha256", pl.String, "of the file of the counts; of the archive where it was in one"),
        Column("protocol", pl.String, "protocol as PanglaoDB has it", nullable=True),
        Column("tissue", pl.String, "tissue as the source has it"),
        Column("cells_read", pl.Int64, "cells in the file"),
        Column("cells_kept", pl.Int64, "cells in the cohort"),
    ),
    key=("member", "sample"),
)

DROPPED = Table(
    "dropped",
    (
        Column("member", pl.String, "entry of datasets.yaml, or panglaodb"),
        Column("sample", pl.String, "sample"),
        Column("cell_type", pl.String, "cell type in the cohort's names; all for a whole sample"),
        Column("reason", pl.String, "why these cells are not in the cohort"),
        Column("n_cells", pl.Int64, "cells; 0 for a sample that was not read"),
    ),
    key=("member", "sample", "cell_type", "reason"),
)

MEASURED = Table(
    "measured",
    (
        Column("gene_id", pl.String, "Ensembl gene id without version where known, else the symbol"),
        Column("symbol", pl.String, "current symbol"),
        Column("n_samples", pl.Int64, "samples with cells in the cohort whose files have the gene"),
        Column("is_kept", pl.Boolean, "whether the cohort has it"),
        Column("reason", pl.String, "why not", nullable=True),
    ),
    key=("gene_id",),
)
