"""GeneCover (Wang et al. 2025, doi:10.1101/2024.10.30.621151): genes whose correlations cover all others."""

from __future__ import annotations

import numpy as np

from peers.cells import Cells

IMPORTS = ("genecover",)
ROUND = 100


def select(cells: Cells, size: int) -> list[int]:
    """Genes in the order of the cover; in rounds of 100 above that, as its documentation does."""
    import genecover

    correlation_GG = np.nan_to_num(genecover.gene_gene_correlation(cells.dense()))
    weights_G = np.ones(len(cells.genes))
    rounds = [ROUND] * (size // ROUND) + ([size % ROUND] if size % ROUND else [])
    found = genecover.Iterative_GeneCover(rounds, correlation_GG, weights_G, solver="Greedy")
    return [int(place) for some in found for place in some]
