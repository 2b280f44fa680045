"""Stochastic gates (Yamada et al. 2020, ICML): a classifier with a gate a gene.

Settings are the defaults of its class but for the rate of learning: steps of Adam at 1e-5 move a gate by 0.03 in all,
where gates start 0.01 apart and close at -0.5. Its examples (SGD 0.1, lambda 0.5) have 20 inputs: the penalty is a
mean over gates, so that with thousands of them SGD leaves the gates where they were. The package asks `collections`
for names that CPython 3.10 moved to `collections.abc`; they are lent to it.
"""

from __future__ import annotations

import collections
from collections import abc

import numpy as np

from peers.cells import Cells, labelled

IMPORTS = ("stg", "torch")
EPOCHS = 200
MOVED = ("Sequence", "Set", "Mapping")


def select(cells: Cells, size: int) -> list[int]:
    """Genes by their gates, the most open first."""
    import stg
    import torch

    for name in MOVED:
        setattr(collections, name, getattr(abc, name))
    torch.manual_seed(0)
    rows, labels = labelled(cells)
    names, codes = np.unique(labels, return_inverse=True)
    model = stg.STG(
        task_type="classification", input_dim=len(cells.genes), output_dim=len(names), hidden_dims=[400, 200],
        activation="relu", optimizer="Adam", learning_rate=1e-3, batch_size=100, sigma=0.5, lam=0.1, device="cpu",
    )  # fmt: skip
    model.fit(cells.dense()[rows], codes, nr_epochs=EPOCHS, shuffle=True, verbose=False)
    return [int(place) for place in np.argsort(-model.get_gates("raw").ravel(), kind="stable")[:size]]
