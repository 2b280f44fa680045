"""Tables of the noise floor, pooled and per gene."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sclandmarks import schema
from sclandmarks.evaluate.noise.floor import NoiseFloor

WHOLE = "all"
SEPARATOR = "\x1f"  # between data set and cell type, in neither


def group_labels(cells: pl.DataFrame) -> list[str]:
    """Group of every cell, its data set and cell type, for `group_floors`."""
    return [
        str(label) for label in cells.select(pl.concat_str("dataset", "cell_type", separator=SEPARATOR)).to_series()
    ]


def group_of(label: str) -> tuple[str, str]:
    """Data set and cell type of a label; the cell type is empty where the label is a data set alone, or `all`."""
    dataset, _, cell_type = label.partition(SEPARATOR)
    return dataset, cell_type


def noise_rows(
    floors: Iterable[tuple[str, NoiseFloor]], genes: NDArray[np.int64] | None, confidence: float
) -> pl.DataFrame:
    """Rows of `schema.NOISE`, one a set of cells.

    Parameters
    ----------
    floors : iterable of (str, NoiseFloor)
        `all` and what `group_floors` yields for `group_labels`, one at a time.
    genes : numpy.ndarray of int64, optional
        Genes to pool, for example the common targets; all when None.
    confidence : float
        Between 0 and 1.
    """
    rows = [_noise_row(name, found, genes, confidence) for name, found in floors]
    frame = pl.DataFrame(rows, schema=schema.NOISE.dtypes)
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def _noise_row(name: str, found: NoiseFloor, genes: NDArray[np.int64] | None, confidence: float) -> dict[str, object]:
    dataset, cell_type = group_of(name)
    floor, explainable = found.floor_mse(genes, confidence), found.explainable(genes, confidence)
    return {
        "dataset": dataset,
        "cell_type": cell_type or WHOLE,
        "n_cells": found.n_cells,
        "n_genes": len(found.floor_G) if genes is None else len(genes),
        "variance": float((found.variance_G if genes is None else found.variance_G[genes]).mean()),
        "floor": floor.value,
        "floor_low": floor.low,
        "floor_high": floor.high,
        "explainable": explainable.value,
        "explainable_low": explainable.low,
        "explainable_high": explainable.high,
        "repeat_spread": found.repeat_spread(genes),
    }


def noise_per_gene(found: NoiseFloor, genes: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """Rows of `schema.NOISE_PER_GENE`; `genes` are the genes of the matrix, in order."""
    tail = (1 - confidence) / 2
    empty = np.full((2, genes.height), np.nan)
    low_G, high_G = np.quantile(found.floor_NG, [tail, 1 - tail], axis=0) if len(found.floor_NG) else empty
    columns = {
        "variance": found.variance_G,
        "r": found.r_G,
        "reliability": found.reliability_G,
        "floor": found.floor_G,
        "floor_low": low_G,
        "floor_high": high_G,
    }
    series = [pl.Series(name, values, dtype=pl.Float64).fill_nan(None) for name, values in columns.items()]
    return genes.select("gene_id", "symbol").with_columns(series)
