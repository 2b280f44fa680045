"""Figures of a path in lambda: how many genes are in, and how their norms grow. Frames in, a Figure out."""

from __future__ import annotations

import math

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from sclandmarks.report.style import BLUE, FAINT, INK, PALETTE, WIDTH, new_axes, plain, styled

N_NAMED = 7  # genes drawn in colour and named
N_DRAWN = 200  # lines at most


@styled
def lambda_path(frame: pl.DataFrame, n_landmarks: int, title: str) -> Figure:
    """Genes in against the penalty, from strong to weak; a dashed line at the size of the panel.

    Parameters
    ----------
    frame : polars.DataFrame
        As `schema.HISTORY`, with the metrics lambda_ratio and n_active.
    n_landmarks : int
        Genes of the panel.
    title : str
        Name of the panel.
    """
    steps = frame.pivot(on="metric", index="step", values="value").sort("step")
    figure, axes = new_axes(WIDTH, 2.6)
    axes.plot(steps["lambda_ratio"], steps["n_active"], "o-", color=BLUE, linewidth=1.5, markersize=3.5)
    axes.axhline(n_landmarks, color=INK, linewidth=1, linestyle=(0, (3, 2)))
    middle = math.sqrt(max(float(steps["lambda_ratio"].max()) * float(steps["lambda_ratio"].min()), 0))  # type: ignore[arg-type]
    axes.text(middle, n_landmarks, f"panel: {n_landmarks:,} genes", ha="center", va="bottom", fontsize=8)
    _lambda_axis(axes, title, "genes in")
    return figure


def _lambda_axis(axes: Axes, title: str, ylabel: str) -> None:
    axes.set(xscale="log", xlabel="lambda / lambda_max (weaker penalty to the right)", ylabel=ylabel)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(plain(title), loc="left")
    axes.invert_xaxis()
    axes.grid(axis="y")


@styled
def norm_path(frame: pl.DataFrame, title: str) -> Figure:
    """Norm of every gene's weights against the penalty; the genes of largest norm at the end in colour.

    Parameters
    ----------
    frame : polars.DataFrame
        As `schema.PANEL_PATH`, with rows.
    title : str
        Name of the panel.
    """
    ratios = frame.select("step", "lambda_ratio").unique().sort("step")
    last = frame.filter(pl.col("step") == frame["step"].max()).sort("norm", descending=True)
    figure, axes = new_axes(WIDTH, 3.2)
    for place, (gene, symbol) in reversed(list(enumerate(last[:N_DRAWN].select("gene_id", "symbol").iter_rows()))):
        own = ratios.join(frame.filter(pl.col("gene_id") == gene), on="step", how="left").sort("step")
        named = place < N_NAMED
        (line,) = axes.plot(own["lambda_ratio"], own["norm"].fill_null(0.0), linewidth=1.5 if named else 0.5)
        line.set(color=PALETTE[place] if named else FAINT, label=plain(symbol, 12) if named else "_")
    _lambda_axis(axes, title, "norm of a gene's weights")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=4, handlelength=1.2)
    return figure
