"""Members trained by the likelihood of the targets' raw counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from sclandmarks.learn.count_link import make_link
from sclandmarks.learn.count_losses import count_loss, likelihood
from sclandmarks.learn.counts import counted_batches, read_scale
from sclandmarks.learn.task import Task
from sclandmarks.params import NetworkPredictor
from sclandmarks.predict.modules import Network
from sclandmarks.predict.residual import ResidualLearner

THETAS = tuple(2.0**power for power in range(-5, 8))
"""Sizes of the negative binomial: from a variance of m + 32 m^2 to one that is nearly Poisson."""
MAX_CELLS = 2000


class CountLearner(ResidualLearner):
    """Members that learn the likelihood of counts; linear path and head stay as they are.

    The module's outputs are means of values, as with every other loss: `count_link` says which rate of reads has
    that mean, and the loss is taken at the rate times the cell's depth. So the start is the same as with other losses,
    predictions are on the scale that is compared, and held-back cells are judged by their squared error. A gene's
    size of the negative binomial is the likeliest of THETAS at the start, on MAX_CELLS cells.

    Parameters
    ----------
    module : Network
        On the task's device, its spec positive.
    task : Task
        With counts.
    settings : NetworkPredictor

    Raises
    ------
    DataError
        If the task has no counts, or its values are not made of them.
    """

    def __init__(self, module: Network, task: Task, settings: NetworkPredictor) -> None:
        super().__init__(module, task, settings)
        self.how = read_scale(task)
        thetas = THETAS if settings.loss == "negative_binomial" else (math.inf,)
        self.link = make_link(thetas, self.how).to(task.device)
        self.row_T = likeliest(self) if len(thetas) > 1 else torch.zeros(task.n_targets, dtype=torch.int64)
        self.row_T = self.row_T.to(task.device)

    @property
    def floor(self) -> Tensor:
        """Where each target's predictions bend above zero."""
        return cast(Tensor, self.network.floor)

    def losses(self, epoch: int) -> Iterator[tuple[Tensor, int]]:
        """Yield the mean of the members' losses on each batch of an epoch, and the cells in it."""
        for x_BL, n_BT, depth_B1 in counted_batches(self.task, epoch, self.how):
            u_EBT = self.network.codes(x_BL) @ self.network.B_RT + self.network.bias
            yield count_loss(u_EBT, self.floor, n_BT, depth_B1, self.link, self.row_T), len(x_BL)

    def state(self) -> dict[str, Any]:
        """Return module, optimiser, running means and sizes."""
        return super().state() | {"row_T": self.row_T}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put module, optimiser, running means and sizes back."""
        super().restore(state)
        self.row_T.copy_(state["row_T"])


@torch.no_grad()
def likeliest(learner: CountLearner) -> Tensor:
    """Place of each gene's likeliest size among those of the link, at the module's predictions as they are."""
    module, link, n_cells = learner.network.eval(), learner.link, 0
    sum_KT = torch.zeros(len(link.theta_K), learner.task.n_targets, device=learner.task.device)
    for x_BL, n_BT, depth_B1 in counted_batches(learner.task, 0, learner.how):
        u_BT = module(x_BL)
        sum_KT += torch.stack([likelihood(u_BT, n_BT, depth_B1, link, row) for row in range(len(sum_KT))])
        n_cells += len(x_BL)
        if n_cells >= MAX_CELLS:
            break
    return sum_KT.argmax(0)
