"""scGIST (Yafi et al. 2024, doi:10.1186/s13059-024-03185-y): a classifier with one weight a gene."""

from __future__ import annotations

import numpy as np

from peers.cells import Cells, labelled

IMPORTS = ("scgist", "tensorflow")


def select(cells: Cells, size: int) -> list[int]:
    """Genes by the size of their weight."""
    import scgist
    import tensorflow

    tensorflow.keras.utils.set_random_seed(0)
    rows, labels = labelled(cells)
    names, codes = np.unique(labels, return_inverse=True)
    model = scgist.scGIST()
    model.create_model(len(cells.genes), len(names), panel_size=size, alpha=1.5)
    model.compile_model()
    model.train_model(X=cells.dense()[rows], y=codes, verbose=0, epochs=200)
    return [int(place) for place in model.get_markers_indices()]
