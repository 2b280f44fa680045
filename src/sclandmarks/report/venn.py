"""Two circles that overlap, with areas proportional to numbers of genes."""

from __future__ import annotations

import math

from matplotlib.figure import Figure
from matplotlib.patches import Circle
from scipy.optimize import brentq

from sclandmarks.report.style import BLUE, FAINT, VERMILLION, new_axes, plain, styled


@styled
def venn(only_panel: int, shared: int, only_reference: int, panel: str, reference: str) -> Figure:
    """Two circles whose areas, and the area of whose overlap, are proportional to the numbers of genes.

    Parameters
    ----------
    only_panel, shared, only_reference : int
        Genes in the panel alone, in both, in the reference alone. Neither set is empty.
    panel, reference : str
        Their names.
    """
    left, right = (math.sqrt((n + shared) / math.pi) for n in (only_panel, only_reference))
    apart = circle_distance(left, right, float(shared))
    span = max(left, apart + right) + max(left, right - apart)
    figure, axes = new_axes(2.9, 2.3)
    for at, radius, colour in ((0.0, left, BLUE), (apart, right, VERMILLION)):
        axes.add_patch(Circle((at, 0), radius, facecolor=(colour, 0.28), edgecolor=colour, linewidth=1.6))
    tall = max(left, right)
    start, end = min(-left, apart - right), max(left, apart + right)
    for at, n, name, side in ((start, only_panel, panel, "left"), (end, only_reference, reference, "right")):
        axes.text(at, tall + 0.09 * span, plain(name, 18), ha=side, va="bottom", weight="bold", fontsize=9)
        axes.text(at + (0.12 if side == "left" else -0.12) * span, 0, f"{n:,}", ha=side, va="center")
    lens = (max(-left, apart - right) + min(left, apart + right)) / 2
    axes.annotate(
        f"{shared:,} shared", (lens, 0), (lens, -tall - 0.1 * span), ha="center", va="top",
        arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.8},
    )  # fmt: skip
    axes.set(xlim=(start - 0.03 * span, end + 0.03 * span), ylim=(-tall - 0.28 * span, tall + 0.28 * span), aspect=1)
    axes.axis("off")
    return figure


def circle_distance(left: float, right: float, area: float) -> float:
    """Distance between the centres of two circles that overlap in `area`.

    Parameters
    ----------
    left, right : float
        Radii.
    area : float
        At most the area of the smaller circle.
    """
    near, far = abs(left - right), left + right
    if area <= 0:
        return far * 1.02
    if area >= math.pi * min(left, right) ** 2 * (1 - 1e-12):
        return near
    return float(brentq(lambda distance: lens_area(left, right, distance) - area, near + 1e-12, far))


def lens_area(left: float, right: float, distance: float) -> float:
    """Area that two circles of these radii share, their centres `distance` apart."""
    if distance >= left + right:
        return 0.0
    if distance <= abs(left - right):
        return math.pi * min(left, right) ** 2
    total = 0.0
    for own, other in ((left, right), (right, left)):
        chord = (distance**2 + own**2 - other**2) / (2 * distance)
        cosine = min(1.0, max(-1.0, chord / own))
        total += own**2 * math.acos(cosine) - chord * math.sqrt(max(own**2 - chord**2, 0.0))
    return total
