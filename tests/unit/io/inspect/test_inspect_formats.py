"""Every format: what is said of it, and that the entry proposed reads the very matrix."""

from __future__ import annotations

import gzip
import json
import runpy
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from sclandmarks.errors import DataError, SourceError
from sclandmarks.io.inspect import Inspection, column_roles, inspect
from sclandmarks.io.raw import READERS
from sclandmarks.io.registry.datasets import parse_registry
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import files_of
from sclandmarks.matrix import ExpressionMatrix

TESTS = Path(__file__).parents[3]
SHARED = TESTS.parents[1] / "shared" / "data" / "readers"
CONTRACT = runpy.run_path(str(TESTS / "contract" / "test_readers.py"))
WRITERS, X_CG, BARCODES = CONTRACT["WRITERS"], CONTRACT["X_CG"], CONTRACT["BARCODES"]
GENES = ["A1BG", "GAPDH", "AATF", "CDK4"]


def read(found: Inspection, folder: Path) -> ExpressionMatrix:
    """Read a file by the lines that were proposed for it."""
    (dataset,) = parse_registry(yaml.safe_load(found.yaml)).values()
    return READERS[dataset.reader.format](files_of(dataset, folder, Fetched()), dataset.reader, dataset.origin("mine"))


@pytest.fixture(params=WRITERS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., tuple[str, dict[str, Path]]]:
    def write(X: Any = X_CG) -> tuple[str, dict[str, Path]]:
        files = WRITERS[request.param](tmp_path, X, BARCODES, GENES).files
        return request.param.partition(",")[0], files

    return write


def others(files: dict[str, Path]) -> dict[str, Path]:
    return {role: path for role, path in files.items() if role != "counts"}


def test_the_lines_proposed_read_the_same_matrix(written: Callable[..., Any], tmp_path: Path) -> None:
    form, files = written()
    found = inspect(files["counts"], others(files))
    assert found.is_fit, found.problems
    assert found.format == form
    assert (found.n_cells, found.n_genes, found.exact) == (3, 4, True)
    assert found.genes.organism == "Homo sapiens"
    assert found.genes.n_landmarks == 2
    matrix = read(found, tmp_path)
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG)
    assert matrix.genes["original"].to_list() == GENES


def test_a_matrix_of_fractions_is_no_counts(written: Callable[..., Any], tmp_path: Path) -> None:
    _, files = written(np.log1p(X_CG))
    found = inspect(files["counts"], others(files))
    assert not found.is_fit
    assert found.taken is None
    (fault,) = (problem for problem in found.problems if "no raw counts" in problem.what)
    assert "log-normalised" in fault.what
    assert "`reader.normalised: recover`" in fault.remedy
    assert "`--reader normalised=recover`" in fault.remedy


def test_all_that_is_found_is_json(written: Callable[..., Any]) -> None:
    _, files = written()
    found = inspect(files["counts"], others(files))
    values = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert values["fit"] is True
    assert values["genes"]["n_landmarks"] == 2
    assert parse_registry(yaml.safe_load(values["yaml"]))


def test_a_cut_file_is_an_error_or_a_problem(written: Callable[..., Any]) -> None:
    _, files = written()
    path = files["counts"]
    if path.is_dir():
        return
    whole = path.read_bytes()
    for n in range(1, len(whole), max(len(whole) // 9, 1)):
        path.write_bytes(whole[:n])
        try:
            inspect(path, others(files))
        except DataError as error:
            assert str(path) in "".join(error.__notes__)


def annotated(folder: Path, form: str = "h5ad", **obs: Any) -> Path:
    import anndata

    n = 60
    counts = np.random.default_rng(0).poisson(1.0, (n, len(GENES)))
    frame = pd.DataFrame(obs, index=[f"c{i}" for i in range(n)])
    var = pd.DataFrame({"feature_name": GENES, "length": 1}, index=[f"ENSG0000000000{i}.{i}" for i in range(4)])
    with warnings.catch_warnings(), anndata.settings.override(allow_write_nullable_strings=True):
        warnings.simplefilter("ignore")
        data = anndata.AnnData(np.log1p(counts), obs=frame, var=var)
        data.layers["counts"] = sparse.csr_matrix(counts)
        data.layers["scaled"] = counts - counts.mean(axis=0)
        path = folder / f"x.{form}"
        data.write_h5ad(path) if form == "h5ad" else data.write_zarr(path)
    return path


OBS: dict[str, Any] = {
    "cell_type": pd.Categorical(["T", "B"] * 30, categories=["B", "T", "never"]),
    "donor_id": ["d1"] * 20 + ["d2"] * 40, "n_reads": np.linspace(0, 1, 60), "leiden": [1, 2, 3] * 20,
    "seen": [True, False] * 30, "odd": pd.array(["a", None] * 30, dtype="string"),
}  # fmt: skip


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_every_matrix_and_column_of_anndata_is_described(form: str, tmp_path: Path) -> None:
    found = inspect(annotated(tmp_path, form, **OBS))
    faults = {one.name: one.fault for one in found.matrices}
    assert faults["layers/counts"] is None
    assert "log-normalised" in (faults["X"] or "")
    assert "scaled" in (faults["layers/scaled"] or "")
    assert found.taken == "layers/counts"
    columns = {one.name: (one.n_levels, one.role) for one in found.columns}
    assert columns == {"cell_type": (2, "cell_type"), "donor_id": (2, "donor"), "leiden": (3, None),
                       "seen": (2, None), "odd": (columns["odd"][0], None)}  # fmt: skip
    assert found.genes.kind == "Ensembl ids"
    assert found.genes.versions
    reader = found.entry["reader"]
    assert reader == {"format": form, "matrix": "layers/counts", "cell_type": "cell_type", "donor": "donor_id",
                      "symbol": "feature_name", "ensembl": "index"}  # fmt: skip
    matrix = read(found, tmp_path)
    assert set(matrix.cells["cell_type"]) == {"T", "B"}
    assert set(matrix.cells["donor"]) == {"d1", "d2"}
    assert matrix.genes["symbol"].to_list() == GENES


def test_columns_of_sample_tissue_and_condition_are_proposed(tmp_path: Path) -> None:
    obs = {"orig.ident": ["s1", "s2"] * 30, "organ": ["colon"] * 60, "disease": ["sick"] * 20 + ["well"] * 40}
    found = inspect(annotated(tmp_path, **obs))
    reader = found.entry["reader"]
    assert {key: reader[key] for key in ("sample", "tissue", "condition")} == {
        "sample": "orig.ident", "tissue": "organ", "condition": "disease",
    }  # fmt: skip
    cells = read(found, tmp_path).cells
    assert cells["sample"].to_list() == obs["orig.ident"]
    assert cells["condition"].to_list() == obs["disease"]


@pytest.mark.parametrize("index", ["var", "obs"])
def test_an_index_of_categories_is_read(index: str, tmp_path: Path) -> None:
    path = annotated(tmp_path)
    with h5py.File(path, "a") as file:
        table = file[index]
        names = table[table.attrs["_index"]]
        values = list(names["values"][()] if hasattr(names, "keys") else names[()])
        group = table.create_group("named")
        group["categories"], group["codes"] = values, np.arange(len(values), dtype=np.int8)
        table.attrs["_index"] = "named"
    found = inspect(path)
    assert (found.n_cells, found.n_genes) == (60, 4)
    assert found.genes.kind == "Ensembl ids"


def test_anndata_before_columns_is_explained(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file["X"] = np.ones((2, 2))
        file["obs"] = np.zeros(2, dtype=[("index", "S2")])
        file["var"] = np.zeros(2, dtype=[("index", "S2")])
    with pytest.raises(DataError, match=r"anndata before 0\.7"):
        inspect(tmp_path / "x.h5ad")


@pytest.mark.parametrize(("group", "says"), [("assays", "SeuratDisk"), ("anything", "HDF5 with anything")])
def test_other_hdf5_files_are_named(group: str, says: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group(group)
    with pytest.raises(DataError, match=says):
        inspect(tmp_path / "x.h5")


def table(path: Path, *lines: str, mark: str = ",") -> Path:
    path.write_text("".join(f"{line.replace(',', mark)}\n" for line in lines))
    return path


@pytest.mark.parametrize("mark", [",", "\t", ";"])
@pytest.mark.parametrize("header", ["gene,c1,c2", "c1,c2"])
def test_the_separator_of_a_table_is_found(mark: str, header: str, tmp_path: Path) -> None:
    found = inspect(table(tmp_path / "x.txt", header, "GAPDH,1,0", "CDK4,0,7", mark=mark))
    assert found.entry["reader"].get("separator", ",") == mark
    assert read(found, tmp_path).X_CG.toarray().tolist() == [[1, 0], [0, 7]]


TABLES: dict[str, tuple[list[str], str]] = {
    "ragged": (["g,c1,c2", "GAPDH,1,0", "CDK4,0"], "rows differ in length: 2 fields in row 3 instead of 3"),
    "text": (["id,name,c1", "ENSG00000111640,GAPDH,1", "ENSG00000135446,CDK4,2"], "no number: GAPDH"),
    "negative": (["g,c1,c2", "GAPDH,1,-2", "CDK4,0,1"], "negative values, smallest -2"),
    "twice": (["g,c1,c1", "GAPDH,1,2", "CDK4,0,1"], "repeated barcodes: 1"),
    "sides": (["g,c1,c2", "r1,1,2", "r2,0,1"], "not clear whether genes are rows or columns"),
}


@pytest.mark.parametrize("case", TABLES)
def test_what_is_wrong_with_a_table_is_said(case: str, tmp_path: Path) -> None:
    lines, says = TABLES[case]
    found = inspect(table(tmp_path / "x.csv", *lines))
    assert not found.is_fit
    assert any(says in problem.what for problem in found.problems if problem.fatal), found.problems


def test_repeated_genes_are_a_note_and_are_added_up(tmp_path: Path) -> None:
    found = inspect(table(tmp_path / "x.csv", "g,c1,c2", "AARS,1,2", "AARS1,4,0", "CDK4,0,1"))
    (note,) = (problem for problem in found.problems if problem.what == "repeated genes: 1")
    assert not note.fatal
    assert found.is_fit
    assert read(found, tmp_path).X_CG.toarray().tolist() == [[5, 0], [2, 1]]


MOUSE = ("g,c1,c2", "Cdk4,1,0", "Aars1,0,7", "mt-Co1,2,2", "Nr3c1,1,1")


def test_genes_of_mouse_are_a_note_that_names_the_orthologs(tmp_path: Path) -> None:
    found = inspect(table(tmp_path / "x.csv", *MOUSE))
    assert found.is_fit
    assert found.entry["organism"] == "Mus musculus"
    (note,) = (problem for problem in found.problems if "genes of mouse" in problem.what)
    assert "refused where the entry says Homo sapiens" in note.what
    assert "`reader.orthologs`" in note.remedy
    assert read(found, tmp_path).X_CG.shape == (2, 4)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("GRCh38_CDK4", "GRCh38_A1BG", "mm10_Gapdh", "mm10_Actb"), "2 of GRCh38, 2 of mm10"),
        (("CDK4", "GAPDH", "NR3C1", "Aars1", "Cdk6", "mt-Co1"), "genes of one organism"),
    ],
)
def test_genes_of_two_organisms_are_refused_as_the_reader_does(
    names: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    found = inspect(table(tmp_path / "x.csv", "g,c1,c2", *(f"{name},1,{i}" for i, name in enumerate(names))))
    (fault,) = (problem for problem in found.problems if problem.fatal)
    assert says in fault.what
    assert "`reader.genome`" in fault.remedy
    with pytest.raises(DataError, match="genes of one organism"):
        read(found, tmp_path)


TEXTS = {
    "prose": ("Once upon a time there was a cell.\nIt divided.\n", "text without one"),
    "labels": ("cell,type\nc1,T\nc2,B\n", "goes with them (`--labels`)"),
    "clusters": ("AAC 1\nAAG 2\n", "goes with them (`--clusters`"),
    "annotations": ("SRA1,SRS1,0,T cells,0.1,0.2\nSRA1,SRS1,1,B cells,0.1,0.2\n", "goes with them (`--annotations`)"),
    "blanks": ("g c1 c2\nGAPDH 1 0\n", "separated by blanks"),
    "a line": ("g,c1,c2\n", "a single line"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text_without_counts_is_named(case: str, tmp_path: Path) -> None:
    text, says = TEXTS[case]
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(DataError) as caught:
        inspect(tmp_path / "x.txt")
    assert says in str(caught.value)


def test_latin1_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"g\xe4n,c1\nGAPDH,1\n")
    with pytest.raises(DataError, match="UTF-8"):
        inspect(tmp_path / "x.csv")


def test_a_large_table_is_estimated_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sclandmarks.io.inspect.packed.CHUNK", 1 << 12)
    monkeypatch.setattr("sclandmarks.io.inspect.text.BUDGET", 1 << 14)
    lines = [",".join(["cell", *GENES]), *(f"c{i:05d},1,0,2,3" for i in range(4000))]
    found = inspect(table(tmp_path / "x.csv", *lines))
    assert not found.exact
    assert found.n_cells == pytest.approx(4000, rel=0.05)
    assert (found.n_genes, found.genes.n_seen) == (4, 4)


def tenx(folder: Path) -> Path:
    WRITERS["tenx_mtx, version 3"](folder, X_CG, BARCODES, GENES)
    (folder / "counts.mtx.gz").rename(folder / "matrix.mtx.gz")
    return folder


def test_a_10x_folder_is_one_path(tmp_path: Path) -> None:
    found = inspect(tenx(tmp_path))
    assert found.entry["source"] == {"kind": "file", "path": str(tmp_path)}
    np.testing.assert_array_equal(read(found, tmp_path).X_CG.toarray(), X_CG)


def test_a_10x_folder_without_a_file_or_with_another_s(tmp_path: Path) -> None:
    folder = tenx(tmp_path)
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress(b"AAC-1\n"))
    assert any("4 x 3 for 4 features and 1 barcodes" in problem.what for problem in inspect(folder).problems)
    (folder / "barcodes.tsv.gz").unlink()
    found = inspect(folder / "matrix.mtx.gz")
    assert not found.is_fit
    assert any("no file of barcodes" in problem.what for problem in found.problems)


def test_a_10x_matrix_with_fewer_entries_than_its_header_says(tmp_path: Path) -> None:
    folder = tenx(tmp_path)
    text = gzip.decompress((folder / "matrix.mtx.gz").read_bytes())
    (folder / "matrix.mtx.gz").write_bytes(gzip.compress(text[: text.rindex(b"\n", 0, -1) + 1]))
    assert any("5 entries where the header says 6" in problem.what for problem in inspect(folder).problems)


def test_clusters_and_cell_types_beside_a_panglaodb_file_are_found(tmp_path: Path) -> None:
    path = WRITERS["panglaodb, RDX3, sm2"](tmp_path, X_CG, BARCODES, GENES).files["counts"]
    assert any("no cell types" in problem.what for problem in inspect(path).problems)
    path = path.rename(tmp_path / "SRA1_SRS1.sparse.RData")
    (tmp_path / "SRA1_SRS1.clusters.txt").write_text("AAC-1 1\nACG-1 2\n")
    (tmp_path / "SRA1_SRS1.annotations.csv").write_text("cluster,cell_type\n1,T cells\n")
    found = inspect(path)
    assert set(found.entry["source"]) == {"kind", "path", "clusters", "annotations"}
    assert read(found, tmp_path).cells["cell_type"].to_list() == ["T cells", "Unknown", "Unknown"]


def test_every_format_says_which_columns_its_reader_takes() -> None:
    roles = column_roles()
    assert set(roles) == set(READERS)
    assert {"cell_type", "donor", "tissue"} <= set(roles["h5ad"])


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data folder")
@pytest.mark.parametrize(
    ("name", "form", "shape", "n_landmarks", "fit"),
    [
        ("panglaodb/panglao_like.sparse.RData", "panglaodb", (1020, 15277), 956, True),
        ("panglaodb/SRA578634_SRS2302659.sparse.RData", "panglaodb", (50, 13272), 0, False),
        ("tenx/filtered_feature_bc_matrix_v3_chr21.h5", "tenx_h5", (1107, 507), 12, True),
        ("tenx/multiple_genomes_v1.h5", "tenx_h5", (12, 343), 12, True),
        ("tenx/v1_mtx_hg19_chr21", "tenx_mtx", (12, 343), 12, True),
        ("tenx/v3_mtx", "tenx_mtx", (1107, 507), 12, True),
    ],
)
def test_real_files(name: str, form: str, shape: tuple[int, int], n_landmarks: int, fit: bool, tmp_path: Path) -> None:
    found = inspect(SHARED / name)
    assert (found.format, (found.n_cells, found.n_genes)) == (form, shape)
    assert (found.genes.n_landmarks, found.is_fit) == (n_landmarks, fit)
    if fit:
        assert read(found, tmp_path).X_CG.shape == shape


def test_a_zarr_folder_with_a_link_is_refused(tmp_path: Path) -> None:
    store = annotated(tmp_path, "zarr")
    shutil.copytree(store, tmp_path / "copy.zarr")
    (tmp_path / "copy.zarr" / "link").symlink_to(tmp_path)
    with pytest.raises(SourceError, match="a link to a folder"):
        inspect(tmp_path / "copy.zarr")
