"""Does the noise floor find the truth? Counts around known rates, where the floor is known by drawing them again.

`python benchmarks/floor.py` writes docs/tables/noise-floor*.csv and docs/figures/noise-floor*.svg in some minutes on
two cores. The truth of a setting comes from 6,000 cells whose counts are drawn twice around the same rates: the
variance over draws, within a cell. Each sample is 400 fresh cells of the same population, as a test set is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.noise import LEAST_OF_A_GENE, NoiseFloor, captured, noise_floor
from sclandmarks.report.style import BLUE, INK, MARKERS, ORANGE, PALETTE, WIDTH, styled, to_svg

FloatArray = NDArray[np.float64]

DOCS = Path(__file__).parents[1] / "docs"
N_GENES, N_TYPES, N_PROGRAMMES = 600, 8, 6
TRUTH_CELLS, TRUTH_DRAWS = 6000, 2
SAMPLE_CELLS, N_SAMPLES, N_BOOTSTRAP, N_REPEATS = 400, 24, 200, 8
DEPTHS = (500, 1000, 2000, 5000, 10_000, 50_000)
SPREADS = {"constant": 0.0, "variable": 0.5}
DISPERSIONS = {"Poisson": 0.0, "negative binomial": 0.5}
LEVELS = (0, 0.02, 0.1, 0.5, 2, 10, np.inf)
RELIABILITIES = (0, 0.1, 0.2, 0.4, 1)
OTHER_CELLS, GENE_SAMPLES = 1600, 5
ESTIMATES = {"floor_uncalibrated": "Spearman-Brown alone", "floor_estimate": "calibrated"}


class Setting(NamedTuple):
    """How counts are drawn.

    Parameters
    ----------
    depth : int
        Mean reads a cell.
    library : str
        constant, or variable (log-normal, standard deviation 0.5 of the natural logarithm).
    noise : str
        Poisson, or negative binomial (dispersion 0.5: a gamma factor of each cell and gene, then Poisson).
    """

    depth: int
    library: str
    noise: str

    def rng(self, *key: int) -> np.random.Generator:
        """Random numbers of this setting alone."""
        place = list(SPREADS).index(self.library), list(DISPERSIONS).index(self.noise)
        return np.random.default_rng([self.depth, *place, *key])


class Truth(NamedTuple):
    """Variance and floors of the population, per gene.

    `floor_G` is the noise of counting around the rates of a cell; `beyond_G` has the extra noise of the rates too.
    """

    variance_G: FloatArray
    floor_G: FloatArray
    beyond_G: FloatArray
    mean_G: FloatArray
    depth_part: float


def programmes(setting: Setting, n_cells: int, rng: np.random.Generator) -> FloatArray:
    """Expected counts of cells: gene levels x one of 8 types x up to 6 graded programmes, scaled to a library size."""
    fixed = np.random.default_rng(0)
    level_G = fixed.lognormal(0, 1.6, N_GENES)
    types = np.where(fixed.random((N_TYPES, N_GENES)) < 0.25, fixed.normal(0, 0.8, (N_TYPES, N_GENES)), 0)
    shapes = np.where(fixed.random((N_PROGRAMMES, N_GENES)) < 0.15, fixed.normal(0, 0.7, (N_PROGRAMMES, N_GENES)), 0)
    shares = 0.7 ** np.arange(N_TYPES)
    which = rng.choice(N_TYPES, n_cells, p=shares / shares.sum())
    rates = level_G * np.exp(types[which] + rng.gamma(1, 0.7, (n_cells, N_PROGRAMMES)) @ shapes)
    spread = SPREADS[setting.library]
    size_C = setting.depth * np.exp(rng.normal(0, spread, n_cells) - spread**2 / 2)
    return np.asarray(rates / rates.sum(axis=1, keepdims=True) * size_C[:, None])


def rates_of(expected: FloatArray, setting: Setting, rng: np.random.Generator) -> FloatArray:
    """Rates of the cells: what is expected, or that times a gamma factor of mean 1 that nothing predicts."""
    extra = DISPERSIONS[setting.noise]
    return expected * rng.gamma(1 / extra, extra, expected.shape) if extra else expected


def log_values(counts: NDArray[np.int64]) -> FloatArray:
    """As the preparation does it, dense."""
    return np.log10(counts * (1e4 / np.maximum(counts.sum(axis=1, keepdims=True), 1)) + 1)


def truth_of(setting: Setting) -> Truth:
    """Draw the same cells again and again; what varies within a cell is noise."""
    rng = setting.rng(1)
    expected = programmes(setting, TRUTH_CELLS, rng)
    rates = rates_of(expected, setting, rng)
    within = np.stack([log_values(rng.poisson(rates)) for _ in range(TRUTH_DRAWS)])
    again = rates_of(expected, setting, rng)
    across = np.stack([within[0], log_values(rng.poisson(again))]) if setting.noise != "Poisson" else within
    floor_G = within.var(axis=0, ddof=1).mean(axis=0)
    depth_part = _explained_by_size(within.mean(axis=0), expected.sum(axis=1), floor_G.sum() / TRUTH_DRAWS)
    beyond_G = across.var(axis=0, ddof=1).mean(axis=0)
    return Truth(within.var(axis=1).mean(axis=0), floor_G, beyond_G, expected.mean(axis=0), depth_part)


def _explained_by_size(mean_CG: FloatArray, size_C: FloatArray, noise: float) -> float:
    """Part of the variance of the noiseless values that a cubic in the log library size gives."""
    if size_C.std() < 1e-6 * size_C.mean():
        return 0.0
    X = np.vander(np.log(size_C / size_C.mean()), 4)
    fitted = X @ np.linalg.lstsq(X, mean_CG, rcond=None)[0]
    return float(fitted.var(axis=0).sum() / (mean_CG.var(axis=0).sum() - noise))


def samples(setting: Setting) -> Iterator[NoiseFloor]:
    """Estimate on fresh cells of the population."""
    for seed in range(N_SAMPLES):
        rng = setting.rng(2, seed)
        counts = rng.poisson(rates_of(programmes(setting, SAMPLE_CELLS, rng), setting, rng)).astype(np.int32)
        weights_NC = resample_weights(SAMPLE_CELLS, N_BOOTSTRAP, seed)
        yield noise_floor([sparse.csr_matrix(counts)], 1e4, 10, N_REPEATS, seed, weights_NC)


def study(setting: Setting) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Bias and coverage of the pooled figures, and per level of expression."""
    truth = truth_of(setting)
    found = list(samples(setting))
    rows = [_level_row(setting, truth, found, low, high) for low, high in pairwise(LEVELS)]
    return _pooled_row(setting, truth, found), [row for row in rows if row]


def _pooled_row(setting: Setting, truth: Truth, found: list[NoiseFloor]) -> dict[str, Any]:
    explainable = 1 - truth.floor_G.sum() / truth.variance_G.sum()
    guesses = [one.explainable() for one in found]
    plain = [1 - (one.floor_G / one.calibration_G).sum() / one.variance_G.sum() for one in found]
    cut = [1 - np.minimum(one.floor_G, one.variance_G).sum() / one.variance_G.sum() for one in found]
    inside = [low <= explainable <= high for _, low, high in guesses]
    floors = [one.floor_mse() for one in found]
    return {
        **setting._asdict(),
        "variance": truth.variance_G.mean(),
        "floor": truth.floor_G.mean(),
        "floor_estimate": np.mean([one.value for one in floors]),
        "floor_beyond": truth.beyond_G.mean(),
        "explainable": explainable,
        "explainable_estimate": np.mean([one.value for one in guesses]),
        "explainable_uncalibrated": np.mean(plain),
        "explainable_cut_per_gene": np.mean(cut),
        "sd_of_estimate": np.std([one.value for one in guesses], ddof=1),
        "depth_part": truth.depth_part,
        "coverage_floor": np.mean([low <= truth.floor_G.mean() <= high for _, low, high in floors]),
        "coverage_explainable": np.mean(inside),
    }


def _level_row(setting: Setting, truth: Truth, found: list[NoiseFloor], low: float, high: float) -> dict[str, Any]:
    here = np.flatnonzero((truth.mean_G >= low) & (truth.mean_G < high))
    rho = 1 - truth.floor_G[here] / truth.variance_G[here]
    if len(here) < 10:
        return {}
    return {
        **setting._asdict(),
        "counts_from": low,
        "counts_to": high,
        "n_genes": len(here),
        "floor": truth.floor_G[here].mean(),
        "floor_estimate": np.mean([one.floor_G[here].mean() for one in found]),
        "floor_uncalibrated": np.mean([(one.floor_G / one.calibration_G)[here].mean() for one in found]),
        "reliability": rho.mean(),
        "sd_of_reliability": np.nanstd([one.reliability_G[here] - rho for one in found]),
        "coverage_per_gene": np.mean([_covered(one, truth.floor_G, here) for one in found]),
    }


def _covered(found: NoiseFloor, floor_G: FloatArray, here: NDArray[np.int64]) -> float:
    low, high = np.quantile(found.floor_NG[:, here], [0.025, 0.975], axis=0)
    return float(np.mean((low <= floor_G[here]) & (floor_G[here] <= high)))


def single_genes(setting: Setting) -> list[dict[str, Any]]:
    """How far captured of a single gene is off, by the cells that its reliability is estimated on.

    The predictor halves the way from the mean to each cell's expectation, so that every gene's captured is 0.75.
    """
    truth, rng, found = truth_of(setting), setting.rng(3), []
    rho_G = 1 - truth.floor_G / truth.variance_G
    for _ in range(GENE_SAMPLES):
        expected, others = (programmes(setting, n_cells, rng) for n_cells in (SAMPLE_CELLS, OTHER_CELLS))
        counts, rest = rng.poisson(expected), rng.poisson(others)
        mean_G, y_CG = log_values(rest).mean(axis=0), log_values(counts)
        p_CG = (mean_G + np.mean([log_values(rng.poisson(expected)) for _ in range(40)], axis=0)) / 2
        test, train = (sparse.csr_matrix(part.astype(np.int32)) for part in (counts, rest))
        own, all_cells = (noise_floor(blocks, 1e4, 10, N_REPEATS, 0) for blocks in ([test], [test, train]))
        errors = ((y_CG - p_CG) ** 2).mean(axis=0), ((y_CG - mean_G) ** 2).mean(axis=0)
        floors = {"test cells": own.floor_G, "all cells": all_cells.at_variance(own.variance_G)}
        found += [(name, captured(*errors, floor_G, LEAST_OF_A_GENE).value) for name, floor_G in floors.items()]
    return [
        {**setting._asdict(), "reliability_on": name, **_off(found, name, rho_G, low, high)}
        for name in ("test cells", "all cells")
        for low, high in pairwise(RELIABILITIES)
    ]


def _off(found: list[tuple[str, FloatArray]], name: str, rho_G: FloatArray, low: float, high: float) -> dict[str, Any]:
    here = (rho_G >= low) & (rho_G < high)
    value = np.concatenate([value_G[here] for kind, value_G in found if kind == name])
    return {
        "reliability_from": low,
        "reliability_to": high,
        "n_genes": int(here.sum()),
        "undefined": float(np.isnan(value).mean()),
        "median": float(np.nanmedian(value)),
        "half_within": float(np.nanmedian(np.abs(value - 0.75))),
        "nine_in_ten_within": float(np.nanquantile(np.abs(value - 0.75), 0.9)),
    }


@styled
def draw_pooled(pooled: pl.DataFrame) -> Figure:
    """Explainable part by depth, estimated and true, a panel for each kind of library and noise."""
    figure = Figure(figsize=(WIDTH * 1.5, 4.6), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for ax, (library, noise) in zip(axes.flat, product(SPREADS, DISPERSIONS), strict=True):
        part = pooled.filter(library=library, noise=noise).sort("depth")
        sd = part["sd_of_estimate"]
        ax.plot(part["depth"], part["explainable"], color=INK, lw=1.2, label="true")
        if noise != "Poisson":
            beyond = 1 - part["floor_beyond"] / part["variance"]
            ax.plot(part["depth"], beyond, color=INK, lw=1.2, ls=":", label="true, were the extra noise counted too")
        ax.plot(part["depth"], part["explainable_uncalibrated"], "^", ms=4, color=ORANGE, mfc="none",
                label="Spearman-Brown alone")  # fmt: skip
        ax.errorbar(part["depth"], part["explainable_estimate"], 2 * sd, fmt="o", ms=3.5, lw=1, color=BLUE,
                    label="calibrated, \N{PLUS-MINUS SIGN}2 sd of 400 cells")  # fmt: skip
        ax.set(
            xscale="log",
            ylim=(0, 1),
            xticks=DEPTHS[1:],
            xticklabels=[f"{depth:,}" for depth in DEPTHS[1:]],
            title=f"{noise}, {library} library size",
        )
        ax.minorticks_off()
        ax.tick_params(axis="x", labelrotation=30)
        ax.grid(axis="y")
    figure.supxlabel("mean reads a cell", fontsize=9)
    figure.supylabel("explainable part of the variance", fontsize=9)
    handles = {label: mark for ax in axes.flat for mark, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=2)
    return figure


@styled
def draw_levels(levels: pl.DataFrame) -> Figure:
    """Estimated over true floor by mean count, Poisson, with and without calibration."""
    figure = Figure(figsize=(WIDTH * 1.5, 2.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (column, title) in zip(axes, ESTIMATES.items(), strict=True):
        for depth, colour, marker in zip((1000, 5000, 50_000), PALETTE, MARKERS, strict=False):
            part = levels.filter(library="variable", noise="Poisson", depth=depth).sort("counts_from")
            place = [LEVELS.index(low) for low in part["counts_from"]]
            ax.plot(
                place, part[column] / part["floor"], marker=marker, ms=4, lw=1, color=colour, label=f"{depth:,} reads"
            )
        ax.axhline(1, color=INK, lw=0.8, ls=":")
        ticks = [f"{low:g}\N{EN DASH}{high:g}" if np.isfinite(high) else f">{low:g}" for low, high in pairwise(LEVELS)]
        ax.set_xticks(range(len(ticks)), ticks)
        ax.tick_params(axis="x", labelrotation=30)
        ax.set_title(title)
        ax.grid(axis="y")
    axes[0].set_ylabel("estimated / true floor")
    axes[1].legend()
    figure.supxlabel("mean count of the gene in a cell", fontsize=9)
    return figure


def main() -> None:
    """Run all settings on two processes, write tables and figures."""
    settings = [Setting(*one) for one in product(DEPTHS, SPREADS, DISPERSIONS)]
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        single = pool.map(single_genes, [Setting(depth, "variable", "Poisson") for depth in (2000, 5000)])
        pooled, levels = zip(*pool.map(study, settings), strict=True)
        per_gene = [row for rows in single for row in rows]
    tables = {
        "noise-floor": pl.DataFrame(pooled),
        "noise-floor-levels": pl.DataFrame([row for rows in levels for row in rows]),
        "noise-floor-genes": pl.DataFrame(per_gene),
    }
    for name, table in tables.items():
        write(DOCS / "tables" / f"{name}.csv", table.with_columns(pl.col(pl.Float64).round_sig_figs(4)).write_csv())
    draw(tables["noise-floor"], tables["noise-floor-levels"])


def draw(pooled: pl.DataFrame, levels: pl.DataFrame) -> None:
    """Write both figures."""
    for name, figure in (("noise-floor", draw_pooled(pooled)), ("noise-floor-levels", draw_levels(levels))):
        write(DOCS / "figures" / f"{name}.svg", to_svg(figure, name))


def write(path: Path, text: str) -> None:
    """Write a text, its folder too, and say so."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
