"""Rows of the tables of the comparison, from what was judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sclandmarks import schema
from sclandmarks.evaluate.bootstrap import Interval, Resamples, quantiles
from sclandmarks.evaluate.cellwise import CellErrors
from sclandmarks.evaluate.clusters import annotated, cluster, mean_agreement
from sclandmarks.evaluate.figures import Figure, Pooled, error_figures
from sclandmarks.evaluate.genewise import GenePass
from sclandmarks.evaluate.groups import over_seeds
from sclandmarks.evaluate.judge import Detail, Judged
from sclandmarks.evaluate.levels import bounds, level_figures, levels_of
from sclandmarks.evaluate.measured import Floors, Measured
from sclandmarks.evaluate.profiles import Profiles, Types
from sclandmarks.evaluate.targets import COMMON, OWN

FloatArray = NDArray[np.float64]
NO_FIGURE = Figure(float("nan"), np.empty(0))


def comparison_rows(judged: Judged, unit: str, confidence: float) -> pl.DataFrame:
    """Rows of `schema.COMPARISON` of one fit."""
    return schema.frame(
        schema.COMPARISON,
        [
            judged.fit._asdict()
            | {"target_set": target_set, "n_targets": judged.n_targets[target_set], "metric": metric, "unit": unit}
            | figure.interval(confidence)._asdict()
            for (target_set, metric), figure in judged.figures.items()
        ],
    )


def group_rows(name: str, group: Sequence[Judged], unit: str, confidence: float, seed: int) -> pl.DataFrame:
    """Rows of `schema.SEEDS` of fits that differ only in a seed."""
    about = {"group": name, "fits": ", ".join(judged.fit.fit for judged in group), "n_fits": len(group), "unit": unit}
    rows = []
    for target_set, metric in group[0].figures:
        figures = [judged.figures[target_set, metric] for judged in group]
        values = over_seeds(figures, confidence, seed)
        rows.append(about | {"target_set": target_set, "metric": metric} | values)
    return schema.frame(schema.SEEDS, rows)


def per_type_rows(
    name: str,
    errors: CellErrors,
    baseline_C: FloatArray,
    cells: pl.DataFrame,
    floors: Floors | None,
    resamples: Resamples,
    confidence: float,
) -> pl.DataFrame:
    """Rows of `schema.PER_TYPE`: errors on the common targets in every cell type."""
    kinds = cells.select("dataset", "cell_type").unique().sort("dataset", "cell_type")
    rows = []
    for dataset, kind in kinds.iter_rows():
        here = ((cells["dataset"] == dataset) & (cells["cell_type"] == kind)).to_numpy()
        floor = floors.types.get((dataset, kind)) if floors else None
        figures = _within(errors, baseline_C, here, floor, resamples)
        about = {"fit": name, "dataset": dataset, "cell_type": kind, "n_cells": int(here.sum())}
        rows.append(about | {"mse": figures.get("mse", NO_FIGURE).value} | _three(figures, confidence))
    return schema.frame(schema.PER_TYPE, rows)


def _within(
    errors: CellErrors, baseline_C: FloatArray, here: NDArray[np.bool_], floor: Pooled | None, resamples: Resamples
) -> dict[str, Figure]:
    """Figures over some of the cells; resamples that say nothing about them are left out."""
    telling_N = resamples.telling(here)
    if floor is not None:
        floor = Pooled(floor.value, floor.resampled_N[telling_N])
    parts = (errors.sse_C, errors.weighted_C, errors.absolute_C, errors.pearson_C, errors.spearman_C)
    some = CellErrors(errors.n_targets, *(part_C[here] for part_C in parts))
    return error_figures(some, baseline_C[here], floor, resamples.weights_NC[:, here][telling_N])


def _three(figures: Mapping[str, Figure], confidence: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric in ("explained", "captured"):
        value, low, high = figures.get(metric, NO_FIGURE).interval(confidence)
        found |= {metric: value, f"{metric}_low": low, f"{metric}_high": high}
    return found


def genewise_rows(name: str, targets: pl.DataFrame, genes: GenePass, confidence: float) -> pl.DataFrame:
    """Rows of `schema.GENEWISE`; `targets` are the genes, in order."""
    low_T, high_T = _ends(genes.r2_NT, confidence)
    columns = {
        "mse": genes.mse_T, "variance": genes.variance_T, "r2": genes.r2_T, "r2_low": low_T, "r2_high": high_T,
        "pearson": genes.pearson_T, "spearman": genes.spearman_T, "auroc": genes.auroc_T,
    }  # fmt: skip
    return targets.select(pl.lit(name).alias("fit"), "gene_id", "symbol").with_columns(
        pl.Series(column, np.asarray(values), dtype=pl.Float64).fill_nan(None) for column, values in columns.items()
    )


def _ends(resampled_NT: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Percentiles of every gene over the resamples in which it has a value."""
    tail = (1 - confidence) / 2
    low_T, high_T = quantiles(resampled_NT, (tail, 1 - tail))
    return low_T, high_T


def per_cell_rows(name: str, errors: CellErrors, cells: pl.DataFrame) -> pl.DataFrame:
    """Rows of `schema.PER_CELL`, on the common targets."""
    if not errors.n_targets:
        return schema.PER_CELL.empty()
    return cells.select(
        pl.lit(name).alias("fit"),
        "cell_id",
        pl.Series("mse", errors.sse_C / errors.n_targets),
        pl.Series("pearson", errors.pearson_C).fill_nan(None),
        pl.Series("spearman", errors.spearman_C).fill_nan(None),
    )


def level_rows(
    name: str, detail: Detail, measured: Measured, floor: tuple[FloatArray, FloatArray] | None,
    common_T: NDArray[np.bool_], confidence: float,
) -> pl.DataFrame:  # fmt: skip
    """Rows of `schema.LEVELS`: own and common targets by mean expression over training cells."""
    level_T = levels_of(measured.mean_G[detail.outputs].double().numpy(), measured.edges)
    rows = []
    for target_set, mask_T in ((OWN, np.ones_like(common_T)), (COMMON, common_T)):
        for level in np.unique(level_T[mask_T]):
            places = np.flatnonzero(mask_T & (level_T == level))
            about = {"fit": name, "target_set": target_set, "level": int(level), "n_targets": len(places)}
            about |= dict(zip(("from_mean", "to_mean"), bounds(measured.edges, level), strict=True))
            for metric, figure in level_figures(detail.genes, places, floor):
                rows.append(about | {"metric": metric} | figure.interval(confidence)._asdict())
    return schema.frame(schema.LEVELS, rows)


def profile_rows(name: str, profiles: Profiles, types: Types, resamples: Resamples, confidence: float) -> pl.DataFrame:
    """Rows of `schema.PROFILES` of one fit."""
    rows = []
    parts = {"profile_r": profiles.r_MK, "profile_change_r": profiles.change_MK, "profile_rmse": profiles.rmse_MK}
    parts |= {"markers_shared": profiles.shared_K[None], "markers_jaccard": profiles.jaccard_K[None]}
    for k, about in enumerate(types.names.iter_rows(named=True)):
        telling_N = resamples.telling(types.member_KC[k])
        for metric, value_MK in parts.items():
            resampled_N = value_MK[1:, k][telling_N[: len(value_MK) - 1]]
            found = Figure(float(value_MK[0, k]), resampled_N).interval(confidence)
            rows.append({"fit": name} | about | {"metric": metric} | found._asdict())
    return schema.frame(schema.PROFILES, rows)


class Clusters:
    """Clusters of the measured cells, and how well those of imputed cells agree with them and with the cell types.

    Parameters
    ----------
    scores_CK : numpy.ndarray, shape (n_cells, n_components)
        Measured cells.
    cells : polars.DataFrame
    weights_NC : numpy.ndarray, shape (n_bootstrap, n_cells)
    confidence : float
    """

    def __init__(
        self, scores_CK: FloatArray, cells: pl.DataFrame, weights_NC: FloatArray, confidence: float, fallback: int = 8
    ) -> None:
        self.known, self.kinds = annotated(cells)
        n_kinds = len(np.unique(self.kinds))
        self.n_clusters = n_kinds if n_kinds > 1 else fallback
        self.weights_MC = np.concatenate([np.ones((1, weights_NC.shape[1])), weights_NC])
        self.confidence = confidence
        self.labels = cluster(scores_CK, self.n_clusters)

    def measured_rows(self) -> pl.DataFrame:
        """Rows of `schema.CLUSTERS` of the measured cells: other seeds, and cell types. What a fit could reach."""
        others = [*self.labels[1:], self.labels[0]]
        return self._rows("measured", others)

    def rows(self, name: str, scores_CK: FloatArray) -> pl.DataFrame:
        """Rows of `schema.CLUSTERS` of a fit, from its imputed cells."""
        return self._rows(name, cluster(scores_CK, self.n_clusters))

    def _rows(self, name: str, labels: list[NDArray[np.int64]]) -> pl.DataFrame:
        found = {"measured": mean_agreement(labels, self.labels, self.weights_MC)}
        if len(np.unique(self.kinds)) > 1:
            some = [label_C[self.known] for label_C in labels]
            found["cell types"] = mean_agreement(some, [self.kinds] * len(some), self.weights_MC[:, self.known])
        rows = [
            {"fit": name, "against": against, "n_clusters": self.n_clusters}
            | _interval(value_M, self.confidence)._asdict()
            for against, value_M in found.items()
        ]
        return schema.frame(schema.CLUSTERS, rows)


def _interval(value_M: FloatArray, confidence: float) -> Interval:
    return Figure(float(value_M[0]), value_M[1:]).interval(confidence)
