"""scanpy's highly variable genes."""

from __future__ import annotations

import numpy as np

from peers.cells import Cells, annotated

IMPORTS = ("scanpy", "anndata")
SCORE = {"seurat": "dispersions_norm", "cell_ranger": "dispersions_norm", "pearson": "residual_variances"}


def select(cells: Cells, size: int, flavour: str) -> list[int]:
    """Genes by the score of a flavour, highest first."""
    import scanpy

    data = annotated(cells)
    if flavour == "pearson":
        scanpy.experimental.pp.highly_variable_genes(data, n_top_genes=size, layer="counts")
    else:
        scanpy.pp.highly_variable_genes(data, n_top_genes=size, flavor=flavour)
    score_G = np.nan_to_num(data.var[SCORE[flavour]].to_numpy(dtype=float), nan=-np.inf)
    return [int(place) for place in np.argsort(-score_G, kind="stable")[:size]]
