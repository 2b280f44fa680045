"""Learning curves: quality against the number of landmarks, and against the number of training cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from sclandmarks import schema
from sclandmarks.evaluate.bootstrap import resample
from sclandmarks.evaluate.noise import NoiseFloor
from sclandmarks.evaluate.studies.cohort import Cohort, choose, is_seeded, reseeded, subsample
from sclandmarks.evaluate.studies.crossing import cross
from sclandmarks.evaluate.studies.judge import Judge, cell_types, fit_order, half_of_genes, open_judge
from sclandmarks.evaluate.studies.scores import FIGURES, FloatArray, Resampled, Score, over_repeats, to_interval
from sclandmarks.matrix import IntArray
from sclandmarks.params import L1000Panel, SizesParams, StudiesParams

L1000, CELL_TYPES, HALF = "l1000", "cell_types", "half_genes"
Repeats = Sequence[Mapping[str, Score]]


@dataclass(frozen=True)
class Point:
    """One point of a curve, or a reference line, with its scores by repeat and target set."""

    panel: str
    axis: str
    n_landmarks: int
    n_cells: int
    repeats: Repeats


def log_spaced(sizes: SizesParams, n_genes: int) -> list[int]:
    """Sizes from smallest to largest, evenly on a logarithmic axis; those that leave no gene to predict are cut."""
    spaced = np.geomspace(sizes.smallest, sizes.largest, sizes.n).round().astype(int)
    return sorted({min(int(size), max(n_genes // 2, 1)) for size in spaced})


def learning_curves(
    cohort: Cohort, settings: StudiesParams, floor: NoiseFloor | None = None
) -> dict[schema.Table, pl.DataFrame]:
    """Both curves and the reference lines, and how many genes of each panel give what a line gives.

    Parameters
    ----------
    cohort : Cohort
        Normalised values, on genes that were filtered on all training cells.
    settings : StudiesParams
    floor : NoiseFloor, optional
        See `judge.floor_of`; without it nothing is said about `captured`.
    """
    weights_NC = resample(cohort.test.cells, settings.n_bootstrap, settings.seed).weights_NC
    sizes = log_spaced(settings.curves.sizes, cohort.train.n_genes)
    by_landmarks = list(over_landmarks(cohort, settings, sizes, floor))
    by_cells = list(over_cells(cohort, settings, floor))
    figures = {id(point): resampled(point, weights_NC, settings.seed) for point in (*by_landmarks, *by_cells)}
    rows = [row for point in (*by_landmarks, *by_cells) for row in _rows(point, figures[id(point)], settings)]
    lines = [point for point in by_landmarks if point.axis == "reference"]
    curves = [point for point in by_landmarks if point.axis == "landmarks"]
    return {
        schema.CURVES: schema.frame(schema.CURVES, rows),
        schema.EQUIVALENTS: schema.frame(schema.EQUIVALENTS, _equivalents(curves, lines, figures, settings)),
    }


def over_landmarks(
    cohort: Cohort, settings: StudiesParams, sizes: Sequence[int], floor: NoiseFloor | None
) -> Iterator[Point]:
    """Points of the curve over landmarks, one selection for all sizes, and the reference lines.

    A curve ends where its panel does, as that of L1000.
    """
    study, n_cells = settings.curves, cohort.train.n_cells
    orders = {
        name: [choose(reseeded(settings.panels[name], i), cohort, sizes[-1]) for i in range(n_repeats(settings, name))]
        for name in study.panels
    }
    fixed = {name: choose(panel, cohort, 1) for name, panel in settings.panels.items() if isinstance(panel, L1000Panel)}
    judge = open_judge(cohort, [*(order for each in orders.values() for order in each), *fixed.values()], floor)
    for name, each in orders.items():
        scored = [_scores(cohort, judge, order, sizes, settings.max_rank) for order in each]
        for size in sizes:
            repeats = [one[size] for one in scored if size in one]
            if repeats:
                yield Point(name, "landmarks", size, n_cells, repeats)
    half = half_of_genes(judge, settings.seed)
    for name, order in {**fixed, HALF: half}.items():
        scores = _scores(cohort, judge, order, [len(order)], settings.max_rank)
        yield Point(name, "reference", len(order), n_cells, [scores[len(order)]])
    yield Point(CELL_TYPES, "reference", 0, n_cells, [cell_types(cohort, judge)])


def over_cells(cohort: Cohort, settings: StudiesParams, floor: NoiseFloor | None) -> Iterator[Point]:
    """Points of the curve over training cells: panels are chosen and fitted on the subsample alone."""
    study, orders = settings.curves, dict[tuple[str, float, int], IntArray]()
    for fraction, i in product(study.fractions, range(study.subsamples)):
        part = subsample(cohort, fraction, [settings.seed, i])
        for name in study.panels:
            if fraction < 1 or i < n_repeats(settings, name):
                orders[name, fraction, i] = choose(reseeded(settings.panels[name], i), part, study.n_landmarks)
    judge = open_judge(cohort, orders.values(), floor)
    points: dict[tuple[str, int, int], list[Mapping[str, Score]]] = {}
    for (name, fraction, i), order in orders.items():
        part = subsample(cohort, fraction, [settings.seed, i])
        scores = _scores(part, judge, order, [len(order)], settings.max_rank)[len(order)]
        points.setdefault((name, len(order), part.train.n_cells), []).append(scores)
    for (name, size, n_cells), repeats in points.items():
        yield Point(name, "cells", size, n_cells, repeats)


def n_repeats(settings: StudiesParams, name: str) -> int:
    """Repeats of a panel: one where no seed decides it."""
    return settings.curves.repeats if is_seeded(settings.panels[name]) else 1


def _scores(
    cohort: Cohort, judge: Judge, order: IntArray, sizes: Sequence[int], max_rank: int
) -> dict[int, dict[str, Score]]:
    """Scores of every size that the order reaches."""
    possible = [size for size in sizes if size <= len(order)]
    fits = fit_order(cohort, order, possible, max_rank)
    return {size: judge.score_prefix(fitted, order) for size, fitted in fits.items()}


def resampled(point: Point, weights_NC: FloatArray, seed: int) -> dict[tuple[str, str], Resampled]:
    """(target set, metric) -> figure in every resample; captured where the floor is known, on common targets."""
    found = {}
    for target_set in point.repeats[0]:
        for metric, figure in FIGURES.items():
            each = [figure(scores[target_set], weights_NC) for scores in point.repeats]
            if np.isfinite([one.value for one in each]).all() and (metric, target_set) != ("captured", "total"):
                found[target_set, metric] = over_repeats(each, seed)
    return found


def _rows(
    point: Point, figures: Mapping[tuple[str, str], Resampled], settings: StudiesParams
) -> Iterator[dict[str, Any]]:
    for (target_set, metric), figure in figures.items():
        yield {
            "panel": point.panel, "axis": point.axis, "n_landmarks": point.n_landmarks, "n_cells": point.n_cells,
            "target_set": target_set, "n_targets": point.repeats[0][target_set].n_genes, "metric": metric,
            **to_interval(figure, settings.confidence)._asdict(), "n_repeats": len(point.repeats),
        }  # fmt: skip


def _equivalents(
    curves: Sequence[Point],
    lines: Sequence[Point],
    figures: Mapping[int, Mapping[tuple[str, str], Resampled]],
    settings: StudiesParams,
) -> Iterator[dict[str, Any]]:
    """Read every panel's curve off at every line; half of all genes, measured, is no line for the total."""
    for panel in dict.fromkeys(point.panel for point in curves):
        own = [point for point in curves if point.panel == panel]
        for line in lines:
            for target_set in ("common", "total"):
                if (line.panel, target_set) == (HALF, "total"):
                    continue
                key, sizes = (target_set, "explained"), [point.n_landmarks for point in own]
                found = cross(sizes, [figures[id(p)][key] for p in own], figures[id(line)][key], settings.confidence)
                yield {
                    "panel": panel, "reference": line.panel, "reference_landmarks": line.n_landmarks,
                    "target_set": target_set, "metric": "explained", **found._asdict(), "smallest": sizes[0],
                    "largest": sizes[-1],
                }  # fmt: skip
