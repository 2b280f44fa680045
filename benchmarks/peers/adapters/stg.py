"""Stochastic gates (Yamada et al. 2020, ICML): a classifier with a gate a gene."""

from __future__ import annotations

import numpy as np

from peers.cells import Cells, labelled

IMPORTS = ("stg", "torch")
EPOCHS = 200


def select(cells: Cells, size: int) -> list[int]:
    """Genes by their gates, the most open first."""
    import stg
    import torch

    torch.manual_seed(0)
    rows, labels = labelled(cells)
    names, codes = np.unique(labels, return_inverse=True)
    model = stg.STG(
        task_type="classification", input_dim=len(cells.genes), output_dim=len(names), hidden_dims=[400, 200],
        activation="relu", optimizer="Adam", learning_rate=1e-3, batch_size=100, sigma=0.5, lam=0.1, device="cpu",
    )  # fmt: skip
    model.fit(cells.dense()[rows], codes, nr_epochs=EPOCHS, shuffle=True, print_interval=EPOCHS)
    return [int(place) for place in np.argsort(-model.get_gates("raw").ravel(), kind="stable")[:size]]
