"""Real files under the readers' contract: real counts in every form, and beside what others read from them."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import rdata
import scanpy
from scipy import sparse

from sclandmarks import schema
from sclandmarks.io.raw import READERS
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.panglaodb import PanglaodbSettings
from sclandmarks.io.raw.tenx_h5 import TenxH5Settings
from sclandmarks.io.raw.tenx_mtx import TenxMtxSettings
from sclandmarks.matrix import ExpressionMatrix

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "data" / "readers"
CONTRACT = runpy.run_path(str(HERE / "test_readers.py"))
WRITERS = CONTRACT["WRITERS"]
ORIGIN = Origin("mine", "gut", organism="Homo sapiens")
N_CELLS, N_GENES = 20, 600
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")


class Real(NamedTuple):
    """Counts as another package reads them."""

    X_CG: sparse.csr_matrix
    barcodes: list[str]
    genes: list[str]


def of_tenx(read: Callable[..., Any], **options: Any) -> Real:
    data = read(**options)
    genes = data.var.get("gene_ids", data.var_names)
    return Real(sparse.csr_matrix(data.X), data.obs_names.to_list(), genes.to_list())


def of_rdata(name: str) -> Real:
    """The slots of R's sparse matrix, put together as R's Matrix does: columns, compressed."""
    (slots,) = rdata.read_rda(
        SHARED / "panglaodb" / name, constructor_dict={"dgCMatrix": lambda _, slots: slots}
    ).values()
    rows, columns = slots["Dimnames"]
    X_GC = sparse.csc_matrix((slots["x"], slots["i"], slots["p"]), shape=tuple(slots["Dim"]))
    return Real(X_GC.T.tocsr(), [str(one) for one in columns], [str(one) for one in rows])


def h5(name: str, **options: Any) -> Callable[[], Real]:
    return lambda: of_tenx(scanpy.read_10x_h5, filename=SHARED / "tenx" / name, **options)


def mtx(name: str) -> Callable[[], Real]:
    return lambda: of_tenx(scanpy.read_10x_mtx, path=SHARED / "tenx" / name, var_names="gene_ids")


class File(NamedTuple):
    """A real file: our settings, shape of cells x genes, and another's way to read it."""

    name: str
    settings: Any
    shape: tuple[int, int]
    theirs: Callable[[], Real]


H5, MTX, RDATA = (
    TenxH5Settings(format="tenx_h5"),
    TenxMtxSettings(format="tenx_mtx"),
    PanglaodbSettings(format="panglaodb"),
)
OF_ONE_GENOME = TenxH5Settings(format="tenx_h5", genome="hg19_chr21")
TWO_GENOMES, GUT = "multiple_genomes_v1.h5", "panglao_like.sparse.RData"
FILES = [
    File("tenx/filtered_feature_bc_matrix_v3_chr21.h5", H5, (1107, 507), h5("filtered_feature_bc_matrix_v3_chr21.h5")),
    File("tenx/filtered_gene_bc_matrices_v1_hg19_chr21.h5", H5, (12, 343),
         h5("filtered_gene_bc_matrices_v1_hg19_chr21.h5")),
    File(f"tenx/{TWO_GENOMES}", OF_ONE_GENOME, (12, 343), h5(TWO_GENOMES, genome="hg19_chr21")),
    File("tenx/v3_mtx", MTX, (1107, 507), mtx("v3_mtx")),
    File("tenx/v1_mtx_hg19_chr21", MTX, (12, 343), mtx("v1_mtx_hg19_chr21")),
    File(f"panglaodb/{GUT}", RDATA, (1020, 15277), lambda: of_rdata(GUT)),
    File("panglaodb/panglao_like_v2.sparse.RData", RDATA, (1020, 15277),
         lambda: of_rdata("panglao_like_v2.sparse.RData")),
]  # fmt: skip


@cache
def ours(name: str) -> ExpressionMatrix:
    file = next(one for one in FILES if one.name == name)
    return READERS[file.settings.format]({"counts": SHARED / file.name}, file.settings, ORIGIN)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("file", FILES, ids=[one.name for one in FILES])
def test_a_real_file_is_what_another_package_reads(file: File) -> None:
    matrix, theirs = ours(file.name), file.theirs()
    assert matrix.X_CG.shape == file.shape
    assert matrix.X_CG.dtype == np.int32
    assert matrix.X_CG.has_canonical_format
    assert (theirs.X_CG.astype(np.float64) != matrix.X_CG).nnz == 0
    assert matrix.cells["cell_id"].to_list() == [f"mine/{barcode}" for barcode in theirs.barcodes]
    assert matrix.cells["library_size"].to_list() == np.ravel(theirs.X_CG.sum(axis=1)).astype(int).tolist()
    assert matrix.genes["original"].to_list() == theirs.genes
    schema.check(matrix.cells, schema.CELLS)
    schema.check(matrix.genes, schema.GENES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tenx/filtered_feature_bc_matrix_v3_chr21.h5", "tenx/v3_mtx"),
        ("tenx/filtered_gene_bc_matrices_v1_hg19_chr21.h5", "tenx/v1_mtx_hg19_chr21"),
        (f"panglaodb/{GUT}", "panglaodb/panglao_like_v2.sparse.RData"),
    ],
)
def test_two_containers_of_the_same_counts_are_one_matrix(one: str, other: str) -> None:
    first, second = ours(one), ours(other)
    assert (first.X_CG != second.X_CG).nnz == 0
    assert first.genes.equals(second.genes)
    assert first.cells.equals(second.cells)


@pytest.mark.parametrize("source", ["tenx/v3_mtx", f"panglaodb/{GUT}"])
@pytest.mark.parametrize("writer", WRITERS)
def test_real_counts_come_back_from_every_form(writer: str, source: str, tmp_path: Path) -> None:
    whole = ours(source)
    X, genes = whole.X_CG[:N_CELLS, :N_GENES].toarray(), whole.genes.head(N_GENES)
    barcodes, names = (
        [one.partition("/")[2] for one in whole.cells["cell_id"].head(N_CELLS)],
        genes["gene_id"].to_list(),
    )
    written = WRITERS[writer](tmp_path, X.astype(np.float64), barcodes, names)
    matrix = READERS[written.settings.format](written.files, written.settings, ORIGIN)
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X)
    assert matrix.genes["gene_id"].to_list() == names
    assert matrix.genes["ensembl_id"].to_list() == genes["ensembl_id"].to_list()
    assert matrix.cells["cell_id"].to_list() == whole.cells["cell_id"].head(N_CELLS).to_list()
