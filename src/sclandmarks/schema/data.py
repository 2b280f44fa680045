"""Tables of cells and genes."""

from __future__ import annotations

import polars as pl

from sclandmarks.schema.base import Column, Table

UNKNOWN = "Unknown"
"""What stands in a label of a cell that is not given."""

CELLS = Table(
    "cells",
    (
        Column("cell_id", pl.String, "data set and barcode, joined by /"),
        Column("dataset", pl.String, "entry of datasets.yaml"),
        Column("sample", pl.String, "sample or library the cell was sequenced in, Unknown where not given"),
        Column("donor", pl.String, "donor, Unknown where not given"),
        Column("tissue", pl.String, "tissue"),
        Column("condition", pl.String, "condition such as a disease or a treatment, Unknown where not given"),
        Column("cell_type", pl.String, "cell type as annotated, Unknown where not given"),
        Column("library_size", pl.Int64, "total reads of the cell over all genes of its file"),
    ),
    key=("cell_id",),
)

GENES = Table(
    "genes",
    (
        Column("gene_id", pl.String, "Ensembl gene id without version where known, else the symbol"),
        Column("symbol", pl.String, "current symbol (HGNC) where the file's own could be resolved"),
        Column("ensembl_id", pl.String, "Ensembl gene id without version", nullable=True),
        Column("original", pl.String, "the name in the source file"),
    ),
    key=("gene_id",),
)

SPLIT = Table(
    "split",
    (
        Column("cell_id", pl.String, "cell"),
        Column("subset", pl.String, "train, validation or test"),
    ),
    key=("cell_id",),
)

SUMMARY = Table(
    "summary",
    (
        Column("dataset", pl.String, "entry of datasets.yaml, or all"),
        Column("when", pl.String, "before or after the filters"),
        Column("n_cells", pl.Int64, "cells"),
        Column("n_genes", pl.Int64, "genes with at least one read"),
        Column("n_cell_types", pl.Int64, "annotated cell types"),
        Column("sparsity", pl.Float64, "fraction of zeros in cells x genes"),
        Column("median_library_size", pl.Float64, "median reads per cell"),
    ),
    key=("dataset", "when"),
)

EMBEDDING = Table(
    "embedding",
    (
        Column("cell_id", pl.String, "cell"),
        Column("dataset", pl.String, "entry of datasets.yaml"),
        Column("cell_type", pl.String, "cell type"),
        Column("pc1", pl.Float64, "first principal component within the data set, log10 units"),
        Column("pc2", pl.Float64, "second principal component within the data set, log10 units"),
        Column("tsne1", pl.Float64, "t-SNE, arbitrary units"),
        Column("tsne2", pl.Float64, "t-SNE, arbitrary units"),
    ),
    key=("cell_id",),
)

LIBRARY_SIZES = Table(
    "library_sizes",
    (
        Column("cell_id", pl.String, "cell"),
        Column("dataset", pl.String, "entry of datasets.yaml"),
        Column("library_size", pl.Int64, "total reads of the cell over all genes of its file"),
        Column("kept", pl.Boolean, "whether the cell passed the filter"),
    ),
    key=("cell_id",),
)
