"""Reduced-rank ridge regression for every prefix of an ordered panel, from moments gathered once.

With S = X'X and C = X'Y of the centred training cells, the ridge coefficients cut to rank R are A B with B the leading
axes of the fitted values (see `predict.linear`). All that choosing lambda and rank takes is L x L: the axes come from
C C', and the held-back error from the held-back X'X and (X'Y) C'. So a panel of n genes costs about n^3, however
many cells and genes there are, and all prefixes of an order share one pass over the cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import eigsh
from torch import Tensor

from sclandmarks.matrix import IntArray, to_torch
from sclandmarks.moments import Moments, gather

BLOCK = 512
DECADES = (-2, 6)
MAX_WIDENINGS = 3
SMALL = 400  # below this all axes are found at once
EPSILON = 1e-10  # of the largest eigenvalue: smaller ones are rounding


class Side(NamedTuple):
    """Inputs and outputs of the same cells."""

    X_CL: sparse.csr_matrix
    Y_CG: sparse.csr_matrix

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Yield blocks of cells, inputs left of outputs."""
        for start in range(0, self.X_CL.shape[0], BLOCK):
            rows = slice(start, start + BLOCK)
            yield sparse.hstack([self.X_CL[rows], self.Y_CG[rows]], format="csr")


@dataclass(frozen=True)
class Grams:
    """Moments of training and held-back cells about the training means.

    Parameters
    ----------
    measured : numpy.ndarray of int64, shape (n_landmarks,)
        The output that each input measures, which is not to be predicted from it.
    mean_L, mean_G : torch.Tensor
        Training means of inputs and outputs.
    S_LL, S_LG : torch.Tensor
        Training sums of products among inputs, and of inputs with outputs.
    held_LL, held_LG : torch.Tensor
        The same over held-back cells, about the training means.
    A_LL, K_LL : torch.Tensor
        S_LG S_LG' and held_LG S_LG'.
    """

    measured: IntArray
    mean_L: Tensor
    mean_G: Tensor
    S_LL: Tensor
    S_LG: Tensor
    held_LL: Tensor
    held_LG: Tensor
    A_LL: Tensor
    K_LL: Tensor


class LowRank(NamedTuple):
    """Predicts `mean_G + (x - mean_L) A B`; the columns of genes that the panel measures mean nothing."""

    mean_L: Tensor
    A_LR: Tensor
    B_RG: Tensor
    mean_G: Tensor
    lambda_: float
    exponent: float
    """log10 of lambda relative to the mean eigenvalue: where the search of the next prefix begins."""

    def predict(self, X_BL: Tensor) -> Tensor:
        """Values of all genes, shape (B, n_genes), float32."""
        A_LR, B_RG = self.A_LR.float(), self.B_RG.float()
        return torch.addmm(self.mean_G.float(), (X_BL - self.mean_L.float()) @ A_LR, B_RG)


def gather_grams(train: Side, held_back: Side, measured: IntArray) -> Grams:
    """Gather what every prefix needs in one pass over the training and the held-back cells.

    Parameters
    ----------
    train, held_back : Side
        Inputs, first choice first, and all genes.
    measured : numpy.ndarray of int64, shape (n_landmarks,)
        Column of `Y_CG` of each input.
    """
    n = len(measured)
    rows = torch.arange(n)
    own, held = gather(train.blocks(), rows), gather(held_back.blocks(), rows)
    S, H = own.S_LG, _about(held, own.mean_G)
    S_LG, held_LG = S[:, n:], H[:, n:]
    means = own.mean_G[:n], own.mean_G[n:]
    return Grams(measured, *means, S[:, :n], S_LG, H[:, :n], held_LG, S_LG @ S_LG.T, held_LG @ S_LG.T)


def _about(moments: Moments, mean_G: Tensor) -> Tensor:
    """Second moments about other means than their own."""
    shift_G = moments.mean_G - mean_G
    return moments.S_LG + moments.n_cells * torch.outer(shift_G[moments.rows], shift_G)


class _Prefix(NamedTuple):
    """The first inputs in the eigenbasis of their scatter matrix; the genes they measure are no targets."""

    d_K: Tensor
    V_LK: Tensor
    M_KK: Tensor
    held_LL: Tensor
    K_LL: Tensor


def fit_prefix(grams: Grams, n_landmarks: int, max_rank: int, exponent: float | None = None) -> LowRank:
    """Fit the first `n_landmarks` inputs to all genes but those they measure.

    Lambda, by decades over a wide grid and then by halves and quarters around the best, and rank are the best pair on
    the held-back cells.

    Parameters
    ----------
    grams : Grams
    n_landmarks, max_rank : int
    exponent : float, optional
        Of a neighbouring prefix: the search begins there instead of over the whole grid.
    """
    prefix = _prefix(grams, n_landmarks)
    scale = float(prefix.d_K.sum() / n_landmarks) or 1.0
    gains: dict[float, tuple[float, int]] = {}

    def look(exponents: Iterable[float]) -> float:
        for one in exponents:
            if one not in gains:
                gains[one] = _best_rank(prefix, scale * 10**one, max_rank)
        most = max(gain for gain, _ in gains.values())
        return max(one for one, (gain, _) in gains.items() if gain >= most - 1e-9 * abs(most))

    best = _coarse(look, exponent)
    for step in (0.5, 0.25):
        best = look([best - step, best + step])
    return _low_rank(grams, prefix, n_landmarks, scale * 10**best, gains[best][1], best)


def _coarse(look: Callable[[Iterable[float]], float], exponent: float | None) -> float:
    """The best decade; the range is widened while the best lies at its edge."""
    low, high = DECADES if exponent is None else (round(exponent) - 1, round(exponent) + 1)
    best = look(map(float, range(low, high + 1)))
    for _ in range(MAX_WIDENINGS + (0 if exponent is None else DECADES[1] - DECADES[0])):
        if low < best < high:
            break
        low, high = (low, high + 1) if best >= high else (low - 1, high)
        best = look([float(low), float(high)])
    return best


def _prefix(grams: Grams, n: int) -> _Prefix:
    """Eigenbasis of the first n inputs, and C C' in it, without the genes that they measure."""
    d_L, V_LL = torch.linalg.eigh(grams.S_LL[:n, :n])
    real = d_L > EPSILON * d_L.max().clamp(min=1e-30)
    d_K, V_LK = d_L[real], V_LL[:, real]
    own = torch.from_numpy(grams.measured[:n])
    S_LP, held_LP = grams.S_LG[:n, own], grams.held_LG[:n, own]
    A_LL, K_LL = grams.A_LL[:n, :n] - S_LP @ S_LP.T, grams.K_LL[:n, :n] - held_LP @ S_LP.T
    return _Prefix(d_K, V_LK, V_LK.T @ A_LL @ V_LK, grams.held_LL[:n, :n], K_LL)


class _Axes(NamedTuple):
    """Coefficients A (L x R), and weights with which B = weight S_LG."""

    A_LR: Tensor
    weight_RL: Tensor


def _axes(prefix: _Prefix, lambda_: float, max_rank: int) -> _Axes:
    """Leading axes of the fitted values at one lambda, largest first.

    The fitted values are Z Q with Z'Z = diag(d), Q = C / (d + lambda). With P = diag(sqrt d) Q = U s W', their leading
    axes are W_R = P' U_R / s_R and the coefficients onto them Q W_R = diag(1 / sqrt d) U_R s_R.
    """
    root_K = prefix.d_K.sqrt()
    shrink_K = root_K / (prefix.d_K + lambda_)
    s2_R, U_KR = _leading(shrink_K.unsqueeze(1) * prefix.M_KK * shrink_K, max_rank)
    A_LR = prefix.V_LK @ (U_KR * s2_R.sqrt() / root_K.unsqueeze(1))
    weight_RL = (U_KR * shrink_K.unsqueeze(1) / s2_R.sqrt()).T @ prefix.V_LK.T
    return _Axes(A_LR, weight_RL)


def _leading(M_KK: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Largest eigenvalues of a symmetric matrix and their vectors, without those that are rounding."""
    if len(M_KK) <= max(SMALL, 3 * n):
        values, vectors = torch.linalg.eigh(M_KK)
    else:
        start = np.random.default_rng(0).normal(size=len(M_KK))
        found = eigsh(((M_KK + M_KK.T) / 2).numpy(), k=n, v0=start, tol=1e-9)
        values, vectors = (torch.from_numpy(part) for part in found)
    order = torch.argsort(values, descending=True)[:n]
    largest = max(float(values[order[0]]), 1e-30) if len(order) else 1e-30
    kept = order[values[order] > EPSILON * largest]
    return values[kept], vectors[:, kept]


def _best_rank(prefix: _Prefix, lambda_: float, max_rank: int) -> tuple[float, int]:
    """How much the best rank lowers the held-back squared error, and that rank.

    Each axis lowers it by 2 a.b - a.a, as the axes are orthonormal: a the held-back fitted values, b the measured.
    """
    axes = _axes(prefix, lambda_, max_rank)
    if not axes.A_LR.shape[1]:
        return 0.0, 0
    ab_R = (axes.A_LR * (prefix.K_LL @ axes.weight_RL.T)).sum(0)
    aa_R = (axes.A_LR * (prefix.held_LL @ axes.A_LR)).sum(0)
    gain_R = torch.cumsum(2 * ab_R - aa_R, 0)
    best = int(gain_R.argmax())
    return float(gain_R[best]), best + 1


def _low_rank(grams: Grams, prefix: _Prefix, n: int, lambda_: float, rank: int, exponent: float) -> LowRank:
    axes = _axes(prefix, lambda_, max(rank, 1))
    A_LR, B_RG = axes.A_LR[:, :rank], axes.weight_RL[:rank] @ grams.S_LG[:n]
    return LowRank(grams.mean_L[:n], A_LR, B_RG, grams.mean_G, lambda_, exponent)


def dense_blocks(side: Side) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and outputs of blocks of cells, dense."""
    for block in side.blocks():
        D = to_torch(block)
        yield D[:, : side.X_CL.shape[1]], D[:, side.X_CL.shape[1] :]
