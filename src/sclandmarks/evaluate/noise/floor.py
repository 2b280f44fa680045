"""The noise floor: what part of a gene's variance is sampling of its counts, from halves of the counts.

With a, b the log-normalised halves of a gene in a cell and y its value at full depth, over cells

    noise  D = mean((a - b)^2) / 4            of the average (a + b) / 2
    total  T = var((a + b) / 2)
    1 - rho  = D / T,   floor = (1 - rho) var(y)

which is Spearman and Brown's rho = 2 r / (1 + r) with r = cov(a, b) / (mean of both variances). D and T are averaged
over repeats before the quotient is taken.

y is not the average of a and b: the logarithm bends. How far that misleads is seen one level down, where the answer
is known: the same estimate from halves of a, for the floor at half depth, beside 2 D, which is that floor without
any assumption. Their ratio, pooled over genes of like expression, is taken for full depth too (`calibration_G`).
The floor is never negative; rho may be, and is not cut, so that sums over genes are not pushed up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.evaluate.bootstrap import Interval, interval
from sclandmarks.evaluate.noise.thinning import Thinning, log_values, thin
from sclandmarks.matrix import Batches
from sclandmarks.params import LogBase

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]
Numbers = NDArray[np.floating]

TINY = 1e-12
LEVELS = 2  # full depth, and a half of it
GENES_A_BIN, MOST_BINS = 50, 20


@dataclass(frozen=True)
class NoiseFloor:
    """Noise floor of every gene over some cells, in squared units of the log scale.

    Parameters
    ----------
    n_cells : int
    variance_G : numpy.ndarray, shape (n_genes,)
        Variance of the log-normalised values, with n_cells - 1.
    r_G : numpy.ndarray, shape (n_genes,)
        Correlation of the halves; NaN for a gene without variance.
    calibration_G : numpy.ndarray, shape (n_genes,)
        What Spearman and Brown's floor is multiplied with.
    floor_G : numpy.ndarray, shape (n_genes,)
        calibration x (1 - 2 r / (1 + r)) x variance; 0 for a gene without variance.
    floor_RG : numpy.ndarray, shape (n_repeats, n_genes)
        Of every repeat of the thinning alone.
    floor_NG, variance_NG : numpy.ndarray of float32, shape (n_bootstrap, n_genes)
        In every resample of the cells, with resampled repeats for the calibration, moved so that their mean is the
        value over all cells; NaN in a resample without any of the cells; n_bootstrap is 0 without weights.
    """

    n_cells: int
    variance_G: FloatArray
    r_G: FloatArray
    calibration_G: FloatArray
    floor_G: FloatArray
    floor_RG: FloatArray
    floor_NG: Float32Array
    variance_NG: Float32Array

    @property
    def reliability_G(self) -> FloatArray:
        """rho, the part of the variance that is not sampling noise; NaN for a gene without variance, not cut at 0."""
        varies = self.variance_G > 0
        return np.where(varies, 1 - self.floor_G / np.where(varies, self.variance_G, 1), np.nan)

    def at_variance(self, variance_G: FloatArray) -> FloatArray:
        """Floor of every gene in other cells in which it varies so much, (1 - rho) x variance; 0 without a rho.

        For single genes: rho from all cells of the same population is steadier than from the test cells alone.
        """
        return np.where(np.isnan(self.reliability_G), 0, (1 - self.reliability_G) * variance_G)

    def floor_N(self, genes: IntArray | None = None) -> FloatArray:
        """Mean floor of these genes in every resample, shape (n_bootstrap,)."""
        return _mean_over(self.floor_NG, genes)

    def floor_mse(self, genes: IntArray | None = None, confidence: float = 0.95) -> Interval:
        """Mean floor of these genes, in the units of an MSE over cells and genes; all genes when None."""
        return interval(float(_taken(self.floor_G, genes).mean()), self.floor_N(genes), confidence)

    def explainable(self, genes: IntArray | None = None, confidence: float = 0.95) -> Interval:
        """Part of the variance of these genes that is not sampling noise: 1 - sum of floors / sum of variances."""
        whole = float(1 - _taken(self.floor_G, genes).sum() / _taken(self.variance_G, genes).sum())
        resampled_N = 1 - self.floor_N(genes) / _mean_over(self.variance_NG, genes)
        return interval(whole, resampled_N, confidence)

    def repeat_spread(self, genes: IntArray | None = None) -> float:
        """Standard deviation over single repeats of the mean floor; that of the average is 1/sqrt(n_repeats) of it."""
        return float(_mean_over(self.floor_RG, genes).std(ddof=1)) if len(self.floor_RG) > 1 else float("nan")


def noise_floor(
    blocks: Iterable[sparse.csr_matrix],
    scale: float,
    log_base: LogBase,
    n_repeats: int,
    seed: int,
    weights_NC: FloatArray | None = None,
    cells_C: IntArray | None = None,
    genes_G: IntArray | None = None,
) -> NoiseFloor:
    """Estimate the noise floor of every gene by thinning the counts into halves.

    One pass; memory is a block, and five numbers a gene and resample. Linear in cells.

    Parameters
    ----------
    blocks : iterable of scipy.sparse.csr_matrix of int
        Counts of the kept genes, blocks of cells; normalisation is by their total, as in `prep.prepare`.
    scale, log_base
        As `prepare.scale` and `prepare.log_base`.
    n_repeats : int
        Independent thinnings that are averaged.
    seed : int
    weights_NC : numpy.ndarray, shape (n_bootstrap, n_cells), optional
        See `bootstrap.resample_weights`; rows may have any sum.
    cells_C, genes_G : numpy.ndarray of int64, optional
        Numbers of the cells and genes that their random halves depend on, else their positions.

    Raises
    ------
    DataError
        If there are fewer than two cells, or weights or numbers of another length than cells or genes.
    """
    sums: _Sums | None = None
    for block in blocks:
        if sums is None:
            sums = _Sums(block.shape[1], n_repeats, seed, weights_NC, cells_C, genes_G)
        sums.add(block, scale, log_base)
    if sums is None or sums.n_cells < 2:
        raise DataError("at least two cells for a noise floor", "fewer", "Check the split in params.yaml.")
    return sums.result()


def group_floors(
    batches: Batches,
    groups_C: Iterable[str],
    scale: float,
    log_base: LogBase,
    n_repeats: int,
    seed: int,
    weights_NC: FloatArray | None = None,
    least_cells: int = 20,
) -> Iterator[tuple[str, NoiseFloor]]:
    """Yield the noise floor within every group of cells (a cell type), one at a time, names sorted.

    Parameters
    ----------
    batches : Batches
        Counts; read once a group, in order.
    groups_C : iterable of str, length n_cells
    scale, log_base, n_repeats, seed, weights_NC
        As in `noise_floor`. The halves of a cell are the same as there.
    least_cells : int
        Smaller groups are left out: a variance over few cells says little.
    """
    labels_C = np.asarray(list(groups_C), dtype=object)
    for name in sorted(set(labels_C)):
        rows = np.flatnonzero(labels_C == name)
        if len(rows) >= least_cells:
            weights = None if weights_NC is None else weights_NC[:, rows]
            yield name, noise_floor(_rows(batches, rows), scale, log_base, n_repeats, seed, weights, rows)


def _rows(batches: Batches, rows: IntArray) -> Iterator[sparse.csr_matrix]:
    """Blocks of these rows of the batches, in order."""
    seen = 0
    for block in batches.in_order():
        here = rows[(rows >= seen) & (rows < seen + block.shape[0])] - seen
        seen += block.shape[0]
        if len(here):
            yield block[here]


class _Sums:
    """Sums over cells of y, y^2, s, s^2 and d, for every repeat and level.

    y is a value, s = (a + b) / 2 and d = (a - b)^2 / 4 are of its halves. At level 0 y is the value at full depth,
    at level 1 it is the first half of that, and so on. At level 0 the five are averaged over repeats and weighted
    for every resample.
    """

    def __init__(
        self,
        n_genes: int,
        n_repeats: int,
        seed: int,
        weights_NC: FloatArray | None,
        cells_C: IntArray | None,
        genes_G: IntArray | None,
    ) -> None:
        self.seed, self.n_repeats = seed, n_repeats
        self.weights_NC = None if weights_NC is None else weights_NC.astype(np.float32)
        self.cells_C, self.genes_G = cells_C, np.arange(n_genes) if genes_G is None else genes_G
        n_bootstrap = 0 if weights_NC is None else len(weights_NC)
        self.sums_RL5G = np.zeros((n_repeats, LEVELS, 5, n_genes))
        self.resampled_5NG = np.zeros((5, n_bootstrap, n_genes), dtype=np.float32)
        self.n_cells = 0
        _same_length(self.genes_G, n_genes, "genes")

    def add(self, block: sparse.csr_matrix, scale: float, base: LogBase) -> None:
        """Add a block of counts."""
        here = slice(self.n_cells, self.n_cells + block.shape[0])
        cells_B = np.arange(here.start, here.stop) if self.cells_C is None else self.cells_C[here]
        _same_length(cells_B, block.shape[0], "cells")
        mean_5 = np.zeros((5, block.nnz))
        for repeat, sums_L5G in enumerate(self.sums_RL5G):
            for level, parts in enumerate(self._levels(block, cells_B, repeat, scale, base)):
                sums_L5G[level] += [_columns(block, part) for part in parts]
                mean_5 += np.asarray(parts) / self.n_repeats if level == 0 else 0
        if self.weights_NC is not None:
            self._resample(block, mean_5, self.weights_NC[:, here])
        self.n_cells = here.stop

    def _levels(
        self, block: sparse.csr_matrix, cells_B: IntArray, repeat: int, scale: float, base: LogBase
    ) -> Iterator[list[FloatArray]]:
        """Yield y, y^2, s, s^2 and d at the places of a block, of every level."""
        whole = sparse.csr_matrix((block.data.astype(np.int64), block.indices, block.indptr), shape=block.shape)
        y = log_values(whole.data, whole.indptr, scale, base)
        for level in range(LEVELS):
            half = thin(whole, Thinning(self.seed, repeat, level), cells_B, self.genes_G)
            a, b = (log_values(part, whole.indptr, scale, base) for part in (half, whole.data - half))
            s = (a + b) / 2
            yield [y, y**2, s, s**2, (a - b) ** 2 / 4]
            whole.data, y = half, a

    def _resample(self, block: sparse.csr_matrix, parts_5: FloatArray, weights_NB: Float32Array) -> None:
        _same_length(weights_NB[0], block.shape[0], "weights")
        for sums_NG, part in zip(self.resampled_5NG, parts_5, strict=True):
            values = sparse.csr_matrix((part.astype(np.float32), block.indices, block.indptr), shape=block.shape)
            sums_NG += (values.T @ weights_NB.T).T

    def result(self) -> NoiseFloor:
        """Return the floor over all cells added."""
        means_RL5G = self.sums_RL5G / self.n_cells
        means_L5G = means_RL5G.mean(axis=0)
        variance_G, noise_G = _variance_and_noise(means_L5G[0], self.n_cells)
        calibration_G = calibration(means_L5G, self.n_cells)
        floor_G = np.asarray(variance_G * noise_G * calibration_G, dtype=np.float64)
        repeats = [_variance_and_noise(means_5G, self.n_cells) for means_5G in means_RL5G[:, 0]]
        variance_NG, noise_NG = self._resampled()
        calibration_NG = calibration_G * _resampled_calibration(means_RL5G, self.n_cells, len(variance_NG), self.seed)
        return NoiseFloor(
            n_cells=self.n_cells,
            variance_G=np.asarray(variance_G, dtype=np.float64),
            r_G=np.where(variance_G > 0, (1 - noise_G) / (1 + noise_G), np.nan),
            calibration_G=calibration_G,
            floor_G=floor_G,
            floor_RG=np.array([variance * noise for variance, noise in repeats]) * calibration_G,
            floor_NG=_moved(variance_NG * noise_NG * calibration_NG, floor_G),
            variance_NG=_moved(variance_NG, variance_G),
        )

    def _resampled(self) -> tuple[Numbers, Numbers]:
        if self.weights_NC is None:
            return self.resampled_5NG[0], self.resampled_5NG[0]
        _same_length(self.weights_NC[0], self.n_cells, "weights")
        size_N = self.weights_NC.sum(axis=1)
        self.resampled_5NG /= np.where(size_N > 0, size_N, 1)[:, None]
        variance_NG, noise_NG = _variance_and_noise(self.resampled_5NG, self.n_cells)
        variance_NG[size_N == 0] = np.nan
        return variance_NG, noise_NG


def _variance_and_noise(means: Numbers, n_cells: int) -> tuple[Numbers, Numbers]:
    """Variance of y and 1 - rho of every gene, from the means of y, y^2, s, s^2 and d; 0 and 0 without variance."""
    y, y2, s, s2, d = means
    least = 1e-5 if means.dtype == np.float32 else TINY
    variance, total = y2 - y**2, s2 - s**2
    varies = (variance > least * y2) & (total > least * s2)
    unbiased = n_cells / (n_cells - 1)
    noise = np.where(varies, d / np.where(varies, total * unbiased, 1), 0)
    return np.where(varies, variance * unbiased, 0), noise


def _moved(resampled_NG: Numbers, value_G: Numbers) -> Float32Array:
    """Shift resamples so that their mean over resamples is the value: few cells resampled vary less than cells do."""
    drawn_N1 = np.isfinite(resampled_NG.sum(axis=1, keepdims=True))
    if drawn_N1.any():
        kept = True if drawn_N1.all() else drawn_N1
        resampled_NG = resampled_NG + (value_G - resampled_NG.mean(axis=0, dtype=np.float64, where=kept))
    return np.asarray(resampled_NG, dtype=np.float32)


def calibration(means_L5G: FloatArray, n_cells: int) -> FloatArray:
    """Factor on Spearman and Brown's floor of every gene, pooled over genes of like expression.

    It is what the floor at half depth is, 2 D of the level above, over what its own halves make of it.

    Parameters
    ----------
    means_L5G : numpy.ndarray, shape (2, 5, n_genes)
        Means over cells of y, y^2, s, s^2 and d, at full and half depth, as `_Sums` has them.
    n_cells : int
    """
    bin_G = _bins(means_L5G[0, 0])
    return _factors(means_L5G, n_cells, bin_G)[bin_G]


def _factors(means_L5G: FloatArray, n_cells: int, bin_G: IntArray) -> FloatArray:
    """Calibration of every bin; 1 where nothing is known."""
    variance_G, noise_G = _variance_and_noise(means_L5G[1], n_cells)
    known, estimated = (np.bincount(bin_G, part) for part in (2 * means_L5G[0, 4], variance_G * noise_G))
    usable = (known > 0) & (estimated > 0)
    return np.where(usable, known / np.where(usable, estimated, 1), 1)


def _resampled_calibration(means_RL5G: FloatArray, n_cells: int, n_bootstrap: int, seed: int) -> FloatArray:
    """Calibration of resampled repeats over that of all, shape (n_bootstrap, n_genes)."""
    n_repeats, bin_G = len(means_RL5G), _bins(means_RL5G[0, 0, 0])
    logs_RB = np.log([_factors(means_L5G, n_cells, bin_G) for means_L5G in means_RL5G])
    drawn_NR = np.random.default_rng(seed).multinomial(n_repeats, np.full(n_repeats, 1 / n_repeats), n_bootstrap)
    wider = np.sqrt(n_repeats / max(n_repeats - 1, 1))  # a resample of few repeats varies too little
    return np.asarray(np.exp((drawn_NR / n_repeats - 1 / n_repeats) @ logs_RB * wider)[:, bin_G])


def _bins(mean_G: FloatArray) -> IntArray:
    """Number of the bin of every gene; bins hold equally many genes, in the order of the mean."""
    n_bins = min(max(len(mean_G) // GENES_A_BIN, 1), MOST_BINS)
    rank_G = np.argsort(np.argsort(mean_G, kind="stable"), kind="stable")
    return rank_G * n_bins // len(mean_G)


def _columns(block: sparse.csr_matrix, values: FloatArray) -> FloatArray:
    """Sum over cells of values at the places of a block, for every gene."""
    return np.asarray(np.bincount(block.indices, values, minlength=block.shape[1]), dtype=np.float64)


def _taken(values_G: FloatArray, genes: IntArray | None) -> FloatArray:
    return values_G if genes is None else values_G[genes]


def _mean_over(values_NG: Numbers, genes: IntArray | None) -> FloatArray:
    taken = values_NG if genes is None else values_NG[:, genes]
    return np.asarray(taken.mean(axis=1, dtype=np.float64))


def _same_length(given: NDArray[Any], wanted: int, what: str) -> None:
    if len(given) != wanted:
        raise DataError(f"{what} as long as the matrix, {wanted}", f"{len(given)}", "Give those of the same cells.")
