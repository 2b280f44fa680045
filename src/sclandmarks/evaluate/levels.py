"""Errors by expression level: rare genes and abundant ones are not equally hard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sclandmarks.evaluate.figures import Figure
from sclandmarks.evaluate.genewise import GenePass
from sclandmarks.evaluate.noise import captured

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
N_LEVELS = 10


def level_edges(mean_G: FloatArray, n_levels: int = N_LEVELS) -> FloatArray:
    """Edges of levels with equal numbers of genes, from training means; equal edges are one, so there may be fewer."""
    return np.unique(np.quantile(mean_G, np.linspace(0, 1, n_levels + 1)))


def bounds(edges: FloatArray, level: int) -> tuple[float, float]:
    """Lowest and highest mean of a level; the same where all means are equal."""
    return float(edges[level]), float(edges[min(level + 1, len(edges) - 1)])


def levels_of(mean_T: FloatArray, edges: FloatArray) -> IntArray:
    """Level of every gene, 0 is the lowest; a mean at an inner edge is in the upper level."""
    return np.clip(np.searchsorted(edges, mean_T, side="right") - 1, 0, max(len(edges) - 2, 0)).astype(np.int64)


def level_figures(
    genes: GenePass, places: IntArray, floor: tuple[FloatArray, FloatArray] | None
) -> Iterator[tuple[str, Figure]]:
    """MSE, explained and captured of some targets, pooled.

    Parameters
    ----------
    genes : GenePass
    places : numpy.ndarray of int64
        Targets of a level.
    floor : tuple of numpy.ndarray, optional
        Noise floor of all targets, and in the resamples of `genes`.
    """
    mse, base = ([part[..., places].sum(axis=-1) for part in parts] for parts in _pairs(genes))
    yield "mse", _figure([part / len(places) for part in mse])
    with np.errstate(divide="ignore", invalid="ignore"):
        yield "explained", _figure([1 - part / against for part, against in zip(mse, base, strict=True)])
    if floor is not None:
        floors = [part[..., places].sum(axis=-1, dtype=np.float64) for part in floor]
        yield "captured", _figure([captured(*parts).value for parts in zip(mse, base, floors, strict=True)])


def _pairs(genes: GenePass) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    return (genes.mse_T, genes.mse_NT), (genes.baseline_T, genes.baseline_NT)


def _figure(parts: list[Any]) -> Figure:
    return Figure(float(parts[0]), parts[1])
