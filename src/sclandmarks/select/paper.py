"""The study's selection (F910): a network with the group-lasso penalty inside its loss."""

from __future__ import annotations

import polars as pl
import torch
from torch import Tensor

from sclandmarks.learn.layers import paper_layers, seeded
from sclandmarks.learn.task import Hooks, Task
from sclandmarks.learn.train import NetworkLearner, train
from sclandmarks.params import PaperPanel
from sclandmarks.select.base import Selected, SelectionTask, rank_genes
from sclandmarks.select.prox import norms


class PenalisedLearner(NetworkLearner):
    """Weighted MSE plus `penalty` times the sum of the norms of the first layer's columns, one a gene.

    The penalty is differentiated like the loss, as the study did: weights shrink and never reach zero.
    """

    penalty: float = 0.0

    def objective(self, x_BL: Tensor, y_BT: Tensor) -> Tensor:
        """Return loss plus penalty on a batch."""
        W_HG = next(self.module.parameters())
        return super().objective(x_BL, y_BT) + self.penalty * norms(W_HG.T).sum()


def select_paper_f910(task: SelectionTask, settings: PaperPanel, hooks: Hooks) -> Selected:
    """Train all genes -> all genes, then unite the genes of highest maximum and of lowest minimum weight.

    `n_extremes` genes from either end, as the study (500 + 500 united: 910 there); None takes as many from either
    end as give `n_landmarks` genes.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    n_genes = task.genes.height
    module = seeded(
        lambda: paper_layers(n_genes, n_genes, settings.width, settings.depth, settings.dropout), settings.seed
    ).to(task.device)
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.learning_rate)
    every = torch.arange(n_genes)
    learner = PenalisedLearner(
        module, optimizer, Task(task.train, task.validation, every, every, task.device), "weighted_mse", settings.seed
    )
    learner.penalty = settings.penalty
    trained = train(learner, settings, hooks)
    W_HG = trained.weights["0.weight"].cpu()
    chosen = _extremes(W_HG, settings.n_extremes, task.n_landmarks)
    facts = {"best_epoch": float(trained.best_step), "n_landmarks": float(len(chosen))}
    return Selected(_panel(task, W_HG, chosen), trained.history, facts)


def _extremes(W_HG: Tensor, n_extremes: int | None, n_landmarks: int) -> list[int]:
    """Positions of the genes of either extreme, those with the largest absolute weight first."""
    highest = torch.argsort(W_HG.max(0).values, descending=True, stable=True).tolist()
    lowest = torch.argsort(W_HG.min(0).values, stable=True).tolist()
    united: dict[int, None] = {}
    for up, down in zip(highest[:n_extremes], lowest[:n_extremes], strict=True):
        united |= {up: None, down: None}
        if n_extremes is None and len(united) >= n_landmarks:
            break
    kept = list(united) if n_extremes is not None else list(united)[:n_landmarks]
    size = W_HG.abs().max(0).values
    return sorted(kept, key=lambda gene: -float(size[gene]))


def _panel(task: SelectionTask, W_HG: Tensor, chosen: list[int]) -> pl.DataFrame:
    high, low = W_HG.max(0).values, W_HG.min(0).values
    scores = [float(W_HG[:, gene].abs().max()) for gene in chosen]
    reasons = [f"first-layer weights from {float(low[gene]):.3g} to {float(high[gene]):.3g}" for gene in chosen]
    return rank_genes(task.genes, chosen, scores, reasons)
