"""Selectors: from training cells to a ranked panel of landmark genes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sclandmarks.select.axes import select_pca_loadings
from sclandmarks.select.base import Selected, SelectionTask, panel_size
from sclandmarks.select.ensemble import select_ensemble
from sclandmarks.select.greedy import select_greedy
from sclandmarks.select.group_lasso import select_group_lasso
from sclandmarks.select.group_lasso_network import select_group_lasso_network
from sclandmarks.select.guided import select_guided
from sclandmarks.select.hvg import select_hvg
from sclandmarks.select.kmeans import select_l1000_kmeans
from sclandmarks.select.paper import select_paper_f910
from sclandmarks.select.simple import select_l1000, select_random, select_top_variance

SELECTORS: dict[str, Callable[[SelectionTask, Any, Any], Selected]] = {
    "l1000": select_l1000,
    "random": select_random,
    "top_variance": select_top_variance,
    "paper_f910": select_paper_f910,
    "group_lasso": select_group_lasso,
    "group_lasso_network": select_group_lasso_network,
    "greedy": select_greedy,
    "guided": select_guided,
    "l1000_kmeans": select_l1000_kmeans,
    "hvg": select_hvg,
    "pca_loadings": select_pca_loadings,
    "ensemble": select_ensemble,
}

__all__ = ["SELECTORS", "Selected", "SelectionTask", "panel_size"]
