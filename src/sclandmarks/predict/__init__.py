"""Predictors: from the panel's expression to that of the targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sclandmarks.learn.task import Hooks, Task
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.constant import fit_mean, fit_zero
from sclandmarks.predict.d_gex import fit_d_gex
from sclandmarks.predict.kernel import fit_kernel
from sclandmarks.predict.linear import fit_ols, fit_ridge
from sclandmarks.predict.nearest import fit_knn
from sclandmarks.predict.network import fit_network
from sclandmarks.predict.networks import fit_paper_network
from sclandmarks.predict.reduced import fit_reduced_rank
from sclandmarks.predict.sgd import fit_paper_linear
from sclandmarks.predict.totals import by_own_total

_ON_THE_VALUES: dict[str, Callable[[Task, Any, Hooks], Fitted]] = {
    "zero": fit_zero,
    "mean": fit_mean,
    "paper_linear": fit_paper_linear,
    "ols": fit_ols,
    "ridge": fit_ridge,
    "reduced_rank": fit_reduced_rank,
    "knn": fit_knn,
    "kernel": fit_kernel,
    "paper_network": fit_paper_network,
    "d_gex": fit_d_gex,
    "network": fit_network,
}

PREDICTORS = {name: by_own_total(fit) for name, fit in _ON_THE_VALUES.items()}
"""Each fits to the panel's values as they are, or with `panel_total` normalised by the panel's own total."""

__all__ = ["PREDICTORS", "Fitted", "Hooks", "Task"]
