"""PanglaoDB's samples: the workspace, names of genes, clusters and cell types."""

from __future__ import annotations

import gzip
import logging
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rdata
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.genes import gene_table
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.panglaodb import PanglaodbSettings, read_panglaodb, split_genes
from sclandmarks.io.raw.workspace import read_workspace
from sclandmarks.matrix import ExpressionMatrix

R = runpy.run_path(str(Path(__file__).parent / "rdata_bytes.py"))
X_CG = np.array([[1, 0, 2], [0, 3, 0], [4, 0, 5]])
GENES = ["TSPAN6_ENSG00000000003.14", "HLA-A_x_ENSG00000206503.13", "MT-ND1"]
BARCODES = ["AAC", "ACG", "CGT"]
CLUSTERS = b"CGT 1\nAAC 0\n"
TYPES = b'"SRA1","SRS2","0","B cells","0.1","1",\\N\n"SRA1","SRS2","1","Unknown","1","1",\\N\n"SRA1","SRS3","0","T"\n'


def slots(**changes: bytes | None) -> dict[str, bytes]:
    made = R["slots"](X_CG.T, GENES, BARCODES) | changes
    return {name: value for name, value in made.items() if value is not None}


def write(folder: Path, content: bytes | None = None, **roles: bytes) -> dict[str, Path]:
    files = {"counts": folder / "SRA1_SRS2.sparse.RData"} | {role: folder / f"{role}.txt" for role in roles}
    files["counts"].write_bytes(gzip.compress(R["workspace"](slots())) if content is None else content)
    for role, text in roles.items():
        files[role].write_bytes(text)
    return files


def read(files: dict[str, Path], **settings: Any) -> ExpressionMatrix:
    return read_panglaodb(files, PanglaodbSettings(format="panglaodb", **settings), Origin("mine", "gut"))


@pytest.mark.parametrize("name", ["panglao_like", "panglao_like_v2", "panglao_like_sm2_tiny"])
def test_real_counts_are_what_the_slots_hold(shared: Callable[[str], Path], name: str) -> None:
    path = shared(f"panglaodb/{name}.sparse.RData")
    slot = vars(next(iter(rdata.read_rda(path, constructor_dict={"dgCMatrix": _slots}).values())))
    theirs = sparse.csc_matrix((slot["x"], slot["i"], slot["p"]), shape=tuple(slot["Dim"])).T.tocsr()
    matrix = read({"counts": path})
    assert (theirs.astype(np.int32) != matrix.X_CG).nnz == 0
    assert matrix.genes["original"].to_list() == list(slot["Dimnames"][0])
    assert matrix.cells["cell_id"].to_list() == [f"mine/{name}" for name in slot["Dimnames"][1]]
    assert matrix.genes["ensembl_id"].str.contains(r"^ENSG\d{11}$").all()
    if "tiny" not in name:
        assert (matrix.n_cells, matrix.n_genes, matrix.X_CG.nnz) == (1020, 15277, 1_108_004)


def _slots(obj: Any, attrs: Any) -> Any:
    return type("Slots", (), {})() if not attrs else _filled(attrs)


def _filled(attrs: Any) -> Any:
    made = type("Slots", (), {})()
    vars(made).update(attrs)
    return made


def test_both_containers_hold_the_same(shared: Callable[[str], Path]) -> None:
    v3, v2 = (read({"counts": shared(f"panglaodb/panglao_like{v}.sparse.RData")}) for v in ("", "_v2"))
    assert (v3.X_CG != v2.X_CG).nnz == 0
    assert v3.genes.equals(v2.genes)


@pytest.mark.parametrize(
    ("name", "n_genes", "prefix"),
    [("SRA578634_SRS2302659", 13272, "ENSMUSG"), ("SRA782908_SRS3815596", None, "ENS")],
)
def test_names_of_files_of_panglaodb(
    shared: Callable[[str], Path], name: str, n_genes: int | None, prefix: str
) -> None:
    workspace = read_workspace(shared(f"panglaodb/{name}.sparse.RData"), ("sm", "sm2"))
    genes = gene_table(*split_genes(workspace.rows))
    assert workspace.X_CR.shape == (50, n_genes or len(workspace.rows))
    assert genes["ensembl_id"].str.starts_with(prefix).all()
    assert genes["gene_id"].n_unique() == genes.height
    with pytest.raises(DataError, match=rf"fractions(.|\n)*{name}"):  # its values were scrambled
        read({"counts": shared(f"panglaodb/{name}.sparse.RData")})


def test_real_clusters_and_cell_types(shared: Callable[[str], Path]) -> None:
    roles = {"counts": "sparse.RData", "clusters": "clusters.txt", "annotations": "cell_type_annotations.txt"}
    files = {role: shared(f"panglaodb/panglao_like.{ending}") for role, ending in roles.items()}
    cells = read(files, unclustered="drop").cells
    lines = [line.split(",") for line in files["annotations"].read_text().replace('"', "").splitlines()]
    types = {line[2]: line[3] for line in lines}
    clusters = dict(line.split() for line in files["clusters"].read_text().splitlines())
    assert cells["cell_type"].to_list() == [types[clusters[cell.partition("/")[2]]] for cell in cells["cell_id"]]
    assert cells["cell_type"].n_unique() == 68


def test_symbols_ids_and_copies_on_y() -> None:
    genes = split_genes(
        ["A-1_B_ENSG00000000003.14", "CSF2RA_ENSG00000198223.16", "CSF2RA_ENSG00000198223.16_PAR_Y",
         "Cd3_ENSMUSG00000032093.4", "plain", "ENSG00000000005.2"]
    )  # fmt: skip
    assert genes.symbols == ["A-1_B", "CSF2RA", "CSF2RA", "Cd3", "plain", "ENSG00000000005.2"]
    assert gene_table(*genes)["gene_id"].to_list() == [
        "ENSG00000000003", "ENSG00000198223", "ENSG00000198223_PAR_Y", "ENSMUSG00000032093", "plain", "ENSG00000000005"
    ]  # fmt: skip


def test_odd_names_are_said_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert read(write(tmp_path)).genes["gene_id"].to_list()[2] == "MT-ND1"
    assert "1 of 3 genes have no Ensembl id in their name: ['MT-ND1']" in caplog.text


@pytest.mark.parametrize("types", [TYPES, b"cluster,cell_type\n0,B cells\n1,Unknown\n"])
def test_clusters_and_types_are_joined(tmp_path: Path, types: bytes) -> None:
    files = write(tmp_path, clusters=CLUSTERS, annotations=types)
    kept, dropped = read(files), read(files, unclustered="drop")
    assert kept.cells["cell_type"].to_list() == ["B cells", "Unknown", "Unknown"]
    assert dropped.cells["cell_type"].to_list() == ["B cells", "Unknown"]
    assert dropped.cells["cell_id"].to_list() == ["mine/AAC", "mine/CGT"]
    np.testing.assert_array_equal(dropped.X_CG.toarray(), X_CG[[0, 2]])


def test_the_sample_is_that_of_the_file_or_the_one_set(tmp_path: Path) -> None:
    files = write(tmp_path, clusters=CLUSTERS, annotations=TYPES)
    assert read(files, srs="SRS3").cells["cell_type"].to_list()[0] == "T"
    files["counts"] = files["counts"].rename(tmp_path / "x.RData")
    with pytest.raises(DataError, match=r"one sample, \(any\) \(any\); got 2 such of 2.*`reader.sra`"):
        read(files)
    assert read(files, sra="SRA1", srs="SRS2").cells["cell_type"].to_list()[0] == "B cells"


def test_clusters_alone_leave_types_unknown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        cells = read(write(tmp_path, clusters=CLUSTERS + b"TTT 5\n")).cells
    assert set(cells["cell_type"]) == {"Unknown"}
    assert "1 of 3 barcodes with a cluster are not among the counts" in caplog.text
    assert "3 cells, 2 in a cluster; 3 kept, 0 of them of a known type" in caplog.text


@pytest.mark.parametrize(
    ("roles", "settings", "message"),
    [
        ({"annotations": TYPES}, {}, "a file of clusters, which cell types"),
        ({}, {"unclustered": "drop"}, "a file of clusters, which cell types"),
        ({"clusters": b""}, {}, r"got none of them, first an empty file(.|\n)*clusters\.txt"),
        ({"clusters": b"AAC 1\nACG\n"}, {}, r"another form in line 2(.|\n)*clusters\.txt"),
        ({"clusters": b"AAC 1\nAAC 2\n"}, {}, r"each barcode once(.|\n)*clusters\.txt"),
        ({"clusters": b"AAC 1\nAC\xe9 2\n"}, {}, r"0xe9 in line 2(.|\n)*clusters\.txt"),
        ({"clusters": b"TTT 1\n"}, {}, r"first TTT(.|\n)*clusters\.txt"),
        ({"clusters": CLUSTERS, "annotations": b"1,2\n"}, {}, r"fewer fields in row 1(.|\n)*annotations\.txt"),
        ({"clusters": CLUSTERS, "annotations": b"cluster,cell_type\n1\n"}, {}, r"in each line(.|\n)*annotations\.txt"),
        ({"clusters": CLUSTERS, "annotations": b"cluster,cell_type\n1,A\n1,B\n"}, {}, "each cluster once"),
        ({"clusters": CLUSTERS, "annotations": TYPES}, {"sra": "SRA9"}, "one sample, SRA9 SRS2; got 0 such of 2"),
        ({"clusters": CLUSTERS, "annotations": b""}, {}, "got 0 such of 0, first none"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    tmp_path: Path, roles: dict[str, bytes], settings: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, **roles), **settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"i": None}, "one without i"),
        ({"x": None, "class": R["char_vector"](["lgCMatrix"])}, "class lgCMatrix"),
        ({"class": None}, "class none"),
        ({"Dim": R["int_vector"]([3, 4])}, "names of 3 rows and 4 columns; got 3 and 3"),
        ({"Dim": R["int_vector"]([3])}, "a whole dgCMatrix"),
        ({"Dimnames": R["ints"](19, 2, 254, 254)}, "names of 3 rows and 3 columns; got 0 and 0"),
        (
            {"Dimnames": R["ints"](19, 2) + R["char_vector"](GENES) + R["char_vector"](["A", "A", "B"])},
            "each barcode once",
        ),
        ({"p": R["int_vector"]([0, 2, 3])}, "3 starts"),
        ({"p": R["int_vector"]([0, 4, 3, 5])}, "sound"),
        ({"i": R["int_vector"]([0, 2, 1, 0])}, "4 indices and 5 values"),
        ({"i": R["int_vector"]([0, 2, 1, 0, 3])}, "sound"),
        ({"i": R["int_vector"]([0, 2, 1, 0, -(2**31)])}, "sound"),
        ({"x": R["real_vector"]([1, 2, 3, 4, 0.5])}, "fractions"),
        ({"x": R["real_vector"]([1, 2, 3, 4, np.nan])}, "NaN"),
        ({"x": R["char_vector"](["a"] * 5)}, "numbers|dgCMatrix"),
    ],
)
def test_objects_that_are_not_whole_are_refused(tmp_path: Path, changes: dict[str, bytes], message: str) -> None:
    with pytest.raises(DataError, match=rf"({message})(.|\n)*data set mine, file .*sparse\.RData"):
        read(write(tmp_path, R["workspace"](slots(**changes))))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with RDX2 or RDX3; got an empty file"),
        (b"RDA2\nA\n", "begins with RDX2 or RDX3"),
        (b"<html>sorry</html>", "begins with RDX2 or RDX3"),
        (R["workspace"](slots(), "other"), "an object sm or sm2 in the workspace; got a file with other"),
        (R["HEADERS"][3] + R["pairs"]({"sm": R["int_vector"]([1, 2])}), "S4 object sm|class none"),
        (R["HEADERS"][3] + R["ints"](254), "got a file with nothing|readable R workspace"),
    ],
)
def test_what_is_no_workspace_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    for data in (content, gzip.compress(content)):
        with pytest.raises(DataError, match=rf"({message})(.|\n)*data set mine, file .*sparse\.RData"):
            read(write(tmp_path, data))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_a_cut_workspace_is_refused(tmp_path: Path, share: float) -> None:
    whole = R["workspace"](slots())
    packed = gzip.compress(whole)
    for data in (whole[: int(len(whole) * share)], packed[: int(len(packed) * share)]):
        with pytest.raises(DataError, match=r"sparse\.RData"):
            read(write(tmp_path, data))


@pytest.mark.parametrize(("genes", "barcodes"), [([], BARCODES), (GENES, [])])
def test_no_cells_or_no_genes_are_refused(tmp_path: Path, genes: list[str], barcodes: list[str]) -> None:
    content = R["workspace"](R["slots"](np.zeros((len(genes), len(barcodes))), genes, barcodes))
    with pytest.raises(DataError, match="a matrix with cells and genes"):
        read(write(tmp_path, content))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.RData").write_bytes(gzip.compress(b"RDX3\n" + bytes(1 << 20)))
    with pytest.raises(DataError, match="at most 100000 bytes when unpacked"):
        read_workspace(tmp_path / "x.RData", ("sm",), max_bytes=100_000)
