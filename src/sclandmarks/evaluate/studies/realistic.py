"""Realistic input: how quality falls when the panel is all that is measured, and measured with noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from sclandmarks import schema
from sclandmarks.evaluate.bootstrap import resample
from sclandmarks.evaluate.noise import NoiseFloor
from sclandmarks.evaluate.studies.assay import NOISES, panel_share, panel_values
from sclandmarks.evaluate.studies.cohort import Cohort, choose
from sclandmarks.evaluate.studies.judge import COMMON, Judge, open_judge
from sclandmarks.evaluate.studies.prefix import LowRank, Side, fit_prefix, gather_grams
from sclandmarks.evaluate.studies.scores import FIGURES, FloatArray, Resampled, Score, minus, over_repeats, to_interval
from sclandmarks.matrix import IntArray
from sclandmarks.params import PrepareParams, StudiesParams

FULL, OWN = "full_library", "own_total"
CLEAN, MATCHING = "clean", "matching"


class Inputs(NamedTuple):
    """Panel values of the three subsets, as an assay would give them."""

    train: sparse.csr_matrix
    validation: sparse.csr_matrix
    test: sparse.csr_matrix


class Case(NamedTuple):
    """A noise at a level, and what the predictor was trained on."""

    noise: str
    level: float
    trained_on: str


@dataclass(frozen=True)
class Assay:
    """A panel on the cells of a cohort: its inputs under any noise, and the targets, which stay as measured.

    Parameters
    ----------
    values, counts : Cohort
        Normalised values and raw counts of the same cells and genes.
    order : numpy.ndarray of int64, shape (n_landmarks,)
        Columns of the panel's genes.
    prepare : PrepareParams
    settings : StudiesParams
    """

    values: Cohort
    counts: Cohort
    order: IntArray
    prepare: PrepareParams
    settings: StudiesParams

    def full_library(self) -> Inputs:
        """Normalised by all reads of the cell, which the assay of a panel does not know."""
        return Inputs(*(matrix.X_CG[:, self.order] for matrix in self.values))

    def own_total(self, noise: str | None = None, level: float = 1.0, repeat: int = 0) -> Inputs:
        """Normalised by the panel's own total, after a noise. A repeat loses the same genes in all subsets.

        The panel's usual share of the reads is that of the training cells.
        """
        scale = self.prepare.scale * panel_share(self.counts.train.X_CG, self.order)
        found = []
        for i, matrix in enumerate(self.counts):
            counts_CL = matrix.X_CG[:, self.order]
            if noise is not None:
                drawn = [self.settings.seed, repeat, 0 if noise == "dropout" else i]
                counts_CL = NOISES[noise](counts_CL, level, np.random.default_rng(drawn))
            found.append(panel_values(counts_CL, scale, self.prepare.log_base))
        return Inputs(*found)

    def fit(self, inputs: Inputs, exponent: float | None = None) -> LowRank:
        """Fit on the training cells; lambda (searched from that of a neighbour) and rank are the best held back."""
        train = Side(inputs.train, self.values.train.X_CG)
        held_back = Side(inputs.validation, self.values.validation.X_CG)
        return fit_prefix(gather_grams(train, held_back, self.order), len(self.order), self.settings.max_rank, exponent)

    def cases(self) -> Iterator[tuple[str, float, int]]:
        """Every noise with its levels and repeats; saturation is no matter of chance."""
        for noise in NOISES:
            for level in getattr(self.settings.realistic, noise):
                for repeat in range(1 if noise == "saturation" else self.settings.realistic.repeats):
                    yield noise, float(level), repeat


def scores_of(assay: Assay, judge: Judge) -> dict[Case, list[Score]]:
    """Scores on the genes outside the panel, by repeat, of predictors trained on clean and on matching input."""

    def judged(fitted: LowRank, inputs: Inputs) -> Score:
        return judge.score(fitted.predict, inputs.test, assay.order)[COMMON]

    full, own = assay.full_library(), assay.own_total()
    clean = assay.fit(own)
    found = {
        Case(FULL, 1.0, MATCHING): [judged(assay.fit(full), full)],
        Case(OWN, 1.0, CLEAN): [judged(clean, own)],
        Case(OWN, 1.0, MATCHING): [judged(clean, own)],
    }
    for noise, level, repeat in assay.cases():
        inputs = assay.own_total(noise, level, repeat)
        for trained_on, fitted in ((CLEAN, clean), (MATCHING, assay.fit(inputs, clean.exponent))):
            found.setdefault(Case(noise, level, trained_on), []).append(judged(fitted, inputs))
    return found


def realistic_input(
    values: Cohort, counts: Cohort, settings: StudiesParams, prepare: PrepareParams, floor: NoiseFloor | None = None
) -> pl.DataFrame:
    """Quality of every panel under every noise, `schema.REALISTIC`.

    Each panel is judged on all genes outside it: compare rows of one panel, not panels.

    Parameters
    ----------
    values, counts : Cohort
        Normalised values and raw counts of the same cells and genes.
    settings : StudiesParams
    prepare : PrepareParams
    floor : NoiseFloor, optional
        See `judge.floor_of`; without it nothing is said about `captured`.
    """
    weights_NC = resample(values.test.cells, settings.n_bootstrap, settings.seed).weights_NC
    rows = []
    for name in settings.realistic.panels:
        order = choose(settings.panels[name], values, settings.realistic.n_landmarks)
        assay = Assay(values, counts, order, prepare, settings)
        found = scores_of(assay, open_judge(values, [order], floor))
        about = {"panel": name, "n_landmarks": len(order)}
        rows += [about | row for row in _rows(found, weights_NC, settings)]
    return schema.frame(schema.REALISTIC, rows)


def _rows(
    found: Mapping[Case, list[Score]], weights_NC: FloatArray, settings: StudiesParams
) -> Iterator[dict[str, Any]]:
    for metric, figure in FIGURES.items():
        resampled: dict[Case, Resampled] = {
            case: over_repeats([figure(score, weights_NC) for score in scores], settings.seed)
            for case, scores in found.items()
        }
        for case, one in resampled.items():
            if np.isfinite(one.value):
                base = resampled[Case(OWN, 1.0, case.trained_on)]
                change = to_interval(minus(one, base), settings.confidence)
                yield {
                    **case._asdict(), "metric": metric, **to_interval(one, settings.confidence)._asdict(),
                    "change": change.value, "change_low": change.low, "change_high": change.high,
                    "n_repeats": len(found[case]),
                }  # fmt: skip
