"""Genes of several samples as one list: by Ensembl id, and by symbol where no sample knows the id."""

from __future__ import annotations

import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.genes import l1000_landmarks
from sclandmarks.prep.cohort_genes import unite_genes

E1, E2, E3 = "ENSG90000000001", "ENSG90000000002", "ENSG90000000003"


def genes(*pairs: tuple[str, str | None]) -> pl.DataFrame:
    """Gene table of symbols and Ensembl ids."""
    columns = {
        "gene_id": [ensembl or symbol for symbol, ensembl in pairs],
        "symbol": [symbol for symbol, _ in pairs],
        "ensembl_id": [ensembl for _, ensembl in pairs],
        "original": [f"{symbol}.{i}" for i, (symbol, _) in enumerate(pairs)],
    }
    return pl.DataFrame(columns, schema=schema.GENES.dtypes)


def test_ids_match_whatever_the_symbols_say() -> None:
    joined = unite_genes([genes(("NEW", E1), ("B", E2)), genes(("C", E3), ("OLD", E1))], [1, 1], "union")
    assert joined.genes["gene_id"].to_list() == [E1, E2, E3]
    assert joined.genes["symbol"].to_list() == ["NEW", "B", "C"]
    assert joined.genes["original"].to_list() == ["NEW.0", "B.1", "C.0"]
    assert [place.tolist() for place in joined.places] == [[0, 1], [2, 0]]
    schema.check(joined.genes, schema.GENES)
    schema.check(joined.measured, schema.MEASURED)


def test_a_symbol_takes_the_id_that_others_give_it() -> None:
    joined = unite_genes([genes(("A", None), ("X", None)), genes(("A", E1))], [1, 1], "union")
    assert joined.genes["gene_id"].to_list() == [E1, "X"]
    assert joined.genes["ensembl_id"].to_list() == [E1, None]


def test_a_landmark_takes_the_id_of_l1000() -> None:
    symbol, ensembl = l1000_landmarks().select("current_symbol", "ensembl_id").row(0)
    joined = unite_genes([genes((symbol, None)), genes((symbol, None), ("X", None))], [1, 1], "union")
    assert joined.genes["gene_id"].to_list() == [ensembl, "X"]


@pytest.mark.parametrize(
    ("tables", "ids"),
    [
        ([genes(("A", None)), genes(("A", E1)), genes(("A", E2))], ["A", E1, E2]),  # two ids: nobody knows which
        ([genes(("A", None), ("OTHER", E1)), genes(("A", E1))], ["A", E1]),  # the table has that gene besides
        ([genes(("A", None)), genes(("A", f"{E1}_PAR_Y"))], ["A", f"{E1}_PAR_Y"]),
        ([genes(("A", None)), genes(("A", f"{E1}_PAR_Y"), ("A", E1))], [E1, f"{E1}_PAR_Y"]),
    ],
    ids=["two ids", "taken", "copy on Y alone", "copy on Y and gene"],
)
def test_a_symbol_that_says_no_single_gene_stays_one(tables: list[pl.DataFrame], ids: list[str]) -> None:
    assert unite_genes(tables, [1] * len(tables), "union").genes["gene_id"].to_list() == ids


def test_symbols_that_begin_like_ids_are_none() -> None:
    joined = unite_genes([genes(("ENSA_LIKE", None)), genes(("ENSALL", None))], [1, 1], "union")
    assert joined.genes["ensembl_id"].to_list() == [None, None]


def test_an_intersection_keeps_what_all_samples_have_and_counts_samples_not_files() -> None:
    tables = [genes(("A", E1), ("B", E2)), genes(("C", E3), ("A", E1))]
    joined = unite_genes(tables, [2, 3], "intersection")
    assert joined.genes["gene_id"].to_list() == [E1]
    assert [place.tolist() for place in joined.places] == [[0, -1], [-1, 0]]
    assert joined.measured.select("gene_id", "n_samples", "is_kept", "reason").rows() == [
        (E1, 5, True, None), (E2, 2, False, "in 2 of 5 samples"), (E3, 3, False, "in 3 of 5 samples"),
    ]  # fmt: skip


def test_samples_without_a_common_gene_are_an_error() -> None:
    with pytest.raises(DataError, match=r"none in common among 2.*'A'.*'B'.*`genes: union`"):
        unite_genes([genes(("A", None)), genes(("B", None))], [1, 1], "intersection")
