"""Counts as text: the layouts that occur, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from sclandmarks.errors import DataError
from sclandmarks.io.raw import table
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.table import TableSettings, read_text_table
from sclandmarks.matrix import ExpressionMatrix

GOOD = b"gene,c1,c2\nA,1,2\nB,0,5\n"


def read(
    folder: Path, counts: bytes, labels: bytes | None = None, separator: str = ",", orientation: str = "genes_by_cells"
) -> ExpressionMatrix:
    files = {"counts": folder / "counts.csv"}
    files["counts"].write_bytes(counts)
    if labels is not None:
        files["labels"] = folder / "labels.csv"
        files["labels"].write_bytes(labels)
    values = {"format": "table", "orientation": orientation, "separator": separator}
    return read_text_table(files, TableSettings.model_validate(values), Origin("mine", "colon"))


@pytest.mark.parametrize(
    "counts",
    [
        GOOD,
        GOOD.rstrip(),
        GOOD + b"\n\n",
        GOOD.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + GOOD,
        b'"","c1","c2"\n"A",1,2\n"B",0,5\n',
        b'"gene","c1","c2"\n"A","1","2"\n"B","0","5"\n',
        b"c1,c2\nA,1,2\nB,0,5\n",
        b"gene,c1,c2\nA,1.0,2e0\nB,0,5\n",
        gzip.compress(GOOD, mtime=0),
    ],
)
def test_layouts_that_occur(tmp_path: Path, counts: bytes) -> None:
    matrix = read(tmp_path, counts)
    assert matrix.X_CG.toarray().tolist() == [[1, 0], [2, 5]]
    assert matrix.cells["cell_id"].to_list() == ["mine/c1", "mine/c2"]
    assert matrix.genes["original"].to_list() == ["A", "B"]


@pytest.mark.parametrize("orientation", ["genes_by_cells", "cells_by_genes"])
@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_of_any_size_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, orientation: str
) -> None:
    monkeypatch.setattr(table, "BLOCK_BYTES", block)
    X = np.random.default_rng(0).poisson(0.5, (30, 11))
    lines = [",".join(["", *(f"k{j}" for j in range(11))])]
    lines += [",".join([f"r{i}", *map(str, row)]) for i, row in enumerate(X)]
    matrix = read(tmp_path, "\n".join(lines).encode(), orientation=orientation)
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X.T if orientation == "genes_by_cells" else X)


def test_separators(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD.replace(b",", b"\t"), separator="\t").n_cells == 2
    assert read(tmp_path, GOOD.replace(b",", b";"), separator=";").n_cells == 2


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (b"gene,c1,c2\nA,1,2\nB,x,5\n", "2 numbers in lines 2 to 3; got could not parse `x`"),
        (b"gene,c1,c2\nA,1,2\nB,NA,5\n", "could not parse `NA`"),
        (b"gene,c1,c2\nA,1,2\nB,0,\n", "none in line 3, column c2"),
        (b"gene,c1,c2\nA,1,2\nB,0\n", "none in line 3, column c2"),
        (b"gene,c1,c2\nA,1,2\n\nB,0,5\n", "none in line 3"),
        (b"gene,c1,c2\nA,1,2\n,0,5\n", "none in line 3, the row's name"),
        (b"gene,c1,c2\nA,1,2\nB,0,5,6\n", "in lines 2 to 3"),
        (b"gene,c1,c2\nA,1\nB,0\n", "3 fields in the header and 2 in the first row"),
        (b"gene,c1,c2\nA,1,2,3,4\n", "3 fields in the header and 5 in the first row"),
        (b"gene\tc1\tc2\nA\t1\t2\n", "Check the file and the `separator`"),
        (b"gene,c1,c2\n", "0 in the first row"),
        (b"gene,c1,c2\nA,1,nan\n", "NaN"),
        (b"gene,c1,c1\nA,1,2\n", "each barcode once"),
        ("gene,c\u00e9,c2\nA,1,2\n".encode("latin-1"), "UTF-8"),
    ],
)
def test_what_is_no_table_of_counts_is_refused(tmp_path: Path, counts: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"{message}(.|\n)*data set mine, file .*counts\.csv"):
        read(tmp_path, counts)


def test_lines_are_counted_over_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "BLOCK_BYTES", 8)
    rows = b"".join(b"g%d,1,2\n" % i for i in range(50))
    with pytest.raises(DataError, match="none in line 52, column c1"):
        read(tmp_path, b"gene,c1,c2\n" + rows + b"last,,2\n")


@pytest.mark.parametrize("labels", [b'"","x"\n"1","T cell"\n"2","B, naive"\n', b'id,type\nc1,T cell\nc2,"B, naive"\n'])
def test_labels_go_by_place(tmp_path: Path, labels: bytes) -> None:
    assert read(tmp_path, GOOD, labels).cells["cell_type"].to_list() == ["T cell", "B, naive"]


@pytest.mark.parametrize("missing", [b"", b"NA"])
def test_a_missing_label_is_unknown(tmp_path: Path, missing: bytes) -> None:
    assert read(tmp_path, GOOD, b"i,x\n1," + missing + b"\n2,B\n").cells["cell_type"].to_list() == ["Unknown", "B"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (b"i,x\n1,A\n", "header and 2 rows.*got 1 such rows of 1"),
        (b"i,x\n1,A\n2,B\n3,C\n", "got 3 such rows of 3"),
        (b"x\nA\nB\n", "got 0 such rows of 2"),
        (b"", "got 0 such rows of 0"),
        (b"id,x\nc2,B\nc1,A\n", "label 1 for c2 where the counts have c1"),
        (b"\xff\xfe", "readable table of labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"{message}(.|\n)*file .*labels\.csv"):
        read(tmp_path, GOOD, labels)


def test_a_cut_gzip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="readable text or gzip"):
        read(tmp_path, gzip.compress(GOOD)[:-9])
