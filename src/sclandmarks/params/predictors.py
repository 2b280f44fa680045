"""Sections of the predictors, one class each, and of the fits."""

from __future__ import annotations

from operator import not_
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from sclandmarks.params.base import Count, Dropout, Name, Number, Positive, Rate, Section, Seed, Unit
from sclandmarks.params.panels import EpochParams, TrainingParams


class LogScale(Section):
    """Base of predictors that work on the processed values."""

    @property
    def unit(self) -> Unit:
        """Scale of inputs and outputs."""
        return "log"


class PanelTotal(Section):
    """Base of predictors that take the panel's values.

    Parameters
    ----------
    panel_total : bool
        The panel is normalised by its own total, as an assay of the panel alone is; otherwise by all reads of a cell.
    """

    panel_total: Annotated[bool, Field(strict=True, exclude_if=not_)] = False


class LogPanel(PanelTotal, LogScale):
    """Base of predictors that take the panel's processed values."""


class ZeroPredictor(LogScale):
    """Predicts zero: a control."""

    method: Literal["zero"]


class MeanPredictor(LogScale):
    """Predicts each gene's mean over training cells: a control."""

    method: Literal["mean"]


class OlsPredictor(LogPanel):
    """Ordinary least squares, the inference of L1000: of smallest norm where landmarks depend on each other."""

    method: Literal["ols"]


class RidgePredictor(LogPanel):
    """Ridge regression in closed form; one lambda chosen on the held-back cells, or one a gene by leave-one-out."""

    method: Literal["ridge"]
    penalty: Literal["shared", "per_gene"] = "shared"


class ReducedRankPredictor(LogPanel):
    """Ridge whose fitted values are cut to a low rank; rank and lambda chosen on the held-back cells."""

    method: Literal["reduced_rank"]
    max_rank: Positive


class KnnPredictor(LogPanel):
    """Mean of the nearest training cells; how many is chosen on the held-back cells."""

    method: Literal["knn"]
    seed: Seed
    max_cells: Positive


class KernelParams(LogPanel):
    """A Gaussian-kernel regression: cells kept, largest rank, bandwidth, axes, and folds of the slopes (0: none).

    With `positive`, predictions are bent above zero, as values are. With `adaptive`, a second fit weighs landmarks and
    axes by how much the first one's predictions depend on them.
    """

    seed: Seed
    max_cells: Positive
    max_rank: Positive
    bandwidth: Annotated[Number, Field(gt=0)]
    axes: Positive
    folds: Count
    positive: Annotated[bool, Field(strict=True, exclude_if=not_)] = False
    adaptive: Annotated[bool, Field(strict=True, exclude_if=not_)] = False

    @field_validator("folds")
    @classmethod
    def _check_folds(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("expected 0 (no slopes), or 2 folds or more: one leaves no cells to fit to")
        return folds


class KernelPredictor(KernelParams):
    """Gaussian-kernel ridge regression cut to a low rank; rank and lambda chosen on the held-back cells."""

    method: Literal["kernel"]


class PaperLinearPredictor(EpochParams, PanelTotal):
    """The study's linear baseline: plain stochastic gradient, one cell at a time."""

    method: Literal["paper_linear"]
    scale: Unit

    @property
    def unit(self) -> Unit:
        """Scale of inputs and outputs."""
        return self.scale

    @model_validator(mode="after")
    def _has_rates(self) -> PaperLinearPredictor:
        if self.panel_total and self.scale == "counts":
            raise ValueError(
                "panel_total: expected false with scale: counts, whose values are normalised by no total; got true "
                "(choose scale: log)"
            )
        return self


class PaperNetworkPredictor(TrainingParams, LogPanel):
    """The study's network: Linear, Dropout, ReLU blocks, then Linear, by Adam."""

    method: Literal["paper_network"]
    width: Positive
    depth: Positive
    dropout: Dropout
    loss: Literal["mse", "weighted_mse"]


class DGexPredictor(TrainingParams, LogPanel):
    """D-GEX: tanh layers on standardised genes, by stochastic gradient with momentum, see `predict.d_gex`.

    Published are widths 3000, 6000 and 9000, depths 1, 2 and 3, and dropout of 0, 0.1 and 0.25; the defaults are the
    smallest network, a choice for cost, and the middle dropout. The learning rate is 3e-4 at depths 2 and 3.
    `patience` is ours: 200 trains all 200 epochs, as published, and the best one is kept either way.
    """

    method: Literal["d_gex"]
    width: Positive = 3000
    depth: Positive = 1
    dropout: Dropout = 0.1
    learning_rate: Rate = 5e-4
    batch_size: Positive = 200
    max_epochs: Positive = 200
    patience: Positive = 10


class NetworkPredictor(TrainingParams, KernelParams):
    """Ours: a low-rank linear path and members that add what bends, see `predict.network`."""

    method: Literal["network"]
    members: Positive
    width: Positive
    depth: Count
    input_dropout: Dropout
    dropout: Dropout
    weight_decay: Annotated[Number, Field(ge=0)]
    loss: Literal["mse", "weighted_mse", "poisson", "negative_binomial"]

    @property
    def on_counts(self) -> bool:
        """Whether the loss is a likelihood of counts."""
        return self.loss in ("poisson", "negative_binomial")

    @property
    def bends(self) -> bool:
        """Whether predictions are bent above zero: with a loss on counts always."""
        return self.positive or self.on_counts


Predictor = Annotated[
    ZeroPredictor
    | MeanPredictor
    | OlsPredictor
    | RidgePredictor
    | ReducedRankPredictor
    | KnnPredictor
    | KernelPredictor
    | PaperLinearPredictor
    | PaperNetworkPredictor
    | DGexPredictor
    | NetworkPredictor,
    Field(discriminator="method"),
]


class FitParams(Section):
    """One fit: the genes of a panel in, all other genes out, by a predictor."""

    panel: Name
    predictor: Name
