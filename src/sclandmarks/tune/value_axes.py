"""Axes of the values that trials are judged by, and the dots on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter, ScalarFormatter

LABELS = {"mse": "MSE, validation cells", "captured": "captured, validation cells",
          "explained": "explained, validation cells", "n_landmarks": "genes in the panel"}  # fmt: skip
PERCENT = {"captured", "explained"}
FAR = 4.0  # a value further from the best than so many times the median is drawn at the edge


class Judged(NamedTuple):
    """What a trial is judged by: its name and whether it is to be small."""

    name: str
    small: bool


def value_limits(values: np.ndarray, judged: Judged) -> tuple[float, float]:
    """Ends of an axis that shows the better half well; what is far off is drawn at the edge.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (n_trials,), finite.
    judged : Judged
    """
    sign = 1.0 if judged.small else -1.0
    costs = np.sort(sign * values)
    best, half, worst = costs[0], costs[(len(costs) - 1) // 2], costs[-1]
    end = min(worst, best + FAR * (half - best)) if half > best else worst
    space = 0.06 * ((end - best) or abs(best) or 1.0)
    ends = (sign * (best - space), sign * (end + space))
    return min(ends), max(ends)


def scatter(
    axes: Axes, x: Any, values: np.ndarray, limits: tuple[float, float], fill: Any, colour: str, label: str
) -> None:
    """Draw dots at `x` and `values`, shape (n_trials,); those beyond the axis as triangles at its edge."""
    low, high = limits
    inside = (values >= low) & (values <= high)
    style: dict[str, Any] = {"linestyle": "none", "color": colour, "fillstyle": fill, "markersize": 4}
    if len(values):
        axes.plot(x[inside], values[inside], marker="o", label=label, **style)
    for beyond, edge, triangle in ((values > high, high, "^"), (values < low, low, "v")):
        if beyond.any():
            axes.plot(x[beyond], np.full(beyond.sum(), edge), marker=triangle, clip_on=False, **style)


def value_axis(axis: Any, judged: Judged) -> None:
    """Give an axis of values few, plain numbers."""
    axis.set_major_locator(MaxNLocator(5))
    if judged.name in PERCENT:
        axis.set_major_formatter(PercentFormatter(1, symbol=" %"))  # as many digits as tell the ticks apart
    else:
        axis.set_major_formatter(ScalarFormatter(useOffset=False))
