"""A matrix on disk: what comes back, and what is never taken for a matrix."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import SchemaError
from sclandmarks.io import matrices
from sclandmarks.io.matrices import MATRIX, ROWS_PER_GROUP, MatrixFile, read_matrix, write_matrix
from sclandmarks.matrix import ExpressionMatrix

FILES = ["cells.parquet", "genes.parquet", MATRIX]


def assert_same(got: ExpressionMatrix, cells: pl.DataFrame, genes: pl.DataFrame, X_CG: sparse.csr_matrix) -> None:
    """Tables, type and every single stored value are the same."""
    assert_frame_equal(got.cells, cells)
    assert_frame_equal(got.genes, genes)
    assert got.X_CG.dtype == X_CG.dtype
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(got.X_CG, part), getattr(X_CG, part))


@pytest.fixture
def folder(planted, tmp_path: Path) -> Path:
    """Write the planted counts and values."""
    write_matrix(tmp_path / "planted", planted.counts, planted.values)
    return tmp_path / "planted"


def test_counts_and_values_come_back(planted, folder: Path) -> None:
    """Both columns of one file, each in its type, and nothing beside the three files."""
    counts = planted.counts
    assert_same(read_matrix(folder, "count"), counts.cells, counts.genes, counts.X_CG)
    assert_same(read_matrix(folder, "value"), counts.cells, counts.genes, planted.values)
    assert sorted(os.listdir(folder)) == FILES


def test_several_row_groups(make_matrix, tmp_path: Path) -> None:
    """More cells than a row group: whole, by groups, and groups in another order."""
    counts = make_matrix(2 * ROWS_PER_GROUP + 5, 7, mean=0.5)
    write_matrix(tmp_path, counts)
    file = MatrixFile(tmp_path)
    assert file.rows_of_groups.tolist() == [0, ROWS_PER_GROUP, 2 * ROWS_PER_GROUP, counts.n_cells]
    assert_same(read_matrix(tmp_path, "count"), counts.cells, counts.genes, counts.X_CG)
    backwards = np.r_[2 * ROWS_PER_GROUP : counts.n_cells, 0:ROWS_PER_GROUP]
    np.testing.assert_array_equal(file.read([2, 0], "count").toarray(), counts.X_CG.toarray()[backwards])


@pytest.mark.parametrize("n_cells", [0, ROWS_PER_GROUP, ROWS_PER_GROUP + 1])
def test_group_borders(make_matrix, tmp_path: Path, n_cells: int) -> None:
    """No cell, exactly one group, and one cell in the second."""
    counts = make_matrix(n_cells, 2)
    write_matrix(tmp_path, counts)
    assert_same(read_matrix(tmp_path, "count"), counts.cells, counts.genes, counts.X_CG)


def test_cells_without_reads_keep_their_row(make_matrix, tmp_path: Path) -> None:
    """Empty rows first, last and between."""
    counts = make_matrix(counts=[[0, 0], [0, 3], [0, 0], [1, 0], [0, 0]])
    write_matrix(tmp_path, counts)
    assert_same(read_matrix(tmp_path, "count"), counts.cells, counts.genes, counts.X_CG)


def test_writing_twice_gives_the_same_bytes(planted, folder: Path, tmp_path: Path) -> None:
    """DVC compares hashes: no time, host or order of memory enters a file."""
    write_matrix(tmp_path / "again", planted.counts, planted.values)
    write_matrix(tmp_path / "read", read_matrix(folder, "count"), read_matrix(folder).X_CG)
    for name in FILES:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
        assert (folder / name).read_bytes() == (tmp_path / "read" / name).read_bytes()


def test_raw_counts_have_no_values(make_matrix, tmp_path: Path) -> None:
    """Asking a raw matrix for normalised values names what it holds."""
    write_matrix(tmp_path, make_matrix())
    with pytest.raises(SchemaError, match=r"a column `value`.*'gene_index', 'count'"):
        read_matrix(tmp_path)


def test_values_at_other_places_are_refused(planted, folder: Path) -> None:
    """A normalisation that fills zeros is refused, and what was there before still stands."""
    other = planted.values.copy()
    other.data[0] = 0
    other.eliminate_zeros()
    with pytest.raises(SchemaError, match="at the places of the counts"):
        write_matrix(folder, planted.counts, other)
    assert_same(read_matrix(folder), planted.counts.cells, planted.counts.genes, planted.values)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_cut_file_says_what_to_do(folder: Path, name: str, share: float) -> None:
    """Each of the three files, cut anywhere."""
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SchemaError, match="dvc repro") as caught:
        read_matrix(folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_says_what_to_do(folder: Path, name: str) -> None:
    """Each of the three files, gone."""
    (folder / name).unlink()
    with pytest.raises(SchemaError, match="dvc repro") as caught:
        read_matrix(folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize(("name", "part"), [("genes.parquet", "genes"), ("cells.parquet", "cells")])
def test_tables_of_another_matrix_are_refused(planted, folder: Path, tmp_path: Path, name: str, part: str) -> None:
    """As many genes or cells in another order: positions would lie silently."""
    backwards = {"genes": planted.counts.take_genes, "cells": planted.counts.take}[part](
        np.arange(getattr(planted.counts, part).height)[::-1]
    )
    write_matrix(tmp_path / "other", backwards)
    shutil.copy(tmp_path / "other" / name, folder / name)
    with pytest.raises(SchemaError, match=f"made with the {part} of {part}.parquet; got one made with others"):
        read_matrix(folder)


def test_another_schema_version_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of an older release is named as such."""
    monkeypatch.setattr(schema, "VERSION", "0")
    with pytest.raises(SchemaError, match="made with schema version 0"):
        MatrixFile(folder).read(range(1))


def test_parquet_of_another_program_is_refused(folder: Path) -> None:
    """The same columns without our metadata are not ours."""
    pq.write_table(pq.read_table(folder / MATRIX).replace_schema_metadata(None), folder / MATRIX)
    with pytest.raises(SchemaError, match="or by something else"):
        read_matrix(folder)


def test_an_interrupted_write_is_never_taken_for_a_matrix(
    planted, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New tables beside the old matrix would be a lie: there is no matrix at all, and no file aside."""

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(matrices, "_write_groups", full)
    with pytest.raises(OSError, match="No space left"):
        write_matrix(folder, planted.counts.take(np.arange(9)))
    assert sorted(os.listdir(folder)) == ["cells.parquet", "genes.parquet"]
    with pytest.raises(SchemaError, match="a matrix at"):
        read_matrix(folder, "count")


def test_genes_hash_is_by_id_and_order(make_matrix) -> None:
    """What makes columns the same: ids in their order, nothing else of the table."""
    genes = make_matrix().genes
    renamed = genes.with_columns(symbol=pl.lit("x"))
    assert matrices.genes_hash(renamed) == matrices.genes_hash(genes)
    assert matrices.genes_hash(genes[::-1]) != matrices.genes_hash(genes)
