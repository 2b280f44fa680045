"""Fits that differ only in a seed, summarised as one: mean, spread over seeds, interval over cells and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sclandmarks.evaluate.bootstrap import interval
from sclandmarks.evaluate.figures import Figure
from sclandmarks.params import FitParams, Section

FloatArray = NDArray[np.float64]


def seed_groups(
    fits: Mapping[str, FitParams], panels: Mapping[str, Section], predictors: Mapping[str, Section]
) -> dict[str, list[str]]:
    """Fits whose panels and predictors have the same settings but for their seeds, two or more of a kind.

    Returns
    -------
    dict of str to list of str
        Name of the group -> its fits. The name is what the fits' names share, * where they differ.
    """
    alike: dict[str, list[str]] = {}
    for name, fit in fits.items():
        parts = (panels[fit.panel], predictors[fit.predictor])
        key = repr([sorted(part.model_dump(exclude={"seed"}).items()) for part in parts])
        alike.setdefault(key, []).append(name)
    return {group_name(names): names for names in alike.values() if len(names) > 1}


def group_name(names: Sequence[str]) -> str:
    """Common start and end of the names with a * between them."""
    start = _shared_start(names)
    end = _shared_start([name[len(start) :][::-1] for name in names])[::-1]
    return f"{start}*{end}"


def _shared_start(names: Sequence[str]) -> str:
    differ = [len(set(letters)) > 1 for letters in zip(*names, strict=False)]
    return names[0][: differ.index(True) if True in differ else len(differ)]


def over_seeds(figures: Sequence[Figure], confidence: float, seed: int) -> dict[str, float]:
    """Mean over fits, standard deviation over them, and an interval that holds both cells and seeds.

    Each resample of cells gives the mean over the fits; to it is added a draw from Student's t with n_fits - 1 degrees
    of freedom, scaled by the standard error of the mean over seeds. So few seeds widen the interval as they should.

    Parameters
    ----------
    figures : sequence of Figure
        One a fit, over the same resamples; at least two.
    confidence : float
    seed : int
        Of the draws.
    """
    values = np.array([figure.value for figure in figures])
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    cells_N = np.mean([figure.resampled_N for figure in figures], axis=0)
    draws_N = np.random.default_rng(seed).standard_t(len(values) - 1, size=(64, len(cells_N)))
    both = (cells_N + spread / np.sqrt(len(values)) * draws_N).ravel()
    return interval(mean, both, confidence)._asdict() | {"spread": spread}
