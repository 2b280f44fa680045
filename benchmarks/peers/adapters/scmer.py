"""SCMER (Liang et al. 2021, doi:10.1038/s43588-021-00070-7): genes that keep the manifold of the cells."""

from __future__ import annotations

import numpy as np

from peers.cells import Cells, annotated, columns

IMPORTS = ("scmer", "scanpy", "anndata")


def select(cells: Cells, size: int) -> list[int]:
    """Genes by their weight, among the most variable ones."""
    import scanpy
    import scmer

    data = annotated(cells)
    scanpy.pp.highly_variable_genes(data, n_top_genes=min(max(2000, 3 * size), data.n_vars))
    data = data[:, data.var["highly_variable"]].copy()
    model = scmer.UmapL1.tune(
        target_n_features=size, X=data.X.toarray(), n_pcs=40, perplexity=100.0, use_beta_in_Q=True, n_threads=2
    )
    order = np.argsort(-model.w.ravel(), kind="stable")
    return columns(data.var_names[order[: min(size, int((model.w > 0).sum()))]])
