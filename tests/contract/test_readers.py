"""One contract for every reader: what comes out of a file of counts, and which files are refused."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.io.raw import READERS
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.h5ad import H5adSettings
from sclandmarks.io.raw.table import TableSettings
from sclandmarks.matrix import ExpressionMatrix

BARCODES = ["AAC-1", "ACG-1", "CGT-1"]
GENES = ["A1BG", "GAPDH", "zebra", "CDK4"]
X_CG = np.array([[3, 0, 0, 300], [0, 0, 1, 0], [2, 2**24 + 1, 0, 7]], dtype=np.float64)
ORIGIN = Origin("mine", "colon")


class Written(NamedTuple):
    """Files as a source gives them, and the settings to read them with."""

    files: dict[str, Path]
    settings: Any


Writer = Callable[[Path, np.ndarray, list[str], list[str]], Written]


def write_text(orientation: str, ending: str, separator: str = ",") -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        by_genes = orientation == "genes_by_cells"
        values, rows, columns = (X.T, genes, barcodes) if by_genes else (X, barcodes, genes)
        lines = [separator.join(["", *columns])]
        lines += [separator.join([name, *(f"{v:.17g}" for v in row)]) for name, row in zip(rows, values, strict=True)]
        data = ("\n".join(lines) + "\n").encode()
        path = folder / f"counts{ending}"
        path.write_bytes(gzip.compress(data) if ending.endswith(".gz") else data)
        settings = {"format": "table", "orientation": orientation, "separator": separator}
        return Written({"counts": path}, TableSettings.model_validate(settings))

    return write


def write_h5ad(matrix: str, form: Callable[[np.ndarray], Any]) -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        import anndata

        obs, var = pd.DataFrame(index=pd.Index(barcodes)), pd.DataFrame(index=pd.Index(genes))
        with warnings.catch_warnings(), anndata.settings.override(allow_write_nullable_strings=True):
            warnings.simplefilter("ignore")
            counts = anndata.AnnData(form(X), obs=obs, var=var)
            other = anndata.AnnData(np.full(X.shape, 0.5, dtype=np.float32), obs=obs, var=var)
            if matrix == "X":
                other = counts
            elif matrix == "raw.X":
                other.raw = counts
            else:
                other.layers[matrix.removeprefix("layers/")] = counts.X
            other.write_h5ad(folder / "counts.h5ad")
        return Written({"counts": folder / "counts.h5ad"}, H5adSettings(format="h5ad", matrix=matrix))

    return write


WRITERS: dict[str, Writer] = {
    "table, genes x cells": write_text("genes_by_cells", ".csv"),
    "table, cells x genes, gzip": write_text("cells_by_genes", ".csv.gz"),
    "table, TSV": write_text("genes_by_cells", ".tsv", "\t"),
    "h5ad, X, CSR": write_h5ad("X", sparse.csr_matrix),
    "h5ad, X, dense": write_h5ad("X", np.asarray),
    "h5ad, raw.X, CSC": write_h5ad("raw.X", sparse.csc_matrix),
    "h5ad, raw.X, dense": write_h5ad("raw.X", np.asarray),
    "h5ad, layer": write_h5ad("layers/counts", sparse.csr_matrix),
}


@pytest.fixture(params=WRITERS)
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., ExpressionMatrix]:
    def write_and_read(
        X: np.ndarray = X_CG, barcodes: list[str] = BARCODES, genes: list[str] = GENES, origin: Origin = ORIGIN
    ) -> ExpressionMatrix:
        written = WRITERS[request.param](tmp_path, X, barcodes, genes)
        return READERS[written.settings.format](written.files, written.settings, origin)

    return write_and_read


def test_every_reader_is_under_this_contract() -> None:
    assert {name.partition(",")[0] for name in WRITERS} == set(READERS)


def test_counts_are_exact_int32_csr_with_sorted_indices(read: Callable[..., ExpressionMatrix]) -> None:
    matrix = read()
    assert matrix.X_CG.format == "csr"
    assert matrix.X_CG.dtype == np.int32
    assert matrix.X_CG.has_sorted_indices
    assert matrix.X_CG.nnz == np.count_nonzero(X_CG)
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG)


def test_tables_follow_their_schema(read: Callable[..., ExpressionMatrix]) -> None:
    matrix = read()
    schema.check(matrix.cells, schema.CELLS)
    schema.check(matrix.genes, schema.GENES)
    assert matrix.cells["cell_id"].to_list() == [f"mine/{barcode}" for barcode in BARCODES]
    assert matrix.cells["library_size"].to_list() == X_CG.sum(axis=1).astype(int).tolist()
    assert matrix.genes["original"].to_list() == GENES
    assert matrix.genes["gene_id"].to_list()[3] == "ENSG00000135446"  # CDK4 is a landmark of L1000


def test_what_is_not_given_is_unknown(read: Callable[..., ExpressionMatrix]) -> None:
    cells = read().cells
    assert set(cells["cell_type"]) == {"Unknown"}
    assert set(cells["donor"]) == {"Unknown"}
    assert set(cells["tissue"]) == {"colon"}


def test_the_donor_of_the_entry_is_used(read: Callable[..., ExpressionMatrix]) -> None:
    assert set(read(origin=Origin("mine", "colon", "D1")).cells["donor"]) == {"D1"}


def test_library_sizes_do_not_overflow(read: Callable[..., ExpressionMatrix]) -> None:
    X = np.full((3, 4), 2.0**31 - 1)
    assert read(X).cells["library_size"].to_list() == [4 * (2**31 - 1)] * 3


def test_a_cell_without_reads_stays(read: Callable[..., ExpressionMatrix]) -> None:
    X = X_CG.copy()
    X[1] = 0
    assert read(X).cells["library_size"].to_list()[1] == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [(-1.0, "negative"), (0.5, "fractions"), (np.nan, "NaN"), (np.inf, "infinite"), (2.0**31, "a value of")],
)
def test_values_that_are_no_counts_are_refused(
    read: Callable[..., ExpressionMatrix], value: float, message: str
) -> None:
    X = X_CG.copy()
    X[1, 2] = value
    with pytest.raises(DataError, match=rf"{message}(.|\n)*data set mine, file .*counts\."):
        read(X)


def test_zeros_only_are_refused(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError, match=r"zeros only(.|\n)*counts\."):
        read(np.zeros((3, 4)))


def test_a_barcode_twice_is_refused(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError, match=r"each barcode once; got 1 more than once, first AAC-1\.(.|\n)*counts\."):
        read(barcodes=["AAC-1", "ACG-1", "AAC-1"])


@pytest.mark.parametrize(
    ("genes", "first"),
    [
        (["A1BG", "GAPDH", "A1BG", "CDK4"], "A1BG"),
        (["ENSG00000135446.1", "GAPDH", "ENSG00000135446.2", "B"], "ENSG00000135446 = ENSG00000135446.1 = .*[.]2"),
    ],
)
def test_a_gene_twice_is_refused(read: Callable[..., ExpressionMatrix], genes: list[str], first: str) -> None:
    with pytest.raises(DataError, match=rf"each gene once; got 1 more than once, first {first}(.|\n)*counts\."):
        read(genes=genes)


def test_an_empty_name_is_refused(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError):
        read(barcodes=["AAC-1", "", "CGT-1"])


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bcut", b"\x89HDF\r\n\x1a\nbroken", bytes(range(256))])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_broken_file_is_refused(tmp_path: Path, writer: str, content: bytes) -> None:
    written = WRITERS[writer](tmp_path, X_CG, BARCODES, GENES)
    written.files["counts"].write_bytes(content)
    with pytest.raises(DataError, match=r"counts\."):
        READERS[written.settings.format](written.files, written.settings, ORIGIN)
