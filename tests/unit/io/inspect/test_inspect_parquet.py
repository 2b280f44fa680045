"""A look at Parquet: which layout, which columns, what is wrong; the lines proposed are read back."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sclandmarks.errors import DataError, SclandmarksError
from sclandmarks.io.inspect import Inspection, inspect
from sclandmarks.io.matrices import write_matrix
from sclandmarks.io.raw import READERS
from sclandmarks.io.registry.datasets import parse_registry
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import files_of
from sclandmarks.matrix import ExpressionMatrix

GENES = ["A1BG", "GAPDH", "AATF", "CDK4"]
N = 12
X_CG = np.random.default_rng(0).poisson(2.0, (N, len(GENES)))
CELLS = [f"c{i:02d}" for i in range(N)]
TYPES = ["T", "B", "T"] * (N // 3)


def read(found: Inspection, folder: Path) -> ExpressionMatrix:
    (dataset,) = parse_registry(yaml.safe_load(found.yaml)).values()
    return READERS["parquet"](files_of(dataset, folder, Fetched()), dataset.reader, dataset.origin("mine"))


def saved(folder: Path, **options: Any) -> Path:
    columns = options.pop("columns")
    pq.write_table(pa.table(columns), folder / "x.parquet", **options)
    return folder / "x.parquet"


def wide(**more: Any) -> dict[str, Any]:
    return {**more, "barcode": CELLS, **dict(zip(GENES, X_CG.T, strict=True))}


def long(**names: str) -> dict[str, Any]:
    rows, columns = np.indices(X_CG.shape)
    cell, gene, count = (names.get(key, key) for key in ("cell", "gene", "count"))
    of_cell = rows.ravel()
    return {cell: np.array(CELLS)[of_cell].tolist(), gene: np.array(GENES)[columns.ravel()].tolist(),
            count: X_CG.ravel(), "cell_type": np.array(TYPES)[of_cell].tolist()}  # fmt: skip


def test_labels_of_a_wide_table_are_columns_and_no_genes(tmp_path: Path) -> None:
    columns = wide(cell_type=TYPES, batch=[1, 2] * (N // 2))
    found = inspect(saved(tmp_path, columns=columns))
    assert (found.n_cells, found.n_genes, found.layout) == (N, 4, "cells x genes")
    assert found.entry["reader"] == {
        "format": "parquet", "layout": "wide", "orientation": "cells_by_genes", "cell": "barcode",
        "cell_type": "cell_type", "sample": "batch",
    }  # fmt: skip
    matrix = read(found, tmp_path)
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG)
    assert matrix.cells["cell_type"].to_list() == TYPES
    assert matrix.cells["sample"].to_list() == ["1", "2"] * (N // 2)


def test_genes_in_rows_and_a_description_before_them(tmp_path: Path) -> None:
    columns = {"kind": ["a", "a", "b", "b"], "gene": GENES, **dict(zip(CELLS, X_CG, strict=True))}
    found = inspect(saved(tmp_path, columns=columns, row_group_size=2))
    assert found.entry["reader"]["gene"] == "gene"
    np.testing.assert_array_equal(read(found, tmp_path).X_CG.toarray(), X_CG)


def test_a_long_table_s_labels_are_found(tmp_path: Path) -> None:
    found = inspect(saved(tmp_path, columns=long(), row_group_size=7))
    assert (found.n_cells, found.n_genes, found.exact) == (N, 4, True)
    assert found.entry["reader"] == {"format": "parquet", "layout": "long", "cell": "cell", "gene": "gene",
                                     "count": "count", "cell_type": "cell_type"}  # fmt: skip
    matrix = read(found, tmp_path)
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG)
    assert matrix.cells["cell_type"].to_list() == TYPES


def test_beyond_the_budget_the_cells_of_a_long_table_are_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sclandmarks.io.inspect.parquet.BUDGET", 10)
    found = inspect(saved(tmp_path, columns=long(), row_group_size=2 * len(GENES)))
    assert not found.exact
    assert found.n_cells == N
    np.testing.assert_array_equal(read(found, tmp_path).X_CG.toarray(), X_CG)


def test_a_folder_of_ours_says_what_it_knows_of_its_cells(tmp_path: Path) -> None:
    made = read(inspect(saved(tmp_path, columns=wide(cell_type=TYPES))), tmp_path)
    (tmp_path / "ours").mkdir()
    write_matrix(tmp_path / "ours", made)
    found = inspect(tmp_path / "ours")
    assert found.entry["reader"] == {"format": "parquet", "layout": "ours"}
    assert {one.name: one.n_levels for one in found.columns}["cell_type"] == 2
    assert (found.n_cells, found.n_genes, found.genes.n_landmarks) == (N, 4, 2)
    matrix = read(found, tmp_path)
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG)
    assert matrix.cells["cell_type"].to_list() == TYPES
    (tmp_path / "ours" / "cells.parquet").unlink()
    with pytest.raises(SclandmarksError, match=r"cells\.parquet"):
        inspect(tmp_path / "ours")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (wide() | {"CDK4": [None, *range(N - 1)]}, "empty fields: 1 in CDK4"),
        (wide() | {"barcode": [None, *CELLS[1:]]}, "empty fields: 1 in barcode"),
        (wide() | {"barcode": ["c", *["d"] * (N - 1)]}, "repeated barcodes: 10"),
        (wide() | {"CDK4": -X_CG[:, 3]}, "negative values"),
        ({"x": CELLS, "y": range(N)}, "not clear whether genes are rows or columns"),
        (long() | {"count": [None, *range(N * 4 - 1)]}, "empty fields: 1 in count"),
    ],
)
def test_what_stands_in_the_way_is_said_and_is_refused_by_the_reader(
    columns: dict[str, Any], says: str, tmp_path: Path
) -> None:
    found = inspect(saved(tmp_path, columns=columns))
    assert not found.is_fit
    assert any(says in problem.what for problem in found.problems if problem.fatal), found.problems
    with pytest.raises(DataError):
        read(found, tmp_path)


def test_tables_without_names_or_numbers_are_explained(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"a column of names, of text, and columns of numbers; got columns CDK4 \(int64"
    ):
        inspect(saved(tmp_path, columns={"CDK4": [1, 2]}))
    with pytest.raises(DataError, match="a column of names"):
        inspect(saved(tmp_path, columns={"cell": ["a", "b"]}))


def test_a_cut_file_a_packed_one_and_parts_of_two_tables_are_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path, columns=wide()).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "packed").write_bytes(gzip.compress(whole))
    with pytest.raises(DataError, match="a whole file of counts"):
        inspect(tmp_path / "cut.parquet")
    with pytest.raises(DataError, match="a Parquet file packed with gzip"):
        inspect(tmp_path / "packed")
    (tmp_path / "cut.parquet").unlink()
    pq.write_table(pa.table({"other": [1]}), tmp_path / "y.parquet")
    with pytest.raises(DataError, match=r"the columns of x\.parquet in y\.parquet"):
        inspect(tmp_path)
