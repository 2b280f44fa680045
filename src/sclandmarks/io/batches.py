"""Batches of cells streamed from a Parquet matrix, mixed by row groups and a buffer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.io.matrices import MatrixFile, Values
from sclandmarks.matrix import RowMap


@dataclass(frozen=True)
class ParquetBatches:
    """Batches of some rows of a matrix file, never held as a whole.

    An epoch reads the row groups in a seeded order, fills a buffer with the wanted rows, and draws batches from
    the shuffled buffer: cells of one batch come from several row groups. The order depends on (seed, epoch)
    alone, so that an interrupted training resumes with the same batches. Row groups are kept decoded up to
    `cache_bytes`.

    Parameters
    ----------
    file : MatrixFile
    rows : numpy.ndarray of int64
        Rows to use (for example the training cells), sorted.
    batch_size, buffer_cells : int
        Cells a batch, and cells that are shuffled together.
    seed : int
    values : {"count", "value"}
    cache_bytes : int
        Memory for decoded row groups.
    row_maps : tuple of RowMap
        What every row is passed through, before rows are mixed and kept.
    """

    file: MatrixFile
    rows: NDArray[np.int64]
    batch_size: int = 256
    buffer_cells: int = 8192
    seed: int = 0
    values: Values = "value"
    cache_bytes: int = 1 << 30
    row_maps: tuple[RowMap, ...] = ()
    _cache: dict[int, sparse.csr_matrix] = field(default_factory=dict, repr=False)

    @property
    def n_cells(self) -> int:
        """Cells in one epoch."""
        return len(self.rows)

    @property
    def n_genes(self) -> int:
        """Genes of every block."""
        return self.row_maps[-1].n_genes if self.row_maps else int(self.file.genes.height)

    def reordered(self, batch_size: int, seed: int) -> ParquetBatches:
        """Return the same rows in other batches; what is decoded is shared."""
        return replace(self, batch_size=batch_size, seed=seed)

    def mapped(self, rows: RowMap) -> ParquetBatches:
        """Return the same cells in the same batches, each cell mapped; mapped row groups are kept as others are."""
        return replace(self, row_maps=(*self.row_maps, rows), _cache={})

    def epoch(self, epoch: int) -> Iterator[sparse.csr_matrix]:
        """Yield every wanted row once, shuffled by (seed, epoch), `batch_size` rows at a time."""
        rng = np.random.default_rng([self.seed, epoch])
        buffer: list[sparse.csr_matrix] = []
        for group in rng.permutation(self.file.n_groups):
            buffer.append(self._wanted(int(group)))
            if sum(block.shape[0] for block in buffer) >= self.buffer_cells:
                yield from self._drain(buffer, rng, keep_rest=True)
        yield from self._drain(buffer, rng, keep_rest=False)

    def in_order(self) -> Iterator[sparse.csr_matrix]:
        """Yield every wanted row once, in the order of the file."""
        for group in range(self.file.n_groups):
            block = self._wanted(group)
            for start in range(0, block.shape[0], self.batch_size):
                yield block[start : start + self.batch_size]

    def _drain(
        self, buffer: list[sparse.csr_matrix], rng: np.random.Generator, keep_rest: bool
    ) -> Iterator[sparse.csr_matrix]:
        cells = sparse.vstack(buffer, format="csr")
        order = rng.permutation(cells.shape[0])
        end = len(order) - len(order) % self.batch_size if keep_rest else len(order)
        buffer[:] = [cells[order[end:]]]
        for start in range(0, end, self.batch_size):
            yield cells[order[start : min(start + self.batch_size, end)]]

    def _wanted(self, group: int) -> sparse.csr_matrix:
        if group in self._cache:
            return self._cache[group]
        first, last = self.file.rows_of_groups[group : group + 2]
        wanted = self.rows[(self.rows >= first) & (self.rows < last)] - first
        block = self.file.read([group], self.values)[wanted]
        for row_map in self.row_maps:
            block = row_map(block)
        if sum(_bytes(kept) for kept in self._cache.values()) + _bytes(block) <= self.cache_bytes:
            self._cache[group] = block
        return block


def _bytes(block: sparse.csr_matrix) -> int:
    return int(block.data.nbytes + block.indices.nbytes + block.indptr.nbytes)
