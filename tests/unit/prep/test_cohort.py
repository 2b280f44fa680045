"""Cohorts: which cells are kept, from which samples, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import CohortParams
from sclandmarks.prep.cohort import Cohort, Gatherer, divide, ranked, shared_out

UNION = {"genes": "union"}


def sample_of(name: str, sizes: dict[str, int], genes: list[str] | None = None, reads: int = 1) -> ExpressionMatrix:
    """Cells of the types given; every count of cell i is i + 1 in the first gene, `reads` in the others."""
    types = [kind for kind, size in sizes.items() for _ in range(size)]
    names = genes or ["A", "B"]
    counts = np.full((len(types), len(names)), reads)
    counts[:, 0] = np.arange(1, len(types) + 1)
    cells = {
        "cell_id": [f"{name}/{i:04}" for i in range(len(types))],
        "dataset": name, "sample": name, "donor": "Unknown", "tissue": "gut", "condition": "Unknown",
        "cell_type": types, "library_size": counts.sum(axis=1),
    }  # fmt: skip
    table = {"gene_id": names, "symbol": names, "ensembl_id": [None] * len(names), "original": names}
    return ExpressionMatrix(
        sparse.csr_matrix(counts, dtype=np.int32),
        pl.DataFrame(cells, schema=schema.CELLS.dtypes),
        pl.DataFrame(table, schema=schema.GENES.dtypes),
    )


def gather(samples: list[ExpressionMatrix], **settings: Any) -> Cohort:
    gatherer = Gatherer("all", CohortParams.model_validate(settings))
    for sample in samples:
        gatherer.add("member", sample)
    return gatherer.finish()


def kept(cohort: Cohort, *keys: str) -> dict[Any, int]:
    """Cells of each type, or of what else is asked for."""
    counts = cohort.matrix.cells.group_by(keys or ("cell_type",)).len().rows()
    return {row[:-1] if len(row) > 2 else row[0]: row[-1] for row in counts}


def reasons(cohort: Cohort) -> dict[tuple[str, str], int]:
    """Reason and type -> cells."""
    table = schema.check(cohort.dropped, schema.DROPPED)
    return dict(((r, t), n) for r, t, n in table.group_by("reason", "cell_type").agg(pl.col("n_cells").sum()).rows())


def test_without_balance_every_cell_is_kept_with_its_counts() -> None:
    one, two = sample_of("s1", {"T": 3, "B": 2}), sample_of("s2", {"T": 4}, ["B", "C"])
    cohort = gather([one, two])
    assert cohort.matrix.cells["cell_id"].to_list()[:2] == ["all/s1/0000", "all/s1/0001"]
    assert set(cohort.matrix.cells["dataset"]) == {"all"}
    assert cohort.matrix.genes["gene_id"].to_list() == ["A", "B", "C"]
    expected = [[i + 1, 1, 0] for i in range(5)] + [[0, i + 1, 1] for i in range(4)]
    assert cohort.matrix.X_CG.toarray().tolist() == expected
    assert cohort.matrix.X_CG.has_sorted_indices
    assert cohort.measured["n_samples"].to_list() == [1, 2, 1]
    assert cohort.dropped.is_empty()
    assert cohort.sizes.rows() == [("member", "s1", 5, 5), ("member", "s2", 4, 4)]


def test_genes_in_another_order_are_put_where_they_belong() -> None:
    cohort = gather([sample_of("s1", {"T": 1}), sample_of("s2", {"T": 2}, ["B", "A"], reads=9)])
    assert cohort.matrix.X_CG.toarray().tolist() == [[1, 1], [9, 1], [9, 2]]
    assert cohort.matrix.X_CG.indices.tolist() == [0, 1] * 3


def test_an_intersection_leaves_the_other_columns_out() -> None:
    cohort = gather([sample_of("s1", {"T": 2}), sample_of("s2", {"T": 2}, ["B", "C"])], genes="intersection")
    assert cohort.matrix.X_CG.toarray().tolist() == [[1], [1], [1], [2]]
    assert cohort.matrix.cells["library_size"].to_list() == [2, 3, 2, 3]  # of all genes of the file


def test_types_are_balanced_over_samples_that_have_them() -> None:
    samples = [sample_of("s1", {"T": 50, "B": 2}), sample_of("s2", {"T": 6}), sample_of("s3", {"T": 40, "B": 30})]
    cohort = gather(samples, balance={"per_type": 20})
    assert kept(cohort, "sample", "cell_type") == {
        ("s1", "T"): 7, ("s2", "T"): 6, ("s3", "T"): 7, ("s1", "B"): 2, ("s3", "B"): 18,
    }  # fmt: skip
    assert reasons(cohort) == {
        ("balance: 20 cells of a type are kept", "T"): 76,
        ("balance: 20 cells of a type are kept", "B"): 12,
    }
    assert cohort.sizes["cells_kept"].to_list() == [9, 6, 25]


def test_auto_takes_as_many_as_the_smallest_type_that_is_kept_has() -> None:
    sizes = {"T": 50, "B": 12, "rare": 4}
    cohort = gather([sample_of("s1", sizes), sample_of("s2", {"rare": 3})], balance={"per_type": "auto", "floor": 8})
    assert kept(cohort) == {"T": 12, "B": 12}
    assert reasons(cohort) == {
        ("balance: 12 cells of a type are kept", "T"): 38,
        ("balance: fewer than 8 cells of this type in all samples", "rare"): 7,
    }
    assert kept(gather([sample_of("s1", sizes)], balance={"floor": 8, "cap": 10})) == {"T": 10, "B": 10}


def test_a_type_is_rare_in_all_samples_together_alone() -> None:
    samples = [sample_of(f"s{i}", {"T": 3}) for i in range(4)]
    assert kept(gather(samples, balance={"per_type": 100, "floor": 12})) == {"T": 12}
    with pytest.raises(DataError, match="none left of 12"):
        gather(samples, balance={"per_type": 100, "floor": 13})


def test_fewer_cells_than_wanted_are_all_kept() -> None:
    assert kept(gather([sample_of("s1", {"T": 5, "B": 9})], balance={"per_type": 7})) == {"T": 5, "B": 7}


def test_types_are_renamed_then_chosen_then_balanced() -> None:
    sample = sample_of("s1", {"T cells": 4, "T reg": 3, "B cells": 2, "Odd": 6})
    settings = {"rename": {"T cells": "T", "T reg": "T", "B cells": "B"}, "cell_types": ["T", "B"]}
    cohort = gather([sample], **settings, balance={"per_type": 5})
    assert kept(cohort) == {"T": 5, "B": 2}
    assert reasons(cohort) == {
        ("not among cell_types", "Odd"): 6,
        ("balance: 5 cells of a type are kept", "T"): 2,
    }


def test_cells_with_few_reads_are_dropped_before_types_are_balanced() -> None:
    cohort = gather([sample_of("s1", {"T": 10})], min_library_size=6, balance={"per_type": 4})
    assert kept(cohort) == {"T": 4}
    assert cohort.matrix.cells["library_size"].min() >= 6
    assert reasons(cohort) == {
        ("min_library_size: fewer than 6 reads", "T"): 4,
        ("balance: 4 cells of a type are kept", "T"): 2,
    }


def test_a_sample_of_which_nothing_is_kept_is_in_the_sizes() -> None:
    cohort = gather([sample_of("s1", {"Odd": 3}), sample_of("s2", {"T": 2})], cell_types=["T"])
    assert cohort.sizes.rows() == [("member", "s1", 3, 0), ("member", "s2", 2, 2)]


def test_a_sample_of_which_nothing_is_kept_takes_no_gene_away() -> None:
    odd = sample_of("s1", {"Odd": 3}, ["Z"])
    cohort = gather([odd, sample_of("s2", {"T": 2})], cell_types=["T"], genes="intersection")
    assert cohort.matrix.genes["gene_id"].to_list() == ["A", "B"]
    assert cohort.measured["n_samples"].to_list() == [1, 1]


def test_no_more_cells_are_held_than_the_cohort_could_need() -> None:
    """With a bound, what stays in memory after each of 20 samples is a type's number, not the samples'."""
    gatherer = Gatherer("all", CohortParams.model_validate({"balance": {"per_type": 30, "floor": 2}}))
    for i in range(20):
        gatherer.add("member", sample_of(f"s{i}", {"T": 100, "B": 40}))
        held = sum(part.matrix.n_cells for part in gatherer._parts)
        assert held == 60
    assert kept(gatherer.finish()) == {"T": 30, "B": 30}


def test_the_seed_decides_which_cells() -> None:
    def chosen(seed: int) -> set[str]:
        balance = {"per_type": 10, "seed": seed}
        return set(gather([sample_of("s1", {"T": 100})], balance=balance).matrix.cells["cell_id"])

    assert chosen(0) == chosen(0)
    assert len({frozenset(chosen(seed)) for seed in range(5)}) == 5


def test_nothing_added_is_an_error() -> None:
    with pytest.raises(DataError, match="cells for the cohort all; got none left of 0"):
        Gatherer("all", CohortParams()).finish()


def test_ranks_are_a_permutation_in_each_sample_and_type() -> None:
    cells = sample_of("s1", {"T": 30, "B": 7}).cells
    ranks = ranked(cells, 0)
    assert sorted(ranks[:30]) == list(range(30))
    assert sorted(ranks[30:]) == list(range(7))
    assert list(ranks[:30]) != list(range(30))
    order = np.random.default_rng(0).permutation(37)
    assert ranked(cells[order], 0).tolist() == ranks[order].tolist()


@pytest.mark.parametrize(
    ("available", "total", "quota"),
    [
        ([5, 1, 9], 8, [4, 1, 3]),
        ([5, 1, 9], 15, [5, 1, 9]),
        ([5, 1, 9], 99, [5, 1, 9]),
        ([5, 5, 5], 2, [1, 1, 0]),
        ([5], 3, [3]),
        ([5, 2], 0, [0, 0]),
        ([0, 4], 3, [0, 3]),
        ([], 3, []),
    ],
)
def test_divide(available: list[int], total: int, quota: list[int]) -> None:
    assert divide(np.array(available, dtype=np.int64), total).tolist() == quota


def test_no_types_share_nothing_out() -> None:
    empty = pl.DataFrame(schema={"member": pl.String, "sample": pl.String, "cell_type": pl.String, "n": pl.Int64})
    assert shared_out(empty, 5).columns == ["member", "sample", "cell_type", "n", "quota"]


def test_two_members_may_have_samples_of_one_name() -> None:
    one, two = sample_of("s1", {"T": 8}), sample_of("s1", {"T": 8})
    two = replace(two, cells=two.cells.with_columns(cell_id=pl.concat_str(pl.lit("other/"), "cell_id")))
    gatherer = Gatherer("all", CohortParams.model_validate({"balance": {"per_type": 6}}))
    gatherer.add("one", one)
    gatherer.add("two", two)
    cohort = gatherer.finish()
    assert cohort.sizes.rows() == [("one", "s1", 8, 3), ("two", "s1", 8, 3)]
