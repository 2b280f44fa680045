"""Joining data sets: genes matched by what both know, values with their genes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.errors import DataError, SchemaError
from sclandmarks.genes import gene_table, l1000_landmarks
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.prep.join import join_datasets

E1, E2, E3 = "ENSG90000000001", "ENSG90000000002", "ENSG90000000003"


@pytest.fixture
def dataset(make_matrix):
    """Make two cells whose counts say which gene they belong to: genes given as (symbol, Ensembl id)."""

    def make(name: str, genes: list[tuple[str, str | None]], first: int = 1) -> ExpressionMatrix:
        row = np.arange(first, first + len(genes))
        symbols, ids = [symbol for symbol, _ in genes], [ensembl for _, ensembl in genes]
        matrix = make_matrix(counts=np.stack([row, 100 + row]), dataset=name)
        columns = {
            "gene_id": [e or s for s, e in genes],
            "symbol": symbols,
            "ensembl_id": ids,
            "original": symbols,
        }
        return replace(matrix, genes=pl.DataFrame(columns, schema=schema.GENES.dtypes))

    return make


def test_one_dataset_is_returned_as_it_is(dataset) -> None:
    """Nothing to match, so no gene is lost, ambiguous or not."""
    only = dataset("a", [("X", None), ("Y", E1)])
    assert join_datasets([only]).matrix is only


def test_by_symbol(dataset) -> None:
    """Genes come in the order of the first data set, cells one data set after the other, values with their genes."""
    joined = join_datasets(
        [
            dataset("a", [("X", None), ("Y", None), ("Z", None)]),
            dataset("b", [("Z", None), ("W", None), ("X", None)], 7),
        ]
    )
    assert joined.matrix.genes["symbol"].to_list() == ["X", "Z"]
    assert joined.matrix.cells["cell_id"].to_list() == ["a/0", "a/1", "b/0", "b/1"]
    assert joined.matrix.X_CG.toarray().tolist() == [[1, 3], [101, 103], [9, 7], [109, 107]]
    assert joined.ambiguous == {"a": 0, "b": 0}


def test_by_ensembl_where_all_have_ids(dataset) -> None:
    """Ids decide, whatever the symbols say: one gene renamed, one symbol used for another gene."""
    joined = join_datasets([dataset("a", [("OLD", E1), ("SAME", E2)]), dataset("b", [("SAME", E3), ("NEW", E1)], 7)])
    assert joined.matrix.genes["gene_id"].to_list() == [E1]
    assert joined.matrix.X_CG.toarray().ravel().tolist() == [1, 101, 8, 108]


def test_mixed_takes_symbols_and_keeps_known_ids(dataset) -> None:
    """One data set without ids: matched by symbol, named by the id that the other knows."""
    joined = join_datasets([dataset("a", [("X", None), ("Y", None)]), dataset("b", [("Y", None), ("X", E1)], 7)])
    assert joined.matrix.genes.select("gene_id", "symbol", "ensembl_id").rows() == [(E1, "X", E1), ("Y", "Y", None)]
    assert joined.matrix.X_CG.toarray()[:, 0].tolist() == [1, 101, 8, 108]


def test_landmarks_by_either(make_matrix, dataset) -> None:
    """A landmark under a foreign symbol but with its Ensembl id meets itself known by an old symbol alone."""
    old, ensembl, current = (
        l1000_landmarks()
        .filter(pl.col("symbol") != pl.col("current_symbol"))
        .select("symbol", "ensembl_id", "current_symbol")
        .row(0)
    )
    by_id = dataset("a", [("FOREIGN", ensembl), ("X", E1)])
    by_symbol = replace(make_matrix(2, 2, dataset="b"), genes=gene_table([old, "X"], [old, "X"], [None, None]))
    unresolved = dataset("c", [("X", None), (current, None)])
    genes = join_datasets([by_id, by_symbol, unresolved]).matrix.genes
    assert genes["gene_id"].to_list() == [ensembl, E1]


def test_ambiguous_symbols_are_left_out_and_counted(dataset) -> None:
    """A symbol that names two genes of one data set is matched with neither; the others stay."""
    joined = join_datasets(
        [dataset("a", [("X", E1), ("X", E2), ("Y", E3)]), dataset("b", [("Y", None), ("X", None)], 7)]
    )
    assert joined.matrix.genes["symbol"].to_list() == ["Y"]
    assert joined.matrix.X_CG.toarray().ravel().tolist() == [3, 103, 7, 107]
    assert joined.ambiguous == {"a": 1, "b": 0}


def test_no_common_gene_is_an_error(dataset) -> None:
    """For example mouse beside human: said so, with the first names of each."""
    with pytest.raises(DataError, match=r"none in common among 2.*'X'.*'x'"):
        join_datasets([dataset("a", [("X", None)]), dataset("b", [("x", None)])])


def test_no_cell_twice(dataset) -> None:
    """The same data set twice is refused."""
    with pytest.raises(SchemaError, match="more than once"):
        join_datasets([dataset("a", [("X", None)]), dataset("a", [("X", None)])])
