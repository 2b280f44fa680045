"""Settings of the studies: learning curves, generalisation, stability, realistic input."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sclandmarks.params.base import Fraction, Name, Positive, Section, Seed
from sclandmarks.params.panels import Panel
from sclandmarks.params.predictors import Predictor

Share = Annotated[float, Field(gt=0, le=1)]
Group = Literal["dataset", "donor", "sample", "tissue", "condition", "cell_type"]


class SizesParams(Section):
    """Panel sizes from smallest to largest, evenly spaced on a logarithmic axis."""

    smallest: Positive
    largest: Positive
    n: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _in_order(self) -> SizesParams:
        if self.smallest >= self.largest:
            raise ValueError(f"smallest below largest, got {self.smallest} and {self.largest}")
        return self


class CurvesParams(Section):
    """Quality against number of landmarks, and of training cells at one panel size."""

    panels: tuple[Name, ...] = Field(min_length=1)
    sizes: SizesParams
    repeats: Positive
    fractions: tuple[Share, ...] = Field(min_length=1)
    n_landmarks: Positive
    subsamples: Positive


class GeneraliseParams(Section):
    """Leave a group of cells out of everything that is learned, and test on it."""

    by: tuple[Group, ...]
    panels: tuple[Name, ...] = Field(min_length=1)
    n_landmarks: Positive
    predictors: dict[Name, Predictor] = Field(min_length=1)
    min_cells: Positive

    @model_validator(mode="after")
    def _one_scale(self) -> GeneraliseParams:
        for name, predictor in self.predictors.items():
            if predictor.unit != "log":
                raise ValueError(f"generalise.predictors: expected predictors of the log scale; got {name}, of counts")
            if getattr(predictor, "on_counts", False):
                raise ValueError(f"generalise.predictors: expected losses on values; got {name}, with one on counts")
        return self


class StabilityParams(Section):
    """Panels chosen again from other seeds, and from other subsamples of the training cells."""

    panels: tuple[Name, ...] = Field(min_length=1)
    sizes: tuple[Positive, ...] = Field(min_length=1)
    repeats: Annotated[int, Field(ge=2)]
    fraction: Fraction


class RealisticParams(Section):
    """Noise of the panel's assay; `repeats` draws of each."""

    panels: tuple[Name, ...] = Field(min_length=1)
    n_landmarks: Positive
    repeats: Positive
    efficiency: tuple[Share, ...]
    dropout: tuple[Fraction, ...]
    saturation: tuple[Positive, ...]
    crowding: tuple[Positive, ...]


class StudiesParams(Section):
    """All studies: what they share, and a section each."""

    seed: Seed
    n_bootstrap: Annotated[int, Field(ge=20)]
    confidence: Fraction
    max_rank: Positive
    panels: dict[Name, Panel] = Field(min_length=1)
    curves: CurvesParams
    generalise: GeneraliseParams
    stability: StabilityParams
    realistic: RealisticParams

    @model_validator(mode="after")
    def _panels_exist(self) -> StudiesParams:
        for study in ("curves", "generalise", "stability", "realistic"):
            for name in getattr(self, study).panels:
                if name not in self.panels:
                    raise ValueError(f"{study}.panels: expected some of {', '.join(self.panels)}; got {name}")
        return self
