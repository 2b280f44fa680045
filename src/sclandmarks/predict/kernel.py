"""Reduced-rank regression on a Gaussian kernel: what bends and what depends on the kind of cell, in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sclandmarks.learn.task import Hooks, Task
from sclandmarks.params import KernelParams, KernelPredictor
from sclandmarks.predict.base import Fitted, held_back_mse
from sclandmarks.predict.calibrate import stretch
from sclandmarks.predict.kernel_axes import open_similar
from sclandmarks.predict.kernel_metric import adapted
from sclandmarks.predict.modules import Kernel, Similar, Spec, floors
from sclandmarks.predict.reduced import Cut, choose_cut, factors
from sclandmarks.predict.spectrum import Eigen, hold_back, open_feature_eigen

NO_AXIS = 1e-6  # axes of the kernel with less than this part of the largest are left out


@dataclass(frozen=True)
class Basis:
    """Features f(x) = k(x) P whose products are the kernel between the cells kept.

    Parameters
    ----------
    similar : Similar
        The kernel to the cells kept.
    P_KF : torch.Tensor, shape (n_kept, n_features)
        Eigenvectors of the kernel between the cells kept, each over the root of its eigenvalue.
    """

    similar: Similar
    P_KF: Tensor

    def __call__(self, x_BL: Tensor) -> Tensor:
        """Features of cells, shape (B, n_features)."""
        return self.similar.alike(x_BL) @ self.P_KF


def fit_kernel(task: Task, settings: KernelPredictor, hooks: Hooks) -> Fitted:
    """Ridge regression on Gaussian-kernel features (Nystroem), cut to a low rank as `fit_reduced_rank` cuts.

    The kernel is the mean of two, see `modules.Similar` and `kernel_axes`, each exp(-|z - z'|^2 / (h^2 s)), s the
    typical squared distance of two cells (twice the median of |z|^2) and h the bandwidth. All training cells are kept,
    or a seeded sample of `max_cells`: the features then span what the sample spans, and every training cell is still
    fitted to. Rank and lambda are the best pair on the held-back cells, the rank among the leading `max_rank` axes of
    the fitted values at a middling lambda.

    With `adaptive`, the kernel is adapted to what the predictions of that fit depend on, see `kernel_metric`, and the
    regression is solved once more.

    With `folds`, every gene's predictions are then stretched or shrunk by its slope, see `calibrate`; with `positive`
    they are bent above zero at last, when rank, lambda and slopes are chosen.
    """
    module, spec, cut = solve(task, settings)
    for step in cut.history:
        hooks.on_epoch(step.metrics, step.step)
    chosen = cut.chosen
    if settings.folds:
        chosen |= stretch(module, task, lambda part: solve(part, settings)[0], settings.folds, settings.seed)
    if settings.positive:
        module, spec = bent(module, spec)
        chosen |= {"validation_mse": held_back_mse(module, task)}
    return Fitted(module, spec, cut.history, cut.best, chosen)


def bent(module: Kernel, spec: Spec) -> tuple[Kernel, Spec]:
    """Return the module with its predictions bent above zero."""
    positive = replace(spec, positive=True)
    again = Kernel(positive)
    again.load_state_dict(module.state_dict() | {"floor": floors(module.bias.detach())})
    return again.eval(), positive


def solve(task: Task, settings: KernelParams) -> tuple[Kernel, Spec, Cut]:
    """Fit the module, its slopes all 1."""
    x_KL = _kept(task, settings)
    solved = _regress(task, open_similar(task, x_KL, settings), x_KL, settings)
    if settings.adaptive:
        solved = _regress(task, adapted(solved[0], x_KL, settings), x_KL, settings)
    return solved


def _regress(task: Task, similar: Similar, x_KL: Tensor, settings: KernelParams) -> tuple[Kernel, Spec, Cut]:
    """Choose lambda and rank of the regression on a kernel, and fit it."""
    basis = open_basis(similar, x_KL)
    eigen = open_feature_eigen(task, basis, basis.P_KF.shape[1])
    _, head_KT = factors(eigen, eigen.scale, min(settings.max_rank, len(eigen.d_L), task.n_targets))
    coded = eigen._replace(C_LT=(eigen.C_LT @ head_KT.T).double())
    cut = choose_cut(coded, hold_back(task, coded, basis, head_KT.T), len(head_KT))
    n_kept, n_axes = len(basis.P_KF), similar.V_LA.shape[1]
    spec = Spec("kernel", task.n_landmarks, task.n_targets, width=n_kept, rank=cut.rank, axes=n_axes)
    spec = replace(spec, adaptive=similar.weight is not None)
    return _module(basis, coded, cut.lambda_, head_KT, spec), spec, cut


@torch.no_grad()
def open_basis(similar: Similar, x_KL: Tensor) -> Basis:
    """Find the features of a kernel to the cells kept."""
    e_K, Q_KK = torch.linalg.eigh(similar.alike(x_KL).double())
    is_axis_K = e_K > NO_AXIS * e_K.max()
    P_KF = Q_KK[:, is_axis_K] / e_K[is_axis_K].sqrt()
    return Basis(similar, P_KF.float())


def _kept(task: Task, settings: KernelParams) -> Tensor:
    """Panel values of the cells kept, in the order of the file."""
    order = np.random.default_rng(settings.seed).permutation(task.train.n_cells)[: settings.max_cells]
    is_kept = torch.zeros(task.train.n_cells, dtype=torch.bool)
    is_kept[torch.from_numpy(order)] = True
    found, seen = [], 0
    for x_BL, _ in task.pairs(task.train.in_order()):
        found.append(x_BL.cpu()[is_kept[seen : seen + len(x_BL)]])
        seen += len(x_BL)
    return torch.cat(found)


def _module(basis: Basis, coded: Eigen, lambda_: float, head_KT: Tensor, spec: Spec) -> Kernel:
    F_FR, B_RK = factors(coded, lambda_, spec.rank)
    A_FR = coded.V_LL @ F_FR
    module = Kernel(spec)
    values = {
        "A_KR": basis.P_KF.double() @ A_FR,
        "offset": coded.mean_L @ A_FR,
        "B_RT": B_RK @ head_KT.double(),
        "bias": coded.mean_T,
    }
    learned = {name: value.float().contiguous() for name, value in values.items()}
    module.load_state_dict(basis.similar.state_dict() | learned)
    return module.eval()
