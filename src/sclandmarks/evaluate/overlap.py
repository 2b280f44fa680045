"""How many genes each panel shares with L1000."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from scipy import stats

from sclandmarks import schema
from sclandmarks.genes import measured_landmarks


def overlap_row(name: str, panel: list[str], reference: list[str], n_genes: int) -> dict[str, Any]:
    """Row of `schema.OVERLAP`: how many genes a panel shares with the reference.

    The p value is hypergeometric: drawing `len(panel)` of `n_genes` genes at random would share at least as many.
    """
    shared, united = len(set(panel) & set(reference)), len(set(panel) | set(reference))
    return {
        "panel": name,
        "n_landmarks": len(panel),
        "n_reference": len(reference),
        "n_shared": shared,
        "jaccard": shared / united if united else 0.0,
        "p_value": float(stats.hypergeom.sf(shared - 1, n_genes, len(reference), len(panel))),
    }


def overlaps(panels: Mapping[str, list[str]], genes: pl.DataFrame) -> pl.DataFrame:
    """Overlap of every panel with the measured landmarks of L1000, `schema.OVERLAP`."""
    reference = measured_landmarks(genes)
    rows = [overlap_row(name, panel, reference, genes.height) for name, panel in panels.items()]
    return pl.DataFrame(rows, schema=schema.OVERLAP.dtypes)
