"""Sections of the evaluation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sclandmarks.params.base import Fraction, Name, Positive, Section, Seed, Whole


class CompareParams(Section):
    """Bootstrap over test cells or donors, the fit that all others are compared with, markers a cell type."""

    seed: Seed
    n_bootstrap: Annotated[Whole, Field(ge=20)]
    confidence: Fraction
    reference: Name
    n_markers: Positive = 50


class IntervalParams(Section):
    """Prediction intervals of single genes: promised coverages, and held-back cells that are looked at."""

    levels: tuple[Fraction, ...] = Field(min_length=1)
    max_cells: Annotated[Whole, Field(ge=10)]


class NoiseParams(Section):
    """Thinnings of the counts that the noise floor is averaged over, and resamples of all cells for its table."""

    seed: Seed
    n_repeats: Positive
    n_bootstrap: Annotated[Whole, Field(ge=20)]
