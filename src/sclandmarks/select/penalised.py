"""A network whose first layer has one group of weights a gene, and its training with proximal steps.

    z = W' x,   z <- z + B drop(relu(A z + a)) in each block,   prediction = b + V z

The head V is fixed at principal axes of the targets, and the Frobenius norms of A and B are at most 1, so that a
block adds at most the length of z. Weights can therefore not move from the penalised layer to those behind it, and a
penalty has the same meaning all along a path. With B = 0, where training starts, the network is the linear one.

The smooth part is n_genes / 2 times the mean loss: for the MSE half the squared error of a cell, as in `group_lasso`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from sclandmarks.learn.layers import cuda_devices
from sclandmarks.learn.losses import LOSSES, LossName
from sclandmarks.learn.task import Task
from sclandmarks.select import prox

BETAS = (0.9, 0.99)


class Block(nn.Module):
    """z + B drop(relu(A z + a)), at most |z| added to z apart from a."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.inner.bias)
        nn.init.zeros_(self.outer.weight)
        self.cap()

    def forward(self, z_BH: Tensor) -> Tensor:
        """Add the block's part."""
        added_BH: Tensor = self.outer(self.dropout(torch.relu(self.inner(z_BH))))
        return z_BH + added_BH

    @torch.no_grad()
    def cap(self) -> None:
        """Shrink both matrices to a Frobenius norm of at most 1."""
        for layer in (self.inner, self.outer):
            layer.weight.div_(layer.weight.norm().clamp(min=1))


class PathNetwork(nn.Module):
    """The network of the module, all genes in, all genes out.

    Parameters
    ----------
    mean_G, scale_G : torch.Tensor, shape (n_genes,)
        Genes enter as (x - mean) scale.
    axes_GH : torch.Tensor, shape (n_genes, width)
        The head V.
    bias_G : torch.Tensor, shape (n_genes,)
        Start of b.
    depth : int
    dropout : float
    """

    mean_G: Tensor
    scale_G: Tensor
    axes_GH: Tensor

    def __init__(
        self, mean_G: Tensor, scale_G: Tensor, axes_GH: Tensor, bias_G: Tensor, depth: int, dropout: float
    ) -> None:
        super().__init__()
        for name, value in {"mean_G": mean_G, "scale_G": scale_G, "axes_GH": axes_GH}.items():
            self.register_buffer(name, value.float())
        self.W_GH = nn.Parameter(torch.zeros_like(self.axes_GH))
        self.bias_G = nn.Parameter(bias_G.float().clone())
        self.blocks = nn.Sequential(*(Block(axes_GH.shape[1], dropout) for _ in range(depth)))

    def forward(self, x_BG: Tensor) -> Tensor:
        """Predict all genes."""
        z_BH = self.blocks(((x_BG - self.mean_G) * self.scale_G) @ self.W_GH)
        predicted_BG: Tensor = self.bias_G + z_BH @ self.axes_GH.T
        return predicted_BG

    def sizes(self) -> Tensor:
        """Norm of every gene's weights, shape (n_genes,)."""
        return prox.norms(self.W_GH.detach())

    def others(self) -> list[nn.Parameter]:
        """All that is not penalised."""
        return [self.bias_G, *self.blocks.parameters()]


class GroupAdam:
    """Adam with one second moment a gene, and the exact proximal step in its metric.

    A step of Adam divides by the root of a moving second moment; where that is one number for all weights of a gene,
    the step is eta_g m_g with eta_g = eta / (root v_g + eps), and the penalty's proximal operator in that metric is the
    group soft threshold at eta_g times the strength.

    References
    ----------
    Kingma and Ba, ICLR 2015, arXiv:1412.6980; Yun, Lozano and Yang, NeurIPS 2021, arXiv:2007.07605 (proximal steps
    in the metric of the optimiser).

    Parameters
    ----------
    W_GH : torch.Tensor, shape (n_genes, width)
        Changed in place.
    """

    def __init__(self, W_GH: Tensor) -> None:
        self.W_GH, self.n_steps = W_GH, 0
        self.m_GH, self.v_G1 = torch.zeros_like(W_GH), W_GH.new_zeros((len(W_GH), 1))

    @torch.no_grad()
    def step(self, gradient_GH: Tensor, rate: float, strength: float) -> None:
        """Make one step along minus the gradient, and the proximal one."""
        self.n_steps += 1
        self.m_GH.lerp_(gradient_GH, 1 - BETAS[0])
        self.v_G1.lerp_(gradient_GH.square().mean(1, keepdim=True), 1 - BETAS[1])
        m_GH, v_G1 = (moment / (1 - beta**self.n_steps) for moment, beta in zip(self._moments(), BETAS, strict=True))
        rate_G1 = rate / (v_G1.sqrt() + 1e-8)
        self.W_GH.copy_(prox.prox(self.W_GH - rate_G1 * m_GH, rate_G1 * strength))

    def _moments(self) -> tuple[Tensor, Tensor]:
        return self.m_GH, self.v_G1

    def state(self) -> dict[str, Any]:
        """Moments and number of steps."""
        return {"m": self.m_GH, "v": self.v_G1, "n_steps": self.n_steps}

    def restore(self, state: dict[str, Any]) -> None:
        """Put a state back."""
        self.m_GH.copy_(state["m"])
        self.v_G1.copy_(state["v"])
        self.n_steps = int(state["n_steps"])


class PenalisedTraining:
    """Epochs of mini-batches on the smooth part plus strength times the sum of the genes' norms.

    Parameters
    ----------
    network : PathNetwork
        On the task's device.
    task : Task
        All genes in, all genes out.
    loss : {"mse", "weighted_mse"}
    seed : int
        Of dropout.
    """

    def __init__(self, network: PathNetwork, task: Task, loss: LossName, seed: int) -> None:
        self.network, self.task, self.loss, self.seed = network, task, LOSSES[loss], seed
        self.scale = len(network.scale_G) / 2
        self.first = GroupAdam(network.W_GH.data)
        self.rest = torch.optim.Adam(network.others(), betas=BETAS)

    def epoch(self, number: int, rate: float, strength: float) -> float:
        """Train one epoch; returns the objective as seen on the way, dropout on.

        Parameters
        ----------
        number : int
            Tells apart the orders of the batches and the dropout of different epochs.
        rate : float
            Learning rate.
        strength : float
        """
        self.network.train()
        total, n_cells = 0.0, 0
        with torch.random.fork_rng(devices=cuda_devices(self.task.device)):
            torch.manual_seed(self.seed * 1_000_003 + number)
            for x_BG, y_BG in self.task.pairs(self.task.train.epoch(number)):
                self.network.zero_grad(set_to_none=True)
                smooth = self._backward(x_BG, y_BG, 1.0)
                self._step(rate, strength)
                total, n_cells = total + smooth * len(x_BG), n_cells + len(x_BG)
        return total / n_cells + prox.value(self.network.W_GH.detach(), strength)

    def whole_step(self, rate: float, strength: float, first: bool) -> float:
        """Make one step along the gradient over all training cells, dropout off; returns the objective before it.

        The `first` of several steps forgets the noise of batches that the optimiser's moments hold.
        """
        objective = self._whole() + prox.value(self.network.W_GH.detach(), strength)
        if first and self.network.W_GH.grad is not None:
            self.first.m_GH.copy_(self.network.W_GH.grad)
        self._step(rate, strength)
        return objective

    def gradient(self) -> Tensor:
        """Gradient of the smooth part by the first layer over all training cells, dropout off."""
        self._whole()
        gradient_GH = self.network.W_GH.grad
        return torch.zeros_like(self.network.W_GH) if gradient_GH is None else gradient_GH.clone()

    def _whole(self) -> float:
        """Gather the gradient over all training cells, dropout off; returns the smooth part."""
        self.network.eval()
        self.network.zero_grad(set_to_none=True)
        blocks = self.task.pairs(self.task.train.in_order())
        return sum(self._backward(*pair, len(pair.x_BL) / self.task.train.n_cells) for pair in blocks)

    def _backward(self, x_BG: Tensor, y_BG: Tensor, part: float) -> float:
        smooth = part * self.scale * self.loss(self.network(x_BG), y_BG)
        smooth.backward()  # type: ignore[no-untyped-call]
        return float(smooth.detach())

    def _step(self, rate: float, strength: float) -> None:
        for group in self.rest.param_groups:
            group["lr"] = rate
        self.rest.step()
        for block in self.blocks():
            block.cap()
        gradient_GH = self.network.W_GH.grad
        if gradient_GH is not None:
            self.first.step(gradient_GH, rate, strength)

    def blocks(self) -> Iterator[Block]:
        """Blocks of the network."""
        return (block for block in self.network.blocks if isinstance(block, Block))

    @torch.no_grad()
    def held_back(self) -> float:
        """Mean squared error on the held-back cells, all genes."""
        self.network.eval()
        total = 0.0
        for x_BG, y_BG in self.task.pairs(self.task.validation.in_order()):
            total += float((self.network(x_BG) - y_BG).square().mean()) * len(x_BG)
        return total / self.task.validation.n_cells

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on."""
        return {"network": self.network.state_dict(), "first": self.first.state(), "rest": self.rest.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Put a state back."""
        self.network.load_state_dict(state["network"])
        self.first.restore(state["first"])
        self.rest.load_state_dict(state["rest"])
