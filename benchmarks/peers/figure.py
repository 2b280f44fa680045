"""Captured against panel size, a column a data set; and against what selecting cost."""

from __future__ import annotations

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from peers.register import BASELINE, CONTROLS, L1000, OURS

BLUE, INK, GREY = "#0c7bc0", "#222222", "#9aa0a6"
COLOURS = ("#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#a39a00")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "*", "h", "p")
COST_SIZE = 100
POINTS = (-20, -10, -5, -2, -1, 0, 1, 2, 5)


def draw(table: pl.DataFrame) -> Figure:
    """Two rows of axes, a column a data set, on white."""
    datasets = table["dataset"].unique(maintain_order=True).to_list()
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        made = Figure(figsize=(3.1 * len(datasets) + 1.6, 6.2), layout="constrained", facecolor="white")
        grid = made.subplots(2, len(datasets), squeeze=False)
        for column, dataset in enumerate(datasets):
            mine = table.filter((pl.col("dataset") == dataset) & pl.col("captured").is_not_null())
            over_sizes(grid[0, column], mine, dataset)
            over_costs(grid[1, column], mine)
        handles, labels = best_legend(grid[0])
        made.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=7)
    return made


def best_legend(axes: list[Axes]) -> tuple[list[object], list[str]]:
    """Every name once, in the order of the register, whatever data set it ran on."""
    found = {label: handle for one in axes for handle, label in zip(*one.get_legend_handles_labels(), strict=True)}
    return list(found.values()), list(found)


def style(name: str) -> dict[str, object]:
    """Blue and filled for ours, grey for controls, other colours and hollow for peers."""
    from peers.register import PEERS

    if name in CONTROLS:
        return {"color": GREY, "marker": MARKERS[CONTROLS.index(name)], "lw": 0.8, "ms": 3}
    if name == BASELINE:
        return {"color": INK, "marker": "o", "lw": 1.6, "ms": 4}
    if name in OURS:
        place = [one for one in OURS if one not in CONTROLS and one != BASELINE].index(name)
        return {"color": BLUE, "marker": MARKERS[place], "lw": 1.4, "ms": 4}
    place = list(PEERS).index(name)
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place], "mfc": "white", "lw": 0.8, "ms": 4}


def over_sizes(axes: Axes, mine: pl.DataFrame, dataset: str) -> None:
    """Captured on common targets; common targets differ from size to size."""
    for name in mine["panel"].unique(maintain_order=True):
        line = mine.filter(pl.col("panel") == name).sort("size")
        if name != L1000:
            axes.plot(line["size"], 100 * line["difference"], label=name, **style(name))
        else:
            axes.plot(line["size"], 100 * line["difference"], label="l1000, all", **style(name) | {"ls": ":"})
    axes.set(xscale="log", xlabel="genes", ylabel="captured minus greedy's, points")
    axes.set_title(dataset)
    axes.set_xticks(sorted(mine["size"].unique()), [str(size) for size in sorted(mine["size"].unique())])
    axes.minorticks_off()
    axes.set_yscale("symlog", linthresh=2)
    axes.set_yticks(POINTS, [str(point) for point in POINTS])


def over_costs(axes: Axes, mine: pl.DataFrame) -> None:
    """Captured against processor seconds at one size."""
    for row in mine.filter((pl.col("size") == COST_SIZE) & (pl.col("panel") != L1000)).iter_rows(named=True):
        axes.plot(
            max(row["cpu"], 0.05),
            100 * row["captured"],
            ls="",
            **{k: v for k, v in style(row["panel"]).items() if k != "lw"},
        )
    axes.set(xscale="log", xlabel=f"CPU seconds of the selection, {COST_SIZE} genes", ylabel="captured, %")
