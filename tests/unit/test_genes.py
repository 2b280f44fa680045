"""Gene identity: L1000, retired symbols, Ensembl ids."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.genes import (
    current_symbols,
    gene_table,
    l1000_landmarks,
    measured_landmarks,
    merge_duplicates,
    strip_version,
)

AARS, ABCF1 = "ENSG00000090861", "ENSG00000204574"


def by_symbol(*symbols: str) -> pl.DataFrame:
    """Gene table of a file that gives symbols alone."""
    return gene_table(symbols, symbols, [None] * len(symbols))


def test_l1000_is_complete_and_unique() -> None:
    """978 landmarks, each with three names of its own."""
    landmarks = l1000_landmarks()
    assert landmarks.height == 978
    for column in ("entrez_id", "symbol", "ensembl_id", "current_symbol"):
        assert landmarks[column].n_unique() == 978
        assert landmarks[column].null_count() == 0
    assert landmarks["ensembl_id"].to_list() == [strip_version(gene) for gene in landmarks["ensembl_id"]]


def test_every_published_landmark_symbol_leads_to_the_current_one() -> None:
    """A file with the symbols of 2017 and one with today's name the same 978 genes."""
    landmarks = l1000_landmarks()
    assert current_symbols(landmarks["symbol"].to_list()) == landmarks["current_symbol"].to_list()
    assert measured_landmarks(by_symbol(*landmarks["symbol"])) == landmarks["ensembl_id"].to_list()


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        (["AARS", "TP53"], ["AARS1", "TP53"]),
        (["AARS", "AARS1"], ["AARS", "AARS1"]),
        (["GOCAP1", "GOLPH1"], ["GOCAP1", "GOLPH1"]),
        (["no such gene", ""], ["no such gene", ""]),
    ],
    ids=["retired", "current one present", "two would become one", "unknown"],
)
def test_current_symbols(symbols: Sequence[str], expected: list[str]) -> None:
    """A retired symbol is replaced unless that would make two genes one."""
    assert current_symbols(symbols) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ENSG00000090861", AARS),
        ("ENSG00000090861.12", AARS),
        ("ENSMUSG00000000001.4", "ENSMUSG00000000001"),
        ("ENSG00000182378.14_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENST00000000233.5", None),
        ("ENSG123", None),
        ("AARS1", None),
        ("", None),
    ],
)
def test_strip_version(given: str, expected: str | None) -> None:
    """Versions go, PAR_Y copies stay apart, what is no Ensembl gene is None."""
    assert strip_version(given) == expected


def test_gene_table_follows_its_schema() -> None:
    """Named by Ensembl where known, else by symbol; the file's own name is kept; order is the file's."""
    table = gene_table(["x", "y", "z"], ["TP53", "AARS", "novel"], ["ENSG00000141510.18", None, None])
    assert schema.check(table, schema.GENES)["gene_id"].to_list() == ["ENSG00000141510", AARS, "novel"]
    assert table["symbol"].to_list() == ["TP53", "AARS1", "novel"]
    assert table["ensembl_id"].to_list() == ["ENSG00000141510", AARS, None]
    assert table["original"].to_list() == ["x", "y", "z"]


def test_par_y_copy_is_a_gene_of_its_own() -> None:
    """X and Y copies share a symbol, not an id."""
    ids = ["ENSG00000182378.14", "ENSG00000182378.14_PAR_Y"]
    table = schema.check(gene_table(ids, ["PLCXD1", "PLCXD1"], ids), schema.GENES)
    assert table["gene_id"].to_list() == ["ENSG00000182378", "ENSG00000182378_PAR_Y"]


def test_a_landmark_by_symbol_does_not_take_the_id_of_another_gene() -> None:
    """Where the id is in the list already, the gene known by symbol keeps its symbol."""
    table = gene_table(["a", "b"], ["something", "AARS1"], [AARS, None])
    assert schema.check(table, schema.GENES)["gene_id"].to_list() == [AARS, "AARS1"]


def test_measured_landmarks_by_id_and_by_symbol_in_the_order_of_l1000() -> None:
    """A landmark counts as measured by either name; others are not landmarks."""
    table = gene_table(
        ["a", "b", "c"], ["ABCF1", "MALAT1", "wrong"], ["ENSG00000999999", "ENSG00000251562", f"{AARS}.3"]
    )
    assert measured_landmarks(table) == [AARS, "ENSG00000999999"]
    assert measured_landmarks(by_symbol("MALAT1")) == []


def test_measured_landmarks_prefer_the_id() -> None:
    """Where one gene has the landmark's id and another its symbol, the id decides."""
    table = gene_table(["a", "b"], ["AARS1", "other"], ["ENSG00000999999", AARS])
    assert measured_landmarks(table) == [AARS]


def test_a_gene_is_never_two_landmarks() -> None:
    """The id of one landmark under the symbol of another counts once, by its id."""
    assert measured_landmarks(gene_table(["a"], ["ABCF1"], [AARS])) == [AARS]


def test_genes_known_by_symbol_alone_are_one_under_any_age_of_it() -> None:
    """Old and new, twice the same, two old ones of one gene: summed under the current name, at the first place."""
    merged = merge_duplicates(by_symbol("AARS", "MALAT1", "AARS1 ", "GOCAP1", "GOLPH1", "MALAT1"))
    assert schema.check(merged.genes, schema.GENES)["symbol"].to_list() == ["AARS1", "MALAT1", "ACBD3"]
    assert merged.genes["original"].to_list() == ["AARS|AARS1 ", "MALAT1|MALAT1", "GOCAP1|GOLPH1"]
    assert merged.places.tolist() == [0, 1, 0, 2, 2, 1]
    assert merged.names == merged.genes["original"].to_list()


def test_two_ids_under_one_symbol_and_copies_on_y_stay_apart() -> None:
    """Ids decide where there are some; an id and a symbol alone are not put together."""
    ids = ["ENSG00000182378.14", "ENSG00000182378.14_PAR_Y", "ENSG00000999999", None, "ENSG00000182378.2"]
    merged = merge_duplicates(gene_table(["a", "b", "c", "d", "e"], ["PLCXD1"] * 5, ids))
    assert merged.genes["original"].to_list() == ["a|e", "b", "c", "d"]
    assert merged.places.tolist() == [0, 1, 2, 3, 0]
