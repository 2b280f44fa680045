"""The mean of a value under a count model, against sums, against draws, and back to the rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sclandmarks.learn.count_link import N_DEPTHS, Link, expected_value, make_link
from sclandmarks.learn.counts import ValueScale
from sclandmarks.learn.layers import above_zero

RATES = np.array([1e-3, 0.1, 1.0, 20.0, 500.0])
THETAS = [0.05, 0.5, 4.0, 100.0, math.inf]


def law(mean: float, theta: float):
    """Counts of this mean: Poisson, or negative binomial of this size."""
    return stats.poisson(mean) if math.isinf(theta) else stats.nbinom(theta, theta / (theta + mean))


def summed(rate: float, depth: float, theta: float, base: float) -> float:
    """The mean of log_b(1 + n / depth) by a sum over counts."""
    counts = law(rate * depth, theta)
    n = np.arange(int(counts.isf(1e-13)) + 2)
    return float(counts.pmf(n) @ np.log1p(n / depth)) / math.log(base)


@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("depth", [0.05, 1.0, 7.3])
def test_means_of_values_are_those_of_sums_over_counts(theta: float, depth: float) -> None:
    """Over six orders of the rate, to 1e-8."""
    got = expected_value(RATES, np.array([depth]), theta, 10)
    np.testing.assert_allclose(got, [summed(rate, depth, theta, 10) for rate in RATES], rtol=1e-8)


@pytest.mark.parametrize("theta", [0.5, math.inf])
@pytest.mark.parametrize("base", [2, math.e])
def test_means_of_values_are_those_of_draws(theta: float, base: float) -> None:
    """Of cells of three depths, within four standard errors."""
    depth_Q, rng = np.array([0.2, 1.0, 4.0]), np.random.default_rng(0)
    for rate, want in zip(RATES[1:4], expected_value(RATES[1:4], depth_Q, theta, base), strict=True):
        drawn = np.stack([law(rate * depth, theta).rvs(40_000, random_state=rng) / depth for depth in depth_Q])
        value_QN = np.log1p(drawn) / math.log(base)
        error = math.sqrt(value_QN.var(1).sum() / 40_000) / 3
        assert abs(value_QN.mean() - want) < 4 * error


@given(theta=st.sampled_from(THETAS), depth=st.floats(0.02, 50), low=st.floats(1e-4, 1e3), factor=st.floats(1.001, 100))
def test_the_mean_of_values_grows_with_the_rate_and_lies_below_its_logarithm(
    theta: float, depth: float, low: float, factor: float
) -> None:
    """Jensen: this is why a rate put through the logarithm is no prediction."""
    first, second = expected_value(np.array([low, low * factor]), np.array([depth]), theta, 10)
    assert 0 < first < second
    assert first < math.log10(1 + low)
    assert second < math.log10(1 + low * factor)


@pytest.fixture(scope="module")
def how() -> ValueScale:
    """Cells of 500 to 50,000 reads."""
    return ValueScale(10.0, 1e4, np.exp(np.random.default_rng(1).uniform(np.log(0.05), np.log(5), 300)))


@pytest.fixture(scope="module")
def link(how: ValueScale) -> Link:
    """Of five sizes."""
    return make_link(THETAS, how)


def depths(how: ValueScale) -> np.ndarray:
    return np.quantile(how.depth_C, (np.arange(N_DEPTHS) + 0.5) / N_DEPTHS)


@pytest.mark.parametrize("row", range(len(THETAS)))
def test_the_link_undoes_the_mean(row: int, how: ValueScale, link: Link) -> None:
    """The rate of a mean value has that mean, to a hundredth, from values near zero up."""
    u_P = torch.tensor([5e-3, 0.01, 0.05, 0.3, 0.8, 1.1])
    rate_P, _ = link.rates(u_P[None], torch.full((6,), row))
    again_P = expected_value(rate_P[0].double().numpy(), depths(how), THETAS[row], 10)
    np.testing.assert_allclose(again_P, u_P, rtol=1e-2)


def test_rates_grow_and_their_slopes_are_those_of_the_rates(link: Link) -> None:
    """Beyond the last place too, where the rate goes straight on; the rate of nothing is nothing."""
    u_BT = torch.linspace(0, 6, 4001)[:, None].double().expand(-1, len(THETAS))
    rate_BT, slope_BT = Link(link.theta_K, link.rate_KU.double(), link.slope_KU.double(), link.step).rates(
        u_BT, torch.arange(len(THETAS))
    )
    assert (rate_BT[0] == 0).all()
    assert (rate_BT.diff(dim=0) > 0).all()
    assert (slope_BT > 0).all()
    inner_BT = (rate_BT[1:] - rate_BT[:-1]) / (u_BT[1:] - u_BT[:-1])
    between = (u_BT[1:] / link.step).int() == (u_BT[:-1] / link.step).int()
    torch.testing.assert_close(inner_BT[between], slope_BT[:-1][between], rtol=1e-6, atol=1e-9)
    assert torch.equal(slope_BT[-1], link.slope_KU[:, -1].double())


def test_a_larger_size_needs_a_smaller_rate(link: Link) -> None:
    """The more counts vary, the further the mean of the logarithm lies below that of the counts."""
    rate_BT, _ = link.rates(torch.full((1, len(THETAS)), 0.8), torch.arange(len(THETAS)))
    assert (rate_BT.diff() < 0).all()


def test_each_gene_reads_its_own_table(link: Link) -> None:
    """Whatever the order of the rows, and the shape of the values."""
    u_EBT, row_T = torch.rand(2, 3, 4), torch.tensor([4, 0, 2, 2])
    rate_EBT, slope_EBT = link.rates(u_EBT, row_T)
    for gene, row in enumerate(row_T):
        alone, steep = link.rates(u_EBT[..., gene : gene + 1], row[None])
        assert torch.equal(alone, rate_EBT[..., gene : gene + 1])
        assert torch.equal(steep, slope_EBT[..., gene : gene + 1])


def test_tables_are_small_and_finite(link: Link) -> None:
    """Some numbers a size, none a gene."""
    assert link.rate_KU.shape == link.slope_KU.shape == (5, 2048)
    assert all(table.isfinite().all() for table in link[1:3])
    assert link.to(torch.device("cpu")).step == link.step


def test_values_are_bent_above_zero_smoothly() -> None:
    """Far below zero they stay positive in float32, far above they stay, at zero they are half the floor."""
    u_BT, floor_T = torch.tensor([[-3.0], [-0.01], [0.0], [0.2], [3.0]]), torch.tensor([0.01])
    bent_BT = above_zero(u_BT, floor_T)
    want = (u_BT.double() + (u_BT.double() ** 2 + 1e-4).sqrt()) / 2
    torch.testing.assert_close(bent_BT.double(), want, rtol=1e-5, atol=0)
    assert (bent_BT > 0).all()
    assert bent_BT[2].item() == pytest.approx(0.005)
    assert bent_BT[4].item() == pytest.approx(3, rel=1e-5)
