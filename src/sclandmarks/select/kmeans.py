"""L1000's own way to its landmarks: cluster genes, take representatives, remove what they explain, repeat."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from sclandmarks.learn.task import Hooks, Step
from sclandmarks.params import KMeansPanel
from sclandmarks.select.axes import principal_axes
from sclandmarks.select.base import Selected, SelectionTask, rank_genes
from sclandmarks.select.greedy import open_deflation
from sclandmarks.select.projected import Projected

N_STARTS = 3
Points = NDArray[np.float64]


def select_l1000_kmeans(task: SelectionTask, settings: KMeansPanel, hooks: Hooks) -> Selected:
    """Fill the panel in rounds of k-means over genes.

    A gene is a point: its correlations with the leading principal components of the cells, less what the panel
    explains of the gene by ridge regression. In every round as many clusters are made as genes are wanted, and of
    each the gene nearest to the centre is taken. Ranks go by round, then by the size of the cluster. Genes that do
    not vary are left out, unless there are too few others.

    References
    ----------
    Subramanian et al., Cell 2017, doi:10.1016/j.cell.2017.10.049 (the landmarks of L1000).
    """
    deflation = open_deflation(task)
    axes = principal_axes(deflation, settings.n_components)
    scale_G = deflation.variance_G.clamp(min=1e-30).rsqrt() * (deflation.variance_G > 0)
    ridge = max(settings.ridge * float(deflation.variance_G.mean()), 1e-30)
    state = Projected(deflation, axes.V_GT.T / axes.variance_T.sqrt().unsqueeze(1), ridge)
    places, reasons, history = list[int](), list[str](), list[Step]()
    flat = torch.nonzero(deflation.variance_G == 0).squeeze(1).tolist()
    left_out = flat if task.genes.height - len(flat) >= task.n_landmarks else []
    rounds = min(settings.rounds, task.n_landmarks)
    for number in range(1, rounds + 1):
        wanted = math.ceil((task.n_landmarks - len(places)) / (rounds + 1 - number))
        points_GT = (state.B_TG * scale_G).T.cpu().numpy()
        for gene, size in representatives(points_GT, places + left_out, wanted, settings.seed):
            state.add(gene)
            places.append(gene)
            reasons.append(f"nearest to the centre of a cluster of {size} genes in round {number}")
        history.append(Step(number, {"left": float(np.square(points_GT).sum(1).mean())}))
        hooks.on_epoch(history[-1].metrics, number)
    return Selected(rank_genes(task.genes, places, [None] * len(places), reasons), history)


def representatives(points_GT: Points, taken: list[int], wanted: int, seed: int) -> list[tuple[int, int]]:
    """Genes nearest to the centres of `wanted` clusters of the genes not taken, with the clusters' sizes, falling.

    Where points coincide there can be fewer clusters than wanted; the genes farthest from the origin fill up.
    """
    from sklearn.cluster import KMeans

    free = np.setdiff1d(np.arange(len(points_GT)), taken)
    points = points_GT[free]
    n_clusters = min(wanted, len(np.unique(points, axis=0)))
    means = KMeans(n_clusters, n_init=N_STARTS, random_state=seed).fit(points)
    distance = np.linalg.norm(points - means.cluster_centers_[means.labels_], axis=1)
    sizes = np.bincount(means.labels_, minlength=n_clusters)
    found = [
        (int(free[members[np.argmin(distance[members])]]), int(sizes[label]))
        for label in np.argsort(-sizes, kind="stable")
        if len(members := np.flatnonzero(means.labels_ == label))
    ]
    chosen = {gene for gene, _ in found}
    spare = [int(gene) for gene in free[np.argsort(-np.square(points).sum(1), kind="stable")] if gene not in chosen]
    return found + [(gene, 1) for gene in spare[: wanted - len(found)]]
