"""How figures look, and how they become SVG that is the same bytes for the same figure and follows the page's theme."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from io import StringIO
from typing import Any, ParamSpec

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

P = ParamSpec("P")

# Stand-ins: readable on white and on black in a file of its own; on the page CSS variables take their place.
INK, FAINT, PAPER = "#757b82", "#aab0b7", "#fefefe"
_VARIABLES = {INK: "var(--figure-ink)", FAINT: "var(--figure-faint)", PAPER: "var(--paper)"}

# Okabe and Ito, without black and with a darker yellow: all stand out on white and on black.
BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, OLIVE = (
    "#0c7bc0", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#a39a00",
)  # fmt: skip
PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, OLIVE)
MARKERS = ("o", "^", "s", "D", "v")
GREY = "#8c8c8c"

WIDTH = 4.4  # inches: readable unscaled on a phone of 390 px
_RC: Any = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT,
    "xtick.color": FAINT, "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.facecolor": "none", "figure.facecolor": "none",
    "savefig.facecolor": "none", "legend.frameon": False, "legend.fontsize": 8, "svg.fonttype": "none",
    "grid.color": FAINT, "grid.alpha": 0.35, "grid.linewidth": 0.6, "axes.linewidth": 0.8, "axes.unicode_minus": True,
}  # fmt: skip


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a drawing function under the style of the report."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_RC):
            return draw(*args, **kwargs)

    return wrapped


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Figure of this size in inches with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def plain(text: str, longest: int = 60) -> str:
    """Text that matplotlib draws as it is: no mathematics, one line, cut visibly when too long."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return (line if len(line) <= longest else line[: longest - 1] + "…").replace("$", r"\$")


def signed(number: str) -> str:
    """Give a number a true minus sign, and none to zero."""
    zero = not re.search("[1-9]", number)
    return number.removeprefix("-") if zero else number.replace("-", "\N{MINUS SIGN}")


def to_svg(figure: Figure, name: str) -> str:
    """Draw a figure as SVG without date or version.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
        Seeds the ids inside.
    """
    buffer = StringIO()
    with mpl.rc_context(_RC | {"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", dpi=200, metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def inline(svg: str, name: str, alt: str) -> Markup:
    """Make SVG part of a page: ids of its own, colours and fonts of the page, a text in its place for who can't see.

    Parameters
    ----------
    svg : str
        As `to_svg` gives it; its texts are escaped already.
    name : str
        Put before every id.
    alt : str
        What the figure shows.
    """
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\g<1>#{name}-", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', body)[1])  # type: ignore[index]
    opening = f'<svg role="img" aria-label="{escape(alt)}" style="max-width: {width * 1.7:.0f}px"'
    body = re.sub(r'<svg\b([^>]*?) width="[^"]*"', r"<svg\1", body, count=1)
    body = re.sub(r'<svg\b([^>]*?) height="[^"]*"', r"<svg\1", body, count=1)
    return Markup(body.replace("<svg", opening, 1))  # noqa: S704 - matplotlib escapes texts, `alt` is escaped here
