"""Figures of the cells: library sizes, and PCA or t-SNE coloured by cell type. Frames in, a Figure out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from sclandmarks.report.style import BLUE, GREY, INK, MARKERS, PALETTE, PAPER, WIDTH, new_axes, plain, styled
from sclandmarks.schema import UNKNOWN

_ASIDE = ((0, 8), (9, 0), (0, -8), (-9, 0))


class Kind(NamedTuple):
    """A cell type, how many cells it has, and how it is drawn; `number` 0 is for cells without a type."""

    number: int
    name: str
    n_cells: int
    colour: str
    marker: str


@styled
def library_sizes(frame: pl.DataFrame, title: str) -> Figure:
    """Histogram of library sizes of all cells (outline) and of the cells kept (filled), on a log axis.

    Parameters
    ----------
    frame : polars.DataFrame
        As `schema.LIBRARY_SIZES`, of one data set.
    title : str
        Its name.
    """
    sizes = np.maximum(frame["library_size"].to_numpy(), 1)
    edges = np.geomspace(sizes.min(), max(sizes.max(), sizes.min() * 1.5), 41).tolist()
    figure, axes = new_axes(WIDTH, 2.6)
    axes.hist(sizes[frame["kept"].to_numpy()], edges, color=BLUE, alpha=0.75, label="kept")
    axes.hist(sizes, edges, histtype="step", color=INK, linewidth=1.2, label="all, before the filter")
    axes.set(xscale="log", xlabel="library size (reads per cell)", ylabel="cells")
    axes.set_title(plain(title), loc="left")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylim(top=axes.get_ylim()[1] * 1.18)
    axes.grid(axis="y")
    axes.legend(loc="upper right", ncols=2, borderpad=0.1, columnspacing=1.2)
    return figure


def kinds(frame: pl.DataFrame) -> list[Kind]:
    """Cell types of an embedding, most cells first, cells without a type last."""
    counts = frame.group_by("cell_type").len().sort(["len", "cell_type"], descending=[True, False])
    known = counts.filter(pl.col("cell_type") != UNKNOWN)
    found = [
        Kind(i + 1, name, n, PALETTE[i % len(PALETTE)], MARKERS[i // len(PALETTE) % len(MARKERS)])
        for i, (name, n) in enumerate(known.iter_rows())
    ]
    rest = counts.filter(pl.col("cell_type") == UNKNOWN)
    return found + [Kind(0, name, n, GREY, ".") for name, n in rest.iter_rows()]


@styled
def embedding(frame: pl.DataFrame, x: str, y: str, labels: tuple[str, str], title: str) -> Figure:
    """Cells in two dimensions, coloured, shaped and numbered by cell type, with a legend below.

    Parameters
    ----------
    frame : polars.DataFrame
        As `schema.EMBEDDING`, of one data set.
    x, y : str
        Columns.
    labels : tuple of str
        Of the axes.
    title : str
        Of the figure.
    """
    types = kinds(frame)
    n_columns = 2 if max(len(kind.name) for kind in types) <= 24 else 1
    n_lines = -(-len(types) // n_columns)
    key, plot = 0.17 * n_lines + 0.1, 3.6
    figure = Figure(figsize=(WIDTH, plot + key))
    axes = figure.add_axes((0.15, (key + 0.5) / (plot + key), 0.83, (plot - 0.8) / (plot + key)))
    axes.set_title(plain(title), loc="left")
    axes.set(xlabel=plain(labels[0]), ylabel=plain(labels[1]))
    axes.yaxis.set_label_coords(-0.125, 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    size = float(np.clip(16000 / frame.height, 1.5, 14))
    for kind in sorted(types, key=lambda kind: kind.number):  # small types on top
        cells = frame.filter(pl.col("cell_type") == kind.name)
        look: dict[str, Any] = {
            "c": kind.colour,
            "marker": kind.marker,
            "linewidths": 0,
            "alpha": 0.85,
            "rasterized": True,
        }
        axes.scatter(cells[x], cells[y], s=size, **look)
    _number(axes, frame, types, x, y)
    _key(figure.add_axes((0.02, 0, 0.96, key / (plot + key))), types, n_columns, n_lines)
    return figure


def _number(axes: Axes, frame: pl.DataFrame, types: list[Kind], x: str, y: str) -> None:
    """Write the number of each type at the cell nearest to the type's median, or beside it where there are few."""
    for kind in types:
        if kind.number:
            place_CX = frame.filter(pl.col("cell_type") == kind.name).select(x, y).to_numpy()
            centre = place_CX[np.abs(place_CX - np.median(place_CX, axis=0)).sum(axis=1).argmin()]
            halo = [withStroke(linewidth=2.2, foreground=PAPER)]
            aside = _ASIDE[kind.number % 4] if kind.n_cells < 0.02 * frame.height else (0, 0)
            where: dict[str, Any] = {"xytext": aside, "textcoords": "offset points", "ha": "center", "va": "center"}
            axes.annotate(str(kind.number), centre, weight="bold", path_effects=halo, annotation_clip=False, **where)


def _key(axes: Axes, types: list[Kind], n_columns: int, n_lines: int) -> None:
    axes.set(xlim=(0, n_columns), ylim=(n_lines - 0.5, -0.5))
    axes.axis("off")
    for i, kind in enumerate(types):
        column, line = divmod(i, n_lines)
        axes.plot(column + 0.02 * n_columns, line, kind.marker, color=kind.colour, markersize=5.5)
        number = f"{kind.number}  " if kind.number else ""
        text = f"{number}{plain(kind.name, 48)} ({kind.n_cells:,})"
        axes.text(column + 0.045 * n_columns, line, text, va="center", fontsize=8)
