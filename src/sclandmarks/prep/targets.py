"""The common targets: genes that no compared panel measures."""

from __future__ import annotations

import polars as pl

from sclandmarks.errors import PanelError


def common_targets(genes: pl.DataFrame, panels: pl.DataFrame) -> pl.DataFrame:
    """Genes in none of the panels, in the order of the matrix.

    Parameters
    ----------
    genes : polars.DataFrame
        As `schema.GENES`.
    panels : polars.DataFrame
        Rows of all compared panels, as `schema.PANEL`.

    Raises
    ------
    PanelError
        If the panels together hold every gene.
    """
    targets = genes.join(panels.select("gene_id").unique(), on="gene_id", how="anti", maintain_order="left")
    if targets.is_empty():
        raise PanelError(
            "genes that no compared panel holds",
            f"none: the panels together hold all {genes.height}",
            "Lower select.n_landmarks, or compare fewer panels (fits in params.yaml).",
        )
    return targets.select("gene_id", "symbol")
