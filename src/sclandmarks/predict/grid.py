"""The search for a penalty: decades over a wide grid, widened while the best lies at an edge, then finer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

log = logging.getLogger(__name__)

DECADES = (-2.0, 6.0)
STEPS_PER_DECADE = 4
MAX_WIDENINGS = 3


def search(errors_at: Callable[[list[float]], list[float]], scale: float) -> tuple[list[float], list[float]]:
    """Held-back errors at penalties from 1e-2 to 1e6 times a scale by decades, then in quarters around the best.

    Parameters
    ----------
    errors_at : callable
        Penalties to their held-back errors.
    scale : float
        Of the data; not 0.

    Returns
    -------
    penalties, errors : list of float
        In rising order of the penalty.
    """
    errors: dict[float, float] = {}

    def look(exponents: Iterable[float]) -> float:
        new = [exponent for exponent in exponents if exponent not in errors]
        errors.update(zip(new, errors_at([scale * 10**exponent for exponent in new]), strict=True))
        return _best(errors)

    low, high = DECADES
    best = look(steps(low, high, 1))
    for _ in range(MAX_WIDENINGS):
        if best == high:
            low, high = low, high + 2
        elif best == low:
            low, high = low - 2, high
        else:
            break
        best = look(steps(low, high, 1))
    if best in (low, high):
        log.warning("the best lambda lies at the edge of the grid, however wide: the panel explains nothing, or all")
    look(steps(best - 1, best + 1, STEPS_PER_DECADE))
    ordered = sorted(errors)
    return [scale * 10**exponent for exponent in ordered], [errors[exponent] for exponent in ordered]


def best_place(errors: Sequence[float]) -> int:
    """Place of the least error; of those as good to a millionth the last."""
    return int(_best({float(i): error for i, error in enumerate(errors)}))


def _best(errors: dict[float, float]) -> float:
    """The exponent of least error; of those as good to a millionth the largest, so that rounding decides nothing."""
    least = min(errors.values())
    return max(exponent for exponent, error in errors.items() if error <= least + 1e-6 * abs(least))


def steps(low: float, high: float, per_decade: int) -> list[float]:
    """Exponents from low to high, so many steps a decade."""
    return [low + i / per_decade for i in range(round((high - low) * per_decade) + 1)]


def ranks(largest: int) -> list[int]:
    """All ranks up to 10, then steps of about a tenth."""
    found, rank = [], 1
    while rank <= largest:
        found.append(rank)
        rank += max(1, rank // 10)
    return found
