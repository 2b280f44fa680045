"""AnnData's files: which matrix, which columns, and what is there instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.h5ad import H5adSettings, read_h5ad
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
            r"column celltype in obs; got a file with index, kind, who, part.*`reader.cell_type`",
        ),
        ({"donor": "x"}, "column x in obs.*`reader.donor`"),
        ({"tissue": "x"}, "column x in obs.*`reader.tissue`"),
        ({"symbol": "x"}, "column x in var; got a file with index, name, id.*`reader.symbol`"),
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
        read(tmp_path / "x.h5ad")
    assert read(tmp_path / "x.h5ad", matrix="layers/counts").n_genes == 1


def test_an_empty_matrix_is_refused(tmp_path: Path) -> None:
    anndata.AnnData(np.zeros((0, 2), dtype=np.float32)).write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(DataError, match="cells and genes"):
        read(tmp_path / "x.h5ad")


def test_dense_blocks_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sclandmarks.io.raw.h5ad.DENSE_CELLS", 3)
    X = np.random.default_rng(0).poisson(1.0, (10, 4)).astype(np.float32)
    anndata.AnnData(X).write_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(read(tmp_path / "x.h5ad").X_CG.toarray(), X)
