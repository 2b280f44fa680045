"""Sections of the evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from sclandmarks.params.base import Fraction, Name, Positive, Section, Seed, Whole

ControlName = Literal["library_size", "cell_type_mean"]
NO_PANEL = "none"  # what the panel of a control is called


class CompareParams(Section):
    """Bootstrap over test cells or donors, the fit that all others are compared with, markers a cell type, controls.

    A control knows the cell and no gene of it, see `sclandmarks.evaluate.controls`; it is a row like any fit.
    """

    seed: Seed
    n_bootstrap: Annotated[Whole, Field(ge=20)]
    confidence: Fraction
    reference: Name
    n_markers: Positive = 50
    controls: tuple[ControlName, ...] = ()

    @field_validator("controls")
    @classmethod
    def _once(cls, names: tuple[ControlName, ...]) -> tuple[ControlName, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"expected each control once; got {', '.join(names)}")
        return names


class IntervalParams(Section):
    """Prediction intervals of single genes: promised coverages, and held-back cells that are looked at."""

    levels: tuple[Fraction, ...] = Field(min_length=1)
    max_cells: Annotated[Whole, Field(ge=10)]


class NoiseParams(Section):
    """Thinnings of the counts that the noise floor is averaged over, and resamples of all cells for its table."""

    seed: Seed
    n_repeats: Positive
    n_bootstrap: Annotated[Whole, Field(ge=20)]
