"""Nearest cells: a cell's targets are the mean of those training cells whose panel values are most alike."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sclandmarks.learn.task import Hooks, Step, Task
from sclandmarks.params import KnnPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import Nearest, Spec, nearest

NEIGHBOURS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200)


def fit_knn(task: Task, settings: KnnPredictor, hooks: Hooks) -> Fitted:
    """Keep training cells, a seeded sample above `max_cells`; how many neighbours is the best on the held-back cells.

    Distance is Euclidean over the panel's values as they are. The module holds n_cells x (n_landmarks + n_targets)
    floats: it grows with the cells kept, as no other predictor does.
    """
    X_KL, Y_KT = _reference(task, settings)
    sizes = [size for size in NEIGHBOURS if size <= len(X_KL)]
    errors = _held_back(task, X_KL, Y_KT, sizes)
    best = min(range(len(sizes)), key=lambda i: errors[i])
    spec = Spec("nearest", task.n_landmarks, task.n_targets, width=len(X_KL), rank=sizes[best])
    module = Nearest(spec)
    module.load_state_dict({"X_KL": X_KL, "Y_KT": Y_KT})
    history = [Step(i, {"n_neighbours": float(sizes[i]), "validation_mse": errors[i]}) for i in range(len(sizes))]
    for step in history:
        hooks.on_epoch(step.metrics, step.step)
    chosen = {"n_neighbours": float(sizes[best]), "validation_mse": errors[best]}
    return Fitted(module.eval(), spec, history, best, chosen)


def _reference(task: Task, settings: KnnPredictor) -> tuple[Tensor, Tensor]:
    """Panel and targets of the training cells that are kept, in the order of the file."""
    n_cells = task.train.n_cells
    kept = np.random.default_rng(settings.seed).permutation(n_cells)[: settings.max_cells]
    is_kept = torch.zeros(n_cells, dtype=torch.bool)
    is_kept[torch.from_numpy(np.sort(kept))] = True
    X, Y, seen = [], [], 0
    for x_BL, y_BT in task.pairs(task.train.in_order()):
        here = is_kept[seen : seen + len(x_BL)]
        X.append(x_BL.cpu()[here])
        Y.append(y_BT.cpu()[here])
        seen += len(x_BL)
    return torch.cat(X), torch.cat(Y)


def _held_back(task: Task, X_KL: Tensor, Y_KT: Tensor, sizes: list[int]) -> list[float]:
    """Held-back MSE for every number of neighbours, from one search a block."""
    sums = torch.zeros(len(sizes), dtype=torch.float64)
    for x_BL, y_BT in task.pairs(task.validation.in_order()):
        order_BK = nearest(x_BL.cpu(), X_KL, sizes[-1])
        for i, size in enumerate(sizes):
            weights_BK = torch.zeros(len(x_BL), len(X_KL)).scatter_(1, order_BK[:, :size], 1 / size)
            sums[i] += (weights_BK @ Y_KT - y_BT.cpu()).square().sum(dtype=torch.float64)
    return (sums / (task.validation.n_cells * task.n_targets)).tolist()
