"""Spapros' selection by PCA loadings (Kuemmerle et al. 2024, doi:10.1038/s41592-024-02496-z)."""

from __future__ import annotations

from peers.cells import Cells, annotated, columns

IMPORTS = ("spapros", "anndata")


def select(cells: Cells, size: int) -> list[int]:
    """Genes by their summed loadings."""
    import spapros

    data = annotated(cells)
    found = spapros.se.select_pca_genes(data, size, inplace=False, verbosity=0)
    return columns(found[found["selection"]].sort_values("selection_ranking").index)
