"""The sets of target genes on which fits are judged and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
OWN, COMMON, PAIR, ALL = "own", "common", "pair", "all"


class TargetSets(NamedTuple):
    """Which genes are in which panel, and which are common targets.

    Parameters
    ----------
    panels : mapping of str to numpy.ndarray of bool, shape (n_genes,)
        Panel -> whether it holds the gene.
    common_G : numpy.ndarray of bool, shape (n_genes,)
        Genes that no compared panel holds.
    """

    panels: Mapping[str, BoolArray]
    common_G: BoolArray

    def pair(self, panel: str, other: str) -> BoolArray:
        """Genes that neither of two panels holds."""
        return ~(self.panels[panel] | self.panels[other])

    def membership(self, panel: str, outputs: IntArray) -> BoolArray:
        """Which of a fit's targets are in its pair sets, shape (n_targets, n_panels), panels in order."""
        return np.stack([self.pair(panel, other)[outputs] for other in self.panels], axis=1)


def target_sets(n_genes: int, panels: Mapping[str, IntArray], common: Sequence[int]) -> TargetSets:
    """Make the sets from positions of genes.

    Parameters
    ----------
    n_genes : int
    panels : mapping of str to numpy.ndarray of int64
        Compared panel -> positions of its genes.
    common : sequence of int
        Positions of the common targets.
    """
    return TargetSets({name: _mask(n_genes, places) for name, places in panels.items()}, _mask(n_genes, common))


def _mask(n_genes: int, places: Sequence[int] | IntArray) -> BoolArray:
    mask = np.zeros(n_genes, dtype=np.bool_)
    mask[np.asarray(places, dtype=np.int64)] = True
    return mask
