"""Stability of a panel: how far the same genes are chosen again, over seeds and over subsamples of the cells.

Nogueira's measure and its interval: Nogueira, Sechidis and Brown, On the stability of feature selection algorithms,
JMLR 18:174 (2018), definition 4 and theorem 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from sclandmarks import schema
from sclandmarks.errors import PanelError
from sclandmarks.evaluate.bootstrap import Interval
from sclandmarks.evaluate.studies.cohort import Cohort, choose, is_seeded, reseeded, subsample
from sclandmarks.evaluate.studies.scores import BoolArray
from sclandmarks.matrix import IntArray
from sclandmarks.params import RandomPanel, StudiesParams

SEEDS, RESAMPLES = "seeds", "resamples"


def nogueira(chosen_MG: BoolArray, confidence: float) -> Interval:
    """Nogueira's stability of M panels, with its asymptotic interval.

    1 - mean over genes of the unbiased variance of being chosen, over that of panels drawn at random:
    1 for panels that are all the same, in expectation 0 for genes drawn at random, at least -1 / (M - 1).

    Parameters
    ----------
    chosen_MG : numpy.ndarray of bool, shape (n_panels, n_genes)
    confidence : float
        Between 0 and 1.

    Raises
    ------
    PanelError
        If there are fewer than two panels, or all of them hold no gene or every gene.
    """
    n_panels, n_genes = chosen_MG.shape
    part_G, size_M = chosen_MG.mean(axis=0), chosen_MG.sum(axis=1)
    mean_size = float(size_M.mean())
    if n_panels < 2 or not 0 < mean_size < n_genes:
        raise PanelError(
            "two panels or more, that hold some genes and leave others out",
            f"{n_panels} with {mean_size:g} of {n_genes} genes on average",
            "Raise studies.stability.repeats, or lower its sizes, in params.yaml.",
        )
    chance = mean_size / n_genes * (1 - mean_size / n_genes)
    value = 1 - float((part_G * (1 - part_G)).mean()) * n_panels / (n_panels - 1) / chance
    share_M, share = size_M / n_genes, mean_size / n_genes
    own_M = (chosen_MG @ part_G) / n_genes - share_M * share
    influence_M = (own_M + value / 2 * (2 * share * share_M - share_M - share + 1)) / chance
    variance = 4 / n_panels**2 * float(((influence_M - influence_M.mean()) ** 2).sum())
    reach = float(stats.norm.ppf((1 + confidence) / 2)) * variance**0.5
    return Interval(value, value - reach, value + reach)


def mean_jaccard(chosen_MG: BoolArray) -> float:
    """Mean over pairs of panels of shared genes / united genes; 1 where both are empty."""
    counts_MG = chosen_MG.astype(np.float64)
    shared_MM = counts_MG @ counts_MG.T
    size_M = shared_MM.diagonal()
    united_MM = size_M[:, None] + size_M - shared_MM
    one, other = np.triu_indices(len(chosen_MG), k=1)
    shared, united = shared_MM[one, other], united_MM[one, other]
    return float(np.where(united > 0, shared / np.maximum(united, 1), 1.0).mean())


def as_masks(orders: Sequence[IntArray], size: int, n_genes: int) -> NDArray[np.bool_]:
    """First `size` genes of every order, shape (n_orders, n_genes)."""
    masks = np.zeros((len(orders), n_genes), dtype=bool)
    for mask, order in zip(masks, orders, strict=True):
        mask[order[:size]] = True
    return masks


def choose_again(cohort: Cohort, settings: StudiesParams) -> dict[tuple[str, str], list[IntArray]]:
    """(panel, over) -> orders of the panels chosen again.

    Over seeds only where a seed decides the panel; over resamples only where cells do, so not for genes drawn at
    random.
    """
    study, largest = settings.stability, max(settings.stability.sizes)
    found: dict[tuple[str, str], list[IntArray]] = {}
    for name in study.panels:
        panel = settings.panels[name]
        if is_seeded(panel):
            found[name, SEEDS] = [choose(reseeded(panel, i), cohort, largest) for i in range(study.repeats)]
        if not isinstance(panel, RandomPanel):
            parts = (subsample(cohort, study.fraction, [settings.seed, i]) for i in range(study.repeats))
            found[name, RESAMPLES] = [choose(panel, part, largest) for part in parts]
    return found


def stability(cohort: Cohort, settings: StudiesParams) -> dict[schema.Table, pl.DataFrame]:
    """Stability of every panel at every size, and how often each gene is chosen.

    Over seeds all training cells are used; over resamples the panel keeps its seed and sees a subsample of the
    training and validation cells, drawn without replacement.
    """
    measured, counted, genes = list[dict[str, Any]](), [schema.FREQUENCY.empty()], cohort.train.genes
    for (name, over), orders in choose_again(cohort, settings).items():
        for size in sorted({min(size, min(map(len, orders))) for size in settings.stability.sizes}):
            masks_MG = as_masks(orders, size, genes.height)
            about = {"panel": name, "over": over, "n_landmarks": size}
            measured += _measures(masks_MG, about | {"n_panels": len(orders)}, settings.confidence)
            counted.append(_frequencies(masks_MG, about, genes))
    frame = pl.DataFrame(measured, schema=schema.STABILITY.dtypes)
    return {schema.STABILITY: frame, schema.FREQUENCY: pl.concat(counted)}


def _measures(masks_MG: BoolArray, about: Mapping[str, Any], confidence: float) -> Iterator[dict[str, Any]]:
    yield {**about, "measure": "nogueira", **nogueira(masks_MG, confidence)._asdict()}
    yield {**about, "measure": "jaccard", "value": mean_jaccard(masks_MG), "low": None, "high": None}


def _frequencies(masks_MG: BoolArray, about: Mapping[str, Any], genes: pl.DataFrame) -> pl.DataFrame:
    """Genes chosen at least once, most often first."""
    constants = [pl.lit(value, dtype=schema.FREQUENCY.dtypes[name]).alias(name) for name, value in about.items()]
    table = genes.select(*constants, "gene_id", "symbol", pl.Series("frequency", masks_MG.mean(axis=0)))
    chosen = table.filter(pl.col("frequency") > 0)
    return chosen.sort("frequency", "gene_id", descending=[True, False])
