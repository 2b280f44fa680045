"""Parquet: layouts, columns by name, parts, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sclandmarks.errors import DataError, SchemaError
from sclandmarks.io.matrices import write_matrix
from sclandmarks.io.raw import long_table, wide_table
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.parquet import ParquetSettings, read_parquet
from sclandmarks.matrix import ExpressionMatrix

X_CG = np.random.default_rng(0).poisson(0.8, (40, 7))
GENES = ["A1BG", "GAPDH", "CDK4", "TP53", "NR3C1", "AARS1", "ACTB"]
CELLS = [f"c{i}" for i in range(40)]


def read(path: Path, **settings: Any) -> ExpressionMatrix:
    return read_parquet({"counts": path}, ParquetSettings(format="parquet", **settings), Origin("mine", "gut"))


def write(path: Path, columns: dict[str, Any], rows: int = 9) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows)
    return path


def long(**more: Any) -> dict[str, Any]:
    rows, columns = np.nonzero(X_CG)
    counts = {
        "cell_id": np.array(CELLS, object)[rows],
        "gene": np.array(GENES, object)[columns],
        "n": X_CG[rows, columns],
    }
    return counts | {name: np.array(values, object)[rows] for name, values in more.items()}


def test_a_folder_of_ours_comes_back_with_all_that_is_known(tmp_path: Path, make_matrix: Any) -> None:
    matrix = make_matrix(counts=X_CG, dataset="first")
    write_matrix(tmp_path / "x", matrix)
    for path in (tmp_path / "x", tmp_path / "x" / "matrix.parquet"):
        again = read(path)
        np.testing.assert_array_equal(again.X_CG.toarray(), X_CG)
        assert again.genes.equals(matrix.genes)
        for name in ("donor", "tissue", "cell_type", "sample", "condition"):
            assert again.cells[name].to_list() == matrix.cells[name].to_list()
        assert [one.removeprefix("mine/") for one in again.cells["cell_id"]] == [
            one.partition("/")[2] for one in matrix.cells["cell_id"]
        ]


def test_a_folder_of_ours_that_is_not_whole_is_refused(tmp_path: Path, make_matrix: Any) -> None:
    write_matrix(tmp_path / "x", make_matrix(counts=X_CG))
    (tmp_path / "x" / "cells.parquet").unlink()
    with pytest.raises(SchemaError, match=r"(.|\n)*data set mine, file"):
        read(tmp_path / "x")


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.float32, np.float64])
def test_a_wide_table_in_blocks_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    monkeypatch.setattr(wide_table, "BLOCK_VALUES", 1)
    columns = {"who": CELLS} | dict(zip(GENES, X_CG.T.astype(kind), strict=True))
    matrix = read(write(tmp_path / "x.parquet", columns))
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG)
    assert matrix.genes["original"].to_list() == GENES


def test_a_wide_table_of_pandas_with_annotations_and_totals(tmp_path: Path) -> None:
    frame = pd.DataFrame(X_CG, index=pd.Index(CELLS), columns=GENES)
    frame.insert(0, "kind", pd.Categorical(["T", "B"] * 20))
    frame.insert(1, "age", np.arange(40))
    frame["total"] = X_CG.sum(axis=1)
    frame.to_parquet(tmp_path / "x.parquet")
    matrix = read(tmp_path / "x.parquet", cell="__index_level_0__", cell_type="kind", donor="age", ignore=["total"])
    assert matrix.genes["original"].to_list() == GENES
    assert matrix.cells["cell_type"].to_list() == ["T", "B"] * 20
    assert matrix.cells["donor"].to_list()[:2] == ["0", "1"]
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG)


@pytest.mark.parametrize("block", [1, 5, 1 << 20])
def test_a_long_table_with_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(long_table, "BLOCK_ROWS", block)
    kinds = [None if i % 3 else f"t{i}" for i in range(40)]
    matrix = read(write(tmp_path / "x.parquet", long(kind=kinds)), cell_type="kind")
    seen = [int(one.removeprefix("mine/c")) for one in matrix.cells["cell_id"]]
    places = [GENES.index(gene) for gene in matrix.genes["original"]]
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG[np.ix_(seen, places)])
    assert matrix.cells["cell_type"].to_list() == [kinds[i] or "Unknown" for i in seen]


def test_counts_of_the_same_cell_and_gene_are_added_up(tmp_path: Path) -> None:
    columns = {"barcode": ["a", "a", "b"], "symbol": ["CDK4"] * 3, "count": np.array([100, 100, 1], np.int8)}
    assert read(write(tmp_path / "x.parquet", columns)).X_CG.toarray().tolist() == [[200], [1]]


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({"a": [1, 2]}, {}, "a column of names, of text, and columns of numbers"),
        ({"a": ["x", "y"]}, {}, "columns of numbers; got columns a"),
        ({"a": ["x", None], "CDK4": [1, 2]}, {}, "a name in every field of a"),
        ({"a": ["x", "y"], "CDK4": [1, None]}, {}, "a value in every field; got none in one of column CDK4"),
        ({"cell": ["x"], "gene": ["CDK4"], "n": ["1"]}, {}, "a number in every field of n; got values of type string"),
        ({"cell": ["x"], "gene": [None], "n": [1]}, {}, "a name in every field of gene|a number"),
        ({"cell": ["x"], "gene": ["CDK4"], "n": [1]}, {"gene": "g"}, "a column g; got a table with cell"),
        ({"cell": ["x", "x"], "gene": ["A", "CDK4"], "n": [1, 2], "t": ["T", "B"]}, {"cell_type": "t"}, "one t"),
        ({"c": ["x"], "d": [1]}, {"layout": "long"}, "columns of cells, genes and counts; got a table with c, d"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_counts_is_refused(
    tmp_path: Path, columns: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=rf"({message})(.|\n)*data set mine, file .*x\.parquet"):
        read(write(tmp_path / "x.parquet", columns), **settings)


def test_parts_of_other_columns_and_folders_without_any_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(DataError, match="a folder without"):
        read(tmp_path / "x")
    write(tmp_path / "x" / "0.parquet", {"a": ["x"], "CDK4": [1]})
    write(tmp_path / "x" / "1.parquet", {"a": ["y"], "AARS1": [1]})
    with pytest.raises(DataError, match=r"the columns of 0\.parquet in 1\.parquet"):
        read(tmp_path / "x")
