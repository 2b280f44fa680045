"""Roles of columns, kinds of gene names, packed text, names of data sets."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sclandmarks.genes import gene_table, l1000_landmarks
from sclandmarks.io.inspect.columns import Column, column, with_roles
from sclandmarks.io.inspect.entry import name_of
from sclandmarks.io.inspect.genes import GeneIds, describe_genes, gene_problems
from sclandmarks.io.inspect.look import matrix_of
from sclandmarks.io.inspect.packed import Packed, cut_problems

LANDMARKS = l1000_landmarks()


def roles(*columns: Column, n_cells: int = 1000) -> dict[str, str]:
    return {one.name: one.role for one in with_roles(columns, n_cells) if one.role}


def test_usual_names_get_their_role_the_likeliest_first() -> None:
    names = ("louvain", "Cell_Type", "donor_id", "orig.ident", "organ", "disease", "n_genes")
    found = roles(*(column(name, ["a", "b"]) for name in names))
    assert found == {"Cell_Type": "cell_type", "donor_id": "donor", "orig.ident": "sample", "organ": "tissue",
                     "disease": "condition"}  # fmt: skip
    assert roles(column("louvain", ["0", "1"])) == {"louvain": "cell_type"}


def test_ontology_ids_and_columns_that_differ_from_cell_to_cell_have_no_role() -> None:
    assert roles(column("cell_type", ["CL:0000540", "CL:0000127"]), column("label", ["T", "B"])) == {
        "label": "cell_type"
    }
    assert roles(column("cell_type", [str(i) for i in range(80)]), n_cells=100) == {}
    assert roles(column("donor", [])) == {}


def test_only_roles_with_a_setting_are_given_and_columns_with_a_role_come_first() -> None:
    columns = [column("z", ["1"]), column("sample", ["1"]), column("donor", ["1"])]
    found = with_roles(columns, 10, ["donor"])
    assert [(one.name, one.role) for one in found] == [("donor", "donor"), ("z", None), ("sample", None)]


def test_a_column_shows_its_first_levels() -> None:
    assert column("x", ["b", "a", None, "a", "d", "c"]) == Column("x", 4, ("a", "b", "c"))


def described(names: list[str], ensembl: list[str] | None = None) -> GeneIds:
    return describe_genes(gene_table(names, names, ensembl or names))


OTHERS = ["ENSG00000121410", "ENSG00000148584"]
KINDS = {
    "symbols": (LANDMARKS["current_symbol"].to_list(), "symbols", "Homo sapiens", 978),
    "retired symbols": (LANDMARKS["symbol"].to_list(), "symbols", "Homo sapiens", 978),
    "ids": ([f"{one}.3" for one in LANDMARKS["ensembl_id"]], "Ensembl ids", "Homo sapiens", 978),
    "mouse ids": ([f"ENSMUSG{i:011d}" for i in range(50)], "Ensembl ids", "Mus musculus", 0),
    "mouse symbols": ([s.capitalize() for s in LANDMARKS["current_symbol"]], "symbols", "Mus musculus", 1),
    "mixed": ([*OTHERS, "GAPDH", "CDK4"], "Ensembl ids and symbols, mixed", "Homo sapiens", 2),
    "numbers": ([str(i) for i in range(50)], "names that are neither symbols nor Ensembl ids", None, 0),
    "both": ([*OTHERS, "ENSMUSG00000000001", "ENSMUSG00000000028"], "Ensembl ids", "Homo sapiens + Mus musculus", 0),
}


@pytest.mark.parametrize("case", KINDS)
def test_kinds_of_names(case: str) -> None:
    names, kind, organism, n_landmarks = KINDS[case]
    ids = described(names)
    assert (ids.kind, ids.organism, ids.n_landmarks) == (kind, organism, n_landmarks)
    assert ids.versions == (case == "ids")
    assert ids.n_seen == len(names)
    assert bool(gene_problems(ids)) == (organism != "Homo sapiens")


def test_symbols_with_ids_beside_them() -> None:
    assert described(["A1BG", "A1CF"], OTHERS).kind == "symbols with Ensembl ids"
    assert described(["A1BG_ENSG00000121410.11"]).kind == "symbols with Ensembl ids"


@pytest.mark.parametrize(
    ("values", "fault", "largest"),
    [
        ([0, 3, 2], None, 3), ([0.5, 1.0], "fractions, first 0.5.*log-normalised", 1), ([-1, 2.5], "negative", 2.5),
        ([np.nan, 1.0], "NaN or infinite", 1), ([], "no values", None),
    ],
)  # fmt: skip
def test_matrices_are_judged_by_their_values(values: list[float], fault: str | None, largest: float | None) -> None:
    found = matrix_of("X", np.array(values))
    if fault is None:
        assert found.fault is None
    else:
        with pytest.raises(AssertionError, match=fault):
            raise AssertionError(found.fault)
    assert np.isnan(found.largest) if largest is None else found.largest == largest


LINES = b"".join(b"row%05d,%d\n" % (i, i * 7919 % 1000) for i in range(20_000))


@pytest.mark.parametrize("packing", ["", "gzip", "zstd"])
@pytest.mark.parametrize("end", [b"", b"last,1"])
def test_packed_text_comes_whole_within_the_budget(packing: str, end: bytes, tmp_path: Path) -> None:
    text = LINES + end
    packed = {"": text, "gzip": gzip.compress(text), "zstd": pa.Codec("zstd").compress(text, asbytes=True)}[packing]
    (tmp_path / "x").write_bytes(packed)
    with Packed(tmp_path / "x", packing, budget=1 << 30) as file:
        assert file.first_line() + b"".join(file.blocks()) == text
        assert (file.exact, file.fault, file.times(), cut_problems(file)) == (True, None, 1.0, [])


@pytest.mark.parametrize("packing", ["", "gzip"])
def test_beyond_the_budget_whole_lines_come_and_the_rest_is_estimated(
    packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sclandmarks.io.inspect.packed.CHUNK", 1 << 12)
    (tmp_path / "x").write_bytes(gzip.compress(LINES) if packing else LINES)
    with Packed(tmp_path / "x", packing, budget=len(LINES) // 2) as file:
        seen = b"".join(file.blocks())
        assert LINES.startswith(seen)
        assert seen.endswith(b"\n")
        assert not file.exact
        assert seen.count(b"\n") * file.times() == pytest.approx(20_000, rel=0.35)  # gzip reads ahead
        assert cut_problems(file) == []


def test_a_cut_gzip_file_is_known_when_read_and_suspected_when_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sclandmarks.io.inspect.packed.CHUNK", 1 << 12)
    noise = random.Random(0).randbytes(300_000).hex().encode()
    text = b"\n".join(noise[at : at + 60] for at in range(0, len(noise), 60))
    whole = gzip.compress(text)
    (tmp_path / "x").write_bytes(whole[: len(whole) * 3 // 4])
    with Packed(tmp_path / "x", "gzip", budget=1 << 30) as file:
        assert text.startswith(b"".join(file.blocks()))
        (problem,) = cut_problems(file)
        assert problem.fatal
    with Packed(tmp_path / "x", "gzip", budget=100_000) as file:
        list(file.blocks())
        (problem,) = cut_problems(file)
        assert "may be cut" in problem.what
        assert not problem.fatal


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("My counts (v2).csv.gz", "my_counts_v2"), ("SRA1_SRS2.sparse.RData", "sra1_srs2"), ("été.h5ad", "t"),
        ("-.csv", "mine"),
    ],
)  # fmt: skip
def test_names_of_data_sets(path: str, name: str, tmp_path: Path) -> None:
    (tmp_path / path).touch()
    assert name_of(tmp_path / path) == name


def test_a_10x_matrix_is_named_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "colon_1" / "filtered_feature_bc_matrix"
    folder.mkdir(parents=True)
    (folder / "matrix.mtx.gz").touch()
    assert name_of(folder) == name_of(folder / "matrix.mtx.gz") == "colon_1"
