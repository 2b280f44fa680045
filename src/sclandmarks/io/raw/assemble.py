"""From what a reader found in a file to an ExpressionMatrix: checks, gene identity, and the tables."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.genes import gene_table, merge_duplicates
from sclandmarks.io.raw.common import MISSING, RECOVER, CellLabels, Labels, Origin, as_csr, int32_of
from sclandmarks.io.raw.names import GeneNames, of_one_genome
from sclandmarks.io.raw.organism import human_genes
from sclandmarks.io.raw.recover import recovered
from sclandmarks.io.raw.settings import ReaderSettings
from sclandmarks.matrix import ExpressionMatrix, IntArray, check_counts
from sclandmarks.schema import UNKNOWN

CELLS_AT_ONCE = 512
N_SHOWN = 5
logger = logging.getLogger(__name__)


def to_matrix(
    X_CG: sparse.spmatrix,
    barcodes: Sequence[str],
    labels: CellLabels,
    names: GeneNames,
    settings: ReaderSettings,
    origin: Origin,
) -> ExpressionMatrix:
    """Check what a reader found in a file and put it together.

    Genes of one identity, see `genes.gene_table`, are added up; the log says how many, and `original` of such a gene
    holds all the names that it has in the file, joined by `|`.

    Parameters
    ----------
    X_CG : scipy.sparse matrix, shape (n_cells, n_genes)
        Counts of any numeric type, or with `normalised: recover` what was made of them; its arrays are taken over
        and changed.
    barcodes : sequence of str, length n_cells
    labels : CellLabels
    names : GeneNames
        As `named_genes` makes it, n_genes of each.
    settings : ReaderSettings
    origin : Origin
        What it says stands in where `labels` has nothing.

    Returns
    -------
    ExpressionMatrix
        int32 counts; library sizes are the sums over all genes of the file (of the chosen genome, where there are
        several), with and without ortholog.

    Raises
    ------
    DataError
        If a barcode is empty or there twice, a gene has no name, the genes are of several organisms or not of the
        entry's, the values are not counts (see `check_counts`) or cannot be turned back into counts.
    """
    _check_barcodes(barcodes)
    names, of_genome = of_one_genome(names, settings.genome)
    names, with_ortholog = human_genes(names, settings.orthologs, origin)
    _check_named(names)
    csr = as_csr(X_CG)
    if not csr.data.flags.writeable:
        csr = csr.copy()
    csr.sum_duplicates()
    counts = _as_counts(_taken(csr, of_genome), settings)
    sizes = _library_sizes(counts)
    counts, genes = _one_column_a_gene(_taken(counts, with_ortholog), gene_table(*names))
    return ExpressionMatrix(counts, _cells(barcodes, labels, origin, sizes), genes)


def _cells(barcodes: Sequence[str], labels: CellLabels, origin: Origin, sizes: NDArray[np.int64]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "cell_id": [f"{origin.dataset}/{barcode}" for barcode in barcodes],
            "dataset": [origin.dataset] * len(barcodes),
            "sample": _filled(labels.sample, origin.sample or UNKNOWN, len(barcodes)),
            "donor": _filled(labels.donor, origin.donor or UNKNOWN, len(barcodes)),
            "tissue": _filled(labels.tissue, origin.tissue, len(barcodes)),
            "condition": _filled(labels.condition, origin.condition or UNKNOWN, len(barcodes)),
            "cell_type": _filled(labels.cell_type, UNKNOWN, len(barcodes)),
            "library_size": sizes,
        },
        schema=schema.CELLS.dtypes,
    )


def _filled(labels: Labels | None, default: str, n_cells: int) -> list[str]:
    if labels is None:
        return [default] * n_cells
    return [default if label in MISSING else str(label) for label in labels]


def _taken(csr: sparse.csr_matrix, places: IntArray | None) -> sparse.csr_matrix:
    return csr if places is None else csr[:, places].tocsr()


def _one_column_a_gene(counts: sparse.csr_matrix, genes: pl.DataFrame) -> tuple[sparse.csr_matrix, pl.DataFrame]:
    """Add up columns of the same gene, in place: their indices become one, and scipy sums what is there twice."""
    merged = merge_duplicates(genes)
    if not merged.names:
        return counts, genes
    logger.warning(
        "%d genes have several names in the file, and these are added up: %s%s", len(merged.names),
        ", ".join(merged.names[:N_SHOWN]), " ..." if len(merged.names) > N_SHOWN else "",
    )  # fmt: skip
    most = int(counts.data.max(initial=0)) * int(np.bincount(merged.places).max())
    values = counts.data if most <= np.iinfo(np.int32).max else counts.data.astype(np.int64)
    shape = (counts.shape[0], merged.genes.height)
    summed = sparse.csr_matrix((values, merged.places[counts.indices], counts.indptr), shape=shape, copy=False)
    summed.sum_duplicates()
    if (whole := int32_of(summed.data)) is None:
        raise DataError("sums of a gene's counts up to 2147483647", f"{summed.data.max()}", "Check the file.")
    return sparse.csr_matrix((whole, summed.indices, summed.indptr), shape=shape, copy=False), merged.genes


def _as_counts(csr: sparse.csr_matrix, settings: ReaderSettings) -> sparse.csr_matrix:
    """What `check_counts` returns, in place and block by block; it says what is wrong where something is."""
    values = int32_of(csr.data) if 0 not in csr.shape else None
    if values is None and settings.normalised == "recover" and csr.nnz:
        csr.eliminate_zeros()
        values = recovered(csr)
    if values is None or not values.any():
        return _refused(csr)
    counts = sparse.csr_matrix((values, csr.indices, csr.indptr), shape=csr.shape, copy=False)
    counts.has_canonical_format = True
    if not values.all():
        counts.eliminate_zeros()
    return counts


def _refused(csr: sparse.csr_matrix) -> sparse.csr_matrix:
    """Let `check_counts` say what is wrong; float32 cannot tell the largest int32 from the next number."""
    try:
        return check_counts(csr.astype(np.float64))
    except DataError as error:
        if "fractions" not in error.got:
            raise
        raise DataError(error.expected, error.got, f"{error.remedy} {RECOVER}") from None


def _library_sizes(counts: sparse.csr_matrix) -> NDArray[np.int64]:
    """Sum of each row, exactly; numpy and scipy would copy all values to int64 at once."""
    most = int(counts.data.max(initial=0)) * int(np.diff(counts.indptr).max(initial=0))
    if most <= np.iinfo(np.int32).max:
        return np.asarray(counts @ np.ones(counts.shape[1], dtype=np.int32), dtype=np.int64)
    sizes = np.zeros(counts.shape[0], dtype=np.int64)
    for at in range(0, len(sizes), CELLS_AT_ONCE):
        starts = counts.indptr[at : at + CELLS_AT_ONCE + 1]
        sums = np.cumsum(counts.data[starts[0] : starts[-1]], dtype=np.int64)
        sizes[at : at + CELLS_AT_ONCE] = np.diff(np.concatenate([[0], sums])[starts - starts[0]])
    return sizes


def _check_barcodes(barcodes: Sequence[str]) -> None:
    remedy = "Keep one row of each cell, or make the barcodes distinct."
    if "" in barcodes:
        raise DataError("a name for every barcode", f"an empty one at place {list(barcodes).index('') + 1}", remedy)
    twice = [one for one, n in Counter(barcodes).items() if n > 1]
    if twice:
        got = f"{len(twice)} more than once, first {', '.join(twice[:N_SHOWN])}"
        raise DataError("each barcode once", got, remedy)


def _check_named(names: GeneNames) -> None:
    empty = [at for at, symbol in enumerate(names.symbols, 1) if not symbol]
    if empty:
        raise DataError("a name for every gene", f"an empty one at place {empty[0]}", "Name every gene.")
