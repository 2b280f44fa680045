"""Figures of the comparison: forest, cell types, training. Frames in, a Figure out."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from sclandmarks.report.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    VERMILLION,
    WIDTH,
    new_axes,
    plain,
    signed,
    styled,
)

FAMILIES = {"control": (GREY, "D"), "linear": (BLUE, "o"), "similar cells": (GREEN, "^"), "network": (VERMILLION, "s")}
_ROW = 0.19  # inches a line of text


@styled
def forest(frame: pl.DataFrame, reference: float | None, reference_label: str, what: str) -> Figure:
    """Captured, or explained fraction, of every fit, with its interval, in groups by panel.

    Parameters
    ----------
    frame : polars.DataFrame
        panel (heading of its group; rows of a panel together), label, family (one of `FAMILIES`), value, low, high.
    reference : float or None
        Value of the reference, drawn as a dashed line.
    reference_label : str
        Its name.
    what : str
        What is drawn, for the axis.
    """
    lines = list(_forest_lines(frame))
    bottom, top, last = 0.72, 0.05, lines[-1][0]
    height = bottom + top + _ROW * (last + 1)
    figure = Figure(figsize=(WIDTH, height))
    left = min(0.3, 0.05 + 0.014 * max(len(label) for _, label, row in lines if row))
    axes = figure.add_axes((left, bottom / height, 0.88 - left, (height - bottom - top) / height))
    _forest_axes(axes, _forest_limits(frame), last, reference, what)
    for place, label, row in lines:
        _forest_text(axes, place, label, heading=row is None)
        if row:
            _forest_row(axes, place, row)
    _forest_legend(figure, axes, reference is not None, reference_label)
    return figure


def _forest_lines(frame: pl.DataFrame) -> Iterator[tuple[float, str, dict[str, float | str] | None]]:
    """Place, text and row of every line; a heading has no row, and stands a little apart from the group above."""
    place = 0.0
    for (panel,), rows in frame.group_by("panel", maintain_order=True):
        yield place, str(panel), None
        for i, row in enumerate(rows.to_dicts()):
            yield place + i + 1, str(row["label"]), row
        place += rows.height + 1.4


def _forest_limits(frame: pl.DataFrame) -> tuple[float, float]:
    """As far right as the intervals reach, and left of zero no farther than right of it."""
    right = max(float(frame["high"].max() or 0), 0.01) * 1.08  # type: ignore[arg-type]
    return max(float(frame["low"].min() or 0), -right) - 0.06 * right, right  # type: ignore[arg-type]


def _forest_axes(axes: Axes, limits: tuple[float, float], last: float, reference: float | None, what: str) -> None:
    axes.set(xlim=limits, ylim=(last + 0.6, -0.6), yticks=[], xlabel=f"{what}, common targets")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(f"{100 * value:.3g} %")))
    axes.grid(axis="x")
    axes.axvline(0, color=INK, linewidth=1)
    if reference is not None:
        axes.axvline(reference, color=INK, linewidth=1, linestyle=(0, (3, 2)))


def _forest_text(axes: Axes, place: float, label: str, heading: bool) -> None:
    across = axes.get_yaxis_transform()
    start = -axes.get_position().x0 / axes.get_position().width
    if heading:
        axes.text(start, place, plain(label, 44), transform=across, va="center", weight="bold")
    else:
        axes.text(start + 0.03, place, plain(label, 22), transform=across, va="center", fontsize=8.5)


def _forest_row(axes: Axes, place: float, row: dict[str, float | str]) -> None:
    colour, marker = FAMILIES[str(row["family"])]
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    start, end = axes.get_xlim()
    inside = start <= value <= end
    if inside:
        axes.plot([low, high], [place, place], color=colour, linewidth=1.8, solid_capstyle="butt")
    shown = marker if inside else "<" if value < start else ">"
    axes.plot([min(max(value, start), end)], [place], shown, color=colour, markersize=5.5, clip_on=False)
    axes.text(
        1.15,
        place,
        signed(f"{100 * value:.1f} %"),
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="center",
        fontsize=8.5,
    )


def _forest_legend(figure: Figure, axes: Axes, has_reference: bool, reference_label: str) -> None:
    handles = [
        axes.plot([], [], marker, color=colour, markersize=5.5, label=family)[0]
        for family, (colour, marker) in FAMILIES.items()
    ]
    if has_reference:
        line = axes.plot([], [], color=INK, linewidth=1, linestyle=(0, (3, 2)), label=plain(reference_label, 34))
        handles.append(line[0])
    figure.legend(handles=handles, loc="lower left", ncols=4, columnspacing=1, handletextpad=0.4, borderpad=0.1)


@styled
def by_cell_type(frame: pl.DataFrame) -> Figure:
    """Heat map of the explained fraction: cell types down, fits across.

    Parameters
    ----------
    frame : polars.DataFrame
        fit (label, may have two lines), cell_type, n_cells, explained (or null); cell types in the order to draw.
    """
    fits = frame["fit"].unique(maintain_order=True).to_list()
    types = frame.select("cell_type", "n_cells").unique("cell_type", maintain_order=True)
    value_TF = np.full((types.height, len(fits)), np.nan)
    place = {name: i for i, name in enumerate(types["cell_type"])}
    for fit, cell_type, value in frame.select("fit", "cell_type", "explained").iter_rows():
        value_TF[place[cell_type], fits.index(fit)] = np.nan if value is None else value
    figure, axes = new_axes(WIDTH, 1.35 + 0.2 * types.height)
    reach = max(float(np.nanquantile(np.abs(value_TF), 0.95)) if np.isfinite(value_TF).any() else 0, 0.01)
    norm = TwoSlopeNorm(0, -reach, reach)
    axes.pcolormesh(value_TF, cmap="RdBu", norm=norm, edgecolor="none", rasterized=True)
    _heat_numbers(axes, value_TF, norm)
    axes.set_yticks(np.arange(types.height) + 0.5)
    names = [f"{plain(name, 34)} ({n:,})" for name, n in types.iter_rows()]
    axes.set_yticklabels(names)
    axes.set_xticks(np.arange(len(fits)) + 0.5)
    axes.set_xticklabels(["\n".join(plain(part, 18) for part in fit.split("\n")) for fit in fits], rotation=90)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    return figure


def _heat_numbers(axes: Axes, value_TF: np.ndarray[tuple[int, int], np.dtype[np.float64]], norm: TwoSlopeNorm) -> None:
    for (row, column), value in np.ndenumerate(value_TF):
        if np.isfinite(value):
            shade = colormaps["RdBu"](norm(value))
            dark = 0.2126 * shade[0] + 0.7152 * shade[1] + 0.0722 * shade[2] < 0.5
            colour = "#ffffff" if dark else "#111111"
            axes.text(
                column + 0.5,
                row + 0.53,
                signed(f"{100 * value:.0f}"),
                ha="center",
                va="center",
                fontsize=8,
                color=colour,
            )


@styled
def training(frame: pl.DataFrame, title: str) -> Figure:
    """Training and validation loss against the epoch; a ring at the epoch that was kept.

    Parameters
    ----------
    frame : polars.DataFrame
        As `schema.HISTORY`, with the metrics train_loss and validation_loss.
    title : str
        Two lines at most.
    """
    figure, axes = new_axes(2.2, 2.1)
    for metric, colour, style in (("train_loss", BLUE, "--"), ("validation_loss", VERMILLION, "-")):
        curve = frame.filter((pl.col("metric") == metric) & pl.col("value").is_not_null()).sort("step")
        name = metric.removesuffix("_loss").replace("train", "training")
        axes.plot(curve["step"], curve["value"], style, color=colour, linewidth=1.5, label=name)
        if metric == "validation_loss" and curve.height:
            best = curve.row(int(curve["value"].arg_min() or 0), named=True)
            axes.plot(best["step"], best["value"], "o", color=colour, markersize=6, fillstyle="none")
    axes.set_title("\n".join(plain(line, 30) for line in title.split("\n")), loc="left", fontsize=8.5, color=INK)
    axes.set_xlabel("epoch", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    _log_axis(axes, frame)
    figure.legend(loc="outside lower center", ncols=2, handlelength=1.8, borderpad=0, columnspacing=1)
    return figure


def _log_axis(axes: Axes, frame: pl.DataFrame) -> None:
    losses = frame.filter(pl.col("metric").is_in(["train_loss", "validation_loss"]))["value"].drop_nulls()
    if not losses.len() or float(losses.min()) <= 0:  # type: ignore[arg-type]
        return
    axes.set_yscale("log")
    low, high = (math.log10(float(limit)) for limit in axes.get_ylim())
    digits = 2 if high - low > 0.3 else 3
    ticks = [float(f"{10 ** (low + (high - low) * part):.{digits}g}") for part in (0.06, 0.35, 0.64, 0.94)]
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticks(sorted(set(ticks)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
