"""ExpressionMatrix: sparse cells x genes values with the tables that name both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError, PanelError

if TYPE_CHECKING:
    import torch

IntArray = NDArray[np.int64]
MOST = 1e12  # of a value: sums of squares of larger ones leave float32


@dataclass(frozen=True)
class ExpressionMatrix:
    """Counts (int32) or normalised values (float32) of cells x genes, kept sparse.

    Parameters
    ----------
    X_CG : scipy.sparse.csr_matrix, shape (n_cells, n_genes)
    cells : polars.DataFrame
        One row a cell, as `schema.CELLS`.
    genes : polars.DataFrame
        One row a gene, as `schema.GENES`.

    Raises
    ------
    DataError
        If the tables and the matrix disagree in length.
    SchemaError
        If a table does not follow its schema, for example names a cell or gene twice.
    """

    X_CG: sparse.csr_matrix
    cells: pl.DataFrame
    genes: pl.DataFrame

    def __post_init__(self) -> None:
        """Check that the three parts belong together."""
        if self.X_CG.shape != (self.cells.height, self.genes.height):
            raise DataError(
                f"{self.cells.height} cells x {self.genes.height} genes, as the tables say",
                f"a matrix of {self.X_CG.shape[0]} x {self.X_CG.shape[1]}",
                "Check that cells, genes and matrix come from the same file.",
            )
        schema.check(self.cells, schema.CELLS)
        schema.check(self.genes, schema.GENES)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.X_CG.shape[0])

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return int(self.X_CG.shape[1])

    def take(self, cells: IntArray) -> ExpressionMatrix:
        """Return the cells at these positions, in this order."""
        return replace(self, X_CG=self.X_CG[cells], cells=self.cells[cells])

    def take_genes(self, genes: IntArray) -> ExpressionMatrix:
        """Return the genes at these positions, in this order."""
        return replace(self, X_CG=self.X_CG[:, genes].tocsr(), genes=self.genes[genes])

    def positions(self, gene_ids: Sequence[str]) -> IntArray:
        """Column positions of genes named by id, see `gene_positions`."""
        return gene_positions(self.genes, gene_ids)


def gene_positions(genes: pl.DataFrame, gene_ids: Sequence[str]) -> IntArray:
    """Positions in a gene table of genes named by id.

    Raises
    ------
    PanelError
        If a gene is not in the table.
    """
    place = {gene: i for i, gene in enumerate(genes["gene_id"])}
    absent = [gene for gene in gene_ids if gene not in place]
    if absent:
        raise PanelError(
            f"genes among the {genes.height} of the matrix",
            f"{len(absent)} that are not there, first {', '.join(absent[:5])}",
            "Choose the panel again on this matrix, or remove these genes from it.",
        )
    return np.array([place[gene] for gene in gene_ids], dtype=np.int64)


def check_counts(X_CG: sparse.spmatrix) -> sparse.csr_matrix:
    """Return `X_CG` as int32 CSR when it holds counts: whole, not negative, not all zero.

    Raises
    ------
    DataError
        For an empty or all-zero matrix, places out of range, NaN, infinity, negative or non-integer values, values
        beyond int32.
    """
    if 0 in X_CG.shape:
        raise DataError("a matrix with cells and genes", f"shape {X_CG.shape}", "Check the file and its reader.")
    csr = _well_formed(X_CG)
    values = csr.data
    _check_values(values)
    if not values.any():
        raise DataError("counts", "a matrix of zeros only", "Check the file and its reader.")
    counts = sparse.csr_matrix((values.astype(np.int32), csr.indices.copy(), csr.indptr.copy()), shape=csr.shape)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def _well_formed(X_CG: sparse.spmatrix) -> sparse.csr_matrix:
    csr = sparse.csr_matrix(X_CG.astype(np.float32) if X_CG.dtype == np.float16 else X_CG)
    try:
        csr.check_format(full_check=True)
    except ValueError as error:
        raise DataError(
            f"places within {csr.shape[0]} cells x {csr.shape[1]} genes",
            str(error),
            "The file is damaged: get it again.",
        ) from error
    return csr


def _check_values(values: NDArray[Any]) -> None:
    counts = "raw counts (whole numbers from 0 to 2147483647)"
    remedy = "Give the unnormalised counts, for example `raw.X` or a counts layer of an h5ad file."
    if not np.isfinite(values).all():
        raise DataError(counts, f"{int((~np.isfinite(values)).sum())} values that are NaN or infinite", remedy)
    if values.size and values.min() < 0:
        raise DataError(counts, f"negative values, smallest {values.min():g}", remedy)
    if (values != np.rint(values)).any():
        raise DataError(counts, f"fractions, first {values[values != np.rint(values)][0]:g}", remedy)
    if values.size and float(values.max()) > np.iinfo(np.int32).max:
        raise DataError(counts, f"a value of {values.max():g}", remedy)


def to_torch(X_CG: sparse.csr_matrix, device: torch.device | str = "cpu") -> torch.Tensor:
    """Copy a block of cells to a dense float32 tensor on a device.

    The one crossing from sparse CPU memory to a dense device: to a GPU only the non-zeros travel.

    Parameters
    ----------
    X_CG : scipy.sparse.csr_matrix, shape (n_cells, n_genes)
    device : torch.device or str

    Returns
    -------
    torch.Tensor, shape (n_cells, n_genes), float32

    Raises
    ------
    DataError
        If a value is NaN, infinite or beyond 1e12.
    """
    import torch

    if X_CG.nnz and not -MOST <= X_CG.data.min() <= X_CG.data.max() <= MOST:
        raise _beyond(X_CG.data)
    if torch.device(device).type == "cpu":
        return torch.from_numpy(X_CG.toarray().astype(np.float32, copy=False))
    dense = torch.zeros(X_CG.shape, dtype=torch.float32, device=device)
    rows = np.repeat(np.arange(X_CG.shape[0], dtype=np.int64), np.diff(X_CG.indptr))
    flat = torch.from_numpy(rows * X_CG.shape[1] + X_CG.indices).to(device)
    dense.view(-1)[flat] = torch.from_numpy(np.require(X_CG.data, np.float32, "W")).to(device)
    return dense


def _beyond(values: NDArray[Any]) -> DataError:
    bad = values[~(np.abs(values) <= MOST)]
    return DataError(
        f"finite values up to {MOST:g}",
        f"{len(bad)} others in a block of cells, first {bad[0]:g}",
        "Prepare the data again: dvc repro prepare.",
    )


class Cells(Protocol):
    """A source of blocks of cells in order: any `Batches`, or cells with further columns behind the genes."""

    @property
    def n_cells(self) -> int:
        """Number of cells."""

    def in_order(self) -> Iterator[sparse.csr_matrix]:
        """Yield every cell once, in order, in blocks."""


class RowMap(Protocol):
    """Maps cells, each by itself, to as many cells of other columns."""

    @property
    def n_genes(self) -> int:
        """Columns of what comes out."""

    def __call__(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Map a block of cells."""


class Batches(Protocol):
    """A source of batches of cells, each a CSR block of B cells x all genes."""

    @property
    def n_cells(self) -> int:
        """Cells in one epoch."""

    @property
    def n_genes(self) -> int:
        """Genes of every block."""

    def epoch(self, epoch: int) -> Iterator[sparse.csr_matrix]:
        """Yield every cell once, in the order of that epoch, in blocks of the batch size."""

    def in_order(self) -> Iterator[sparse.csr_matrix]:
        """Yield every cell once, in the order of the file, in blocks."""

    def mapped(self, rows: RowMap) -> Batches:
        """Return the same cells in the same batches, each cell mapped, once where memory allows."""


@dataclass(frozen=True)
class MemoryBatches:
    """Batches of a matrix that is in memory, shuffled by (seed, epoch).

    Parameters
    ----------
    X_CG : scipy.sparse.csr_matrix, shape (n_cells, n_genes)
    batch_size : int
    seed : int
    """

    X_CG: sparse.csr_matrix
    batch_size: int = 256
    seed: int = 0

    @property
    def n_cells(self) -> int:
        """Cells in one epoch."""
        return int(self.X_CG.shape[0])

    @property
    def n_genes(self) -> int:
        """Genes of every block."""
        return int(self.X_CG.shape[1])

    def epoch(self, epoch: int) -> Iterator[sparse.csr_matrix]:
        """Yield every cell once, in the shuffled order of that epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.n_cells)
        for start in range(0, self.n_cells, self.batch_size):
            yield self.X_CG[order[start : start + self.batch_size]]

    def in_order(self) -> Iterator[sparse.csr_matrix]:
        """Yield every cell once, in order."""
        for start in range(0, self.n_cells, self.batch_size):
            yield self.X_CG[start : start + self.batch_size]

    def mapped(self, rows: RowMap) -> MemoryBatches:
        """Return the same cells in the same batches, each cell mapped."""
        return replace(self, X_CG=sparse.vstack([rows(block) for block in self.in_order()], format="csr"))
