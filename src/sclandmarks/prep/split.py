"""Cells to train, validation and test: seeded; stratified by data set and cell type, or by whole groups."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sclandmarks.errors import DataError
from sclandmarks.params import SplitParams
from sclandmarks.schema import UNKNOWN

Subset = Literal["train", "validation", "test"]
SUBSETS: tuple[Subset, ...] = ("train", "validation", "test")
RARE = 10
N_SHOWN = 20
logger = logging.getLogger(__name__)


def split_cells(cells: pl.DataFrame, settings: SplitParams) -> pl.DataFrame:
    """Assign every cell to train, validation or test.

    By cell, each data set and cell type is divided alike. By a column of `cells`, whole groups go to test: those
    named in `settings.test_groups`, or a seeded choice of about `settings.test` of all cells. Validation takes whole
    groups too where some come near its fraction, else cells, stratified. Cells whose group is Unknown are never test
    cells.

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
        If a subset would be empty, there are not two groups, or one of `settings.test_groups` is not there.
    """
    place = np.arange(cells.height)
    if settings.by == "cell":
        strata = _strata(cells)
        learn, test = _divide(place, strata, settings.test, settings.seed)
        train, validation = _divide(learn, strata, settings.validation, settings.seed)
    else:
        learn, test = _leave_out(cells, settings)
        train, validation = _validation_groups(cells, learn, settings) or _divide_sorted(cells, learn, settings)
    subset = np.empty(cells.height, dtype=object)
    for name, members in zip(SUBSETS, (train, validation, test), strict=True):
        subset[members] = name
    return pl.DataFrame({"cell_id": cells["cell_id"], "subset": pl.Series(subset, dtype=pl.String)})


Sides = tuple[NDArray[np.int64], NDArray[np.int64]]


def _leave_out(cells: pl.DataFrame, settings: SplitParams) -> Sides:
    """Places of the cells to learn from, and of those of the groups that are left out for the test."""
    sizes = _sizes(cells[settings.by])
    if settings.test_groups:
        chosen = _named(sizes, cells, settings)
    elif len(sizes) < 2:
        raise DataError(
            f"two {settings.by} groups or more, for split.by: {settings.by}",
            f"{', '.join(sizes) or 'none that is known'} alone",
            "Set split.by to another column, or to cell, in params.yaml.",
        )
    else:
        chosen = choose_groups(sizes, settings.test * cells.height, settings.seed)
    logger.info("test: %s", _shown(settings.by, chosen, sizes))
    return _sides(cells[settings.by], np.arange(cells.height), chosen)


def _named(sizes: dict[str, int], cells: pl.DataFrame, settings: SplitParams) -> list[str]:
    chosen, of_all = list(settings.test_groups), set(cells[settings.by])
    if absent := [group for group in chosen if group not in sizes]:
        there = sorted(sizes)
        raise DataError(
            f"split.test_groups among the {len(there)} known in {settings.by}: {', '.join(there[:N_SHOWN])}"
            + (" ..." if len(there) > N_SHOWN else ""),
            ", ".join(absent),
            "Correct split.test_groups in params.yaml.",
        )
    if not of_all - set(chosen):
        raise DataError(
            f"a {settings.by} group that is not in split.test_groups", "all of them there", "Name fewer of them."
        )
    return chosen


def choose_groups(sizes: dict[str, int], wanted: float, seed: int) -> list[str]:
    """Choose groups that together have about so many cells.

    In a seeded order, a group is taken whenever it brings the sum nearer to `wanted`; where none does, it is the
    smallest. The largest group is left out where all would be taken.

    Parameters
    ----------
    sizes : dict of str to int
        Group -> cells; two groups or more. Their order decides nothing.
    wanted : float
        Cells.
    seed : int

    Returns
    -------
    list of str
        In the order of their names.
    """
    names = sorted(sizes)
    order = np.random.default_rng(seed).permutation(len(names))
    chosen: list[str] = []
    total = 0
    for name in (names[i] for i in order):
        if abs(total + sizes[name] - wanted) < abs(total - wanted):
            chosen.append(name)
            total += sizes[name]
    if len(chosen) == len(names):
        chosen.remove(max(names, key=lambda name: (sizes[name], name)))
    return sorted(chosen) or [min(names, key=lambda name: (sizes[name], name))]


def _validation_groups(cells: pl.DataFrame, learn: NDArray[np.int64], settings: SplitParams) -> Sides | None:
    """Train and validation by whole groups; None where no groups come within half and twice the wanted fraction."""
    groups = cells[settings.by]
    sizes = _sizes(groups[learn])
    wanted = settings.validation * len(learn)
    chosen = choose_groups(sizes, wanted, settings.seed) if len(sizes) > 1 else []
    got = sum(sizes[group] for group in chosen)
    if not wanted / 2 <= got <= wanted * 2:
        logger.info(
            "validation: cells, as no %s groups make up about %g of the others", settings.by, settings.validation
        )
        return None
    logger.info("validation: %s", _shown(settings.by, chosen, sizes))
    return _sides(groups, learn, chosen)


def _divide_sorted(cells: pl.DataFrame, learn: NDArray[np.int64], settings: SplitParams) -> Sides:
    """Divide cells in the order of their ids, so that the order of the table decides nothing."""
    learn = learn[cells["cell_id"][learn].arg_sort().to_numpy()]
    return _divide(learn, _strata(cells), settings.validation, settings.seed)


def _sizes(groups: pl.Series) -> dict[str, int]:
    """Cells of each known group."""
    counts = groups.rename("group").value_counts().filter(pl.col("group") != UNKNOWN).sort("group")
    return dict(counts.iter_rows())


def _sides(groups: pl.Series, place: NDArray[np.int64], chosen: list[str]) -> Sides:
    is_chosen = groups[place].is_in(chosen).to_numpy()
    return place[~is_chosen], place[is_chosen]


def _shown(by: str, chosen: list[str], sizes: dict[str, int]) -> str:
    names = ", ".join(chosen[:N_SHOWN]) + (" ..." if len(chosen) > N_SHOWN else "")
    return f"{len(chosen)} of {len(sizes)} {by} groups, {sum(sizes[group] for group in chosen)} cells: {names}"


def _strata(cells: pl.DataFrame) -> NDArray[np.int64]:
    """Number the strata; types with fewer than `RARE` cells in a data set share one stratum."""
    types = cells.select("dataset", "cell_type", size=pl.len().over("dataset", "cell_type"))
    labels = types.select(
        pl.when(pl.col("size") < RARE)
        .then(pl.lit("rare"))
        .otherwise(pl.concat_str("dataset", "cell_type", separator="/"))
    ).to_series()
    return labels.rank("dense").cast(pl.Int64).to_numpy()


def _divide(place: NDArray[np.int64], strata: NDArray[np.int64], fraction: float, seed: int) -> Sides:
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
