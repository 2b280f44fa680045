"""What all readers share: the checks of cells and genes, and the tables made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError, SclandmarksError
from sclandmarks.genes import gene_table
from sclandmarks.matrix import ExpressionMatrix, check_counts

UNKNOWN = "Unknown"
MISSING = frozenset({None, "", "NA", "nan"})
Labels = Sequence[str | None]


class Origin(NamedTuple):
    """What the entry in datasets.yaml says of every cell: its name, the tissue, the donor or None."""

    dataset: str
    tissue: str
    donor: str | None = None


class CellLabels(NamedTuple):
    """Labels of the cells in the file's order; None where the file has no such column."""

    cell_type: Labels | None = None
    donor: Labels | None = None
    tissue: Labels | None = None


def to_matrix(
    X_CG: sparse.spmatrix,
    barcodes: Sequence[str],
    labels: CellLabels,
    genes: pl.DataFrame,
    origin: Origin,
) -> ExpressionMatrix:
    """Check what a reader found in a file and put it together.

    Parameters
    ----------
    X_CG : scipy.sparse matrix, shape (n_cells, n_genes)
        Counts of any numeric type.
    barcodes : sequence of str, length n_cells
    labels : CellLabels
    genes : polars.DataFrame
        As `named_genes` makes it, n_genes rows.
    origin : Origin
        Tissue and donor stand in where `labels` has none.

    Returns
    -------
    ExpressionMatrix
        int32 counts; library sizes are the sums over all genes of the file.

    Raises
    ------
    DataError
        If a barcode or a gene is empty or there twice, or the values are not counts (see `check_counts`).
    """
    _check_unique("barcode", barcodes, barcodes, "Keep one row of each cell, or make the barcodes distinct.")
    _check_unique("gene", genes["gene_id"].to_list(), genes["original"].to_list(), _GENE_REMEDY)
    csr = sparse.csr_matrix(X_CG)
    csr.sum_duplicates()
    counts = check_counts(csr)
    cells = pl.DataFrame(
        {
            "cell_id": [f"{origin.dataset}/{barcode}" for barcode in barcodes],
            "dataset": [origin.dataset] * len(barcodes),
            "tissue": _filled(labels.tissue, origin.tissue, len(barcodes)),
            "donor": _filled(labels.donor, origin.donor or UNKNOWN, len(barcodes)),
            "cell_type": _filled(labels.cell_type, UNKNOWN, len(barcodes)),
            "library_size": np.asarray(counts.sum(axis=1, dtype=np.int64)).ravel(),
        },
        schema=schema.CELLS.dtypes,
    )
    return ExpressionMatrix(counts, cells, genes)


def named_genes(originals: Sequence[str], symbols: Labels | None = None, ensembl: Labels | None = None) -> pl.DataFrame:
    """Gene table of a file, see `genes.gene_table`.

    Parameters
    ----------
    originals : sequence of str, length n_genes
        Names in the file.
    symbols : sequence of str or None, optional
        Symbols; the original name stands in where one is missing.
    ensembl : sequence of str or None, optional
        Ensembl ids; without them, the original names that are such ids.
    """
    filled = [
        original if symbol in MISSING else symbol
        for original, symbol in zip(originals, symbols or originals, strict=True)
    ]
    return gene_table(originals, [str(symbol) for symbol in filled], ensembl or originals)


@contextmanager
def naming(path: Path, origin: Origin) -> Iterator[None]:
    """Add data set and file to an error raised inside the block."""
    try:
        yield
    except SclandmarksError as error:
        error.add_note(f"data set {origin.dataset}, file {path}")
        raise


_GENE_REMEDY = "Add up or drop the rows of the same gene, or give the file's Ensembl ids."


def _check_unique(kind: str, ids: Sequence[str], names: Sequence[str], remedy: str) -> None:
    if "" in ids:
        raise DataError(f"a name for every {kind}", f"an empty one at place {list(ids).index('') + 1}", remedy)
    if len(set(ids)) == len(ids):
        return
    times = Counter(ids)
    twice = [one for one, n in times.items() if n > 1]
    shown = [" = ".join(dict.fromkeys([one, *(n for i, n in zip(ids, names, strict=True) if i == one)]))
             for one in twice[:5]]  # fmt: skip
    raise DataError(f"each {kind} once", f"{len(twice)} more than once, first {', '.join(shown)}", remedy)


def _filled(labels: Labels | None, default: str, n_cells: int) -> list[str]:
    if labels is None:
        return [default] * n_cells
    return [default if label in MISSING else str(label) for label in labels]
