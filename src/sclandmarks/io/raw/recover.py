"""Counts out of normalised values, where that is exact.

A value is v = log_b(1 + s k / L): k the count, L the cell's total, s the common scale, b = e, 2 or 10, or no logarithm.
Without the logarithm every value of a cell is a whole multiple of its unit s / L. Known limit: counts of a cell that
share a factor come out divided by it, because s is not known where genes were left out after normalising.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import DataError

LOGARITHMS: dict[str, float | None] = {
    "log(1 + x)": 1.0,
    "log2(1 + x)": float(np.log(2)),
    "log10(1 + x)": float(np.log(10)),
    "x": None,
}
"""Form -> ln of the base, None without a logarithm."""
PRECISION = 2.0**-22
"""Four roundings of float32, in which others normalise."""
SAFETY = 4
"""How many tolerances lie between a count and the next at least."""
LOWEST = 32
"""The smallest count of a cell that is found, at most."""
BLOCK = 1 << 21
PROBE = 1 << 14
"""Values of the first block, on which a wrong form fails at little cost."""
SAME_TOTAL = 1e-4
MOST = 0.5
REMEDY = "Give the raw counts; these values cannot be turned back."
logger = logging.getLogger(__name__)
Floats = NDArray[np.float64]


def recovered(csr: sparse.csr_matrix) -> NDArray[np.int32]:
    """Counts behind the values of a normalised matrix.

    Per cell the unit is the smallest value, or a whole fraction of it to 1 / 32, refined over all its values. Four
    checks: normalising each count again gives the value to float32 precision; the next count would not; one form, of
    LOGARITHMS, holds for all cells (if two give different counts, neither is taken); and where half of the cells
    add up to one total, all do.

    Parameters
    ----------
    csr : scipy.sparse.csr_matrix, shape (n_cells, n_genes)
        Normalised values without explicit zeros.

    Returns
    -------
    array of int32, length n_entries
        In the order of `csr.data`.

    Raises
    ------
    DataError
        If a check fails: scaled, batch-corrected or rounded values, or counts too large for float32 to tell apart.
    """
    if not np.isfinite(csr.data).all() or csr.data.min(initial=1) <= 0:
        raise DataError("normalised values above 0", "negative values, NaN or infinity: scaled or corrected", REMEDY)
    forms = {form: counts for form in LOGARITHMS if (counts := _of_form(csr, LOGARITHMS[form])) is not None}
    totals = {form: _totals(csr, LOGARITHMS[form]) for form in forms}
    found = {form: counts for form, counts in forms.items() if _consistent(totals[form])}
    if not found:
        got = "cells whose values are no whole multiples of one unit, as " + ", ".join(LOGARITHMS)
        raise DataError("values from which counts can be recovered exactly", got, REMEDY)
    (form, counts), *others = found.items()
    if any(not np.array_equal(counts, other) for _, other in others):
        raise DataError("values normalised in one way", f"either of {', '.join(found)}", REMEDY)
    logger.warning("counts were recovered from values normalised as %s, %s", form, _said(totals[form]))
    return counts


def _of_form(csr: sparse.csr_matrix, log_base: float | None) -> NDArray[np.int32] | None:
    """Counts if all values are of this form."""
    counts = np.empty(csr.nnz, dtype=np.int32)
    for starts in _blocks(csr.indptr):
        part = slice(starts[0], starts[-1])
        block = _counts(csr.data[part].astype(np.float64), starts - starts[0], log_base)
        if block is None:
            return None
        counts[part] = block
    return counts


def _blocks(starts: NDArray[Any]) -> Iterator[NDArray[np.int64]]:
    """Starts, and the last end, of some whole cells, BLOCK values at most or one cell; empty cells are passed over."""
    starts = np.unique(starts).astype(np.int64)
    at = 0
    while at < len(starts) - 1:
        end = max(int(np.searchsorted(starts, starts[at] + (BLOCK if at else PROBE), side="right")) - 1, at + 1)
        yield starts[at : end + 1]
        at = end


def _counts(values: Floats, starts: NDArray[np.int64], log_base: float | None) -> Floats | None:
    """Counts of some cells; None if one of them has no unit."""
    with np.errstate(over="ignore"):
        scaled = _undone(values, log_base)
    if not np.isfinite(scaled).all():
        return None
    lengths = np.diff(starts)
    lowest = np.minimum.reduceat(scaled, starts[:-1])
    counts = np.zeros(len(values))
    left = np.ones(len(lengths), dtype=bool)
    for divisor in range(1, LOWEST + 1):
        entries = np.repeat(left, lengths)
        whole, good = _multiples(values[entries], scaled[entries], lowest[left] / divisor, lengths[left], log_base)
        counts[entries] = whole
        left[left] = ~good
        if not left.any():
            return counts
    return None


def _multiples(
    values: Floats, scaled: Floats, units: Floats, lengths: NDArray[np.int64], log_base: float | None
) -> tuple[Floats, NDArray[np.bool_]]:
    """Multiples of the cells' units nearest to the values, and for which cells they are exact."""
    starts = np.cumsum(lengths) - lengths
    first = np.rint(scaled / np.repeat(units, lengths))
    refined = np.repeat(np.add.reduceat(scaled, starts) / np.add.reduceat(first, starts), lengths)
    whole = np.rint(scaled / refined)
    again = _done(whole * refined, log_base)
    tolerance = PRECISION * (values + (1 / log_base if log_base else 0))
    apart = _done((whole + 1) * refined, log_base) - again
    exact = (np.abs(again - values) <= tolerance) & (apart > SAFETY * tolerance) & (whole <= np.iinfo(np.int32).max)
    return whole, np.logical_and.reduceat(exact, starts)


def _undone(values: Floats, log_base: float | None) -> Floats:
    return values if log_base is None else np.expm1(values * log_base)


def _done(scaled: Floats, log_base: float | None) -> Floats:
    return scaled if log_base is None else np.log1p(scaled) / log_base


def _totals(csr: sparse.csr_matrix, log_base: float | None) -> Floats:
    """What each cell that has values was scaled to, as far as its genes are all there."""
    sums = [
        np.add.reduceat(_undone(csr.data[starts[0] : starts[-1]].astype(np.float64), log_base), starts[:-1] - starts[0])
        for starts in _blocks(csr.indptr)
    ]
    return np.concatenate(sums)


def _consistent(totals: Floats) -> bool:
    """Whether all cells have one total, or most have not: then genes were left out after normalising."""
    alike = np.abs(totals - np.median(totals)) <= SAME_TOTAL * np.median(totals)
    return bool(alike.all() or alike.mean() < MOST)


def _said(totals: Floats) -> str:
    low, high = totals.min(), totals.max()
    if high - low <= 2 * SAME_TOTAL * high:
        return f"each cell scaled to {high:.6g}"
    return f"cells scaled to {low:.6g} to {high:.6g}: genes were left out after normalising, or none was common"
