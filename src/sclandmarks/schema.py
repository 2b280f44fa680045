"""Every table that touches the disk: its columns, types, units and meaning, checked on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from sclandmarks.errors import SchemaError

VERSION = "1"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : str
    dtype : type[pl.DataType]
    meaning : str
        One line, unit included.
    nullable : bool
        Whether missing values are allowed.
    """

    name: str
    dtype: type[pl.DataType]
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table: its columns in order, and the columns that together name a row.

    Parameters
    ----------
    name : str
    columns : tuple of Column
    key : tuple of str
        No two rows agree in all of these; empty for tables without a key.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def dtypes(self) -> dict[str, type[pl.DataType]]:
        """Column name -> polars type, in order."""
        return {column.name: column.dtype for column in self.columns}

    def empty(self) -> pl.DataFrame:
        """Return the table without rows."""
        return pl.DataFrame(schema=self.dtypes)


def check(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return `frame` unchanged when it follows `table`.

    Raises
    ------
    SchemaError
        If columns, types, missing values or the key are not as `table` says.
    """
    _check_columns(frame, table)
    for column in table.columns:
        if not column.nullable and frame[column.name].null_count():
            raise SchemaError(
                f"no missing value in {table.name}.{column.name} ({column.meaning})",
                f"{frame[column.name].null_count()} missing",
                "Write the table again with the stage that makes it.",
            )
    _check_key(frame, table)
    return frame


def _check_columns(frame: pl.DataFrame, table: Table) -> None:
    got = {name: dtype.base_type() for name, dtype in frame.schema.items()}
    if list(got.items()) != list(table.dtypes.items()):
        raise SchemaError(
            f"table {table.name} with columns {_show(table.dtypes)}",
            _show(got),
            "Run `dvc repro`; if the table was made by another version, delete it first.",
        )


def _check_key(frame: pl.DataFrame, table: Table) -> None:
    if table.key and frame.select(table.key).is_duplicated().any():
        twice = frame.filter(frame.select(table.key).is_duplicated()).select(table.key).row(0)
        raise SchemaError(
            f"one row for each {' + '.join(table.key)} in table {table.name}",
            f"{twice} more than once",
            "Remove the duplicates from the input.",
        )


def _show(dtypes: dict[str, type[pl.DataType]]) -> str:
    return ", ".join(f"{name}: {dtype.__name__}" for name, dtype in dtypes.items())


CELLS = Table(
    "cells",
    (
        Column("cell_id", pl.String, "data set and barcode, joined by /"),
        Column("dataset", pl.String, "entry of datasets.yaml"),
        Column("tissue", pl.String, "tissue"),
        Column("donor", pl.String, "donor, Unknown where not given"),
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

PANEL = Table(
    "panel",
    (
        Column("rank", pl.Int32, "1 = first choice"),
        Column("gene_id", pl.String, "gene"),
        Column("symbol", pl.String, "current symbol"),
        Column("ensembl_id", pl.String, "Ensembl gene id", nullable=True),
        Column("score", pl.Float64, "the selector's own score, larger is earlier", nullable=True),
        Column("reason", pl.String, "why the gene is in, in words"),
    ),
    key=("gene_id",),
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
