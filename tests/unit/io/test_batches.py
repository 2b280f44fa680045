"""Batches streamed from disk: every cell once, in an order that (seed, epoch) alone decides."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from sclandmarks.io import matrices
from sclandmarks.io.batches import ParquetBatches
from sclandmarks.io.matrices import MatrixFile, write_matrix

N_CELLS, ROWS_PER_GROUP = 203, 16
ROWS = np.arange(N_CELLS)[np.arange(N_CELLS) % 3 != 0]


@pytest.fixture(scope="module")
def folder(make_matrix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 13 row groups of 16 cells; the first gene of a cell counts its row, from 1."""
    counts = make_matrix(N_CELLS, 4).X_CG.toarray()
    counts[:, 0] = np.arange(N_CELLS) + 1
    folder = tmp_path_factory.mktemp("matrix")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrices, "ROWS_PER_GROUP", ROWS_PER_GROUP)
        write_matrix(folder, make_matrix(counts=counts))
    return folder


def batches(folder: Path, rows: np.ndarray = ROWS, **settings: int) -> ParquetBatches:
    """Batches of 10 of a freshly opened file."""
    settings = {"batch_size": 10, "buffer_cells": 64, **settings}
    return ParquetBatches(MatrixFile(folder), rows, values="count", **settings)


def rows_of(blocks: Iterable[sparse.csr_matrix]) -> list[list[int]]:
    """Rows of the file in each block."""
    return [(block[:, 0].toarray().ravel() - 1).tolist() for block in blocks]


def flat(blocks: Iterable[sparse.csr_matrix]) -> list[int]:
    """Rows of the file, over all blocks."""
    return [row for block in rows_of(blocks) for row in block]


@pytest.mark.parametrize("batch_size", [1, 10, 64, 1000])
@pytest.mark.parametrize("buffer_cells", [1, 64, 10_000])
def test_every_cell_once_an_epoch(folder: Path, batch_size: int, buffer_cells: int) -> None:
    """Whatever the buffer: all batches full but the last, each wanted row once, no other."""
    source = batches(folder, batch_size=batch_size, buffer_cells=buffer_cells)
    blocks = rows_of(source.epoch(0))
    assert sorted(row for block in blocks for row in block) == ROWS.tolist()
    assert {len(block) for block in blocks[:-1]} <= {batch_size}
    assert 1 <= len(blocks[-1]) <= batch_size
    assert (source.n_cells, source.n_genes) == (len(ROWS), 4)


def test_rows_are_those_of_the_file(folder: Path) -> None:
    """A batch holds whole cells, not only the gene that counts rows."""
    whole = MatrixFile(folder).read(range(13), "count")
    for block in batches(folder).epoch(2):
        np.testing.assert_array_equal(block.toarray(), whole[block[:, 0].toarray().ravel() - 1].toarray())


def test_seed_and_epoch_alone_decide_the_order(folder: Path) -> None:
    """An interrupted training resumes with the batches it would have had."""
    resumed, running = batches(folder, seed=3), batches(folder, seed=3)
    history = [flat(running.epoch(epoch)) for epoch in range(3)]
    assert flat(resumed.epoch(2)) == history[2]
    assert flat(running.epoch(0)) == history[0]


def test_epochs_and_seeds_differ(folder: Path) -> None:
    """Neither another epoch nor another seed repeats an order, nor is one the order of the file."""
    orders = [flat(batches(folder, seed=seed).epoch(epoch)) for seed in (0, 1) for epoch in (0, 1)]
    orders.append(ROWS.tolist())
    assert len({tuple(order) for order in orders}) == 5


def test_a_batch_mixes_row_groups(folder: Path) -> None:
    """Neighbours on disk, often one cell type, do not come alone."""
    groups = [{row // ROWS_PER_GROUP for row in block} for block in rows_of(batches(folder).epoch(0))]
    assert min(len(group) for group in groups[:-1]) >= 3


def test_the_cache_changes_nothing(folder: Path) -> None:
    """Cached, partly cached and uncached give the same batches, in the second epoch too."""
    sources = [batches(folder, cache_bytes=size) for size in (0, 2000, 1 << 30)]
    orders = [[flat(source.epoch(epoch)) for epoch in (0, 1, 0)] for source in sources]
    assert orders[0] == orders[1] == orders[2]
    assert [len(source._cache) for source in sources[::2]] == [0, 13]
    assert 0 < len(sources[1]._cache) < 13


def test_in_order_is_the_order_of_the_file(folder: Path) -> None:
    """For evaluation: each wanted row once, in order, in blocks of at most the batch size."""
    blocks = rows_of(batches(folder).in_order())
    assert [row for block in blocks for row in block] == ROWS.tolist()
    assert max(len(block) for block in blocks) <= 10


@pytest.mark.parametrize("rows", [np.array([], dtype=np.int64), np.array([202])], ids=["none", "last"])
def test_few_rows(folder: Path, rows: np.ndarray) -> None:
    """No cell is no batch, one cell one batch."""
    assert flat(batches(folder, rows).epoch(0)) == flat(batches(folder, rows).in_order()) == rows.tolist()


class First:
    """Maps every cell to its first gene and twice that."""

    n_genes = 2

    def __call__(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Map a block."""
        return sparse.hstack([block[:, 0], 2 * block[:, 0]], format="csr")


@pytest.mark.parametrize("cache_bytes", [0, 1 << 30])
def test_mapped_batches_are_the_same_cells(folder: Path, cache_bytes: int) -> None:
    """In the same order, whether what is mapped is kept or not; the batches that were mapped are as before."""
    whole = batches(folder, cache_bytes=cache_bytes)
    before = rows_of(whole.in_order())
    mapped = whole.mapped(First())
    assert (mapped.n_cells, mapped.n_genes, whole.n_genes) == (whole.n_cells, 2, 4)
    for epoch in (0, 1, 1):
        blocks = list(mapped.epoch(epoch))
        assert rows_of(blocks) == rows_of(whole.epoch(epoch))
        assert all((block[:, 1] != 2 * block[:, 0]).nnz == 0 for block in blocks)
    assert rows_of(mapped.in_order()) == rows_of(whole.in_order()) == before
    assert next(whole.in_order()).shape[1] == 4


def test_maps_follow_each_other(folder: Path) -> None:
    """The second is given what the first makes."""
    twice = batches(folder).mapped(First()).mapped(First())
    assert twice.n_genes == 2
    assert rows_of(twice.epoch(2)) == rows_of(batches(folder).epoch(2))


def test_a_mapped_file_without_wanted_rows_in_a_group(folder: Path) -> None:
    """Blocks without a row are mapped too: all have the columns of the map."""
    mapped = batches(folder, np.array([1, 100])).mapped(First())
    assert flat(mapped.epoch(0)) in ([1, 100], [100, 1])
