"""Several networks of one shape as one: every weight has a leading axis of members.

One pass over the cells serves all: batches are made dense once, and matrix products run side by side.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from sclandmarks.learn.losses import LOSSES
from sclandmarks.learn.task import Task
from sclandmarks.params import PaperNetworkPredictor
from sclandmarks.predict.networks import optimizer_of, start


class Mask(nn.Module):
    """Dropout whose mask is given as a buffer, so that each member can have its own."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(()))

    def forward(self, h_BH: Tensor) -> Tensor:
        """Return the hidden values times the mask."""
        return h_BH * self.mask


def masked(module: nn.Module) -> nn.Module:
    """Return a copy with a `Mask` in place of every dropout."""
    twin = copy.deepcopy(module)
    for name, child in list(twin.named_modules()):
        if isinstance(child, nn.Dropout):
            parent, _, last = name.rpartition(".")
            setattr(twin.get_submodule(parent), last, Mask())
    return twin


class Stack:
    """K networks of one shape that learn from the same batches, each with its own optimiser, dropout and seed.

    A member learns what it would learn alone: nothing of it depends on the others, but for rounding.

    Parameters
    ----------
    task : Task
    settings : sequence of PaperNetworkPredictor
        Of one method, width, depth and loss.
    """

    def __init__(self, task: Task, settings: Sequence[PaperNetworkPredictor]) -> None:
        self.task, self.settings = task, list(settings)
        modules = [masked(start(task, each)) for each in settings]
        self._twin, self._loss = modules[0], LOSSES[settings[0].loss]
        self._masks = [name for name, child in self._twin.named_modules() if isinstance(child, Mask)]
        weights, buffers = stack_module_state(modules)
        self._buffers = {name: buffers[name] for name in buffers if name.rpartition(".")[0] not in self._masks}
        self._hold(weights)
        self._optimizers = [optimizer_of(each, self._views(k)) for k, each in enumerate(self.settings)]

    def epoch(self, epoch: int) -> list[float]:
        """Train one epoch, return each member's mean training loss (dropout on)."""
        seeds = [torch.Generator(self.task.device).manual_seed(s.seed * 1_000_003 + epoch) for s in self.settings]
        total_K, n_cells = torch.zeros(len(self.settings), device=self.task.device), 0
        for x_BL, y_BT in self.task.pairs(self.task.train.epoch(epoch)):
            loss_K = self._losses(x_BL, y_BT, self._draw(len(x_BL), seeds))
            loss_K.sum().backward()  # type: ignore[no-untyped-call]
            self._step()
            total_K += loss_K.detach() * len(x_BL)
            n_cells += len(x_BL)
        return [float(total) / n_cells for total in total_K]

    @torch.no_grad()
    def validate(self) -> list[dict[str, float]]:
        """Return each member's loss and MSE on the held-back cells (dropout off)."""
        sums_K2 = torch.zeros(len(self.settings), 2, dtype=torch.float64)
        off = {f"{name}.mask": torch.ones(len(self.settings), 1, 1, device=self.task.device) for name in self._masks}
        for x_BL, y_BT in self.task.pairs(self.task.validation.in_order()):
            p_KBT = self._predict(x_BL, off)
            pairs = [[float(self._loss(p_BT, y_BT)), float((p_BT - y_BT).square().mean())] for p_BT in p_KBT]
            sums_K2 += torch.tensor(pairs, dtype=torch.float64) * len(x_BL)
        means = (sums_K2 / self.task.validation.n_cells).tolist()
        return [{"loss": loss, "mse": mse} for loss, mse in means]

    def weights(self, k: int) -> dict[str, Tensor]:
        """State of member k, not copied."""
        return {name: value.detach()[k] for name, value in {**self._weights, **self._buffers}.items()}

    def keep(self, live: Sequence[int]) -> None:
        """Let go of all members but these, which learn on as before."""
        states = [self._optimizers[k].state_dict() for k in live]
        self.settings = [self.settings[k] for k in live]
        self._buffers = {name: value[list(live)] for name, value in self._buffers.items()}
        self._hold({name: value.detach()[list(live)].requires_grad_() for name, value in self._weights.items()})
        self._optimizers = [optimizer_of(each, self._views(k)) for k, each in enumerate(self.settings)]
        for optimizer, state in zip(self._optimizers, states, strict=True):
            optimizer.load_state_dict(state)

    def _hold(self, weights: dict[str, Tensor]) -> None:
        self._weights = weights
        self._parts = [[value.detach()[k] for value in weights.values()] for k in range(len(self.settings))]

    def _views(self, k: int) -> list[Tensor]:
        """Weights of member k as its optimiser sees them: they share memory with the stack."""
        return self._parts[k]

    def _predict(self, x_BL: Tensor, masks: dict[str, Tensor]) -> Tensor:
        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            return cast(Tensor, functional_call(self._twin, (weights, buffers), (x_BL,)))

        return vmap(one)(self._weights, {**self._buffers, **masks})

    def _losses(self, x_BL: Tensor, y_BT: Tensor, masks: dict[str, Tensor]) -> Tensor:
        return vmap(lambda p_BT: self._loss(p_BT, y_BT))(self._predict(x_BL, masks))

    def _draw(self, n_cells: int, seeds: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Masks of all dropouts of all members, in the order in which each alone would draw them."""
        rows = [self._draw_one(k, n_cells, seed) for k, seed in enumerate(seeds)]
        return {f"{name}.mask": torch.stack([row[i] for row in rows]) for i, name in enumerate(self._masks)}

    def _draw_one(self, k: int, n_cells: int, seed: torch.Generator) -> list[Tensor]:
        rate, shape = self.settings[k].dropout, (n_cells, self.settings[k].width)
        if rate == 0:
            return [torch.ones(shape, device=self.task.device) for _ in self._masks]
        empty = [torch.empty(shape, device=self.task.device) for _ in self._masks]
        return [mask.bernoulli_(1 - rate, generator=seed).div_(1 - rate) for mask in empty]

    def _step(self) -> None:
        for k, optimizer in enumerate(self._optimizers):
            for part, value in zip(self._parts[k], self._weights.values(), strict=True):
                part.grad = cast(Tensor, value.grad)[k]
            optimizer.step()
        for value in self._weights.values():
            value.grad = None
