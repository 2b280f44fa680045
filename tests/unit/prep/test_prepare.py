"""Filters and normalisation: nothing learned from held-back cells, every cell on one scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import PrepareParams
from sclandmarks.prep.prepare import filter_cells, normaliser, prepare, summarise_each

SETTINGS = PrepareParams(min_library_size=20, min_reads=2, min_cells=5, scale=1e4, log_base=10)


def split_of(matrix: ExpressionMatrix) -> pl.DataFrame:
    """Two cells of three for training, the others by turns for validation and test."""
    subsets = np.where(np.arange(matrix.n_cells) % 3 > 0, "train", np.resize(["test", "validation"], matrix.n_cells))
    return pl.DataFrame({"cell_id": matrix.cells["cell_id"], "subset": subsets.tolist()})


def rows_of(matrix: ExpressionMatrix, split: pl.DataFrame, *subsets: str) -> np.ndarray:
    """Positions of the cells of some subsets."""
    named = matrix.cells.join(split, on="cell_id", maintain_order="left")
    return np.flatnonzero(named["subset"].is_in(subsets).to_numpy())


@pytest.fixture(scope="module")
def counts(make_matrix) -> ExpressionMatrix:
    """60 cells x 40 genes, of which some are near the gene filter."""
    rates_G = np.geomspace(0.1, 5, 40)
    return make_matrix(counts=np.random.default_rng(3).poisson(rates_G, (60, 40)))


def test_held_back_cells_change_no_gene_and_no_training_value(counts: ExpressionMatrix) -> None:
    """The leak proof: other counts in test and validation cells leave genes, order and training values as they were."""
    split = split_of(counts)
    altered_CG = counts.X_CG.toarray()
    held_back = rows_of(counts, split, "test", "validation")
    altered_CG[held_back] = 1 + 50 * altered_CG[held_back][:, ::-1]
    altered = replace(counts, X_CG=sparse.csr_matrix(altered_CG, dtype=np.int32))
    first, second = prepare(counts, split, SETTINGS, 0), prepare(altered, split, SETTINGS, 0)
    assert 0 < first.counts.n_genes < counts.n_genes
    assert second.counts.genes.equals(first.counts.genes)
    assert second.counts.cells["cell_id"].equals(first.counts.cells["cell_id"])
    train = rows_of(first.counts, split, "train")
    np.testing.assert_array_equal(second.value[train].toarray(), first.value[train].toarray())
    assert (second.value != first.value).nnz > 0


def test_training_cells_decide_the_genes(counts: ExpressionMatrix) -> None:
    """The other side of the proof: a gene that only training cells lose goes out."""
    split = split_of(counts)
    rich = counts.n_genes - 1
    poor_CG = counts.X_CG.toarray()
    poor_CG[rows_of(counts, split, "train"), rich] = 0
    kept = prepare(replace(counts, X_CG=sparse.csr_matrix(poor_CG)), split, SETTINGS, 0).counts.genes["gene_id"]
    assert f"g{rich}" not in kept.to_list()


@pytest.mark.parametrize(("base", "number"), [(2, 2), (10, 10), ("e", np.e)])
def test_every_cell_has_the_same_total(counts: ExpressionMatrix, base: object, number: float) -> None:
    """Undoing the log, each cell sums to the scale over the genes kept."""
    settings = SETTINGS.model_copy(update={"log_base": base})
    prepared = prepare(counts, split_of(counts), settings, 0)
    totals_C = (number ** prepared.value.toarray().astype(np.float64) - 1).sum(axis=1)
    np.testing.assert_allclose(totals_C, 1e4, rtol=1e-5)
    np.testing.assert_array_equal(prepared.value.indices, prepared.counts.X_CG.indices)


def test_rows_are_mixed_and_keep_their_cells(counts: ExpressionMatrix) -> None:
    """The seed decides the order; counts travel with their cell."""
    split = split_of(counts)
    first, again, other = (prepare(counts, split, SETTINGS, seed).counts for seed in (0, 0, 1))
    ids = first.cells["cell_id"].to_list()
    assert ids == again.cells["cell_id"].to_list()
    assert ids != other.cells["cell_id"].to_list() != counts.cells["cell_id"].to_list()
    places = [int(cell.split("/")[1]) for cell in ids]
    genes = counts.positions(first.genes["gene_id"].to_list())
    np.testing.assert_array_equal(first.X_CG.toarray(), counts.X_CG.toarray()[np.ix_(places, genes)])


def test_small_cells_are_removed(counts: ExpressionMatrix) -> None:
    """At least so many reads stay; none left is an error that names the largest."""
    sizes_C = counts.cells["library_size"].to_numpy()
    limit = int(np.median(sizes_C))
    kept = filter_cells(counts, SETTINGS.model_copy(update={"min_library_size": limit}))
    assert kept.cells["library_size"].to_list() == sizes_C[sizes_C >= limit].tolist()
    with pytest.raises(DataError, match=f"none; the largest has {sizes_C.max()}"):
        filter_cells(counts, SETTINGS.model_copy(update={"min_library_size": 10_000}))


def test_no_gene_left_is_an_error(counts: ExpressionMatrix) -> None:
    """The message names the setting and how many training cells there were."""
    with pytest.raises(DataError, match=r"2 reads in 41 of 40 training cells"):
        prepare(counts, split_of(counts), SETTINGS.model_copy(update={"min_cells": 41}), 0)


def test_a_cell_without_reads_in_the_kept_genes_is_dropped(make_matrix, caplog) -> None:
    """It cannot be scaled, and it must not stop the others."""
    counts_CG = np.full((12, 3), [5, 5, 0])
    counts_CG[9] = [0, 0, 30]
    matrix = make_matrix(counts=counts_CG)
    prepared = prepare(matrix, split_of(matrix), SETTINGS, 0)
    assert set(matrix.cells["cell_id"]) - set(prepared.counts.cells["cell_id"]) == {"toy/9"}
    assert prepared.value.shape == (11, 2)
    assert "1 cells have no reads in the kept genes" in caplog.text


def test_a_cell_that_is_not_in_the_split_is_an_error(make_matrix) -> None:
    """A split of other cells is not taken for this one's."""
    matrix = make_matrix(counts=np.full((12, 3), 5))
    with pytest.raises(DataError, match="every cell in the split; got 1 that are not"):
        prepare(matrix, split_of(matrix)[1:], SETTINGS, 0)


def test_summaries_by_hand(make_matrix) -> None:
    """Each data set and all together; Unknown is no type, and genes without reads do not count."""
    first = make_matrix(counts=[[1, 0, 0], [2, 3, 0]], dataset="a")
    second = make_matrix(counts=[[0, 0, 9]], dataset="b")
    unknown = second.cells.with_columns(pl.lit("Unknown").alias("cell_type"))
    joined = ExpressionMatrix(
        sparse.csr_matrix(sparse.vstack([first.X_CG, second.X_CG])), pl.concat([first.cells, unknown]), first.genes
    )
    rows = summarise_each(joined)
    table = schema.check(pl.DataFrame(rows, schema=schema.SUMMARY.dtypes), schema.SUMMARY)
    assert table.rows() == [
        ("a", "after", 2, 2, 2, pytest.approx(1 / 4), 3.0),
        ("b", "after", 1, 1, 0, 0.0, 9.0),
        ("all", "after", 3, 3, 2, pytest.approx(5 / 9), 5.0),
    ]
    assert [row["dataset"] for row in summarise_each(first)] == ["a"]


def test_the_normaliser_makes_the_processed_values(counts: ExpressionMatrix) -> None:
    """Of the counts of the kept genes, whatever blocks they come in."""
    prepared = prepare(counts, split_of(counts), SETTINGS, 0)
    block = normaliser(SETTINGS)(prepared.counts.X_CG[5:9])
    np.testing.assert_array_equal(block.toarray(), prepared.value[5:9].toarray())
