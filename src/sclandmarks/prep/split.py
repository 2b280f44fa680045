"""Cells to train, validation and test: seeded, stratified by data set and cell type."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sclandmarks.errors import DataError
from sclandmarks.params import SplitParams

Subset = Literal["train", "validation", "test"]
SUBSETS: tuple[Subset, ...] = ("train", "validation", "test")
RARE = 10


def split_cells(cells: pl.DataFrame, settings: SplitParams) -> pl.DataFrame:
    """Assign every cell to train, validation or test.

    Parameters
    ----------
    cells : polars.DataFrame
        As `schema.CELLS`; ids and annotations only, no counts.
    settings : SplitParams

    Returns
    -------
    polars.DataFrame
        As `schema.SPLIT`, in the order of `cells`.

    Raises
    ------
    DataError
        If a subset would be empty.
    """
    strata = _strata(cells)
    place = np.arange(cells.height)
    learn, test = _divide(place, strata, settings.test, settings.seed)
    train, validation = _divide(learn, strata, settings.validation, settings.seed)
    subset = np.empty(cells.height, dtype=object)
    for name, members in zip(SUBSETS, (train, validation, test), strict=True):
        subset[members] = name
    return pl.DataFrame({"cell_id": cells["cell_id"], "subset": pl.Series(subset, dtype=pl.String)})


def _strata(cells: pl.DataFrame) -> NDArray[np.int64]:
    """Number the strata; types with fewer than `RARE` cells in a data set share one stratum."""
    types = cells.select("dataset", "cell_type", size=pl.len().over("dataset", "cell_type"))
    labels = types.select(
        pl.when(pl.col("size") < RARE)
        .then(pl.lit("rare"))
        .otherwise(pl.concat_str("dataset", "cell_type", separator="/"))
    ).to_series()
    return labels.rank("dense").cast(pl.Int64).to_numpy()


def _divide(
    place: NDArray[np.int64], strata: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from sklearn.model_selection import train_test_split

    n_small = round(fraction * len(place))
    if not 0 < n_small < len(place):
        raise DataError(
            "cells on both sides of every split",
            f"{len(place)} cells of which {fraction:g} are to be set apart",
            "Give more cells, or change split.test and split.validation in params.yaml.",
        )
    labels = _stratifiable(strata[place], min(n_small, len(place) - n_small))
    large, small = train_test_split(place, test_size=n_small, stratify=labels, random_state=seed, shuffle=True)
    return np.sort(large), np.sort(small)


def _stratifiable(labels: NDArray[np.int64], smaller_side: int) -> NDArray[np.int64] | None:
    """Merge strata of one cell into the largest; None when there are more strata than cells on a side."""
    values, sizes = np.unique(labels, return_counts=True)
    merged = np.where(np.isin(labels, values[sizes < 2]), values[sizes.argmax()], labels)
    return merged if len(np.unique(merged)) <= smaller_side else None
