"""The study's selection: which genes are extreme, and the penalty inside the loss."""

from __future__ import annotations

import polars as pl
import pytest
import torch
from torch import nn

from sclandmarks.learn.losses import weighted_mse
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import PaperPanel
from sclandmarks.select import SelectionTask
from sclandmarks.select.paper import PenalisedLearner, _extremes, select_paper_f910

# Columns are genes. Maxima: 1, 5, 4, 0, 3, 2. Minima: -6, 0, 1, -5, -1, -4.
W_HG = torch.tensor([[1.0, 0.0, 4.0, 0.0, -1.0, 2.0], [-6.0, 5.0, 1.0, -5.0, 3.0, -4.0]])
SETTINGS = PaperPanel(
    selector="paper_f910",
    width=8,
    depth=1,
    dropout=0.0,
    penalty=1e-3,
    n_extremes=10,
    learning_rate=0.01,
    batch_size=64,
    max_epochs=2,
    patience=2,
    seed=0,
)


@pytest.mark.parametrize(
    ("n_extremes", "n_landmarks", "want"),
    [
        (1, 5, [0, 1]),
        (2, 1, [0, 1, 3, 2]),
        (3, 1, [0, 1, 3, 2, 5, 4]),
        (None, 3, [0, 1, 2]),
        (None, 4, [0, 1, 3, 2]),
        (None, 5, [0, 1, 3, 2, 4]),
    ],
)
def test_extremes_of_a_matrix_by_hand(n_extremes: int | None, n_landmarks: int, want: list[int]) -> None:
    """So many from either end, whatever the panel size; or as many as the panel size needs. Largest first."""
    assert _extremes(W_HG, n_extremes, n_landmarks) == want


def test_a_gene_extreme_at_both_ends_counts_once() -> None:
    """The union of 500 and 500 was 910 genes in the study."""
    both_HG = torch.tensor([[9.0, 1.0, 3.0], [-9.0, -1.0, 0.0]])
    assert _extremes(both_HG, 1, 5) == [0]
    assert _extremes(both_HG, 2, 5) == [0, 2, 1]
    assert _extremes(both_HG, None, 2) == [0, 2]


def test_the_penalty_is_the_sum_of_the_norms_of_the_first_layers_columns() -> None:
    """Added to the weighted loss, as 0.5 x (5 + 2) here."""
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    module[0].weight.data = torch.tensor([[3.0, 0.0], [4.0, 2.0]])
    learner = PenalisedLearner(module, None, None, "weighted_mse", 0)
    learner.penalty = 0.5
    x_BL, y_BT = torch.rand(3, 2), torch.rand(3, 2)
    assert learner.objective(x_BL, y_BT).item() == pytest.approx(weighted_mse(module(x_BL), y_BT).item() + 3.5)


def test_a_larger_penalty_shrinks_weights_without_zeros(planted) -> None:
    """What the study's form of the penalty does, and does not."""
    batches = MemoryBatches(planted.values, 64)
    task = SelectionTask(batches, batches, planted.counts.genes, 10)
    scores = {}
    for penalty in (0.0, 1.0):
        settings = SETTINGS.model_copy(update={"penalty": penalty, "n_extremes": 80, "max_epochs": 5})
        scores[penalty] = select_paper_f910(task, settings, Hooks()).panel["score"]
    assert scores[1.0].sum() < 0.5 * scores[0.0].sum()
    assert scores[1.0].min() > 0


def test_the_panel_says_what_was_extreme(planted) -> None:
    """Size between n_extremes and twice that, scores falling, the best epoch among the facts."""
    batches = MemoryBatches(planted.values, 64)
    selected = select_paper_f910(SelectionTask(batches, batches, planted.counts.genes, 5), SETTINGS, Hooks())
    assert 10 <= selected.panel.height <= 20
    assert selected.facts == {"best_epoch": pytest.approx(1.5, abs=0.5), "n_landmarks": selected.panel.height}
    assert selected.panel["score"].is_sorted(descending=True)
    assert selected.panel.select(pl.col("reason").str.contains("first-layer weights from").all()).item()
    assert [step.step for step in selected.history] == [1, 2]
