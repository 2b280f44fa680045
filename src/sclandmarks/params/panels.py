"""Sections of the selectors, one class each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sclandmarks.params.base import Dropout, Positive, Rate, Section, Seed


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


class GreedyPanel(Sized):
    """Column subset selection; lambda is `ridge` times the mean variance of the genes."""

    selector: Literal["greedy"]
    ridge: Annotated[float, Field(gt=0)]


Panel = Annotated[
    L1000Panel | RandomPanel | TopVariancePanel | PaperPanel | GroupLassoPanel | GreedyPanel,
    Field(discriminator="selector"),
]
