"""Which genes are inputs, which are outputs, and how a history becomes a table."""

from __future__ import annotations

import math

import numpy as np
import torch

from sclandmarks import schema
from sclandmarks.learn.task import Step, Task, history_table, split_genes
from sclandmarks.matrix import MemoryBatches


def test_panel_in_its_own_order_and_all_other_genes(make_matrix) -> None:
    """Inputs stay ranked, outputs are in the order of the matrix, and values follow both."""
    X_CG = make_matrix(9, 6).X_CG
    inputs, outputs = split_genes(6, [4, 0])
    task = Task(MemoryBatches(X_CG, 4), MemoryBatches(X_CG[:3], 4), inputs, outputs)
    assert (task.n_landmarks, task.n_targets) == (2, 4)
    pairs = list(task.pairs(task.train.in_order()))
    dense_CG = X_CG.toarray().astype(np.float32)
    np.testing.assert_array_equal(torch.cat([pair.x_BL for pair in pairs]), dense_CG[:, [4, 0]])
    np.testing.assert_array_equal(torch.cat([pair.y_BT for pair in pairs]), dense_CG[:, [1, 2, 3, 5]])
    np.testing.assert_array_equal(task.example(2), dense_CG[:2, [4, 0]])


def test_a_history_is_a_tidy_table() -> None:
    """One row a figure; what is not a number is missing."""
    table = history_table([Step(1, {"loss": 2.0, "gap": math.nan}), Step(2, {"loss": 1.0})])
    assert schema.check(table, schema.HISTORY).rows() == [(1, "loss", 2.0), (1, "gap", None), (2, "loss", 1.0)]
    assert schema.check(history_table([]), schema.HISTORY).is_empty()
