"""From the mean of a value to the rate of reads: a link under which a prediction needs no way back.

A gene has n reads in a cell of depth d (the cell's reads over `scale`), and its value is v = log_b(1 + n / d). Under a
Poisson or negative binomial count of mean d r, the mean of v over counts, and over the depths of the training cells, is
an increasing function g of the rate r alone. Predictions u are means of values, as those of every other predictor, so
that the rate that a loss on counts takes is g^-1(u). Put straight through the logarithm, r would give log_b(1 + r),
which lies above the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from sclandmarks.learn.counts import ValueScale

N_DEPTHS, N_RATES, N_PLACES = 16, 256, 2048
STEP = 0.25
LOG_S = np.arange(-30, 4, STEP)
FloatArray = NDArray[np.float64]


def expected_value(rate_P: FloatArray, depth_Q: FloatArray, theta: float, base: float) -> FloatArray:
    """Mean of log_b(1 + n / d) for counts n of mean d r, averaged over depths d, shape (P,).

    With ln(1 + x) = integral over s > 0 of (1 - exp(-s x)) exp(-s) / s, the mean over n is one over its generating
    function: no sum over n, whatever its size. In t = ln s the trapezoid rule is exact to about 1e-9.

    Parameters
    ----------
    rate_P : numpy.ndarray, shape (P,)
        Reads per `scale` reads.
    depth_Q : numpy.ndarray, shape (Q,)
        Reads of a cell over `scale`, above 0.
    theta : float
        Size of the negative binomial, variance m + m^2 / theta; infinite: Poisson.
    base : float
        Of the logarithm.
    """
    s_S = np.exp(LOG_S)
    mean_QS = depth_Q[:, None] * -np.expm1(-s_S / depth_Q[:, None])
    weight_S = STEP * np.exp(-s_S) / (len(depth_Q) * math.log(base))
    mean_P: FloatArray = np.stack([_seen(rate * mean_QS, theta).sum(0) @ weight_S for rate in rate_P])
    return mean_P


def _seen(x: FloatArray, theta: float) -> FloatArray:
    """One minus the generating function at z, of x = mean (1 - z)."""
    done: FloatArray = -np.expm1(-x if math.isinf(theta) else -theta * np.log1p(x / theta))
    return done


class Link(NamedTuple):
    """Tables of g^-1, one for each size of the negative binomial.

    Parameters
    ----------
    theta_K : torch.Tensor, shape (K,)
        Sizes; infinite: Poisson.
    rate_KU, slope_KU : torch.Tensor, shape (K, N_PLACES)
        Rate at values 0, step, 2 step, ..., and its slope from there to the next.
    step : float
    """

    theta_K: Tensor
    rate_KU: Tensor
    slope_KU: Tensor
    step: float

    def rates(self, u_BT: Tensor, row_T: Tensor) -> tuple[Tensor, Tensor]:
        """Rates of mean values u >= 0, of the sizes in these rows of the tables, and their slopes, shaped as u.

        Between places the rate is interpolated, beyond the last one it goes on straight.
        """
        width = self.rate_KU.shape[1]
        place_BT = (u_BT / self.step).clamp_(max=width - 1).to(torch.int32).clamp_(min=0)  # of NaN: 0
        flat = (place_BT + (row_T * width).to(torch.int32)).view(-1)
        slope_BT = self.slope_KU.view(-1).index_select(0, flat).view_as(u_BT)
        rate_BT = self.rate_KU.view(-1).index_select(0, flat).view_as(u_BT)
        return rate_BT.addcmul_(u_BT.sub(place_BT, alpha=self.step), slope_BT), slope_BT

    def to(self, device: torch.device) -> Link:
        """Return the same tables on a device."""
        return Link(self.theta_K.to(device), self.rate_KU.to(device), self.slope_KU.to(device), self.step)


def make_link(thetas: Sequence[float], how: ValueScale) -> Link:
    """Tabulate g^-1 for these sizes, averaged over N_DEPTHS quantiles of the training cells' depths."""
    depth_Q = np.quantile(how.depth_C, (np.arange(N_DEPTHS) + 0.5) / N_DEPTHS)
    p_P = np.linspace(0, how.largest, N_RATES)
    place_U = np.linspace(0, how.largest, N_PLACES + 1)
    rate_KU = np.stack([_inverse(p_P, depth_Q, theta, how.base, place_U) for theta in thetas])
    slope_KU = np.diff(rate_KU) / place_U[1]
    theta_K, rates, slopes = (torch.from_numpy(table).float() for table in (np.array(thetas), rate_KU, slope_KU))
    return Link(theta_K, rates[:, :-1].contiguous(), slopes, float(place_U[1]))


def _inverse(p_P: FloatArray, depth_Q: FloatArray, theta: float, base: float, place_U: FloatArray) -> FloatArray:
    """Rates whose mean values are these; straight on beyond that of the largest rate, log_b(1 + r) = p[-1]."""
    u_P = expected_value(np.expm1(p_P * math.log(base)), depth_Q, theta, base)
    inside_U = np.minimum(place_U, u_P[-1])
    curve = PchipInterpolator(u_P, p_P)
    rate_U = np.expm1(curve(inside_U) * math.log(base))
    slope = (rate_U[-1] + 1) * math.log(base) * float(curve(u_P[-1], 1))
    found: FloatArray = rate_U + slope * (place_U - inside_U)
    return found
