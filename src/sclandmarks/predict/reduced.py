"""Reduced-rank ridge regression: ridge whose fitted values keep their leading principal axes, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sclandmarks.learn.task import Hooks, Step, Task
from sclandmarks.params import ReducedRankPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.grid import best_place, ranks, search
from sclandmarks.predict.modules import LowRank, Spec
from sclandmarks.predict.spectrum import Eigen, HeldBack, hold_back, open_eigen


class Cut(NamedTuple):
    """Lambda and rank, the best pair on the held-back cells, with the errors of the grid."""

    lambda_: float
    rank: int
    grid: list[float]
    errors: list[float]
    best: int

    @property
    def history(self) -> list[Step]:
        """A step a lambda, with the error of its best rank."""
        places = zip(self.grid, self.errors, strict=True)
        return [Step(i, {"lambda": value, "validation_mse": error}) for i, (value, error) in enumerate(places)]

    @property
    def chosen(self) -> dict[str, float]:
        """What was chosen, and its error."""
        return {"lambda": self.lambda_, "rank": float(self.rank), "validation_mse": self.errors[self.best]}


def fit_reduced_rank(task: Task, settings: ReducedRankPredictor, hooks: Hooks) -> Fitted:
    """Ridge whose fitted values are projected on their leading principal axes.

    The scatter of the fitted values is B' S B; its leading eigenvectors come from the small side, an n_landmarks x
    n_landmarks problem. Rank and lambda are the best pair on the held-back cells.
    """
    eigen = open_eigen(task)
    cut = choose_cut(eigen, hold_back(task, eigen), min(settings.max_rank, task.n_landmarks, task.n_targets))
    for step in cut.history:
        hooks.on_epoch(step.metrics, step.step)
    spec = Spec("low_rank", task.n_landmarks, task.n_targets, rank=cut.rank)
    return Fitted(low_rank(eigen, cut.lambda_, spec), spec, cut.history, cut.best, cut.chosen)


def choose_cut(eigen: Eigen, held_back: HeldBack, max_rank: int) -> Cut:
    """Choose lambda on a wide grid, and the rank in steps of about a tenth up to a largest, by the held-back error."""
    table: dict[float, list[float]] = {}
    tried = ranks(max_rank)

    def errors_at(lambdas: list[float]) -> list[float]:
        for value in lambdas:
            table[value] = _errors(eigen, held_back, value, tried)
        return [min(table[value]) for value in lambdas]

    grid, errors = search(errors_at, eigen.scale)
    best = best_place(errors)
    rank = tried[min(range(len(tried)), key=lambda i: table[grid[best]][i])]
    return Cut(grid[best], rank, grid, errors, best)


def low_rank(eigen: Eigen, lambda_: float, spec: Spec) -> LowRank:
    """Module of the ridge coefficients at lambda, cut to the rank of the spec."""
    F_LR, B_RT = factors(eigen, lambda_, spec.rank)
    module = LowRank(spec)
    values = {"center": eigen.mean_L, "A_LR": eigen.V_LL @ F_LR, "B_RT": B_RT, "bias": eigen.mean_T}
    module.load_state_dict({name: value.float().contiguous() for name, value in values.items()})
    module.eval()
    return module


def factors(eigen: Eigen, lambda_: float, rank: int) -> tuple[Tensor, Tensor]:
    """Factors F (L x R), B (R x T) of the ridge coefficients in the eigenbasis, cut to a rank; B has unit rows.

    The fitted values are Z Q with Z'Z = diag(d) and Q = C / (d + lambda). With P = diag(sqrt d) Q = U s W', the
    projection on the leading R axes of W is Q W_R W_R'. Axes beyond the rank of the training data are zero.
    """
    A_LR, G_LR = _axes(eigen, (eigen.C_LT @ eigen.C_LT.T).double(), lambda_, rank)
    return A_LR, G_LR.T.to(eigen.C_LT) @ eigen.C_LT


def _axes(eigen: Eigen, CC_LL: Tensor, lambda_: float, rank: int) -> tuple[Tensor, Tensor]:
    """F and G with W_R' = G' C: both from P P' = diag(a) C C' diag(a), a = sqrt(d) / (d + lambda)."""
    a_L1 = (eigen.d_L.sqrt() / (eigen.d_L + lambda_)).unsqueeze(1)
    if 2 * eigen.C_LT.shape[1] < len(a_L1):  # fewer targets than inputs: the other side is smaller
        U_LR, s_R, _ = torch.linalg.svd(a_L1 * eigen.C_LT, full_matrices=False)
        s2_R, U_LR = s_R[:rank].square(), U_LR[:, :rank]
    else:
        s2_R, U_LR = _leading(a_L1 * CC_LL * a_L1.T, rank)
    real_R = s2_R > 1e-10 * s2_R.max().clamp(min=1e-30)  # beyond the rank of the data there are no axes
    G_LR = a_L1 * U_LR * torch.where(real_R, s2_R.clamp(min=1e-30).rsqrt(), 0)
    return CC_LL @ G_LR / (eigen.d_L + lambda_).unsqueeze(1), G_LR


def _leading(P_LL: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Leading eigenvalues and eigenvectors of a symmetric matrix, the largest first."""
    from scipy.linalg import eigh

    n = len(P_LL)
    values, vectors = eigh(P_LL.numpy(), subset_by_index=[max(0, n - rank), n - 1], driver="evr")
    return torch.from_numpy(values[::-1].copy()), torch.from_numpy(vectors[:, ::-1].copy())


def _errors(eigen: Eigen, held_back: HeldBack, lambda_: float, tried: list[int]) -> list[float]:
    """Held-back MSE at every rank: each axis lowers the squared error by 2 a.b - a^2, as the axes are orthonormal."""
    F_LR, G_LR = _axes(eigen, held_back.CC_LL, lambda_, tried[-1])
    ab_R = (F_LR * (held_back.ZR_LL @ G_LR)).sum(0)
    aa_R = (F_LR * (held_back.ZZ_LL @ F_LR)).sum(0)
    left = held_back.total - torch.cumsum(2 * ab_R - aa_R, 0)
    return [float(left[rank - 1]) / held_back.n_values for rank in tried]
