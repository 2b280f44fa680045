"""Split-conformal prediction intervals of every target gene, and how often they hold on test cells.

Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005; Lei et al., Distribution-free predictive
inference for regression, JASA 2018, doi:10.1080/01621459.2017.1307116.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.evaluate.bootstrap import Resamples, interval, resample
from sclandmarks.evaluate.noise import WHOLE
from sclandmarks.learn.task import Pair
from sclandmarks.params import CompareParams, IntervalParams

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Coverage:
    """How often the intervals of one level hold on test cells.

    Parameters
    ----------
    per_gene_T : numpy.ndarray, shape (n_targets,)
        Fraction of the test cells whose value lies inside, for every target.
    per_cell_C : numpy.ndarray, shape (n_cells,)
        Fraction of the targets whose value lies inside, for every test cell.
    width_T : numpy.ndarray, shape (n_targets,)
        Mean length of the interval over test cells, log10 units; what lies below zero is cut off.
    """

    per_gene_T: FloatArray
    per_cell_C: FloatArray
    width_T: FloatArray


class IntervalJudge:
    """Judges the intervals of every fit on the same test cells and the same resamples of them.

    Parameters
    ----------
    cells : polars.DataFrame
        The test cells, as `schema.CELLS`, in order.
    settings : IntervalParams
    compare : CompareParams
        Resamples and confidence of the coverage itself; donors are drawn where `compare` draws donors.
    """

    def __init__(self, cells: pl.DataFrame, settings: IntervalParams, compare: CompareParams) -> None:
        self.cells, self.settings, self.confidence = cells, settings, compare.confidence
        self.resamples = resample(cells, compare.n_bootstrap, compare.seed)

    def judge(
        self, fit: str, module: nn.Module, held_back: Iterable[Pair], test: Iterable[Pair], genes: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Take intervals from held-back cells and measure on the test cells how often they hold.

        Parameters
        ----------
        fit : str
            Its name.
        module : torch.nn.Module
            On the device of the pairs.
        held_back, test : iterable of Pair
        genes : polars.DataFrame
            Targets, in order.

        Returns
        -------
        tuple of polars.DataFrame
            Rows of `schema.INTERVALS` and of `schema.COVERAGE`.
        """
        levels = self.settings.levels
        widths_KT = half_widths(module, held_back, levels, self.settings.max_cells)
        found = coverage(module, test, widths_KT)
        covered = coverage_rows(fit, self.cells, levels, found, self.resamples, self.confidence)
        return interval_rows(fit, genes, levels, widths_KT, found), covered


def half_widths(module: nn.Module, pairs: Iterable[Pair], levels: Sequence[float], max_cells: int) -> Tensor:
    """Half the length of the interval around a prediction, for every level and target.

    It is the k-th smallest absolute error over n held-back cells, k = ceil((n + 1) level): a new cell that is
    exchangeable with them lies inside with a probability of at least `level`. The promise is strict for cells that
    learning has not seen. The validation cells, which stop a training and choose lambda and rank, come close to it:
    how close, `coverage` measures on test cells.

    Parameters
    ----------
    module : torch.nn.Module
        On the device of the pairs.
    pairs : iterable of Pair
        Held-back cells; no weight was learned from them.
    levels : sequence of float
        Between 0 and 1.
    max_cells : int
        No more cells are looked at; memory is this many times n_targets floats.

    Returns
    -------
    torch.Tensor, shape (n_levels, n_targets), float32

    Raises
    ------
    DataError
        If there are too few held-back cells for the largest level.
    """
    errors_CT = torch.cat(list(_some((error for error, _ in _errors(module, pairs)), max_cells)))
    n_cells = len(errors_CT)
    ranks = [_ceil((n_cells + 1) * level) for level in levels]
    if max(ranks) > n_cells:
        raise DataError(
            f"at least {_ceil(max(levels) / (1 - max(levels)))} held-back cells for intervals of {max(levels):g}",
            f"{n_cells}",
            "Raise split.validation, or lower intervals.levels, in params.yaml.",
        )
    return torch.stack([torch.kthvalue(errors_CT, rank, dim=0).values for rank in ranks])


def _ceil(value: float) -> int:
    """Round up, but not what is above a whole number by rounding alone."""
    return math.ceil(round(value, 9))


def coverage(module: nn.Module, pairs: Iterable[Pair], widths_KT: Tensor) -> list[Coverage]:
    """Measure on test cells how often each level's intervals hold.

    Parameters
    ----------
    module : torch.nn.Module
    pairs : iterable of Pair
        Test cells.
    widths_KT : torch.Tensor, shape (n_levels, n_targets)
        See `half_widths`.
    """
    n_levels, n_targets = widths_KT.shape
    inside_KT = torch.zeros(n_levels, n_targets, dtype=torch.float64)
    length_KT = torch.zeros(n_levels, n_targets, dtype=torch.float64)
    per_cell: list[Tensor] = []
    for error_BT, p_BT in _errors(module, pairs):
        hits = [error_BT <= width_T for width_T in widths_KT]
        inside_KT += torch.stack([hit.sum(0, dtype=torch.float64) for hit in hits])
        length_KT += torch.stack([_lengths(p_BT, width_T) for width_T in widths_KT])
        per_cell.append(torch.stack([hit.double().mean(1) for hit in hits]))
    cells_KC = torch.cat(per_cell, dim=1).numpy()
    n_cells = cells_KC.shape[1]
    parts = zip((inside_KT / n_cells).numpy(), cells_KC, (length_KT / n_cells).numpy(), strict=True)
    return [Coverage(*part) for part in parts]


def _lengths(p_BT: Tensor, width_T: Tensor) -> Tensor:
    """Summed lengths of the intervals of a block; expression is never below zero."""
    return ((p_BT + width_T).clamp(min=0) - (p_BT - width_T).clamp(min=0)).sum(0, dtype=torch.float64)


@torch.no_grad()
def _errors(module: nn.Module, pairs: Iterable[Pair]) -> Iterator[tuple[Tensor, Tensor]]:
    """Absolute errors and predictions of every block, on the CPU."""
    module.eval()
    for x_BL, y_BT in pairs:
        p_BT = module(x_BL)
        yield (p_BT - y_BT).abs().cpu(), p_BT.cpu()


def _some(blocks: Iterable[Tensor], most: int) -> Iterator[Tensor]:
    """Blocks until so many rows have come."""
    left = most
    for block in blocks:
        yield block[:left]
        left -= len(block[:left])
        if not left:
            return


def interval_rows(
    fit: str, genes: pl.DataFrame, levels: Sequence[float], widths_KT: Tensor, found: Sequence[Coverage]
) -> pl.DataFrame:
    """Rows of `schema.INTERVALS` of one fit; `genes` are the targets, in order."""
    parts = [
        genes.select(pl.lit(fit).alias("fit"), "gene_id", "symbol").with_columns(
            pl.lit(level).alias("level"),
            pl.Series("half_width", widths_T.double().numpy()),
            pl.Series("mean_length", one.width_T),
            pl.Series("coverage", one.per_gene_T),
        )
        for level, widths_T, one in zip(levels, widths_KT, found, strict=True)
    ]
    return schema.ordered(pl.concat(parts), schema.INTERVALS)


def coverage_rows(
    fit: str,
    cells: pl.DataFrame,
    levels: Sequence[float],
    found: Sequence[Coverage],
    resamples: Resamples,
    confidence: float,
) -> pl.DataFrame:
    """Rows of `schema.COVERAGE` of one fit: over all test cells, every data set, and every cell type of each.

    Parameters
    ----------
    fit : str
    cells : polars.DataFrame
        Test cells, in the order of the coverage.
    levels : sequence of float
    found : sequence of Coverage
        One a level.
    resamples : Resamples
        Of the test cells.
    confidence : float
        Of the intervals of the coverage itself.
    """
    rows = []
    for level, one in zip(levels, found, strict=True):
        for names, here_C in _groups(cells):
            covered_D, weights_ND = one.per_cell_C[here_C], resamples.weights_NC[resamples.telling(here_C)][:, here_C]
            resampled_N = weights_ND @ covered_D / weights_ND.sum(1)
            value, low, high = interval(float(covered_D.mean()), resampled_N, confidence)
            about = dict(zip(("dataset", "cell_type"), names, strict=True))
            rows.append({"fit": fit, "level": level, **about, "n_cells": len(covered_D),
                         "coverage": value, "low": low, "high": high, "unit": resamples.unit})  # fmt: skip
    return schema.ordered(pl.DataFrame(rows), schema.COVERAGE).with_columns(pl.col("low", "high").fill_nan(None))


def _groups(cells: pl.DataFrame) -> Iterator[tuple[tuple[str, str], NDArray[np.bool_]]]:
    """(data set, cell type) -> whether each cell is in it; `all` stands for all of them."""
    yield (WHOLE, WHOLE), np.ones(cells.height, dtype=np.bool_)
    numbered = cells.select("dataset", "cell_type").with_row_index("place")
    for names in (["dataset"], ["dataset", "cell_type"]):
        for group, part in numbered.group_by(names, maintain_order=True):
            here_C = np.zeros(cells.height, dtype=np.bool_)
            here_C[part["place"].to_numpy()] = True
            yield (str(group[0]), str(group[1]) if len(group) > 1 else WHOLE), here_C
