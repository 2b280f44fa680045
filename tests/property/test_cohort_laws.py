"""Laws of cohorts: order decides nothing, numbers add up, no type and no sample takes more than its share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import Balance, CohortParams
from sclandmarks.prep.cohort import Cohort, Gatherer, divide


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(0, 300))
def test_samples_give_alike_and_no_more_than_they_have(available: list[int], total: int) -> None:
    available_S = np.array(available, dtype=np.int64)
    quota_S = divide(available_S, total)
    assert quota_S.sum() == min(total, available_S.sum())
    assert (quota_S <= available_S).all()
    assert (quota_S >= 0).all()
    unmet = quota_S < available_S  # one that could give more gives at most one less than any other
    assert not unmet.any() or quota_S[unmet].min() >= quota_S.max() - 1


@given(st.lists(st.integers(0, 50), min_size=2, max_size=12), st.integers(0, 300), st.integers(0, 50))
def test_another_sample_takes_from_the_others_and_gives_them_nothing(sizes: list[int], total: int, more: int) -> None:
    """That is why cells can be let go while samples are still to come."""
    before = divide(np.array(sizes, dtype=np.int64), total)
    for place in (0, len(sizes)):
        after = np.delete(divide(np.insert(np.array(sizes, dtype=np.int64), place, more), total), place)
        assert (after <= before).all()


@st.composite
def samples(draw: st.DrawFn) -> list[ExpressionMatrix]:
    """Up to four samples of up to 25 cells with genes of their own."""
    made = []
    for i in range(draw(st.integers(1, 4))):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        n_cells = draw(st.integers(1, 25))
        genes = [f"g{j}" for j in sorted(rng.choice(6, rng.integers(1, 6), replace=False))]
        X_CG = sparse.csr_matrix(rng.poisson(1.0, (n_cells, len(genes))), dtype=np.int32)
        cells = {
            "cell_id": [f"s{i}/{j}" for j in range(n_cells)],
            "dataset": "m", "sample": f"s{i}", "donor": "D", "tissue": "t", "condition": "c",
            "cell_type": [f"type{j}" for j in rng.integers(4, size=n_cells)],
            "library_size": np.asarray(X_CG.sum(axis=1)).ravel(),
        }  # fmt: skip
        table = {"gene_id": genes, "symbol": genes, "ensembl_id": [None] * len(genes), "original": genes}
        made.append(
            ExpressionMatrix(
                X_CG,
                pl.DataFrame(cells, schema=schema.CELLS.dtypes),
                pl.DataFrame(table, schema=schema.GENES.dtypes),
            )
        )
    return made


recipes = st.builds(
    CohortParams,
    genes=st.sampled_from(["union", "intersection"]),
    cell_types=st.sampled_from([(), ("type0", "type2")]),
    min_library_size=st.integers(0, 3),
    balance=st.none()
    | st.builds(
        Balance,
        per_type=st.sampled_from(["auto", 5, 9, 40]),
        floor=st.integers(1, 5),
        cap=st.none() | st.integers(5, 12),
        seed=st.integers(0, 3),
    ),
)


def gather(matrices: list[ExpressionMatrix], recipe: CohortParams) -> Cohort | None:
    gatherer = Gatherer("all", recipe)
    for matrix in matrices:
        gatherer.add("member", matrix)
    try:
        return gatherer.finish()
    except DataError:
        return None


def values_of(cohort: Cohort) -> dict[tuple[str, str], int]:
    """Cell and gene -> count, of those that are not zero."""
    coo = cohort.matrix.X_CG.tocoo()
    cells, genes = cohort.matrix.cells["cell_id"].to_list(), cohort.matrix.genes["gene_id"].to_list()
    entries = zip(coo.row, coo.col, coo.data, strict=True)
    return {(cells[row], genes[column]): int(value) for row, column, value in entries}


@settings(max_examples=80)
@given(samples(), recipes)
def test_every_cell_is_kept_or_dropped_for_one_reason(matrices: list[ExpressionMatrix], recipe: CohortParams) -> None:
    cohort = gather(matrices, recipe)
    if cohort is None:
        return
    assert cohort.matrix.n_cells + cohort.dropped["n_cells"].sum() == sum(matrix.n_cells for matrix in matrices)
    assert cohort.sizes["cells_kept"].sum() == cohort.matrix.n_cells
    sizes = dict(cohort.matrix.cells.group_by("cell_type").len().iter_rows())
    if recipe.cell_types:
        assert set(sizes) <= set(recipe.cell_types)
    if recipe.balance:
        assert recipe.balance.bound is None or max(sizes.values()) <= recipe.balance.bound
        assert recipe.balance.per_type != "auto" or len(set(sizes.values())) == 1
    assert cohort.matrix.cells["library_size"].min() >= recipe.min_library_size


@settings(max_examples=80)
@given(samples(), recipes)
def test_counts_are_those_of_the_samples(matrices: list[ExpressionMatrix], recipe: CohortParams) -> None:
    cohort = gather(matrices, recipe)
    if cohort is None:
        return
    whole = gather(matrices, CohortParams())
    assert whole is not None
    cells, genes = set(cohort.matrix.cells["cell_id"]), set(cohort.matrix.genes["gene_id"])
    expected = {key: value for key, value in values_of(whole).items() if key[0] in cells and key[1] in genes}
    assert values_of(cohort) == expected


@settings(max_examples=80)
@given(samples(), recipes, st.randoms())
def test_neither_the_order_of_samples_nor_of_cells_decides(
    matrices: list[ExpressionMatrix], recipe: CohortParams, random: object
) -> None:
    cohort = gather(matrices, recipe)
    mixed = []
    for matrix in matrices:
        order = list(range(matrix.n_cells))
        random.shuffle(order)
        mixed.append(replace(matrix, X_CG=matrix.X_CG[order], cells=matrix.cells[order]))
    random.shuffle(mixed)
    other = gather(mixed, recipe)
    assert (cohort is None) == (other is None)
    if cohort is not None and other is not None:
        assert values_of(cohort) == values_of(other)
        assert set(cohort.matrix.cells["cell_id"]) == set(other.matrix.cells["cell_id"])
        assert cohort.dropped.equals(other.dropped)


def test_a_recipe_that_was_drawn_can_be_impossible() -> None:
    with pytest.raises(ValueError, match="floor 6 is above"):
        Balance(per_type=5, floor=6)
