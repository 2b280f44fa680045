"""Settings: one frozen, typed section a stage, read once from params.yaml.

Unknown keys and impossible values are refused in the user's terms. A function takes its section, never the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sclandmarks import paths
from sclandmarks.errors import ParamsError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(gt=0, lt=1e3)]
Unit = Literal["log", "counts"]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Base of every section: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataParams(Section):
    """Which data sets of datasets.yaml are used; several are joined on their common genes."""

    datasets: tuple[Name, ...] = Field(min_length=1)

    @property
    def label(self) -> str:
        """The data sets in one word, for titles and tags."""
        return "+".join(self.datasets)

    @model_validator(mode="after")
    def _no_duplicates(self) -> DataParams:
        if len(set(self.datasets)) < len(self.datasets):
            raise ValueError(f"each data set once, got {list(self.datasets)}")
        return self


class SplitParams(Section):
    """Fractions of cells: test of all, validation of the rest; stratified by data set and cell type."""

    seed: Seed
    test: Fraction
    validation: Fraction


class PrepareParams(Section):
    """Filters and normalisation; the defaults in params.yaml are the study's."""

    min_library_size: int = Field(ge=0)
    min_reads: Positive
    min_cells: Positive
    scale: Annotated[float, Field(gt=0)]
    log_base: Literal[2, 10, "e"]


class ExploreParams(Section):
    """PCA and t-SNE of the processed cells."""

    seed: Seed
    n_components: Annotated[int, Field(ge=2)]
    perplexity: Annotated[float, Field(gt=1)]
    max_cells: Annotated[int, Field(ge=10)]


class SelectParams(Section):
    """What all panels share."""

    n_landmarks: Positive


class Sized(Section):
    """Base of panels whose size can be chosen apart: a number, or `l1000`, as many as L1000 has measured genes."""

    n_landmarks: Positive | Literal["l1000"] | None = None


class L1000Panel(Section):
    """The measured ones of the 978 landmark genes of L1000."""

    selector: Literal["l1000"]


class RandomPanel(Sized):
    """Genes drawn without regard to anything: a control."""

    selector: Literal["random"]
    seed: Seed


class TopVariancePanel(Sized):
    """The genes of largest variance over training cells: a control."""

    selector: Literal["top_variance"]


class EpochParams(Section):
    """Epochs with early stopping: `patience` epochs without a better held-back loss."""

    seed: Seed
    learning_rate: Rate
    max_epochs: Positive
    patience: Positive


class TrainingParams(EpochParams):
    """How a network is trained: epochs of mini-batches."""

    batch_size: Positive


class PaperPanel(TrainingParams):
    """The study's selection: penalty inside the loss, extremes of the first-layer weights."""

    selector: Literal["paper_f910"]
    width: Positive
    depth: Positive
    dropout: Dropout
    penalty: Annotated[float, Field(ge=0)]
    n_extremes: Positive | None


class GroupLassoPanel(Sized):
    """Ours: proximal group lasso along a path in lambda, lambda_max path_ratio^k for k = 0, 1, ..."""

    selector: Literal["group_lasso"]
    seed: Seed
    width: Positive
    standardise: bool
    path_ratio: Annotated[float, Field(gt=0, lt=1)]
    max_steps: Positive
    tolerance: Annotated[float, Field(gt=0)]


Panel = Annotated[
    L1000Panel | RandomPanel | TopVariancePanel | PaperPanel | GroupLassoPanel, Field(discriminator="selector")
]


class LogScale(Section):
    """Base of predictors that work on the processed values."""

    @property
    def unit(self) -> Unit:
        """Scale of inputs and outputs."""
        return "log"


class ZeroPredictor(LogScale):
    """Predicts zero: a control."""

    method: Literal["zero"]


class MeanPredictor(LogScale):
    """Predicts each gene's mean over training cells: a control."""

    method: Literal["mean"]


class RidgePredictor(LogScale):
    """Ridge regression in closed form; lambda chosen on the held-back cells."""

    method: Literal["ridge"]


class ReducedRankPredictor(LogScale):
    """Ridge whose fitted values are cut to a low rank; rank and lambda chosen on the held-back cells."""

    method: Literal["reduced_rank"]
    max_rank: Positive


class PaperLinearPredictor(EpochParams):
    """The study's linear baseline: plain stochastic gradient, one cell at a time."""

    method: Literal["paper_linear"]
    scale: Unit

    @property
    def unit(self) -> Unit:
        """Scale of inputs and outputs."""
        return self.scale


class PaperNetworkPredictor(TrainingParams, LogScale):
    """The study's network: Linear, Dropout, ReLU blocks, then Linear, by Adam."""

    method: Literal["paper_network"]
    width: Positive
    depth: Positive
    dropout: Dropout
    loss: Literal["mse", "weighted_mse"]


class NetworkPredictor(TrainingParams, LogScale):
    """Our network: standardised input, residual blocks, low-rank head, output that starts at the mean."""

    method: Literal["network"]
    width: Positive
    depth: Annotated[int, Field(ge=0)]
    dropout: Dropout
    weight_decay: Annotated[float, Field(ge=0)]
    loss: Literal["mse", "weighted_mse"]


Predictor = Annotated[
    ZeroPredictor
    | MeanPredictor
    | RidgePredictor
    | ReducedRankPredictor
    | PaperLinearPredictor
    | PaperNetworkPredictor
    | NetworkPredictor,
    Field(discriminator="method"),
]


class FitParams(Section):
    """One fit: the genes of a panel in, all other genes out, by a predictor."""

    panel: Name
    predictor: Name


class CompareParams(Section):
    """Bootstrap over test cells, and the fit that all others are compared with."""

    seed: Seed
    n_bootstrap: Annotated[int, Field(ge=20)]
    confidence: Fraction
    reference: Name


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
    runtime: RuntimeParams
    tracking: TrackingParams

    @model_validator(mode="after")
    def _names_exist(self) -> Params:
        for name, fit in self.fits.items():
            _known(f"fits.{name}.panel", fit.panel, self.panels)
            _known(f"fits.{name}.predictor", fit.predictor, self.predictors)
        _known("compare.reference", self.compare.reference, self.fits)
        return self


def _known(key: str, name: str, names: Mapping[str, object]) -> None:
    if name not in names:
        raise ValueError(f"{key}: expected one of {', '.join(names)}; got {name}")


def load_params(path: Path = paths.PARAMS) -> Params:
    """Read and check params.yaml.

    Raises
    ------
    ParamsError
        If the file is missing, is not YAML, has unknown keys or impossible values; every fault is listed.
    """
    return parse_params(read_yaml(path), path)


class _UniqueKeys(yaml.SafeLoader):
    """YAML as DVC reads it: a key given twice is a fault, not an override."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises
    ------
    ParamsError
        If the file is missing, is not YAML or gives a key twice.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise ParamsError(f"a readable file {path}", str(error), "Run from the root of the repository.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"YAML in {path}", str(error), "Mend the line it names.") from error


def parse_params(values: Any, path: Path = paths.PARAMS) -> Params:
    """Check settings that were read from `path`, see `load_params`."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError(f"valid settings in {path}", describe(error), "Mend the keys named above.") from error


def _without_tag(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Leave out the kind of panel or predictor that pydantic adds behind the name."""
    tagged = place[:1] in {("panels",), ("predictors",)} and len(place) > 3
    return place[:2] + place[3:] if tagged else place


def describe(error: ValidationError) -> str:
    """List the faults of a validation, a line each, in the terms of the file."""
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in _without_tag(fault["loc"]))
        message = fault["msg"].removeprefix("Value error, ")
        got = "" if isinstance(fault["input"], dict | BaseModel) else f" (got {fault['input']!r})"
        lines.append(f"{key}: {message}{got}" if key else message)
    return "\n  " + "\n  ".join(lines) + "\n"
