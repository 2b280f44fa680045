"""10x folders and MatrixMarket text: where the files lie, and what is wrong with them."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scanpy
from scipy import io, sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw import market
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.market import read_market
from sclandmarks.io.raw.tenx_mtx import TenxMtxSettings, read_tenx_mtx
from sclandmarks.matrix import ExpressionMatrix

BANNER = b"%%MatrixMarket matrix coordinate integer general\n"
GOOD = BANNER + b"%made up\n3 2 4\n1 1 1\n3 1 2\n2 2 3\n3 2 4\n"
BARCODES = b"AA-1\nCC-1\n"
FEATURES = (
    b"ENSG00000000003\tTSPAN6\tGene Expression\nADT\tCD3\tAntibody Capture\nENSG00000000419\tDPM1\tGene Expression\n"
)
GENES = b"ENSG00000000003\tTSPAN6\nENSG00000000005\tTNMD\nENSG00000000419\tDPM1\n"


def write(folder: Path, matrix: bytes = GOOD, barcodes: bytes = BARCODES, genes: bytes = GENES) -> Path:
    for name, content in {"matrix.mtx": matrix, "barcodes.tsv": barcodes, "genes.tsv": genes}.items():
        (folder / name).write_bytes(content)
    return folder


def read(path: Path, **files: Path) -> ExpressionMatrix:
    return read_tenx_mtx({"counts": path} | files, TenxMtxSettings(format="tenx_mtx"), Origin("mine", "gut"))


@pytest.mark.parametrize("name", ["v3_mtx", "v1_mtx_hg19_chr21"])
def test_real_folders_give_what_scanpy_reads(shared: Callable[[str], Path], name: str) -> None:
    path = shared(f"tenx/{name}")
    ours, theirs = read(path), scanpy.read_10x_mtx(path, var_names="gene_ids")
    assert (sparse.csr_matrix(theirs.X).astype(np.int32) != ours.X_CG).nnz == 0
    assert ours.cells["cell_id"].to_list() == [f"mine/{name}" for name in theirs.obs_names]
    assert ours.genes["original"].to_list() == theirs.var_names.to_list()


def test_a_real_folder_and_its_h5_file_agree(shared: Callable[[str], Path]) -> None:
    from sclandmarks.io.raw.tenx_h5 import TenxH5Settings, read_tenx_h5

    files = {"counts": shared("tenx/filtered_feature_bc_matrix_v3_chr21.h5")}
    h5 = read_tenx_h5(files, TenxH5Settings(format="tenx_h5"), Origin("mine", "gut"))
    mtx = read(shared("tenx/v3_mtx"))
    assert (h5.X_CG != mtx.X_CG).nnz == 0
    assert h5.genes.equals(mtx.genes)
    assert h5.cells.equals(mtx.cells)


def test_a_folder_its_matrix_or_three_files(tmp_path: Path) -> None:
    folder = write(tmp_path)
    expected = [[1, 0, 2], [0, 3, 4]]
    assert read(folder).X_CG.toarray().tolist() == expected
    assert read(folder / "matrix.mtx").X_CG.toarray().tolist() == expected
    (folder / "barcodes.tsv").rename(folder / "b.txt")
    assert read(folder / "matrix.mtx", barcodes=folder / "b.txt").X_CG.toarray().tolist() == expected


def test_files_behind_a_prefix(tmp_path: Path) -> None:
    for path in list(write(tmp_path).iterdir()):
        path.rename(tmp_path / f"GSM1_{path.name}")
    assert read(tmp_path / "GSM1_matrix.mtx").n_cells == 2
    with pytest.raises(DataError, match=r"matrix\.mtx or matrix\.mtx\.gz.*GSM1_barcodes"):
        read(tmp_path)


def test_version_3_packed_with_antibodies_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "matrix.mtx.gz").write_bytes(gzip.compress(GOOD))
    (tmp_path / "barcodes.tsv.gz").write_bytes(gzip.compress(BARCODES))
    (tmp_path / "features.tsv.zst").write_bytes(pa.Codec("zstd").compress(FEATURES, asbytes=True))
    with caplog.at_level(logging.INFO):
        matrix = read(tmp_path)
    assert matrix.X_CG.toarray().tolist() == [[1, 2], [0, 4]]
    assert matrix.genes["symbol"].to_list() == ["TSPAN6", "DPM1"]
    assert "set aside: 1 Antibody Capture" in caplog.text


def test_names_alone_with_bom_and_crlf(tmp_path: Path) -> None:
    matrix = read(
        write(tmp_path, GOOD.replace(b"\n", b"\r\n"), b"\xef\xbb\xbfAA-1\r\nCC-1\r\n", b"A\r\nB\r\nC\r\n\r\n")
    )
    assert matrix.cells["cell_id"].to_list() == ["mine/AA-1", "mine/CC-1"]
    assert matrix.genes["symbol"].to_list() == ["A", "B", "C"]
    assert matrix.X_CG.sum() == 10


@pytest.mark.parametrize("block", [1, 7, 64, 100_000])
@pytest.mark.parametrize("order", ["columns", "rows", "shuffled"])
@pytest.mark.parametrize("packed", [True, False])
def test_the_matrix_scipy_writes_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, order: str, packed: bool
) -> None:
    monkeypatch.setattr(market, "BLOCK_BYTES", block)
    X = sparse.random(30, 20, 0.2, random_state=0, data_rvs=lambda n: np.arange(1, n + 1)).tocoo()
    place = {"columns": np.lexsort((X.row, X.col)), "rows": np.lexsort((X.col, X.row))}
    at = place.get(order, np.random.default_rng(0).permutation(X.nnz))
    text = tmp_path / "x.mtx"
    io.mmwrite(
        text, sparse.coo_matrix((X.data[at].astype(int), (X.row[at], X.col[at])), shape=X.shape), symmetry="general"
    )
    if packed:
        text.write_bytes(gzip.compress(text.read_bytes()))
    read = read_market(text)
    assert read.dtype == np.int32
    np.testing.assert_array_equal(read.toarray(), X.T.toarray())


@pytest.mark.parametrize(
    "body",
    [b"1 1 1.0\n3 1 2e0\n2 2 3\n3 2 4", b"1  1 1\n 3 1 2\n2\t2 3\n3 2 4 \n\n", b"3 2 4\n2 2 3\n3 1 1\n3 1 1\n1 1 1\n"],
)
def test_forms_that_occur(tmp_path: Path, body: bytes) -> None:
    n = len(body.strip().splitlines())
    banner = BANNER.replace(b"integer", b"real")
    (tmp_path / "x.mtx").write_bytes(banner + b"\n%%c\n3 2 %d\n" % n + body)
    assert read_market(tmp_path / "x.mtx").toarray().tolist() == [[1, 0, 2], [0, 3, 4]]


def test_no_entries(tmp_path: Path) -> None:
    (tmp_path / "x.mtx").write_bytes(BANNER + b"3 2 0\n")
    assert read_market(tmp_path / "x.mtx").nnz == 0


def with_body(body: bytes, size: bytes = b"3 2 2") -> bytes:
    return BANNER + size + b"\n" + body


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (b"", "MatrixMarket matrix coordinate.*got an empty line"),
        (b"gene,c1\nA,1\n", "MatrixMarket matrix coordinate.*got gene,c1"),
        (b"\x00\xff\x00", "MatrixMarket matrix coordinate"),
        (BANNER.replace(b"coordinate", b"array") + b"1 1\n1\n", "got .*array"),
        (BANNER.replace(b"integer", b"pattern") + b"1 1 1\n1 1\n", "got .*pattern"),
        (BANNER.replace(b"general", b"symmetric") + b"1 1 1\n1 1 1\n", "got .*symmetric"),
        (BANNER, "rows, columns and entries in line 2; got the end of the file"),
        (BANNER + b"%c\n3 2\n", "rows, columns and entries in line 3; got 3 2"),
        (BANNER + b"3 2 x\n", "rows, columns and entries in line 2"),
        (BANNER + b"3 -2 4\n", "rows and columns from 0"),
        (BANNER + b"3 3000000000 4\n", "rows and columns from 0 to 2147483647"),
        (with_body(b"1 1 1\n"), "2 entries, as the header says; got 1"),
        (with_body(b""), "2 entries, as the header says; got 0"),
        (with_body(b"1 1 1\n2 1 1\n2 2 1\n"), "2 entries, as the header says; got more, at least 3"),
        (with_body(b"1 1 1\n", b"3 2 99999999999"), "a file too short"),
        (with_body(b"1 1 1\n4 1 1\n"), "rows from 1 to 3, as the header says; got a row 4"),
        (with_body(b"1 1 1\n1 3 1\n"), "columns from 1 to 2, as the header says; got a column 3"),
        (with_body(b"0 1 1\n1 2 1\n"), "got a row 0"),
        (with_body(b"1 1 1\n1 -1 1\n"), "got a column -1"),
        (with_body(b"1 1 1\n3000000000 1 1\n"), "in lines 3 to 4"),
        (with_body(b"1 1 1\n1 2 x\n"), "a row, a column and a value in lines 3 to 4; got could not parse `x`"),
        (with_body(b"1 1 1\n1 2\n"), "fewer than three numbers"),
        (with_body(b"1 1 1\n1 2 3 4\n"), "in lines 3 to 4"),
        (with_body(b"1 1 1\n1 2 \xe9\n"), "in lines 3 to 4|0xe9 in line 4"),
        (with_body(b"1 1 1\n1 2 nan\n"), "NaN"),
        (with_body(b"1 1 1\n1 2 inf\n"), "infinite"),
        (with_body(b"1 1 1\n1 2 -1\n"), "negative"),
        (with_body(b"1 1 1\n1 2 0.5\n"), "fractions"),
        (with_body(b"1 1 1\n1 2 99999999999\n"), "a value of 1e"),
        (with_body(b"1 1 1\n", b"3 3 1"), "3 features x 2 barcodes.*got one of 3 x 3"),
        (with_body(b"1 1 1\n", b"2 2 1"), "got one of 2 x 2"),
        (gzip.compress(GOOD, mtime=0)[:-9], "readable .mtx file"),
        (pa.Codec("zstd").compress(GOOD, asbytes=True)[:-9], "readable .mtx file|entries|entries in line"),
    ],
)
def test_a_matrix_that_is_not_whole_is_refused(tmp_path: Path, matrix: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"({message})(.|\n)*data set mine, file .*matrix\.mtx"):
        read(write(tmp_path, matrix))


@pytest.mark.parametrize(
    ("barcodes", "genes", "message"),
    [
        (b"AA-1\n", GENES, r"3 features x 1 barcodes(.|\n)*matrix\.mtx"),
        (BARCODES, b"A\tA\n", r"1 features x 2 barcodes(.|\n)*matrix\.mtx"),
        (b"", GENES, r"3 features x 0 barcodes"),
        (b"AA-1\nAA-1\n", GENES, "each barcode once"),
        (BARCODES, GENES.replace(b"TNMD", b"\xe9"), r"0xe9 in line 2(.|\n)*genes\.tsv"),
        (BARCODES, b"A\tA\nB\nC\tC\n", r"as many fields in each line(.|\n)*genes\.tsv"),
        (gzip.compress(BARCODES, mtime=0)[:-9], GENES, r"readable text file(.|\n)*barcodes\.tsv"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path: Path, barcodes: bytes, genes: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, GOOD, barcodes, genes))


@pytest.mark.parametrize("name", ["matrix.mtx", "barcodes.tsv", "genes.tsv"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write(tmp_path) / name).unlink()
    with pytest.raises(DataError, match=rf"{name}.*Put the file there"):
        read(tmp_path)


@pytest.mark.parametrize(("size", "kind"), [(b"0 2 0", "genes"), (b"3 0 0", "cells")])
def test_no_cells_or_no_genes_are_refused(tmp_path: Path, size: bytes, kind: str) -> None:
    barcodes, genes = (b"", GENES) if kind == "cells" else (BARCODES, b"")
    with pytest.raises(DataError, match="a matrix with cells and genes"):
        read(write(tmp_path, BANNER + size + b"\n", barcodes, genes))
