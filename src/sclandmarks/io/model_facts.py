"""What model.json says of a fitted predictor, checked before anything is built from it."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from sclandmarks.io.normalisation import Normalisation
from sclandmarks.params import Unit
from sclandmarks.predict.modules import SHAPES, Spec


def _once(genes: list[str]) -> list[str]:
    for gene, n in Counter(genes).items():
        if n > 1:
            raise ValueError(f"expected each gene once, {gene!r} stands {n} times")
    return genes


N_SHOWN = 5
Gene = Annotated[str, Field(strict=True, min_length=1)]
Genes = Annotated[list[Gene], Field(strict=True, min_length=1), AfterValidator(_once)]


class ModelFacts(BaseModel):
    """All of model.json that a model cannot be used without; what else stands there is kept as it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    landmarks: Genes
    targets: Genes
    scale: Unit = "log"
    normalisation: Normalisation | None = None
    spec: Spec
    sha256: Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]

    @model_validator(mode="after")
    def _fits(self) -> ModelFacts:
        spec, n_landmarks, n_targets = self.spec, len(self.landmarks), len(self.targets)
        _equal("spec.version, the shapes of this version of sclandmarks", SHAPES, spec.version)
        _equal("spec.n_landmarks", n_landmarks, spec.n_landmarks)
        _equal("spec.n_targets", n_targets, spec.n_targets)
        if both := sorted(set(self.landmarks) & set(self.targets)):
            raise ValueError(f"expected targets that are no landmarks, {both[0]!r} is both")
        if self.normalisation:
            _equal("normalisation.n_genes", n_landmarks + n_targets, self.normalisation.n_genes)
        if self.scale == "counts" and (spec.panel_total or self.normalisation):
            raise ValueError("expected no normalisation and no panel_total with scale: counts")
        if spec.kind == "network" and not spec.members:
            raise ValueError("spec.members: expected 1 or more, got 0")
        if spec.kind == "nearest" and not 1 <= spec.rank <= spec.width:
            raise ValueError(f"spec.rank: expected 1 to {spec.width} of the cells kept, got {spec.rank}")
        return self


def _equal(key: str, expected: int, got: int) -> None:
    if got != expected:
        raise ValueError(f"{key}: expected {expected}, got {got}")


def check_facts(about: Mapping[str, Any]) -> ModelFacts:
    """Check what model.json says.

    Raises
    ------
    ValueError
        With the first faults, in the terms of the file.
    """
    try:
        return ModelFacts.model_validate(about)
    except ValidationError as error:
        faults = [_in_words(fault) for fault in error.errors()[:N_SHOWN]]
        raise ValueError("; ".join(faults)) from error


def _in_words(fault: Mapping[str, Any]) -> str:
    key, says = ".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")
    given = fault["input"]
    got = "" if isinstance(given, dict | list | BaseModel) else f" (got {reprlib.repr(given)})"
    return f"{key}: {says}{got}" if key else says
