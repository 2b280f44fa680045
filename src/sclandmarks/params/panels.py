"""Sections of the selectors, one class each."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sclandmarks.params.base import Count, Dropout, Fraction, Number, Positive, Rate, Section, Seed

Token = Annotated[str, Field(min_length=1)]
NotNegative = Annotated[Number, Field(ge=0)]
Ridge = Annotated[Number, Field(ge=1e-6)]  # below, choosing a gene and giving it back loses all digits


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
    penalty: Annotated[Number, Field(ge=0)]
    n_extremes: Positive | None


class LassoPath(Sized):
    """A path in lambda, lambda_max path_ratio^k for k = 0, 1, ..., until enough genes are in.

    Parameters
    ----------
    width : int
        Outputs of the first layer: the weights of a gene, one group.
    standardise : bool
        Genes are scaled to unit variance.
    path_ratio : float
    lambda_ratio : float, optional
        The path ends at this part of lambda_max, however many genes are in.
    adaptive : bool
        A second path, over the genes of a first one that goes on to twice as many, each scaled by its norm there.
    refit : bool
        Fit the chosen genes again without penalty and report held-back errors before and after.
    """

    width: Positive
    standardise: bool
    path_ratio: Fraction
    lambda_ratio: Fraction | None = None
    adaptive: bool = False
    refit: bool = False


class GroupLassoPanel(LassoPath):
    """Ours: the group lasso of a linear network by exact proximal steps, each place with its duality gap.

    Parameters
    ----------
    groups : tuple of str
        Tokens, each of a group of genes that enters whole, see `select.gene_groups`.
    """

    selector: Literal["group_lasso"]
    seed: Seed
    max_steps: Positive
    tolerance: Annotated[Number, Field(gt=0)]
    groups: tuple[Token, ...] = ()


class GroupLassoNetworkPanel(LassoPath, TrainingParams):
    """The group lasso of a network: a proximal step after each optimiser step.

    Parameters
    ----------
    depth : int
        Residual blocks behind the first layer; 0 is the linear network of `group_lasso`.
    dropout : float
        Inside the blocks.
    loss : {"mse", "weighted_mse"}
    max_epochs, patience : int
        At each place of the path: at most so many passes over the cells, half of them epochs of mini-batches at two
        learning rates, which end after `patience` epochs without a lower objective, half of them steps over all cells.
    """

    selector: Literal["group_lasso_network"]
    depth: Count
    dropout: Dropout
    loss: Literal["mse", "weighted_mse"]


class Wishes(Sized):
    """What a panel must hold, may hold and is to explain. Genes are named by tokens, see `select.constraints`.

    Parameters
    ----------
    keep, avoid : tuple of str
        Tokens of genes that must be in, and that must not.
    min_mean, max_mean : float, optional
        Bounds on the mean processed value of a gene over training cells; kept genes need not heed them.
    gene_weights : dict of str to float
        Token -> how much its genes count as targets; 1 for all others. 0 takes a gene out of the targets.
    cell_type_weights : {"equal"} or dict of str to float, optional
        Every cell type counts the same in all, or the cells of a type count so many times.
    """

    keep: tuple[Token, ...] = ()
    avoid: tuple[Token, ...] = ()
    min_mean: Annotated[Number, Field(ge=0)] | None = None
    max_mean: Annotated[Number, Field(gt=0)] | None = None
    gene_weights: dict[Token, NotNegative] = Field(default_factory=dict)
    cell_type_weights: Literal["equal"] | dict[str, NotNegative] | None = None

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        if self.min_mean is not None and self.max_mean is not None and self.min_mean > self.max_mean:
            raise ValueError(f"min_mean = {self.min_mean:g} is above max_mean = {self.max_mean:g}")
        return self


class GreedySearch(Wishes):
    """How genes are added and exchanged.

    Parameters
    ----------
    ridge : float
        lambda as a part of the mean variance of the genes, at least 1e-6.
    sweeps : int
        At most so often every gene is tried against all others in its place, once the panel is full; 0 leaves it as
        it was chosen.
    max_swaps : int, optional
        At most so many exchanges, the most rewarding first; asks for `sweeps`.
    factor_share : float
        Part of a factor model in the choice, see `select.factors`: 0 is plain greedy selection, without exchanges
        1 the model alone. It has no part in exchanges, and is refused with `denoised`.
    n_factors : int
        Factors of that model.
    denoised : bool
        Explain the reproducible part of the variance only, see `select.denoised`.
    n_axes : int
        Axes of reproducible variance that count as targets where denoised.
    seed : int
        Of the halves of the counts that tell what is reproducible.
    """

    ridge: Ridge
    sweeps: Count = 0
    max_swaps: Positive | None = None
    factor_share: Annotated[Number, Field(ge=0, le=1)] = 0.0
    n_factors: Positive = 20
    denoised: bool = False
    n_axes: Positive = 20
    seed: Seed = 0

    @model_validator(mode="after")
    def _all_have_a_part(self) -> Self:
        if self.denoised and self.factor_share:
            raise ValueError(f"factor_share = {self.factor_share:g} has no part in what is denoised: leave one out")
        if self.max_swaps is not None and not self.sweeps:
            raise ValueError(f"max_swaps = {self.max_swaps} bounds no exchange where sweeps = 0: raise sweeps")
        return self


class GreedyPanel(GreedySearch):
    """Greedy column subset selection."""

    selector: Literal["greedy"]


class GuidedPanel(GreedySearch):
    """Greedy selection that starts from a list: `l1000`, tokens of genes, or another panel's settings."""

    selector: Literal["guided"]
    start: Literal["l1000"] | tuple[Token, ...] | Panel


class KMeansPanel(Sized):
    """L1000's own way: clusters of genes, the gene nearest to each centre, what these explain removed, and again.

    Parameters
    ----------
    n_components : int
        Principal axes of the cells in which genes are clustered.
    rounds : int
        Rounds in which the panel is filled, in equal parts.
    ridge : float
        Of the removal, as a part of the mean variance of the genes.
    """

    selector: Literal["l1000_kmeans"]
    seed: Seed
    n_components: Positive
    rounds: Positive
    ridge: Ridge


class HvgPanel(Sized):
    """Highly variable genes, beyond what their mean says, as scanpy computes them."""

    selector: Literal["hvg"]
    flavour: Literal["seurat", "pearson"]
    n_bins: Positive = 20
    theta: Annotated[Number, Field(gt=0)] = 100.0


class LoadingsPanel(Sized):
    """The genes of largest loadings on the leading principal axes; `variance` counts each axis by its variance."""

    selector: Literal["pca_loadings"]
    n_components: Positive
    weight: Literal["leverage", "variance"]


class EnsemblePanel(Sized):
    """Stability selection: how often a gene is chosen by `base` from resampled training cells."""

    selector: Literal["ensemble"]
    seed: Seed
    n_resamples: Positive
    fraction: Fraction
    base: Panel


Panel = Annotated[
    L1000Panel
    | RandomPanel
    | TopVariancePanel
    | PaperPanel
    | GroupLassoPanel
    | GroupLassoNetworkPanel
    | GreedyPanel
    | GuidedPanel
    | KMeansPanel
    | HvgPanel
    | LoadingsPanel
    | EnsemblePanel,
    Field(discriminator="selector"),
]
GuidedPanel.model_rebuild()
EnsemblePanel.model_rebuild()
