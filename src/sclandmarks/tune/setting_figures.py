"""Figures of a study's settings: what mattered, and what was tried. Tables in, a Figure out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from sclandmarks.params import Range, Space
from sclandmarks.report.style import BLUE, GREY, ORANGE, WIDTH, new_axes, plain, styled
from sclandmarks.tune.value_axes import LABELS, Judged, scatter, value_axis, value_limits

ACROSS = 2  # small figures side by side


@styled
def importances(shares: Mapping[str, float]) -> Figure:
    """Share of the variance between trials that each setting explains, by fANOVA.

    Parameters
    ----------
    shares : mapping of str to float
        Setting -> share, the largest first.
    """
    figure, axes = new_axes(WIDTH, 0.7 + 0.27 * len(shares))
    names = [plain(name, 28) for name in shares]
    places, lengths = range(len(names)), [100 * share for share in shares.values()]
    axes.barh(places, lengths, color=BLUE, height=0.6)
    for place, length in zip(places, lengths, strict=True):
        axes.annotate(f"{length:.0f} %", (length, place), (3, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set(yticks=places, xlabel="importance, % of the variance between trials")
    axes.set_yticklabels(names)
    axes.set_xlim(0, max(lengths) * 1.14)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


@styled
def slices(complete: pl.DataFrame, space: Space, judged: Judged) -> Figure:
    """Value against each setting, one small figure a setting; the best trial is ringed.

    Parameters
    ----------
    complete : polars.DataFrame
        Complete trials of `schema.TRIALS`.
    space : dict of str to Range or Choices
    judged : Judged
    """
    down = -(-len(space) // ACROSS)
    figure = Figure(figsize=(WIDTH * 1.25, 1.75 * down + 0.3), layout="constrained")
    grid = figure.subplots(down, ACROSS, sharey=True, squeeze=False)
    limits = value_limits(complete["value"].to_numpy(), judged)
    for axes, (name, dimension) in zip(grid.flat, space.items(), strict=False):
        _slice(axes, complete, name, dimension, judged, limits)
    for axes in grid.flat[len(space) :]:
        axes.set_visible(False)
    figure.supylabel(LABELS[judged.name], fontsize=9)
    return figure


def _slice(
    axes: Axes, complete: pl.DataFrame, name: str, dimension: Any, judged: Judged, limits: tuple[float, float]
) -> None:
    tried, rows = _tried(complete, name)
    x = places(tried, dimension, spread=True)
    scatter(axes, x, rows["value"].to_numpy(), limits, "full", BLUE, "complete")
    best = rows["is_best"].to_numpy()
    style: dict[str, Any] = {"linestyle": "none", "markersize": 8, "fillstyle": "none", "markeredgewidth": 1.5}
    axes.plot(x[best], rows["value"].to_numpy()[best], marker="o", color=ORANGE, **style)
    _setting_axis(axes, dimension)
    value_axis(axes.yaxis, judged)
    axes.set_xlabel(plain(name, 28))
    axes.set_ylim(limits)
    axes.grid(axis="y")


def _tried(complete: pl.DataFrame, name: str) -> tuple[list[Any], pl.DataFrame]:
    """Values of one setting, and the trials that have it."""
    settings = [json.loads(text) for text in complete["settings"]]
    return [one[name] for one in settings if name in one], complete.filter([name in one for one in settings])


def places(tried: Sequence[Any], dimension: Any, spread: bool = False) -> np.ndarray:
    """Where values of a setting lie on its axis: numbers as they are, choices at their place in the list.

    Parameters
    ----------
    tried : sequence
    dimension : Range or Choices
    spread : bool
        Put choices a little beside each other, in a fixed pattern, so that dots don't cover each other.
    """
    if isinstance(dimension, Range):
        return np.asarray(tried, dtype=float)
    at = np.array([dimension.choices.index(value) for value in tried], dtype=float)
    return at + 0.3 * ((np.arange(len(at)) * 0.618) % 1 - 0.5) if spread else at


def _setting_axis(axes: Axes, dimension: Any) -> None:
    if not isinstance(dimension, Range):
        n = len(dimension.choices)
        axes.set_xticks(range(n), [plain(_word(value), 16) for value in dimension.choices])
        axes.set_xlim(-0.5, n - 0.5)
        return
    space = 0.06
    if dimension.log:
        axes.set_xscale("log")
        wide = (float(dimension.high) / float(dimension.low)) ** space
        axes.set_xlim(dimension.low / wide, dimension.high * wide)
        decades = np.log10(float(dimension.high) / float(dimension.low))
        subs = (1,) if decades > 1.7 else (1, 2, 5)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        wide = space * (dimension.high - dimension.low)
        axes.set_xlim(dimension.low - wide, dimension.high + wide)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=dimension.whole))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


@styled
def parallel(complete: pl.DataFrame, space: Space, judged: Judged) -> Figure:
    """Each trial a line across its settings, the better the darker; a setting that was not tried breaks the line.

    Parameters
    ----------
    complete : polars.DataFrame
        Complete trials of `schema.TRIALS`.
    space : dict of str to Range or Choices
    judged : Judged
    """
    figure, axes = new_axes(WIDTH * 1.25, 3.2)
    rows = complete.sort("value", descending=judged.small)
    heights = np.array([_heights(json.loads(text), space) for text in rows["settings"]])
    for rank, (line, best) in enumerate(zip(heights, rows["is_best"], strict=True)):
        strength = (rank + 1) / len(heights)
        style: dict[str, Any] = {"color": ORANGE, "linewidth": 1.8, "zorder": 3} if best else {
            "color": BLUE, "linewidth": 0.9, "alpha": 0.08 + 0.6 * strength**2}  # fmt: skip
        axes.plot(range(len(space)), line, marker="o", markersize=2.5, **style)
    for place, dimension in enumerate(space.values()):
        axes.plot([place, place], [0, 1], color=GREY, linewidth=0.6, zorder=0)
        _ends(axes, place, dimension)
    axes.set(xticks=range(len(space)), yticks=[], ylim=(-0.12, 1.12), xlim=(-0.3, len(space) - 0.7))
    axes.set_xticklabels([plain(name, 18) for name in space], rotation=25, ha="right", rotation_mode="anchor")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    return figure


def _heights(settings: Mapping[str, Any], space: Space) -> list[float]:
    """Each setting from 0 to 1 of its range, NaN where it was not tried."""
    return [_height(settings[name], one) if name in settings else float("nan") for name, one in space.items()]


def _height(value: Any, dimension: Any) -> float:
    if not isinstance(dimension, Range):
        return dimension.choices.index(value) / (len(dimension.choices) - 1)  # type: ignore[no-any-return]
    low, high, at = float(dimension.low), float(dimension.high), float(value)
    if dimension.log:
        low, high, at = np.log(low), np.log(high), np.log(at)
    return (at - low) / (high - low)


def _ends(axes: Axes, place: int, dimension: Any) -> None:
    if isinstance(dimension, Range):
        marks = {0.0: f"{dimension.low:g}", 1.0: f"{dimension.high:g}"}
    else:
        marks = {0.0: _word(dimension.choices[0]), 1.0: _word(dimension.choices[-1])}
    for height, text in marks.items():
        va, shift = ("top", -0.03) if height == 0 else ("bottom", 0.03)
        axes.text(place, height + shift, plain(text, 14), ha="center", va=va, fontsize=7.5)
