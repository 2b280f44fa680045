"""Losses over cells x targets, as means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

LossName = Literal["mse", "weighted_mse"]


def mse(p_BT: Tensor, t_BT: Tensor) -> Tensor:
    """Mean squared error over cells and targets."""
    return (p_BT - t_BT).square().mean()


def weighted_mse(p_BT: Tensor, t_BT: Tensor) -> Tensor:
    """The study's loss: mean of (t + 1)(p - t)^2.

    DeepImpute weights by t, which ignores every zero target; the study added 1.
    """
    return ((t_BT + 1) * (p_BT - t_BT).square()).mean()


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {"mse": mse, "weighted_mse": weighted_mse}
