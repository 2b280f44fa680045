"""Split-conformal intervals: the rank rule by hand, coverage by simulation, groups, bad input."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.evaluate.bootstrap import Resamples, resample, resample_weights
from sclandmarks.evaluate.conformal import (
    Coverage,
    IntervalJudge,
    coverage,
    coverage_rows,
    half_widths,
    interval_rows,
)
from sclandmarks.learn.task import Pair
from sclandmarks.params import CompareParams, IntervalParams

SETTINGS = CompareParams(seed=0, n_bootstrap=30, confidence=0.95, reference="f")


class Zero(nn.Module):
    """Predicts zero for as many targets as there are inputs."""

    def forward(self, x_BL: Tensor) -> Tensor:
        return x_BL * 0


def pairs(y_CT: Tensor, size: int = 7) -> list[Pair]:
    """Cells in blocks; the inputs do not matter."""
    return [Pair(torch.zeros_like(block), block) for block in y_CT.split(size)]


def test_the_width_is_the_ranked_error_of_the_held_back_cells() -> None:
    y_CT = torch.tensor([[-3.0], [1.0], [2.0], [-0.5]])  # errors 0.5, 1, 2, 3
    assert half_widths(Zero(), pairs(y_CT), [0.2, 0.4, 0.8], 99).ravel().tolist() == [0.5, 1.0, 3.0]


@given(st.integers(1, 12), st.integers(0, 99))
def test_blocks_do_not_matter(size: int, seed: int) -> None:
    y_CT = torch.randn(30, 3, generator=torch.Generator().manual_seed(seed))
    widths = half_widths(Zero(), pairs(y_CT, size), [0.5, 0.9], 99)
    assert torch.equal(widths, half_widths(Zero(), pairs(y_CT, 30), [0.5, 0.9], 99))
    assert bool((widths[1] >= widths[0]).all())
    once, whole = coverage(Zero(), pairs(y_CT, size), widths), coverage(Zero(), pairs(y_CT, 30), widths)
    np.testing.assert_allclose(once[0].per_gene_T, whole[0].per_gene_T)
    np.testing.assert_allclose(once[1].per_cell_C, whole[1].per_cell_C)
    assert once[0].per_gene_T.mean() == pytest.approx(once[0].per_cell_C.mean())


def test_no_more_cells_than_asked_for_are_looked_at() -> None:
    y_CT = torch.cat([torch.ones(20, 1), torch.full((20, 1), 9.0)])
    assert half_widths(Zero(), pairs(y_CT), [0.9], 20).item() == 1.0


def test_coverage_is_what_was_promised() -> None:
    """Exchangeable cells: over many draws, mean coverage is k / (n + 1), whatever the distribution."""
    rng, found = torch.Generator().manual_seed(0), []
    for _ in range(200):
        y_CT = torch.rand(49 + 200, 4, generator=rng) ** 3
        widths = half_widths(Zero(), pairs(y_CT[:49], 49), [0.8], 99)
        found.append(coverage(Zero(), pairs(y_CT[49:], 200), widths)[0].per_gene_T.mean())
    assert np.mean(found) == pytest.approx(0.8, abs=0.01)


def test_length_is_cut_off_at_zero() -> None:
    one = coverage(Zero(), pairs(torch.zeros(5, 1)), torch.tensor([[2.0]]))[0]
    assert one.width_T.tolist() == [2.0]  # from 0 to 2, not from -2


def test_too_few_held_back_cells_are_refused() -> None:
    with pytest.raises(DataError, match=r"at least 19 held-back cells.*0\.95.*got 18"):
        half_widths(Zero(), pairs(torch.randn(18, 2)), [0.8, 0.95], 99)
    assert math.isfinite(half_widths(Zero(), pairs(torch.randn(19, 2)), [0.95], 99).sum())


def test_rows_of_groups() -> None:
    """Over all, data sets and types, by hand; of fewer than five cells no interval is made."""
    kinds = [("a", "x")] * 5 + [("a", "y")] + [("b", "x")] * 2
    cells = pl.DataFrame(kinds, schema=["dataset", "cell_type"], orient="row")
    per_cell_C = np.array([1.0, 1, 0.5, 0.5, 0, 0, 1, 0])
    resamples = Resamples("cell", resample_weights(8, 50, 0), np.arange(8))
    rows = coverage_rows("f", cells, [0.8], [Coverage(np.array([1.0]), per_cell_C, np.array([2.0]))], resamples, 0.95)
    schema.check(rows, schema.COVERAGE)
    values = {(d, t): (n, c) for d, t, n, c in rows.select("dataset", "cell_type", "n_cells", "coverage").iter_rows()}
    assert values == {
        ("all", "all"): (8, 0.5), ("a", "all"): (6, 0.5), ("b", "all"): (2, 0.5),
        ("a", "x"): (5, 0.6), ("a", "y"): (1, 0.0), ("b", "x"): (2, 0.5),
    }  # fmt: skip
    said = rows.filter(pl.col("low").is_not_null())
    assert said["n_cells"].to_list() == [8, 6, 5]
    assert said.select((pl.col("low") < pl.col("coverage")) & (pl.col("coverage") < pl.col("high"))).to_series().all()


def donors(n_donors: int) -> pl.DataFrame:
    """60 cells of so many donors."""
    names = [f"d{i % n_donors}" for i in range(60)]
    return pl.DataFrame({"dataset": "a", "donor": names, "cell_type": "x"})


@pytest.mark.parametrize(("n_donors", "unit"), [(4, "cell"), (5, "donor")])
def test_coverage_draws_what_the_comparison_draws(n_donors: int, unit: str) -> None:
    """Donors from five on: where a donor's cells are alike, the interval is as wide as five donors make it."""
    cells, compare = donors(n_donors), CompareParams(seed=3, n_bootstrap=400, confidence=0.9, reference="f")
    judge = IntervalJudge(cells, IntervalParams(levels=(0.8,), max_cells=50), compare)
    expected = resample(cells, 400, 3)
    np.testing.assert_array_equal(judge.resamples.weights_NC, expected.weights_NC)
    outside = torch.tensor([9.0 if name == "d0" else 0.1 for name in cells["donor"]])[:, None]
    genes = pl.DataFrame({"gene_id": ["g"], "symbol": ["G"]})
    held_back = pairs(torch.linspace(0, 1, 40)[:, None])
    rows = judge.judge("f", Zero(), held_back, pairs(outside), genes)[1].row(0, named=True)
    assert (rows["unit"], rows["coverage"]) == (unit, 1 - 1 / n_donors)
    resampled = expected.weights_NC @ (outside[:, 0] < 1).double().numpy() / 60
    assert [rows["low"], rows["high"]] == pytest.approx(np.quantile(resampled, [0.05, 0.95]).tolist())
    assert (rows["high"] - rows["low"] > 0.35) == (unit == "donor")


def test_fits_share_the_resamples() -> None:
    """They are drawn once."""
    judge = IntervalJudge(donors(6), IntervalParams(levels=(0.8,), max_cells=50), SETTINGS)
    before, y_C1 = judge.resamples, torch.linspace(0, 1, 60)[:, None]
    genes = pl.DataFrame({"gene_id": ["g"], "symbol": ["G"]})
    first, second = (judge.judge("f", Zero(), pairs(y_C1), pairs(y_C1), genes)[1] for _ in range(2))
    assert judge.resamples is before
    assert first.equals(second)


def test_a_rank_is_not_raised_by_rounding() -> None:
    """30 x 0.1 is 3.0000000000000004 in floats; the third smallest of 29 errors is meant."""
    y_C1 = torch.arange(1.0, 30)[:, None]
    assert half_widths(Zero(), pairs(y_C1), [0.1], 99).item() == 3
    with pytest.raises(DataError, match=r"at least 9 held-back cells.*got 8"):
        half_widths(Zero(), pairs(torch.randn(8, 2)), [0.9], 99)


def test_rows_of_genes() -> None:
    genes = pl.DataFrame({"gene_id": ["g1", "g2"], "symbol": ["A", "B"]})
    widths = torch.tensor([[0.5, 1.0], [1.0, 2.0]])
    found = coverage(Zero(), pairs(torch.tensor([[0.6, 0.6], [0.2, 3.0]])), widths)
    rows = interval_rows("f", genes, [0.8, 0.95], widths, found)
    schema.check(rows, schema.INTERVALS)
    assert rows["coverage"].to_list() == [0.5, 0.5, 1.0, 0.5]
    assert rows["half_width"].to_list() == [0.5, 1.0, 1.0, 2.0]
