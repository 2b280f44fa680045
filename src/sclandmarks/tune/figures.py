"""Figures of a study. Tables in, a Figure out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sclandmarks.params import DIRECTIONS, FitSearch, SelectSearch, Space
from sclandmarks.report.plots import Drawing
from sclandmarks.report.style import BLUE, GREY, INK, ORANGE, VERMILLION, WIDTH, new_axes, styled
from sclandmarks.tune.setting_figures import importances, parallel, slices
from sclandmarks.tune.tables import importance
from sclandmarks.tune.value_axes import LABELS, Judged, scatter, value_axis, value_limits

if TYPE_CHECKING:
    from optuna import Study

FEWEST_PARALLEL = 3  # settings


def draw_study(study: Study, trials: pl.DataFrame, search: FitSearch | SelectSearch) -> list[Drawing]:
    """All figures that the trials so far allow.

    Parameters
    ----------
    study : optuna.Study
    trials : polars.DataFrame
        `schema.TRIALS` of it.
    search : FitSearch or SelectSearch
    """
    return draw(trials, importance(study), search)


def draw(trials: pl.DataFrame, shares: Mapping[str, float], search: FitSearch | SelectSearch) -> list[Drawing]:
    """As `draw_study`, from the importance of each setting."""
    judged = [Judged(name, DIRECTIONS[name] == "minimize") for name in search.objectives]
    return list(_drawings(trials, shares, search.space, judged))


def _drawings(
    trials: pl.DataFrame, shares: Mapping[str, float], space: Space, judged: Sequence[Judged]
) -> Iterator[Drawing]:
    complete = trials.filter((pl.col("state") == "complete") & pl.col("value").is_finite())
    if complete.is_empty():
        return
    first = judged[0]
    alt = (
        f"{LABELS[first.name]} of {complete.height} complete trials in the order of their numbers, and the best so far"
    )
    yield Drawing("history", "history", history(trials, first), alt)
    if len(judged) > 1:
        alt = f"{LABELS[first.name]} against {LABELS[judged[1].name]}: {complete['is_best'].sum()} trials on the front"
        yield Drawing("pareto", "pareto", pareto(complete, judged), alt)
    if shares:
        alt = "Importance of settings: " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
        yield Drawing("importance", "importance", importances(shares), alt)
    alt = f"{LABELS[first.name]} against each of {len(space)} settings, a dot a complete trial"
    yield Drawing("slices", "slices", slices(complete, space, first), alt)
    if len(space) < FEWEST_PARALLEL:
        return
    alt = f"Settings of {complete.height} complete trials as lines, coloured by {LABELS[first.name]}"
    yield Drawing("parallel", "parallel", parallel(complete, space, first), alt)


@styled
def history(trials: pl.DataFrame, judged: Judged) -> Figure:
    """Value of every trial by its number, and the best of those up to it.

    Parameters
    ----------
    trials : polars.DataFrame
        `schema.TRIALS`, at least one complete.
    judged : Judged
    """
    figure, axes = new_axes(WIDTH, 3.0)
    complete = trials.filter(pl.col("state") == "complete").sort("number")
    limits = value_limits(complete["value"].to_numpy(), judged)
    for state, fill, colour in (("pruned", "none", GREY), ("complete", "full", BLUE)):
        part = trials.filter((pl.col("state") == state) & pl.col("value").is_not_null())
        scatter(axes, part["number"].to_numpy(), part["value"].to_numpy(), limits, fill, colour, state)
    best = (complete["value"].cum_min() if judged.small else complete["value"].cum_max()).to_list()
    numbers = [*complete["number"], trials["number"].max()]
    style: dict[str, Any] = {"drawstyle": "steps-post", "color": ORANGE, "linewidth": 1.6}
    axes.plot(numbers, [*best, best[-1]], label="best so far", **style)
    _failures(axes, trials.filter(pl.col("state") == "fail")["number"].to_numpy())
    if complete["number"][0] == 0:
        label = "settings of params.yaml"
        axes.axhline(complete["value"][0], color=INK, linewidth=0.9, linestyle=(0, (3, 2)), label=label)
    value_axis(axes.yaxis, judged)
    axes.set(xlabel="trial", ylabel=LABELS[judged.name], ylim=limits)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=3, borderpad=0, columnspacing=1.2, handletextpad=0.5)
    return figure


def _failures(axes: Axes, numbers: np.ndarray) -> None:
    if len(numbers):
        across = axes.get_xaxis_transform()
        style: dict[str, Any] = {"linestyle": "none", "color": VERMILLION, "markersize": 4.5, "clip_on": False}
        axes.plot(numbers, np.full(len(numbers), 0.02), marker="x", transform=across, label="failed", **style)


@styled
def pareto(complete: pl.DataFrame, judged: Sequence[Judged]) -> Figure:
    """First objective against the second; trials that no other beats in both are joined.

    Parameters
    ----------
    complete : polars.DataFrame
        Complete trials of `schema.TRIALS`.
    judged : sequence of Judged
        Two.
    """
    figure, axes = new_axes(WIDTH, 3.2)
    others, front = complete.filter(~pl.col("is_best")), complete.filter("is_best").sort("value_2")
    axes.plot(others["value_2"], others["value"], "o", color=GREY, fillstyle="none", markersize=4, label="beaten")
    axes.plot(front["value_2"], front["value"], "o-", color=BLUE, markersize=4.5, linewidth=1.2, label="front")
    default = complete.filter(pl.col("number") == 0)
    if default.height:
        style: dict[str, Any] = {"fillstyle": "none", "markersize": 9, "markeredgewidth": 1.5}
        label = "settings of params.yaml"
        axes.plot(default["value_2"], default["value"], "o", color=ORANGE, label=label, **style)
    axes.set(xlabel=LABELS[judged[1].name], ylabel=LABELS[judged[0].name])
    value_axis(axes.yaxis, judged[0])
    value_axis(axes.xaxis, judged[1])
    axes.grid()
    figure.legend(loc="outside lower center", ncols=3, borderpad=0, columnspacing=1.2, handletextpad=0.5)
    return figure
