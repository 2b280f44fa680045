"""Settings: one frozen, typed section a stage, read once from params.yaml.

Unknown keys and impossible values are refused in the user's terms. A function takes its section, never the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from sclandmarks import paths
from sclandmarks.errors import ParamsError
from sclandmarks.params.base import (
    UNITS,
    Dropout,
    Fraction,
    LogBase,
    Name,
    Positive,
    Rate,
    Section,
    Seed,
    Unit,
    describe,
    read_yaml,
)
from sclandmarks.params.cohorts import Balance, CohortParams
from sclandmarks.params.comparison import NO_PANEL, CompareParams, ControlName, IntervalParams, NoiseParams
from sclandmarks.params.data import DataParams, ExploreParams, PrepareParams, SplitParams
from sclandmarks.params.panels import (
    EnsemblePanel,
    EpochParams,
    GreedyPanel,
    GreedySearch,
    GroupLassoNetworkPanel,
    GroupLassoPanel,
    GuidedPanel,
    HvgPanel,
    KMeansPanel,
    L1000Panel,
    LassoPath,
    LoadingsPanel,
    Panel,
    PaperPanel,
    RandomPanel,
    SelectParams,
    Sized,
    TopVariancePanel,
    TrainingParams,
    Wishes,
)
from sclandmarks.params.predictors import (
    DGexPredictor,
    FitParams,
    KernelParams,
    KernelPredictor,
    KnnPredictor,
    LogPanel,
    LogScale,
    MeanPredictor,
    NetworkPredictor,
    OlsPredictor,
    PanelTotal,
    PaperLinearPredictor,
    PaperNetworkPredictor,
    Predictor,
    ReducedRankPredictor,
    RidgePredictor,
    ZeroPredictor,
)
from sclandmarks.params.studies import (
    CurvesParams,
    GeneraliseParams,
    RealisticParams,
    SizesParams,
    StabilityParams,
    StudiesParams,
)
from sclandmarks.params.tune import (
    DIRECTIONS,
    Choices,
    Dimension,
    Direction,
    FitSearch,
    Range,
    Search,
    SelectSearch,
    Space,
    TuneParams,
    in_order,
    parse_duration,
    same,
)

__all__ = [
    "DIRECTIONS",
    "NO_PANEL",
    "UNITS",
    "Balance",
    "Choices",
    "CohortParams",
    "CompareParams",
    "ControlName",
    "CurvesParams",
    "DGexPredictor",
    "DataParams",
    "Dimension",
    "Direction",
    "Dropout",
    "EnsemblePanel",
    "EpochParams",
    "ExploreParams",
    "FitParams",
    "FitSearch",
    "Fraction",
    "GeneraliseParams",
    "GreedyPanel",
    "GreedySearch",
    "GroupLassoNetworkPanel",
    "GroupLassoPanel",
    "GuidedPanel",
    "HvgPanel",
    "IntervalParams",
    "KMeansPanel",
    "KernelParams",
    "KernelPredictor",
    "KnnPredictor",
    "L1000Panel",
    "LassoPath",
    "LoadingsPanel",
    "LogBase",
    "LogPanel",
    "LogScale",
    "MeanPredictor",
    "Name",
    "NetworkPredictor",
    "NoiseParams",
    "OlsPredictor",
    "Panel",
    "PanelTotal",
    "PaperLinearPredictor",
    "PaperNetworkPredictor",
    "PaperPanel",
    "Params",
    "Positive",
    "Predictor",
    "PrepareParams",
    "RandomPanel",
    "Range",
    "Rate",
    "RealisticParams",
    "ReducedRankPredictor",
    "RidgePredictor",
    "RuntimeParams",
    "Search",
    "Section",
    "Seed",
    "SelectParams",
    "SelectSearch",
    "Sized",
    "SizesParams",
    "Space",
    "SplitParams",
    "StabilityParams",
    "StudiesParams",
    "TopVariancePanel",
    "TrackingParams",
    "TrainingParams",
    "TuneParams",
    "Unit",
    "Wishes",
    "ZeroPredictor",
    "describe",
    "in_order",
    "load_params",
    "parse_duration",
    "parse_params",
    "read_yaml",
    "same",
]


class RuntimeParams(Section):
    """Where the numerics run. `threads: null` takes all cores."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Positive | None


class TrackingParams(Section):
    """MLflow: on or off, where, under which experiment. `uri: null` is SQLite in state/."""

    enabled: bool
    uri: str | None
    experiment: Annotated[str, Field(min_length=1)]


class Params(Section):
    """All of params.yaml."""

    data: DataParams
    split: SplitParams
    prepare: PrepareParams
    explore: ExploreParams
    select: SelectParams
    panels: dict[Name, Panel] = Field(min_length=1)
    predictors: dict[Name, Predictor] = Field(min_length=1)
    fits: dict[Name, FitParams] = Field(min_length=1)
    compare: CompareParams
    intervals: IntervalParams
    noise: NoiseParams
    studies: StudiesParams
    tune: TuneParams
    runtime: RuntimeParams
    tracking: TrackingParams

    @model_validator(mode="after")
    def _names_exist(self) -> Params:
        for name, fit in self.fits.items():
            _known(f"fits.{name}.panel", fit.panel, self.panels)
            _known(f"fits.{name}.predictor", fit.predictor, self.predictors)
        _known("compare.reference", self.compare.reference, self.fits)
        _free("fits", self.fits, get_args(ControlName))
        _free("panels", self.panels, (NO_PANEL,))
        return self


def _known(key: str, name: str, names: Mapping[str, object]) -> None:
    if name not in names:
        raise ValueError(f"{key}: expected one of {', '.join(names)}; got {name}")


def _free(key: str, names: Mapping[str, object], taken: Sequence[str]) -> None:
    for name in taken:
        if name in names:
            raise ValueError(f"{key}.{name}: expected another name, this one is kept for the controls; got {name}")


def load_params(path: Path = paths.PARAMS) -> Params:
    """Read and check params.yaml.

    Raises
    ------
    ParamsError
        If the file is missing, is not YAML, has unknown keys or impossible values; every fault is listed.
    """
    return parse_params(read_yaml(path), path)


def parse_params(values: Any, path: Path = paths.PARAMS) -> Params:
    """Check settings that were read from `path`, see `load_params`."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError(f"valid settings in {path}", describe(error), "Mend the keys named above.") from error
