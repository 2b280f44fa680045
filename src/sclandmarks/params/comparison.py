"""Sections of the evaluation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sclandmarks.params.base import Fraction, Name, Section, Seed, Whole


class CompareParams(Section):
    """Bootstrap over test cells, and the fit that all others are compared with."""

    seed: Seed
    n_bootstrap: Annotated[Whole, Field(ge=20)]
    confidence: Fraction
    reference: Name
