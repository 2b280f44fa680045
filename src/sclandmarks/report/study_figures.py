"""Figures of the studies. Frames in, a Figure out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from sclandmarks.report.style import GREY, INK, MARKERS, PALETTE, PAPER, WIDTH, new_axes, plain, signed, styled

DOTTED = (0, (1, 1.5))
LINES = {"l1000": (0, (3, 2)), "half_genes": DOTTED, "cell_types": (0, (6, 2, 1, 2))}
_ROW = 0.19  # inches a line of text


@styled
def learning_curve(frame: pl.DataFrame, x: str, xlabel: str, ylabel: str, lines: pl.DataFrame) -> Figure:
    """Quality against number of genes or cells, with intervals, and reference lines.

    Parameters
    ----------
    frame : polars.DataFrame
        panel, value, low, high and the column `x`; panels in the order to draw.
    x, xlabel, ylabel : str
    lines : polars.DataFrame
        panel, label, n_landmarks (0 where it has none), value: drawn across, a ring at its own number of genes.
    """
    figure, axes = new_axes(WIDTH, 3.5)
    for i, (name,) in enumerate(frame.select("panel").unique(maintain_order=True).iter_rows()):
        curve = frame.filter(pl.col("panel") == name).sort(x)
        _band(axes, curve, x, PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)], plain(name, 24))
    right = float(frame[x].max())  # type: ignore[arg-type]
    for name, label, n, value in lines.select("panel", "label", "n_landmarks", "value").iter_rows():
        axes.axhline(value, color=INK, linewidth=1, linestyle=LINES.get(name, "-"), label=plain(label, 34))
        if 0 < n <= right:
            axes.plot(n, value, "o", color=INK, markersize=6, fillstyle="none")
    _log_axis(axes, frame[x].unique().sort().to_list())
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(f"{100 * value:.3g} %")))
    axes.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=2, handlelength=2.4, borderpad=0, columnspacing=1.2)
    return figure


def _band(axes: Axes, curve: pl.DataFrame, x: str, colour: str, marker: str, label: str) -> None:
    low, high = (curve[name].fill_null(curve["value"]) for name in ("low", "high"))
    axes.fill_between(curve[x], low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(curve[x], curve["value"], marker=marker, color=colour, markersize=3.5, linewidth=1.5, label=label)


def _log_axis(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic, with plain numbers at 1, 2 and 5; at the values themselves where those are few."""
    axes.set_xscale("log")
    if len(values) <= 6:
        axes.set_xticks(values)
    else:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


@styled
def groups_left_out(frame: pl.DataFrame) -> Figure:
    """Explained fraction with and without a group's cells, by group and panel.

    Parameters
    ----------
    frame : polars.DataFrame
        heading, label, within, within_low, within_high, without, without_low, without_high; rows of a heading
        together.
    """
    lines = list(_lines(frame))
    bottom, top, last = 0.85, 0.05, lines[-1][0]
    height = bottom + top + _ROW * (last + 1)
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.3, bottom / height, 0.58, (height - bottom - top) / height))
    _dot_axes(axes, frame, last)
    for place, label, row in lines:
        _text(axes, place, label, heading=row is None)
        if row:
            _dots(axes, place, row)
    handles = [
        axes.plot([], [], "o", color=PALETTE[0], markersize=5.5, label="group was seen (usual split)")[0],
        axes.plot([], [], "o", color=PALETTE[3], markersize=5.5, fillstyle="none", label="group left out")[0],
    ]
    figure.legend(handles=handles, loc="lower left", ncols=2, columnspacing=1, handletextpad=0.4, borderpad=0.1)
    return figure


def _lines(frame: pl.DataFrame) -> Iterator[tuple[float, str, dict[str, float | str] | None]]:
    place = 0.0
    for (heading,), rows in frame.group_by("heading", maintain_order=True):
        yield place, str(heading), None
        for i, row in enumerate(rows.to_dicts()):
            yield place + i + 1, str(row["label"]), row
        place += rows.height + 1.4


def _dot_axes(axes: Axes, frame: pl.DataFrame, last: float) -> None:
    low = min(float(frame.select(pl.min_horizontal("within_low", "without_low").min()).item()), 0)
    high = max(float(frame.select(pl.max_horizontal("within_high", "without_high").max()).item()), 0.01)
    space = 0.05 * (high - low)
    axes.set(xlim=(low - space, high + space), ylim=(last + 0.6, -0.6), yticks=[])
    axes.set_xlabel("explained fraction, test cells of the group")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(f"{100 * value:.3g} %")))
    axes.grid(axis="x")
    axes.axvline(0, color=INK, linewidth=1)


def _text(axes: Axes, place: float, label: str, heading: bool) -> None:
    across = axes.get_yaxis_transform()
    start = -axes.get_position().x0 / axes.get_position().width
    if heading:
        box = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
        axes.text(start, place, plain(label, 52), transform=across, va="center", weight="bold", bbox=box)
    else:
        axes.text(start + 0.03, place, plain(label, 20), transform=across, va="center", fontsize=8.5)


def _dots(axes: Axes, place: float, row: dict[str, float | str]) -> None:
    within, without = float(row["within"]), float(row["without"])
    axes.plot([without, within], [place, place], color=GREY, linewidth=0.8, zorder=1)
    for name, colour, fill, up in (("within", PALETTE[0], "full", -0.12), ("without", PALETTE[3], "none", 0.12)):
        low, high = float(row[f"{name}_low"]), float(row[f"{name}_high"])
        axes.plot([low, high], [place + up, place + up], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot(float(row[name]), place, "o", color=colour, markersize=5.5, fillstyle=fill)
    lost = signed(f"{100 * (without - within):.1f}")
    axes.text(1.2, place, lost, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=8.5)


@styled
def stability(frame: pl.DataFrame) -> Figure:
    """Nogueira's stability against the size of the panel, with its interval.

    Parameters
    ----------
    frame : polars.DataFrame
        label, n_landmarks, value, low, high; labels in the order to draw.
    """
    figure, axes = new_axes(WIDTH, 3.2)
    for i, (label,) in enumerate(frame.select("label").unique(maintain_order=True).iter_rows()):
        curve = frame.filter(pl.col("label") == label).sort("n_landmarks")
        _band(axes, curve, "n_landmarks", PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)], plain(label, 40))
    axes.axhline(0, color=INK, linewidth=1)
    _log_axis(axes, frame["n_landmarks"].unique().sort().to_list())
    axes.set(xlabel="genes in the panel", ylabel="stability (Nogueira)")
    axes.set_ylim(min(-0.05, axes.get_ylim()[0]), 1.03)
    axes.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=2, handlelength=2, borderpad=0, columnspacing=1.2)
    return figure


@styled
def noise_curve(frame: pl.DataFrame, clean: pl.DataFrame, xlabel: str, ylabel: str, percent: bool) -> Figure:
    """Quality against the level of a noise, for predictors trained on clean and on matching input.

    Parameters
    ----------
    frame : polars.DataFrame
        panel, trained_on (clean or matching), level, value, low, high.
    clean : polars.DataFrame
        panel, value: without noise.
    xlabel, ylabel : str
    percent : bool
        Whether levels are parts of a whole.
    """
    figure, axes = new_axes(3.1, 2.9)
    for i, (name, value) in enumerate(clean.select("panel", "value").iter_rows()):
        colour, marker = PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]
        axes.axhline(value, color=colour, linewidth=0.8, linestyle=DOTTED)
        for trained_on, style in (("matching", "-"), ("clean", "--")):
            curve = frame.filter((pl.col("panel") == name) & (pl.col("trained_on") == trained_on)).sort("level")
            errors = [curve["value"] - curve["low"], curve["high"] - curve["value"]]
            axes.errorbar(
                curve["level"], curve["value"], yerr=[part.clip(lower_bound=0).to_numpy() for part in errors],
                color=colour, linestyle=style, marker=marker, markersize=3.5, linewidth=1.4, elinewidth=1,
                label=f"{plain(name, 18)}, {trained_on}",
            )  # fmt: skip
    _noise_axes(axes, frame["level"].unique().sort().to_list(), percent)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    figure.legend(loc="outside lower center", ncols=2, handlelength=2.4, borderpad=0, columnspacing=1, fontsize=7)
    return figure


def _noise_axes(axes: Axes, levels: Sequence[float], percent: bool) -> None:
    _log_axis(axes, levels)
    if percent:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(f"{100 * value:.3g} %")))
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.grid(axis="y")
