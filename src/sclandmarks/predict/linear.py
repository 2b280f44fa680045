"""Ridge and reduced-rank ridge regression in closed form, from one pass over the training cells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sclandmarks.learn.task import Hooks, Step, Task
from sclandmarks.moments import Moments, gather
from sclandmarks.params import OlsPredictor, ReducedRankPredictor, RidgePredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import LowRank, Spec, build

log = logging.getLogger(__name__)

DECADES = (-2.0, 6.0)
STEPS_PER_DECADE = 4
MAX_WIDENINGS = 3


class Eigen(NamedTuple):
    """Training moments in the eigenbasis of the panel: S = V diag(d) V', C = V' S_xy."""

    d_L: Tensor
    V_LL: Tensor
    C_LT: Tensor
    mean_L: Tensor
    mean_T: Tensor


def fit_ridge(task: Task, settings: RidgePredictor, hooks: Hooks) -> Fitted:
    """Minimise sum |y - x B - b|^2 + lambda |B|^2; lambda is the best on the held-back cells.

    The grid reaches from 1e-2 to 1e6 times the mean eigenvalue of the panel's scatter matrix; a choice at an edge
    widens it, and is warned about when widening does not help.
    """
    eigen = _eigen(task)
    grid, errors = _search(lambda lambdas: _ridge_errors(task, eigen, lambdas), eigen)
    best = _best_place(errors)
    spec = Spec("linear", task.n_landmarks, task.n_targets)
    module = _linear(eigen, eigen.d_L + grid[best], spec)
    history = [Step(i, {"lambda": grid[i], "validation_mse": errors[i]}) for i in range(len(grid))]
    _report(history, hooks)
    return Fitted(module, spec, history, best, {"lambda": grid[best], "validation_mse": errors[best]})


def fit_ols(task: Task, settings: OlsPredictor, hooks: Hooks) -> Fitted:
    """Minimise sum |y - x B - b|^2; of all minima the B of smallest norm.

    Axes of the panel with less than 1e-7 of the variance of the largest, which float32 cannot tell from none, are
    left out.
    """
    eigen = _eigen(task)
    is_real_L = eigen.d_L > 1e-7 * eigen.d_L.max()
    spec = Spec("linear", task.n_landmarks, task.n_targets)
    module = _linear(eigen, torch.where(is_real_L, eigen.d_L, torch.inf), spec)
    chosen = {"n_axes": float(is_real_L.sum()), "validation_mse": _mse(module, task)}
    _report(history := [Step(0, {"validation_mse": chosen["validation_mse"]})], hooks)
    return Fitted(module, spec, history, 0, chosen)


def _linear(eigen: Eigen, divisor_L: Tensor, spec: Spec) -> nn.Module:
    """Module y = x B + b with B = V diag(1 / divisor) C."""
    B_LT = eigen.V_LL @ (eigen.C_LT / divisor_L.unsqueeze(1))
    module = build(spec)
    bias_T = eigen.mean_T - eigen.mean_L @ B_LT
    module.load_state_dict({"weight": B_LT.T.float().contiguous(), "bias": bias_T.float()})
    return module.eval()


@torch.no_grad()
def _mse(module: nn.Module, task: Task) -> float:
    """Mean squared error on the held-back cells."""
    pairs = task.pairs(task.validation.in_order())
    total = sum(float((module(x_BL.cpu()) - y_BT.cpu()).square().sum(dtype=torch.float64)) for x_BL, y_BT in pairs)
    return total / (task.validation.n_cells * task.n_targets)


def fit_reduced_rank(task: Task, settings: ReducedRankPredictor, hooks: Hooks) -> Fitted:
    """Ridge whose fitted values are projected on their leading principal axes.

    The scatter of the fitted values is B' S B; its leading eigenvectors come from the small side, an n_landmarks x
    n_landmarks problem. Rank and lambda are the best pair on the held-back cells.
    """
    eigen = _eigen(task)
    ranks = _ranks(min(settings.max_rank, task.n_landmarks, task.n_targets))
    table: dict[float, list[float]] = {}

    def errors_at(lambdas: list[float]) -> list[float]:
        for value in lambdas:
            table[value] = _rank_errors(task, eigen, value, ranks)
        return [min(table[value]) for value in lambdas]

    grid, errors = _search(errors_at, eigen)
    best = _best_place(errors)
    rank = ranks[min(range(len(ranks)), key=lambda i: table[grid[best]][i])]
    history = [Step(i, {"lambda": grid[i], "validation_mse": errors[i]}) for i in range(len(grid))]
    _report(history, hooks)
    chosen = {"lambda": grid[best], "rank": float(rank), "validation_mse": errors[best]}
    spec = Spec("low_rank", task.n_landmarks, task.n_targets, rank=rank)
    return Fitted(_low_rank(eigen, grid[best], spec), spec, history, best, chosen)


def _low_rank(eigen: Eigen, lambda_: float, spec: Spec) -> LowRank:
    F_LR, B_RT = _factors(eigen, lambda_, spec.rank)
    module = LowRank(spec)
    values = {"center": eigen.mean_L, "A_LR": eigen.V_LL @ F_LR, "B_RT": B_RT, "bias": eigen.mean_T}
    module.load_state_dict({name: value.float().contiguous() for name, value in values.items()})
    module.eval()
    return module


def _eigen(task: Task) -> Eigen:
    moments: Moments = gather(task.train.in_order(), task.inputs, task.device)
    S_LL = moments.S_LG[:, task.inputs]
    d_L, V_LL = torch.linalg.eigh(S_LL)
    C_LT = V_LL.T @ moments.S_LG[:, task.outputs]
    return Eigen(d_L.clamp(min=0), V_LL, C_LT, moments.mean_G[task.inputs], moments.mean_G[task.outputs])


def _factors(eigen: Eigen, lambda_: float, rank: int) -> tuple[Tensor, Tensor]:
    """Factors F (L x R), B (R x T) of the ridge coefficients in the eigenbasis, cut to a rank.

    The fitted values are Z Q with Z'Z = diag(d) and Q = C / (d + lambda). With P = diag(sqrt d) Q = U s W', the
    projection on the leading R axes of W is Q W_R W_R'. Axes beyond the rank of the training data are zero.
    """
    Q_LT = eigen.C_LT / (eigen.d_L + lambda_).unsqueeze(1)
    P_LT = eigen.d_L.sqrt().unsqueeze(1) * Q_LT
    s2_L, U_LL = torch.linalg.eigh(P_LT @ P_LT.T)
    order = torch.argsort(s2_L, descending=True)[:rank]
    real_R = s2_L[order] > 1e-10 * s2_L.max().clamp(min=1e-30)  # beyond the rank of the data there are no axes
    scale_R = torch.where(real_R, s2_L[order].clamp(min=1e-30).rsqrt(), 0)
    W_RT = (U_LL[:, order].T @ P_LT) * scale_R.unsqueeze(1)
    return Q_LT @ W_RT.T, W_RT


def _search(errors_at: Callable[[list[float]], list[float]], eigen: Eigen) -> tuple[list[float], list[float]]:
    """Held-back errors by decades over a wide grid, widened while the best lies at an edge, then finer around it."""
    scale = float(eigen.d_L.mean()) or 1.0
    errors: dict[float, float] = {}

    def look(exponents: Iterable[float]) -> float:
        new = [exponent for exponent in exponents if exponent not in errors]
        errors.update(zip(new, errors_at([scale * 10**exponent for exponent in new]), strict=True))
        return _best(errors)

    low, high = DECADES
    best = look(_range(low, high, 1))
    for _ in range(MAX_WIDENINGS):
        if best == high:
            low, high = low, high + 2
        elif best == low:
            low, high = low - 2, high
        else:
            break
        best = look(_range(low, high, 1))
    if best in (low, high):
        log.warning("the best lambda lies at the edge of the grid, however wide: the panel explains nothing, or all")
    look(_range(best - 1, best + 1, STEPS_PER_DECADE))
    ordered = sorted(errors)
    return [scale * 10**exponent for exponent in ordered], [errors[exponent] for exponent in ordered]


def _best_place(errors: list[float]) -> int:
    return int(_best({float(i): error for i, error in enumerate(errors)}))


def _best(errors: dict[float, float]) -> float:
    """The exponent of least error; of those as good to a millionth the largest, so that rounding decides nothing."""
    least = min(errors.values())
    return max(exponent for exponent, error in errors.items() if error <= least + 1e-6 * abs(least))


def _range(low: float, high: float, steps: int) -> list[float]:
    """Exponents from low to high, so many steps a decade."""
    return [low + i / steps for i in range(round((high - low) * steps) + 1)]


def _ranks(largest: int) -> list[int]:
    """All ranks up to 10, then steps of about a tenth."""
    ranks, rank = [], 1
    while rank <= largest:
        ranks.append(rank)
        rank += max(1, rank // 10)
    return ranks


@torch.no_grad()
def _ridge_errors(task: Task, eigen: Eigen, lambdas: list[float]) -> list[float]:
    sums = torch.zeros(len(lambdas), dtype=torch.float64)
    for Z_BL, R_BT in _held_back(task, eigen):
        for i, value in enumerate(lambdas):
            shrunk = (Z_BL / (eigen.d_L.float() + value)) @ eigen.C_LT.float()
            sums[i] += (R_BT - shrunk).square().sum(dtype=torch.float64)
    return (sums / (task.validation.n_cells * task.n_targets)).tolist()


@torch.no_grad()
def _rank_errors(task: Task, eigen: Eigen, lambda_: float, ranks: list[int]) -> list[float]:
    """Held-back MSE at every rank: each axis lowers the squared error by 2 a.b - a^2, as the axes are orthonormal."""
    F_LR, W_RT = _factors(eigen, lambda_, ranks[-1])
    gain_R, total = torch.zeros(ranks[-1], dtype=torch.float64), 0.0
    for Z_BL, R_BT in _held_back(task, eigen):
        a_BR, b_BR = Z_BL @ F_LR.float(), R_BT @ W_RT.float().T
        gain_R += (2 * a_BR * b_BR - a_BR.square()).sum(0, dtype=torch.float64)
        total += float(R_BT.square().sum(dtype=torch.float64))
    left = total - torch.cumsum(gain_R, 0)
    return [float(left[rank - 1]) / (task.validation.n_cells * task.n_targets) for rank in ranks]


def _held_back(task: Task, eigen: Eigen) -> Iterator[tuple[Tensor, Tensor]]:
    for x_BL, y_BT in task.pairs(task.validation.in_order()):
        Z_BL = (x_BL.cpu() - eigen.mean_L.float()) @ eigen.V_LL.float()
        yield Z_BL, y_BT.cpu() - eigen.mean_T.float()


def _report(history: list[Step], hooks: Hooks) -> None:
    for step in history:
        hooks.on_epoch(step.metrics, step.step)
