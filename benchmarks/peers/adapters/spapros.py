"""Spapros' whole selection (Kuemmerle et al. 2024, doi:10.1038/s41592-024-02496-z): PCA genes, DE genes and forests."""

from __future__ import annotations

from peers.cells import Cells, annotated, columns, labelled

IMPORTS = ("spapros", "scanpy", "anndata")
MOST_GENES = 8000


def select(cells: Cells, size: int) -> list[int]:
    """Genes in the order of its table."""
    import scanpy
    import spapros

    rows, labels = labelled(cells)
    data = annotated(cells, rows, labels)
    scanpy.pp.filter_genes(data, min_cells=1)
    scanpy.pp.highly_variable_genes(data, flavor="cell_ranger", n_top_genes=min(MOST_GENES, data.n_vars))
    selector = spapros.se.ProbesetSelector(
        data, "cell_type", n=size, n_pca_genes=max(100, size), verbosity=0, seed=0, save_dir=None, n_jobs=2
    )
    selector.select_probeset()
    return columns(selector.probeset.index[selector.probeset["selection"]])
