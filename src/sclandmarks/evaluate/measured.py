"""What is known of the test cells before any fit: training means, errors of these means, noise floors, components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclandmarks.evaluate.cellwise import baselines
from sclandmarks.evaluate.clusters import Space, principal_space
from sclandmarks.evaluate.figures import Pooled
from sclandmarks.evaluate.kept import GeneRanks, Kept
from sclandmarks.evaluate.levels import level_edges
from sclandmarks.evaluate.noise import NoiseFloor, group_floors, group_labels, group_of, noise_floor
from sclandmarks.evaluate.targets import ALL, COMMON, BoolArray, TargetSets
from sclandmarks.matrix import Batches
from sclandmarks.moments import gene_means
from sclandmarks.params import NoiseParams, PrepareParams

FloatArray = NDArray[np.float64]
TypeName = tuple[str, str]


@dataclass(frozen=True)
class Floors:
    """Noise floors of the test cells, in the resamples of the comparison.

    Parameters
    ----------
    whole : NoiseFloor
        Of all test cells.
    types : mapping of (str, str) to Pooled
        (data set, cell type) -> floor of the common targets within the type.
    """

    whole: NoiseFloor
    types: Mapping[TypeName, Pooled]


@dataclass(frozen=True)
class Measured:
    """The test cells on one scale.

    Parameters
    ----------
    mean_G : torch.Tensor, shape (n_genes,)
        Training means.
    columns : dict of str to int
        Set of genes -> its column in `baseline_CS` and its place in `floors`: all, common, or two panels, see `pair`.
    baseline_CS : numpy.ndarray, shape (n_cells, n_sets)
        Squared errors of the training means, summed over each set.
    floors : list of Pooled, or None
        Noise floor of each set.
    edges : numpy.ndarray
        Levels of mean expression.
    space : Space or None
        Principal components of the test cells.
    gene_ranks : GeneRanks
        Of the genes over all test cells.
    cell_ranks : Kept
        Of sets of genes within blocks of test cells.
    """

    mean_G: Tensor
    columns: dict[str, int]
    baseline_CS: FloatArray
    floors: list[Pooled] | None
    edges: FloatArray
    space: Space | None
    gene_ranks: GeneRanks
    cell_ranks: Kept = field(default_factory=Kept)

    def baseline(self, name: str) -> FloatArray:
        """Squared errors of the training means on a set of genes, in every cell."""
        return np.asarray(self.baseline_CS[:, self.columns[name]])

    def loadings(self, columns: Tensor) -> Tensor:
        """Loadings of the components, shape (n_columns, n_components); 0 of a column behind the genes."""
        loadings_GK = self.space.loadings_GK if self.space else np.zeros((len(self.mean_G), 0), np.float32)
        found = torch.zeros(len(columns), loadings_GK.shape[1])
        genes = columns < len(loadings_GK)
        found[genes] = torch.from_numpy(loadings_GK[columns[genes].numpy()])
        return found

    def floor(self, name: str) -> Pooled | None:
        """Noise floor of a set of genes."""
        return self.floors[self.columns[name]] if self.floors else None


def pair_name(panel: str, other: str) -> str:
    """Name of the genes that neither of two panels holds, whichever comes first; with itself: its own complement."""
    return " | ".join(sorted((panel, other)))


def measure(sets: TargetSets, train: Batches, test: Batches, floor: NoiseFloor | None, with_space: bool) -> Measured:
    """Pass over the training cells for their means, and over the test cells for the rest."""
    masks: dict[str, BoolArray] = {ALL: np.ones_like(sets.common_G), COMMON: sets.common_G}
    masks |= {pair_name(a, b): sets.pair(a, b) for a, b in combinations_with_replacement(sets.panels, 2)}
    mean_G, masks_GS = gene_means(train.in_order()), np.stack(list(masks.values()), axis=1)
    return Measured(
        mean_G,
        {name: i for i, name in enumerate(masks)},
        baselines(test.in_order(), mean_G, masks_GS),
        pool_floors(floor, masks_GS) if floor else None,
        level_edges(mean_G.double().numpy()),
        principal_space(test.in_order()) if with_space else None,
        GeneRanks(len(mean_G)),
    )


def pool_floors(floor: NoiseFloor, masks_GS: BoolArray) -> list[Pooled]:
    """Sum the floors over each set of genes."""
    sums_NS = torch.from_numpy(floor.floor_NG) @ torch.from_numpy(masks_GS).float()
    return [
        Pooled(float(value), resampled_N)
        for value, resampled_N in zip(floor.floor_G @ masks_GS, sums_NS.double().numpy().T, strict=True)
    ]


def estimate_floors(
    counts: Batches, cells: pl.DataFrame, common_G: BoolArray, prepare: PrepareParams, noise: NoiseParams,
    weights_NC: FloatArray,
) -> Floors:  # fmt: skip
    """Estimate the noise floors of the test cells from their counts, in the resamples of the comparison.

    Parameters
    ----------
    counts : Batches
        Counts of the test cells.
    cells : polars.DataFrame
        The test cells, in the same order.
    common_G : numpy.ndarray of bool, shape (n_genes,)
        Common targets, for the floors within cell types.
    prepare : PrepareParams
        How the counts are normalised.
    noise : NoiseParams
    weights_NC : numpy.ndarray, shape (n_bootstrap, n_cells)
    """
    how = (prepare.scale, prepare.log_base, noise.n_repeats, noise.seed)
    whole = noise_floor(counts.in_order(), *how, weights_NC)
    types = {}
    for name, floor in group_floors(counts, group_labels(cells), *how, weights_NC):
        pooled_N = floor.floor_NG[:, common_G].sum(axis=1, dtype=np.float64)
        types[group_of(name)] = Pooled(float(floor.floor_G[common_G].sum()), pooled_N)
    return Floors(whole, types)
