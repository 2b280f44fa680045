"""The test cells, the sets of genes on which predictions are judged, and the lines to judge them by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sclandmarks.errors import PanelError
from sclandmarks.evaluate.bootstrap import resample
from sclandmarks.evaluate.controls import fit_cell_type_mean
from sclandmarks.evaluate.noise import NoiseFloor, noise_floor
from sclandmarks.evaluate.studies.cohort import Cohort
from sclandmarks.evaluate.studies.prefix import LowRank, Side, fit_prefix, gather_grams
from sclandmarks.evaluate.studies.scores import BoolArray, FloatArray, Predict, Score, squared_errors
from sclandmarks.matrix import ExpressionMatrix, IntArray, MemoryBatches
from sclandmarks.moments import gene_means
from sclandmarks.params import NoiseParams, PrepareParams, StudiesParams

COMMON, TOTAL = "common", "total"


@dataclass(frozen=True)
class Judge:
    """Judges predictions of all genes of the test cells against the training mean of each gene.

    Parameters
    ----------
    test_CG : scipy.sparse.csr_matrix
        Normalised values of the test cells.
    mean_G : torch.Tensor, shape (n_genes,), float32
        Mean over all training cells, whatever part of them a prediction has learned from.
    sets : mapping of str to numpy.ndarray of bool, shape (n_genes,)
        Sets of genes. A gene that a panel measures counts as predicted without error.
    floor : NoiseFloor, optional
        Of the test cells, over the resamples that intervals are made from.
    """

    test_CG: sparse.csr_matrix
    mean_G: Tensor
    sets: Mapping[str, BoolArray]
    floor: NoiseFloor | None = None

    @cached_property
    def baseline(self) -> dict[str, FloatArray]:
        """Squared error of the training mean, of every cell on each set."""
        none = Side(self.test_CG[:, :0], self.test_CG)
        return squared_errors(lambda X_BL: self.mean_G.expand(len(X_BL), -1), none, self.sets)

    def score(self, predict: Predict, X_CL: sparse.csr_matrix, measured: IntArray) -> dict[str, Score]:
        """Judge a prediction from the inputs `X_CL` of the test cells, which measure the genes `measured`."""
        left = {name: mask & ~_mask(measured, len(mask)) for name, mask in self.sets.items()}
        errors = squared_errors(predict, Side(X_CL, self.test_CG), left)
        return {
            name: Score(errors[name], self.baseline[name], *self._floor(left[name]), int(mask.sum()))
            for name, mask in self.sets.items()
        }

    def _floor(self, mask_G: BoolArray) -> tuple[float, FloatArray | None]:
        """Floor of a cell summed over these genes, over all test cells and in every resample."""
        if self.floor is None:
            return float("nan"), None
        genes = np.flatnonzero(mask_G)
        return float(self.floor.floor_G[genes].sum()), len(genes) * self.floor.floor_N(genes)

    def score_prefix(self, fitted: LowRank, order: IntArray) -> dict[str, Score]:
        """Judge a fit of the first genes of an order."""
        measured = order[: len(fitted.mean_L)]
        return self.score(fitted.predict, self.test_CG[:, measured], measured)


def _mask(places: IntArray, n: int) -> BoolArray:
    mask = np.zeros(n, dtype=bool)
    mask[places] = True
    return mask


def floor_of(
    counts: ExpressionMatrix, settings: StudiesParams, prepare: PrepareParams, noise: NoiseParams
) -> NoiseFloor:
    """Noise floor of the test cells, over the resamples of `settings`.

    Parameters
    ----------
    counts : ExpressionMatrix
        Raw counts of the test cells, on the genes of the processed matrix.
    settings : StudiesParams
    prepare : PrepareParams
    noise : NoiseParams
    """
    weights_NC = resample(counts.cells, settings.n_bootstrap, settings.seed).weights_NC
    blocks = MemoryBatches(counts.X_CG).in_order()
    return noise_floor(blocks, prepare.scale, prepare.log_base, noise.n_repeats, noise.seed, weights_NC)


def open_judge(cohort: Cohort, panels: Iterable[IntArray], floor: NoiseFloor | None = None) -> Judge:
    """Judge on the genes that none of the panels measures (common), and on all genes (total).

    Raises
    ------
    PanelError
        If the panels together hold every gene.
    """
    n_genes = cohort.train.n_genes
    common = np.ones(n_genes, dtype=bool)
    for panel in panels:
        common[panel] = False
    if not common.any():
        raise PanelError(
            "genes that no panel of a study holds",
            f"none of {n_genes}",
            "Lower studies.curves.sizes.largest and the n_landmarks of the studies, or study fewer panels.",
        )
    sets = {COMMON: common, TOTAL: np.ones(n_genes, dtype=bool)}
    return Judge(cohort.test.X_CG, gene_means([cohort.train.X_CG]), sets, floor)


def fit_order(cohort: Cohort, order: IntArray, sizes: Iterable[int], max_rank: int) -> dict[int, LowRank]:
    """Fit every prefix of an order on the training cells; lambda and rank are the best on the validation cells."""
    train, held_back = (Side(matrix.X_CG[:, order], matrix.X_CG) for matrix in cohort[:2])
    grams, fits = gather_grams(train, held_back, order), dict[int, LowRank]()
    exponent: float | None = None
    for size in sorted(sizes):
        fits[size] = fit_prefix(grams, size, max_rank, exponent)
        exponent = fits[size].exponent
    return fits


def cell_types(cohort: Cohort, judge: Judge) -> dict[str, Score]:
    """Judge what knowing the cell type alone gives, see `controls.fit_cell_type_mean`. No gene is measured."""
    control = fit_cell_type_mean(MemoryBatches(cohort.train.X_CG), cohort.train.cells)
    features_CF = sparse.csr_matrix(control.encode(cohort.test.cells).astype(np.float32))
    W_FG = torch.from_numpy(control.W_FG.astype(np.float32))
    return judge.score(lambda X_BF: X_BF @ W_FG, features_CF, np.array([], dtype=np.int64))


def half_of_genes(judge: Judge, seed: int) -> IntArray:
    """Half of all genes, drawn from those that are no common targets; all of those where they are fewer."""
    others = np.flatnonzero(~judge.sets[COMMON])
    half = min(len(others), len(judge.sets[COMMON]) // 2)
    return np.random.default_rng(seed).permutation(others)[:half].astype(np.int64)
