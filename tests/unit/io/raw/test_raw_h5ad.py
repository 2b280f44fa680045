"""AnnData's files: which matrix, which columns, and what is there instead."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.h5ad import H5adSettings, ZarrSettings, read_h5ad, read_zarr
from sclandmarks.matrix import ExpressionMatrix

COUNTS = np.array([[1, 0, 2], [0, 3, 0]], dtype=np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    obs = pd.DataFrame(
        {"kind": pd.Categorical(["T", None]), "who": ["d1", "d2"], "part": ["ileum", "colon"]}, index=["a", "b"]
    )
    ids = pd.Index(["ENSG00000000003.14", "ENSG00000135446", "ENSG00000000419"], name="gene_id")
    var = pd.DataFrame({"name": pd.Categorical(["TSPAN6", "CDK4", None]), "id": list(ids)}, index=ids)
    raw = anndata.AnnData(sparse.csr_matrix(COUNTS), obs=obs, var=var)
    adata = anndata.AnnData(sparse.csr_matrix(COUNTS / 2), obs=obs, var=var)
    adata.raw = raw
    adata.layers["counts"] = sparse.csc_matrix(COUNTS * 2)
    adata.write_h5ad(tmp_path / "x.h5ad")
    return tmp_path / "x.h5ad"


@pytest.fixture(autouse=True)
def _strings_of_pandas_3_can_be_written() -> Iterator[None]:
    with anndata.settings.override(allow_write_nullable_strings=True):
        yield


def read(path: Path, **settings: Any) -> ExpressionMatrix:
    return read_h5ad({"counts": path}, H5adSettings(format="h5ad", **settings), Origin("mine", "gut", "D"))


@pytest.mark.parametrize(("matrix", "factor"), [("raw.X", 1), ("layers/counts", 2)])
def test_the_matrix_asked_for_is_read(path: Path, matrix: str, factor: int) -> None:
    np.testing.assert_array_equal(read(path, matrix=matrix).X_CG.toarray(), COUNTS * factor)


def test_normalised_values_are_refused_with_a_hint(path: Path) -> None:
    with pytest.raises(DataError, match=r"fractions.*raw\.X"):
        read(path, matrix="X")


def test_columns_of_obs_are_used_and_missing_labels_are_unknown(path: Path) -> None:
    cells = read(path, matrix="raw.X", cell_type="kind", donor="who", tissue="part").cells
    assert cells["cell_type"].to_list() == ["T", "Unknown"]
    assert cells["donor"].to_list() == ["d1", "d2"]
    assert cells["tissue"].to_list() == ["ileum", "colon"]


def test_without_columns_the_entry_speaks(path: Path) -> None:
    cells = read(path, matrix="raw.X").cells
    assert cells.select("tissue", "donor", "cell_type").unique().rows() == [("gut", "D", "Unknown")]


@pytest.mark.parametrize("ensembl", ["index", "gene_id", "id", None])
def test_genes_by_column_index_or_the_indexs_own_name(path: Path, ensembl: str | None) -> None:
    genes = read(path, matrix="raw.X", symbol="name", ensembl=ensembl).genes
    assert genes["ensembl_id"].to_list() == ["ENSG00000000003", "ENSG00000135446", "ENSG00000000419"]
    assert genes["gene_id"].to_list() == genes["ensembl_id"].to_list()
    assert genes["symbol"].to_list() == ["TSPAN6", "CDK4", "ENSG00000000419"]
    assert genes["original"].to_list()[0] == "ENSG00000000003.14"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"cell_type": "celltype"},
            r"column celltype of annotations of the cells; got a file with index, kind, who, part.*`reader.cell_type`",
        ),
        ({"donor": "x"}, "column x of annotations.*`reader.donor`"),
        ({"tissue": "x"}, "column x of annotations.*`reader.tissue`"),
        ({"symbol": "x"}, "column x in var; got a file with index, gene_id, name, id.*`reader.symbol`"),
        ({"ensembl": "x"}, "column x in var.*`reader.ensembl`"),
        ({"matrix": "layers/raw"}, r"matrix layers/raw; got a file with X, raw\.X, layers/counts"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(path: Path, settings: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=rf"{message}(.|\n)*data set mine, file .*x\.h5ad"):
        read(path, **({"matrix": "raw.X"} | settings))


def test_a_file_without_raw_or_x(tmp_path: Path) -> None:
    adata = anndata.AnnData(obs=pd.DataFrame(index=["a"]), var=pd.DataFrame(index=["g"]))
    adata.layers["counts"] = np.ones((1, 1))
    adata.write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(DataError, match=r"matrix raw\.X; got a file with layers/counts"):
        read(tmp_path / "x.h5ad", matrix="raw.X")
    with pytest.raises(DataError, match="matrix X; got a file with layers/counts"):
        read(tmp_path / "x.h5ad", matrix="X")
    assert read(tmp_path / "x.h5ad").n_genes == 1


def test_an_empty_matrix_is_refused(tmp_path: Path) -> None:
    anndata.AnnData(np.zeros((0, 2), dtype=np.float32)).write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(DataError, match="cells and genes"):
        read(tmp_path / "x.h5ad")


def test_dense_blocks_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sclandmarks.io.raw.anndata_group.DENSE_CELLS", 3)
    X = np.random.default_rng(0).poisson(1.0, (10, 4)).astype(np.float32)
    anndata.AnnData(X).write_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(read(tmp_path / "x.h5ad").X_CG.toarray(), X)


def normalised() -> anndata.AnnData:
    """Log-normalised in X and a layer, and nowhere counts."""
    adata = anndata.AnnData(sparse.csr_matrix(np.log1p(COUNTS)))
    adata.layers["scaled"] = COUNTS - COUNTS.mean(axis=0)
    return adata


def test_counts_are_found_and_said_aloud(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        matrix = read(path)
    np.testing.assert_array_equal(matrix.X_CG.toarray(), COUNTS)
    assert "counts are taken from raw.X (not from X: fractions, first 0.5, largest 1.5: looks log-norm" in caplog.text
    assert "layers/counts: whole numbers too" in caplog.text


def test_no_counts_anywhere_is_refused_with_what_was_seen(tmp_path: Path) -> None:
    normalised().write_h5ad(tmp_path / "x.h5ad")
    message = (
        r"X with fractions, first 0\.69.*looks log-normalised; layers/scaled with negative values.*Give the unnorm"
    )
    with pytest.raises(DataError, match=rf"{message}(.|\n)*data set mine, file .*x\.h5ad"):
        read(tmp_path / "x.h5ad")


def test_only_the_matrix_asked_for_is_read(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["X/data"]
        file["uns/odd"] = np.void(b"what anndata cannot read")
    assert read(path, matrix="raw.X").n_cells == 2


def test_whole_numbers_are_looked_for_beyond_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sclandmarks.io.raw.anndata_group.SAMPLE", 2)
    X = np.ones((10, 3), dtype=np.float32)
    X[-1, -1] = 0.5
    adata = anndata.AnnData(sparse.csr_matrix(X))
    adata.layers["dense"] = X
    adata.layers["counts"] = np.ones((10, 3))
    adata.write_h5ad(tmp_path / "x.h5ad")
    assert read(tmp_path / "x.h5ad").X_CG.sum() == 30


def test_zarr_and_h5ad_give_the_same(path: Path, tmp_path: Path) -> None:
    anndata.read_h5ad(path).write_zarr(tmp_path / "x.zarr")
    shutil.make_archive(str(tmp_path / "x.zarr"), "zip", tmp_path / "x.zarr")
    columns = {"symbol": "name", "ensembl": "id", "cell_type": "kind", "donor": "who"}
    h5ad = read(path, **columns)
    for name in ("x.zarr", "x.zarr.zip"):
        settings = ZarrSettings(format="zarr", **columns)
        zarr = read_zarr({"counts": tmp_path / name}, settings, Origin("mine", "gut", "D"))
        assert (zarr.X_CG != h5ad.X_CG).nnz == 0
        assert zarr.genes.equals(h5ad.genes)
        assert zarr.cells.equals(h5ad.cells)


def test_a_zarr_folder_without_anndata_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(DataError, match=r"readable \.zarr folder(.|\n)*x\.zarr"):
        read_zarr({"counts": tmp_path / "x.zarr"}, ZarrSettings(format="zarr"), Origin("mine", "gut"))


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("raw/X/indices", np.array([0, 2, 9], dtype=np.int32), "indices below 3|sound indices"),
        ("raw/X/indices", np.array([0, 2], dtype=np.int32), "2 indices and 3 values"),
        ("raw/X/indptr", np.array([0, 2, 9], dtype=np.int32), "starts that end with 9"),
        ("raw/X/data", np.array([b"a", b"b", b"c"]), "a matrix of numbers"),
        ("raw/X/data", None, "readable .h5ad file; got KeyError"),
        ("obs", None, "a table obs; got a file with"),
        ("obs", np.array([(1, 2)], dtype=[("index", "i4"), ("n", "i4")]), "anndata before 0.7"),
        ("raw/var/gene_id", None, "readable .h5ad file"),
    ],
)
def test_files_that_are_not_whole_are_refused(path: Path, part: str, values: np.ndarray | None, message: str) -> None:
    with h5py.File(path, "a") as file:
        del file[part]
        if values is not None:
            file[part] = values
    with pytest.raises(DataError, match=rf"({message})(.|\n)*data set mine, file .*x\.h5ad"):
        read(path, matrix="raw.X")


def test_another_storage_of_the_matrix_is_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["raw/X"].attrs["encoding-type"] = "coo_matrix"
    with pytest.raises(DataError, match="stored dense, csr or csc; got one stored as coo_matrix"):
        read(path, matrix="raw.X")


def test_tables_of_another_length_are_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["raw/X"].attrs["shape"] = np.array([2, 4])
    with pytest.raises(DataError, match=r"2 cells x 3 genes in raw\.X, as the tables have; got \(2, 4\)"):
        read(path, matrix="raw.X")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_file_is_refused(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=r"readable .h5ad file(.|\n)*x\.h5ad"):
        read(path, matrix="raw.X")
