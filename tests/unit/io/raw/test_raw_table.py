"""Counts as text: the layouts that occur, and what is refused."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
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
        pa.Codec("zstd").compress(GOOD, asbytes=True),
        b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"),
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
        ("gene,c\u00e9,c2\nA,1,2\n".encode("latin-1"), "UTF-8; got the byte 0xe9 in line 1, as in Latin-1"),
        ("gene,c1,c2\n\u00e9,1,2\n".encode("latin-1"), "UTF-8; got the byte 0xe9 in line 2"),
        ("gene,c1,c2\nA,1,2\nB,0,1\n\u00e9,1,2\n".encode("latin-1"), "UTF-8; got the byte 0xe9 in line 4.*Save"),
        ("gene,c1,c2\nA,1,2\nB,\u00e9,1\n".encode("latin-1"), "UTF-8; got the byte 0xe9 in line 3"),
        (pa.Codec("zstd").compress(GOOD * 9, asbytes=True)[:-9], "readable text, gzip or zstd file|."),
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
        (b"i,x\n1,A\n", "header and 2 rows; got 1 rows"),
        (b"i,x\n1,A\n2,B\n3,C\n", "header and 2 rows; got 3 rows"),
        (b"x\nA\nB\n", "a label in the second column; got x"),
        (b"", "a header and rows; got 0 lines"),
        (b"id,x\nc2,B\nc3,A\n", "1 of 2 barcodes that are not in the first column.*`reader.barcode: id`"),
        (b"i,x\n1,A\n2,\xff\n", "text in UTF-8; got the byte 0xff in line 3"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"{message}(.|\n)*file .*labels\.csv"):
        read(tmp_path, GOOD, labels)


def test_a_cut_gzip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="readable text, gzip or zstd"):
        read(tmp_path, gzip.compress(GOOD)[:-9])


@pytest.mark.parametrize(
    ("columns", "rows", "by_genes"),
    [
        (["AAC", "CCG"], ["CDK4", "notagene"], True),
        (["AAC", "CCG"], ["cdk4", "x"], True),
        (["AAC", "CCG"], ["ENSMUSG00000000001.1", "ENSMUSG00000032093"], True),
        (["AAC", "CCG"], ["TSPAN6_ENSG00000000003.14", "b"], True),
        (["ENSG00000000003", "CDK4"], ["cell1", "cell2"], False),
    ],
)
def test_the_side_of_the_genes_is_found_and_said_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, columns: list[str], rows: list[str], by_genes: bool
) -> None:
    text = "\n".join([f"x,{','.join(columns)}", f"{rows[0]},1,2", f"{rows[1]},0,3"])
    with caplog.at_level(logging.INFO):
        matrix = read(tmp_path, text.encode(), orientation="auto")
    assert matrix.genes["original"].to_list() == (rows if by_genes else columns)
    assert matrix.X_CG.toarray().tolist() == ([[1, 0], [2, 3]] if by_genes else [[1, 2], [0, 3]])
    assert f"taken as {'genes_by_cells' if by_genes else 'cells_by_genes'}: " in caplog.text


def test_orientation_is_found_unless_it_is_set() -> None:
    assert TableSettings(format="table").orientation == "auto"


@pytest.mark.parametrize(
    ("counts", "seen"),
    [
        (b"x,c1,c2\nr1,1,2\nr2,0,3\n", "0% of the rows and 0%"),
        (b"x,CDK4,c2\nCDK4,1,2\nr2,0,3\n", "50% of the rows and 50%"),
    ],
)
def test_an_orientation_that_is_not_clear_is_refused(tmp_path: Path, counts: bytes, seen: str) -> None:
    with pytest.raises(DataError, match=rf"{seen}.*`reader.orientation`(.|\n)*data set mine, file .*counts\.csv"):
        read(tmp_path, counts, orientation="auto")
