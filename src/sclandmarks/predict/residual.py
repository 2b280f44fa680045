"""Our network: a low-rank linear path in closed form, and what trains members on what it leaves."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from sclandmarks.learn.blocked import SLOPES, head_loss
from sclandmarks.learn.layers import seeded
from sclandmarks.learn.losses import LossName
from sclandmarks.learn.task import Task
from sclandmarks.learn.train import NetworkLearner
from sclandmarks.params import NetworkPredictor
from sclandmarks.predict.grid import best_place, search
from sclandmarks.predict.kernel import solve
from sclandmarks.predict.linear import ridge_error
from sclandmarks.predict.modules import Network, Spec, floors
from sclandmarks.predict.spectrum import hold_back, open_feature_eigen

KEPT = 0.98  # part of the running mean of the weights that a step leaves
LINEAR, HEAD = ("A_LR",), ("B_RT", "bias")


def start(task: Task, settings: NetworkPredictor) -> tuple[Network, Spec, dict[str, float]]:
    """Build the network whose predictions are its linear path's; say which lambda and rank, and their error."""
    kernel, _, cut = solve(task, settings)
    head_TR = kernel.B_RT.detach().T.contiguous()

    def scaled(x_BL: Tensor) -> Tensor:
        return (x_BL - kernel.center) * kernel.scale

    eigen = open_feature_eigen(task, scaled, task.n_landmarks)
    coded = eigen._replace(C_LT=(eigen.C_LT @ head_TR).double())
    held_back = hold_back(task, coded, scaled, head_TR)
    grid, errors = search(lambda lambdas: [ridge_error(coded, held_back, value) for value in lambdas], eigen.scale)
    best = best_place(errors)
    A_LR = kernel.scale.unsqueeze(1) * (coded.V_LL @ (coded.C_LT / (coded.d_L + grid[best]).unsqueeze(1)))
    shape = {name: getattr(settings, name) for name in ("width", "depth", "dropout", "input_dropout", "members")}
    spec = Spec("network", task.n_landmarks, task.n_targets, rank=cut.rank, positive=settings.bends, **shape)
    module = seeded(lambda: Network(spec), settings.seed)
    values = {"A_LR": A_LR, "B_RT": head_TR.T, "bias": kernel.bias, "center": kernel.center, "scale": kernel.scale}
    if settings.bends:
        values["floor"] = floors(kernel.bias)
    module.load_state_dict(module.state_dict() | {name: value.detach().float() for name, value in values.items()})
    _set_units(module, task)
    return module, spec, {"lambda": grid[best], "rank": float(cut.rank), "linear_mse": errors[best]}


@torch.no_grad()
def _set_units(module: Network, task: Task) -> None:
    """Scale inputs to a mean square of 1, and the members' outputs to what the linear path leaves of the codes."""
    inputs = codes = 0.0
    for x_BL, y_BT in task.pairs(task.train.in_order()):
        deviation_BL = x_BL.cpu() - module.center
        left_BR = (y_BT.cpu() - module.bias) @ module.B_RT.T - deviation_BL @ module.A_LR
        inputs += float((deviation_BL * module.scale).square().mean(1).sum())
        codes += float(left_BR.square().mean(1).sum())
    module.scale /= max((inputs / task.train.n_cells) ** 0.5, 1e-12)
    module.unit.fill_(max((codes / task.train.n_cells) ** 0.5, 1e-12))


class ResidualLearner(NetworkLearner):
    """Members trained each by itself, with running means of their weights.

    The linear path stays as it is, and so does the head, but for the weighted loss, which trains it.

    Parameters
    ----------
    module : Network
        On the task's device.
    task : Task
    settings : NetworkPredictor
    """

    def __init__(self, module: Network, task: Task, settings: NetworkPredictor) -> None:
        still = LINEAR if settings.loss == "weighted_mse" else LINEAR + HEAD
        for name in still:
            module.get_parameter(name).requires_grad_(False)
        learned = {name: weight for name, weight in module.named_parameters() if name not in still}
        optimizer = torch.optim.AdamW(
            learned.values(), settings.learning_rate, weight_decay=settings.weight_decay, eps=1e-12, fused=True
        )
        loss: LossName = "weighted_mse" if settings.loss == "weighted_mse" else "mse"
        super().__init__(module, optimizer, task, loss, settings.seed)
        self.loss_name, self.learned = loss, list(learned.values())
        self.averaged = copy.deepcopy(module).eval().requires_grad_(False)
        self.means: dict[str, Tensor] = {name: self.averaged.get_parameter(name).detach() for name in learned}

    @property
    def network(self) -> Network:
        """The module, by its type."""
        return cast(Network, self.module)

    def objective(self, x_BL: Tensor, y_BT: Tensor) -> Tensor:
        """Return the mean of the members' losses."""
        head = self.network.B_RT, self.network.bias
        return head_loss(self.network.codes(x_BL), *head, y_BT, SLOPES[self.loss_name])

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the running means towards the weights."""
        torch._foreach_lerp_(list(self.means.values()), [weight.detach() for weight in self.learned], 1 - KEPT)

    def predict(self, x_BL: Tensor) -> Tensor:
        """Return predictions by the running means."""
        predicted_BT: Tensor = self.averaged(x_BL)
        return predicted_BT

    def weights(self) -> dict[str, Tensor]:
        """Return the module's state with the running means in it."""
        return super().weights() | self.means

    def state(self) -> dict[str, Any]:
        """Return module, optimiser and running means."""
        return super().state() | {"means": self.means}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put module, optimiser and running means back."""
        super().restore(state)
        self.averaged.load_state_dict(self.module.state_dict() | state["means"])
