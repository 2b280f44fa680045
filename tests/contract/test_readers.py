"""One contract for every reader: what comes out of a file of counts, and which files are refused."""

from __future__ import annotations

import gzip
import runpy
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.genes import strip_version
from sclandmarks.io.matrices import hash_ids
from sclandmarks.io.raw import READERS
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.h5ad import H5adSettings, ZarrSettings
from sclandmarks.io.raw.loom import LoomSettings
from sclandmarks.io.raw.panglaodb import PanglaodbSettings
from sclandmarks.io.raw.parquet import ParquetSettings
from sclandmarks.io.raw.table import TableSettings
from sclandmarks.io.raw.tenx_h5 import TenxH5Settings
from sclandmarks.io.raw.tenx_mtx import TenxMtxSettings
from sclandmarks.matrix import ExpressionMatrix

BARCODES = ["AAC-1", "ACG-1", "CGT-1"]
GENES = ["A1BG", "GAPDH", "zebra", "CDK4"]
X_CG = np.array([[3, 0, 0, 300], [0, 0, 1, 0], [2, 2**24 + 1, 0, 7]], dtype=np.float64)
ORIGIN = Origin("mine", "colon")
R = runpy.run_path(str(Path(__file__).parents[1] / "unit/io/raw/rdata_bytes.py"))


class Written(NamedTuple):
    """Files as a source gives them, and the settings to read them with."""

    files: dict[str, Path]
    settings: Any


Writer = Callable[[Path, np.ndarray, list[str], list[str]], Written]


def compressed(data: bytes, ending: str) -> bytes:
    if ending.endswith(".zst"):
        return pa.Codec("zstd").compress(data, asbytes=True)
    return gzip.compress(data) if ending.endswith(".gz") else data


def write_text(orientation: str, ending: str, separator: str = ",", asked: str = "") -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        by_genes = orientation == "genes_by_cells"
        values, rows, columns = (X.T, genes, barcodes) if by_genes else (X, barcodes, genes)
        lines = [separator.join(["", *columns])]
        lines += [separator.join([name, *(f"{v:.17g}" for v in row)]) for name, row in zip(rows, values, strict=True)]
        data = ("\n".join(lines) + "\n").encode()
        path = folder / f"counts{ending}"
        path.write_bytes(compressed(data, ending))
        settings = {"format": "table", "orientation": asked or orientation, "separator": separator}
        return Written({"counts": path}, TableSettings.model_validate(settings))

    return write


def write_anndata(matrix: str, form: Callable[[np.ndarray], Any], ending: str = "h5ad", asked: str = "") -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        import anndata

        obs, var = pd.DataFrame(index=pd.Index(barcodes)), pd.DataFrame(index=pd.Index(genes))
        path = folder / f"counts.{ending}"
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
            other.write_h5ad(path) if ending == "h5ad" else other.write_zarr(path)
        kind = H5adSettings if ending == "h5ad" else ZarrSettings
        return Written({"counts": path}, kind(format=ending, matrix=asked or matrix))

    return write


def write_loom(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
    path = folder / "counts.loom"
    with h5py.File(path, "w") as file:
        file["matrix"] = X.T
        file["row_attrs/Gene"] = np.array(genes, dtype=object)
        file["col_attrs/CellID"] = np.array([name.encode() for name in barcodes])
    return Written({"counts": path}, LoomSettings(format="loom"))


def write_tenx_h5(version: int) -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        path, csr = folder / "counts.h5", sparse.csr_matrix(X)
        names = np.array(genes, dtype="S40")
        with h5py.File(path, "w") as file:
            group = file.create_group("matrix" if version == 3 else "hg19")
            arrays = {"data": csr.data, "indices": csr.indices.astype(np.int64), "indptr": csr.indptr.astype(np.int64)}
            arrays |= {"shape": np.array(X.T.shape, dtype=np.int32), "barcodes": np.array(barcodes, dtype="S18")}
            kinds = np.full(len(genes), b"Gene Expression")
            of_3 = {"features/id": names, "features/name": names, "features/feature_type": kinds}
            for key, values in (arrays | (of_3 if version == 3 else {"genes": names, "gene_names": names})).items():
                group[key] = values
        return Written({"counts": path}, TenxH5Settings(format="tenx_h5"))

    return write


def write_tenx_mtx(ending: str, features: str) -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        coo = sparse.csr_matrix(X).tocoo()
        lines = ["%%MatrixMarket matrix coordinate real general", f"{X.shape[1]} {X.shape[0]} {coo.nnz}"]
        lines += [f"{j + 1} {i + 1} {v:.17g}" for i, j, v in zip(coo.row, coo.col, coo.data, strict=True)]
        rest = "\tGene Expression" if features == "features" else ""
        texts = {
            "counts.mtx": lines,
            "barcodes.tsv": barcodes,
            f"{features}.tsv": [f"{name}\t{name}{rest}" for name in genes],
        }
        for name, content in texts.items():
            data = "".join(f"{line}\n" for line in content).encode()
            (folder / f"{name}{ending}").write_bytes(compressed(data, ending))
        counts, cells, rows = (folder / f"{name}{ending}" for name in texts)
        files = {"counts": counts, "barcodes": cells, "features": rows}
        return Written(files, TenxMtxSettings(format="tenx_mtx"))

    return write


def write_panglaodb(name: str, version: int) -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        path = folder / "counts.RData"
        path.write_bytes(gzip.compress(R["workspace"](R["slots"](X.T, genes, barcodes), name, version)))
        return Written({"counts": path}, PanglaodbSettings(format="panglaodb"))

    return write


def write_ours(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
    """Our folder, by hand, so that it can hold what `write_matrix` refuses."""
    path, csr, n = folder / "counts.parquet", sparse.csr_matrix(X), len(barcodes)
    path.mkdir()
    ids, unknown = [f"other/{barcode}" for barcode in barcodes], ["Unknown"] * n
    cells = {"cell_id": ids, "dataset": ["other"] * n, "sample": unknown, "donor": unknown, "tissue": [""] * n}
    cells |= {"condition": unknown, "cell_type": unknown, "library_size": [1] * n}
    ensembl = [strip_version(gene) for gene in genes]
    names = {"gene_id": genes, "symbol": genes, "ensembl_id": ensembl, "original": genes}
    for table, columns in ((schema.CELLS, cells), (schema.GENES, names)):
        frame = pl.DataFrame(columns, schema=table.dtypes).to_arrow()
        about = {"sclandmarks.schema": schema.VERSION}
        pq.write_table(frame.replace_schema_metadata(about), path / f"{table.name}.parquet")
    about = {"sclandmarks.cells": hash_ids(pl.Series(ids)), "sclandmarks.genes": hash_ids(pl.Series(genes))}
    lists = [pa.ListArray.from_arrays(csr.indptr, values) for values in (csr.indices, csr.data)]
    matrix = pa.table(lists, ["gene_index", "count"]).replace_schema_metadata(
        about | {"sclandmarks.schema": schema.VERSION}
    )
    pq.write_table(matrix, path / "matrix.parquet", row_group_size=2)
    return Written({"counts": path}, ParquetSettings(format="parquet"))


def write_wide(orientation: str, asked: str = "auto", folder_of: bool = False) -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        by_genes = orientation == "genes_by_cells"
        values, rows, columns = (X.T, genes, barcodes) if by_genes else (X, barcodes, genes)
        table = pa.table([pa.array(rows), *map(pa.array, values.T)], ["", *columns])
        path = folder / "counts.parquet"
        if folder_of:
            path.mkdir()
            pq.write_table(table[:1], path / "part-0.parquet")
            pq.write_table(table[1:], path / "part-1.parquet")
        else:
            pq.write_table(table, path, row_group_size=2)
        return Written({"counts": path}, ParquetSettings(format="parquet", orientation=asked))

    return write


def write_long(names: dict[str, str]) -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        """Every place, zero or not, so that cells and genes come in order."""
        rows, columns = (places.ravel() for places in np.indices(X.shape))
        table = {
            names.get("cell", "cell"): np.array(barcodes, dtype=object)[rows],
            names.get("gene", "gene"): np.array(genes, dtype=object)[columns],
            names.get("count", "count"): X.ravel(),
        }
        path = folder / "counts.parquet"
        pq.write_table(pa.table(table), path, row_group_size=5)
        return Written({"counts": path}, ParquetSettings(format="parquet", **names))

    return write


LONG = ("parquet, long", "parquet, long, named")
"""Here a cell or a gene that is there twice is the same one."""
OURS = "parquet, ours"
"""Here a cell or a gene that is there twice is refused as a fault of the folder."""
WRITERS: dict[str, Writer] = {
    "table, genes x cells": write_text("genes_by_cells", ".csv"),
    "table, cells x genes, gzip": write_text("cells_by_genes", ".csv.gz"),
    "table, TSV": write_text("genes_by_cells", ".tsv", "\t"),
    "table, zstd, orientation found": write_text("genes_by_cells", ".csv.zst", asked="auto"),
    "h5ad, X, CSR": write_anndata("X", sparse.csr_matrix),
    "h5ad, X, dense": write_anndata("X", np.asarray),
    "h5ad, X, found": write_anndata("X", sparse.csr_matrix, asked="auto"),
    "h5ad, raw.X, CSC": write_anndata("raw.X", sparse.csc_matrix),
    "h5ad, raw.X, dense": write_anndata("raw.X", np.asarray),
    "h5ad, raw.X, found": write_anndata("raw.X", sparse.csr_matrix, asked="auto"),
    "h5ad, layer": write_anndata("layers/counts", sparse.csr_matrix),
    "h5ad, layer, found": write_anndata("layers/counts", np.asarray, asked="auto"),
    "zarr, X, CSR": write_anndata("X", sparse.csr_matrix, "zarr"),
    "zarr, layer, dense, found": write_anndata("layers/counts", np.asarray, "zarr", asked="auto"),
    "loom": write_loom,
    "tenx_h5, version 1": write_tenx_h5(1),
    "tenx_h5, version 3": write_tenx_h5(3),
    "tenx_mtx, version 1": write_tenx_mtx("", "genes"),
    "tenx_mtx, version 3": write_tenx_mtx(".gz", "features"),
    "panglaodb, RDX2": write_panglaodb("sm", 2),
    "panglaodb, RDX3, sm2": write_panglaodb("sm2", 3),
    OURS: write_ours,
    "parquet, wide": write_wide("cells_by_genes"),
    "parquet, wide, genes x cells": write_wide("genes_by_cells", "genes_by_cells"),
    "parquet, wide, folder": write_wide("cells_by_genes", "cells_by_genes", folder_of=True),
    LONG[0]: write_long({}),
    LONG[1]: write_long({"cell": "c", "gene": "g", "count": "k"}),
}


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def read(writer: str, tmp_path: Path) -> Callable[..., ExpressionMatrix]:
    def write_and_read(
        X: np.ndarray = X_CG,
        barcodes: list[str] = BARCODES,
        genes: list[str] = GENES,
        origin: Origin = ORIGIN,
        labels: str | None = None,
        **settings: Any,
    ) -> ExpressionMatrix:
        written = WRITERS[writer](tmp_path, X, barcodes, genes)
        files = dict(written.files)
        if labels is not None:
            files["labels"] = tmp_path / "labels.csv"
            files["labels"].write_text(labels)
        chosen = type(written.settings).model_validate(written.settings.model_dump() | settings)
        return READERS[written.settings.format](files, chosen, origin)

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


def test_a_value_beyond_int32_is_refused_in_single_precision(tmp_path: Path) -> None:
    written = write_anndata("X", sparse.csr_matrix)(tmp_path, (X_CG + 2.0**31).astype(np.float32), BARCODES, GENES)
    with pytest.raises(DataError, match=r"a value of 2\.1(.|\n)*counts\.h5ad"):
        READERS["h5ad"](written.files, written.settings, ORIGIN)


def test_zeros_only_are_refused(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError, match=r"zeros only(.|\n)*counts\."):
        read(np.zeros((3, 4)))


@pytest.mark.parametrize("writer", sorted(WRITERS.keys() - {*LONG, OURS}))
def test_a_barcode_twice_is_refused(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError, match=r"each barcode once; got 1 more than once, first AAC-1\.(.|\n)*counts\."):
        read(barcodes=["AAC-1", "ACG-1", "AAC-1"])


@pytest.mark.parametrize("writer", sorted(WRITERS.keys() - {*LONG, OURS}))
@pytest.mark.parametrize(
    ("genes", "merged"),
    [
        (["A1BG", "GAPDH", "A1BG", "CDK4"], "A1BG|A1BG"),
        (["ENSG00000135446.1", "GAPDH", "ENSG00000135446.2", "B"], "ENSG00000135446.1|ENSG00000135446.2"),
        (["AARS", "GAPDH", "AARS1", "CDK4"], "AARS|AARS1"),
    ],
    ids=["symbol twice", "two versions", "retired and current"],
)
def test_a_gene_twice_is_added_up_and_said(
    read: Callable[..., ExpressionMatrix], caplog: pytest.LogCaptureFixture, genes: list[str], merged: str
) -> None:
    matrix = read(genes=genes)
    assert matrix.genes["original"].to_list() == [merged, genes[1], genes[3]]
    np.testing.assert_array_equal(matrix.X_CG.toarray(), np.stack([X_CG[:, 0] + X_CG[:, 2], X_CG[:, 1], X_CG[:, 3]], 1))
    assert matrix.X_CG.dtype == np.int32
    assert matrix.X_CG.has_sorted_indices
    assert matrix.cells["library_size"].to_list() == X_CG.sum(axis=1).astype(int).tolist()
    assert f"1 genes have several names in the file, and these are added up: {merged}" in caplog.text


@pytest.mark.parametrize(("writer", "given"), [*((one, "A1BG") for one in LONG), (OURS, "AARS1")])
def test_a_gene_twice_where_a_name_cannot_be_twice(
    read: Callable[..., ExpressionMatrix], writer: str, given: str
) -> None:
    matrix = read(genes=[given, "GAPDH", "AARS" if given == "AARS1" else given, "CDK4"])
    np.testing.assert_array_equal(matrix.X_CG.toarray(), np.stack([X_CG[:, 0] + X_CG[:, 2], X_CG[:, 1], X_CG[:, 3]], 1))


def test_copies_of_the_pseudo_autosomal_regions_stay_apart(read: Callable[..., ExpressionMatrix]) -> None:
    matrix = read(genes=["ENSG00000182378.14", "GAPDH", "ENSG00000182378.14_PAR_Y", "B"])
    assert matrix.genes["gene_id"].to_list()[::2] == ["ENSG00000182378", "ENSG00000182378_PAR_Y"]
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG)


def test_sums_beyond_int32_are_refused(read: Callable[..., ExpressionMatrix]) -> None:
    X = X_CG.copy()
    X[0, [0, 2]] = 2.0**31 - 1
    with pytest.raises(DataError, match=r"sums of a gene's counts up to 2147483647; got 4294967294"):
        read(X, genes=["AARS", "GAPDH", "AARS1", "CDK4"])


LABELS = "id\ttype\twho\tlibrary\twhere\tstate\nCGT-1\tB, naive\td2\ts2\tileum\t\nAAC-1\tT\td1\ts1\tcolon\tsick\n"
NAMED = {"cell_type": "type", "donor": "who", "sample": "library", "tissue": "where", "condition": "state"}


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_labels_are_joined_by_barcode(
    read: Callable[..., ExpressionMatrix], caplog: pytest.LogCaptureFixture, separator: str
) -> None:
    text = LABELS.replace("\t", separator) + separator.join(["TTT-1", "T", "d3", "s3", "colon", "well"])
    cells = read(labels=text, barcode="id", **NAMED, origin=Origin("mine", "gut", condition="well")).cells
    assert cells["cell_type"].to_list() == ["T", "Unknown", "B, naive"]
    assert cells["donor"].to_list() == ["d1", "Unknown", "d2"]
    assert cells["sample"].to_list() == ["s1", "Unknown", "s2"]
    assert cells["tissue"].to_list() == ["colon", "gut", "ileum"]
    assert cells["condition"].to_list() == ["sick", "well", "well"]
    assert "1 of 3 cells have no row in the labels and are Unknown" in caplog.text
    assert "1 of 3 rows of the labels are for no cell of the counts" in caplog.text


def test_labels_whose_first_column_is_the_barcodes_are_joined_by_it(read: Callable[..., ExpressionMatrix]) -> None:
    cells = read(labels="x,type\nCGT-1,B\nAAC-1,T\nACG-1,NK\n").cells
    assert cells["cell_type"].to_list() == ["T", "NK", "B"]


def test_labels_without_barcodes_go_by_place(read: Callable[..., ExpressionMatrix]) -> None:
    assert read(labels='"","x"\n"1","T"\n"2","NK"\n"3","B"\n').cells["cell_type"].to_list() == ["T", "NK", "B"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"barcode": "where"}, "rows for these cells, the first of them AAC-1; got none, the first is for ileum"),
        ({"barcode": "id", "cell_type": "no"}, "a column no; got id, type, who"),
        ({"barcode": "no", "cell_type": "type"}, "one column no; got 0 of id, type"),
        ({"barcode": "id", "cell_type": "type", "donor": "no"}, "a column no of annotations.*`reader.donor`"),
        ({}, "1 of 3 barcodes that are not in the first column.*`reader.barcode: id`"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    read: Callable[..., ExpressionMatrix], settings: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=rf"{message}(.|\n)*data set mine, file "):
        read(labels=LABELS, **settings)


def test_a_column_that_is_nowhere_is_refused(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError, match=r"a column state of annotations(.|\n)*`reader.condition`(.|\n)*role `labels`"):
        read(condition="state")


HUMAN, MOUSE = Origin("mine", "colon", organism="Homo sapiens"), Origin("mine", "colon", organism="Mus musculus")
MOUSE_GENES = ["Cdk4", "Aars1", "mt-Co1", "Nr3c1"]
MOUSE_IDS = [f"ENSMUSG0000000000{i}.2" for i in range(4)]


@pytest.mark.parametrize("genes", [MOUSE_GENES, MOUSE_IDS], ids=["symbols", "ids"])
def test_genes_of_mouse_are_refused_for_a_human_entry(read: Callable[..., ExpressionMatrix], genes: list[str]) -> None:
    with pytest.raises(DataError, match=r"genes of Homo sapiens.*got genes of Mus musculus.*`reader.orthologs`"):
        read(genes=genes, origin=HUMAN)


@pytest.mark.parametrize("genes", [MOUSE_GENES, MOUSE_IDS], ids=["symbols", "ids"])
def test_genes_of_mouse_become_human_by_their_orthologs(
    read: Callable[..., ExpressionMatrix], tmp_path: Path, genes: list[str]
) -> None:
    pairs = zip(genes, ["CDK4", "AARS", "MT-CO1", "NR3C1"], strict=True)
    others = f"{genes[2]}\tMT-CO2\nmore\tNR3C1\n"
    (tmp_path / "pairs.tsv").write_text("mouse\thuman\n" + "".join(f"{a}\t{b}\n" for a, b in pairs) + others)
    matrix = read(genes=genes, origin=HUMAN, orthologs=tmp_path / "pairs.tsv")
    assert matrix.genes["symbol"].to_list() == ["CDK4", "AARS1"]
    assert matrix.genes["original"].to_list() == genes[:2]
    assert matrix.genes["gene_id"].to_list() == ["ENSG00000135446", "ENSG00000090861"]
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG[:, :2])
    assert matrix.cells["library_size"].to_list() == X_CG.sum(axis=1).astype(int).tolist()


def test_genes_of_mouse_are_kept_for_an_entry_of_mouse(read: Callable[..., ExpressionMatrix]) -> None:
    assert read(genes=MOUSE_IDS, origin=MOUSE).genes["gene_id"][3] == "ENSMUSG00000000003"


def test_human_ids_are_refused_for_an_entry_of_mouse(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError, match=r"genes of Mus musculus.*got genes of Homo sapiens.*Correct `organism`"):
        read(genes=[f"ENSG0000000000{i}" for i in range(4)], origin=MOUSE)


@pytest.mark.parametrize("writer", sorted(WRITERS.keys() - {"tenx_h5, version 1"}))  # it has a group for each
def test_genes_of_two_genomes_are_refused_until_one_is_chosen(
    read: Callable[..., ExpressionMatrix], tmp_path: Path
) -> None:
    genes = ["GRCh38_CDK4", "GRCh38_A1BG", "mm10___Gapdh", "mm10___Actb"]
    with pytest.raises(DataError, match=r"genes of one organism; got 2 of GRCh38, 2 of mm10.*`reader.genome`"):
        read(genes=genes)
    for path in tmp_path.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    matrix = read(genes=genes, genome="GRCh38")
    assert matrix.genes["symbol"].to_list() == ["CDK4", "A1BG"]
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG[:, :2])
    assert matrix.cells["library_size"].to_list() == X_CG[:, :2].sum(axis=1).astype(int).tolist()


COUNTS = np.array([[3, 0, 1, 30], [0, 0, 1, 7], [2, 241, 3, 7]])


def normalised(base: float | None) -> np.ndarray:
    scaled = 1e4 * COUNTS / COUNTS.sum(axis=1, keepdims=True)
    return np.asarray(np.log1p(scaled) / base if base else scaled, dtype=np.float32)


def test_normalised_values_are_refused_with_the_setting_that_helps(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError, match=r"fractions(.|\n)*`reader.normalised: recover`"):
        read(normalised(1.0))


@pytest.mark.parametrize("writer", [name for name in WRITERS if not name.endswith("found") or "table" in name])
@pytest.mark.parametrize("base", [1.0, np.log(2), np.log(10), None], ids=["e", "2", "10", "no logarithm"])
def test_counts_are_recovered(read: Callable[..., ExpressionMatrix], base: float | None) -> None:
    matrix = read(normalised(base), normalised="recover")
    assert matrix.X_CG.dtype == np.int32
    np.testing.assert_array_equal(matrix.X_CG.toarray(), COUNTS)
    assert matrix.cells["library_size"].to_list() == COUNTS.sum(axis=1).tolist()


def test_what_is_not_exact_is_not_recovered(read: Callable[..., ExpressionMatrix]) -> None:
    values = np.random.default_rng(0).uniform(0.5, 3, (3, 4))
    with pytest.raises(DataError, match=r"(recovered exactly|`reader.matrix`)(.|\n)*data set mine, file .*counts"):
        read(values, normalised="recover")


def test_an_empty_name_is_refused(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError):
        read(barcodes=["AAC-1", "", "CGT-1"])


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bcut", b"\x89HDF\r\n\x1a\nbroken", bytes(range(256))])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_broken_file_is_refused(tmp_path: Path, writer: str, content: bytes) -> None:
    written = WRITERS[writer](tmp_path, X_CG, BARCODES, GENES)
    if written.files["counts"].is_dir():
        shutil.rmtree(written.files["counts"])
    written.files["counts"].write_bytes(content)
    with pytest.raises(DataError, match=r"counts\."):
        READERS[written.settings.format](written.files, written.settings, ORIGIN)
