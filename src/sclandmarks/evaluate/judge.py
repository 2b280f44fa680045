"""Judge one fit on the test cells: two passes, by cells and by genes, and what they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sclandmarks.evaluate.bootstrap import Resamples
from sclandmarks.evaluate.cellwise import CellErrors, CellPass, CellSums, centred_ranks, gather_cells
from sclandmarks.evaluate.figures import Figure, cell_figures, error_figures, gene_figures
from sclandmarks.evaluate.genewise import MOST_RESAMPLES, GenePass, GeneSums
from sclandmarks.evaluate.measured import Measured, pair_name
from sclandmarks.evaluate.noise import captured
from sclandmarks.evaluate.predictions import gene_blocks
from sclandmarks.evaluate.profiles import Profiles, ProfileSums, Types
from sclandmarks.evaluate.targets import ALL, COMMON, OWN, BoolArray, TargetSets
from sclandmarks.learn.task import dense_pairs
from sclandmarks.matrix import Cells

FloatArray = NDArray[np.float64]


class Fit(NamedTuple):
    """What a row of the comparison is called."""

    fit: str
    panel: str
    predictor: str
    scale: str
    n_landmarks: int


@dataclass(frozen=True)
class Judged:
    """One fit on the test cells: what is compared with other fits.

    Parameters
    ----------
    fit : Fit
    errors : dict of str to CellErrors
        Target set -> errors.
    pair_CS : numpy.ndarray, shape (n_cells, n_panels)
        Squared errors summed over the genes of neither panel.
    n_targets : dict of str to int
        Target set -> genes in it.
    figures : dict of (str, str) to Figure
        (target set, metric) -> figure.
    """

    fit: Fit
    errors: dict[str, CellErrors]
    pair_CS: FloatArray
    n_targets: dict[str, int]
    figures: dict[tuple[str, str], Figure]


class Detail(NamedTuple):
    """One fit gene by gene; large (six times resamples x targets), so to be tabulated and let go.

    Parameters
    ----------
    targets : polars.DataFrame
        Rows of the gene table, in the order of the outputs.
    outputs : numpy.ndarray of int64, shape (n_targets,)
        Columns of the targets.
    genes : GenePass
    profiles : Profiles or None
        On the scale of logs.
    scores_CK : numpy.ndarray, shape (n_cells, n_components)
        Imputed cells on the components of the measured ones.
    """

    targets: pl.DataFrame
    outputs: NDArray[np.int64]
    genes: GenePass
    profiles: Profiles | None
    scores_CK: FloatArray


class Judge:
    """Judges fits on the same test cells and resamples.

    Parameters
    ----------
    genes : polars.DataFrame
        Genes of the matrix.
    sets : TargetSets
    types : Types
        Cell types with a profile.
    resamples : Resamples
    n_markers : int
        Marker genes a cell type.
    device : torch.device
    """

    def __init__(
        self,
        genes: pl.DataFrame,
        sets: TargetSets,
        types: Types,
        resamples: Resamples,
        n_markers: int,
        device: torch.device,
    ) -> None:
        self.genes, self.sets, self.types, self.resamples = genes, sets, types, resamples
        self.n_markers, self.device = n_markers, device

    def judge(
        self, fit: Fit, module: nn.Module, inputs: Tensor, outputs: Tensor, measured: Measured, test: Cells
    ) -> tuple[Judged, Detail]:
        """Predict the test cells by one fit and judge it.

        Parameters
        ----------
        fit : Fit
        module : torch.nn.Module
        inputs, outputs : torch.Tensor of int64
            Columns of the inputs and of the targets. An input behind the genes is a feature of the cell, see
            `controls.WithFeatures`.
        measured : Measured
            The test cells on the scale of the fit.
        test : Cells
        """
        places = outputs.numpy()
        common_T = self.sets.common_G[places]
        cells = self._pass_cells(fit, module, inputs, outputs, measured, test)
        genes, profiles = self._pass_genes(fit, module, inputs, outputs, measured, test)
        masks = {OWN: np.ones_like(common_T), COMMON: common_T}
        figures = self._figures(fit, cells, genes, masks, measured)
        n_targets = {name: int(mask_T.sum()) for name, mask_T in masks.items()} | {ALL: self.genes.height}
        if profiles is not None and common_T.any():
            figures |= {(COMMON, name): figure for name, figure in profile_figures(profiles).items()}
        judged = Judged(fit, cells.errors, cells.pair_CS, n_targets, figures)
        return judged, Detail(self.genes[places], places, genes, profiles, cells.scores_CK)

    def _pass_cells(
        self, fit: Fit, module: nn.Module, inputs: Tensor, outputs: Tensor, measured: Measured, test: Cells
    ) -> CellPass:
        places = outputs.numpy()
        common_T = self.sets.common_G[places]
        pairs_TS = self.sets.membership(fit.panel, places)
        loadings = (measured.loadings(inputs), measured.loadings(outputs))
        sets = {OWN: np.ones_like(common_T), COMMON: common_T}
        keys = {name: places[mask_T].tobytes() for name, mask_T in sets.items()}

        def rank(name: str, start: int, y_BS: Tensor) -> Tensor:
            return measured.cell_ranks.get((keys[name], start, len(y_BS)), lambda: centred_ranks(y_BS))

        sums = CellSums(sets, pairs_TS, loadings, rank)
        pairs = dense_pairs(test.in_order(), inputs, outputs, self.device)
        return gather_cells(module, pairs, sums, self.device)

    def _pass_genes(
        self, fit: Fit, module: nn.Module, inputs: Tensor, outputs: Tensor, measured: Measured, test: Cells
    ) -> tuple[GenePass, Profiles | None]:
        weights_NC, mean_T = self.resamples.weights_NC[:MOST_RESAMPLES], measured.mean_G[outputs]
        places = outputs.numpy()
        genes = GeneSums(mean_T, weights_NC, lambda some, y_TC: measured.gene_ranks.get(places[some], y_TC))
        common_T = self.sets.common_G[places]
        profiles = ProfileSums(self.types, common_T, mean_T, weights_NC, self.n_markers) if fit.scale == "log" else None
        for block in gene_blocks(module, test, inputs, outputs, self.device):
            genes.add(block)
            if profiles:
                profiles.add(block)
        module.cpu()
        return genes.result(), profiles.result() if profiles else None

    def _figures(
        self, fit: Fit, cells: CellPass, genes: GenePass, masks: dict[str, BoolArray], measured: Measured
    ) -> dict[tuple[str, str], Figure]:
        names = {OWN: pair_name(fit.panel, fit.panel), COMMON: COMMON}
        weights_NC = self.resamples.weights_NC
        found: dict[tuple[str, str], Figure] = {}
        for target_set, mask_T in masks.items():
            errors, name = cells.errors[target_set], names[target_set]
            figures = error_figures(errors, measured.baseline(name), measured.floor(name), weights_NC)
            figures |= gene_figures(genes, mask_T) | cell_figures(errors, weights_NC)
            found |= {(target_set, metric): figure for metric, figure in figures.items()}
        whole = self._whole(cells, measured, names[OWN])
        return found | {(ALL, metric): figure for metric, figure in whole.items()}

    def _whole(self, cells: CellPass, measured: Measured, own: str) -> dict[str, Figure]:
        """Figures over all genes: a measured gene has error 0, and is captured whole, as if at its floor."""
        weights_NC = self.resamples.weights_NC
        errors = replace(cells.errors[OWN], n_targets=self.genes.height)
        found = error_figures(errors, measured.baseline(ALL), None, weights_NC)
        floor, of_own = measured.floor(ALL), measured.floor(own)
        if floor is not None and of_own is not None:
            base_C, size_N = measured.baseline(ALL), weights_NC.sum(axis=1)
            sse_N, base_N = (weights_NC @ part_C / size_N for part_C in (errors.sse_C, base_C))
            value = captured(errors.sse_C.mean() + floor.value - of_own.value, base_C.mean(), floor.value).value
            panel_N = floor.resampled_N - of_own.resampled_N
            found["captured"] = Figure(float(value), captured(sse_N + panel_N, base_N, floor.resampled_N).value)
        return found


def profile_figures(profiles: Profiles) -> dict[str, Figure]:
    """Means over cell types; the markers without resamples."""
    parts = {"profile_r": profiles.r_MK, "profile_change_r": profiles.change_MK, "profile_rmse": profiles.rmse_MK}
    if not profiles.r_MK.shape[1]:
        return {}
    found = {name: Figure(_mean(part[0]), np.array([_mean(row) for row in part[1:]])) for name, part in parts.items()}
    for name, value_K in (("markers_shared", profiles.shared_K), ("markers_jaccard", profiles.jaccard_K)):
        found[name] = Figure(_mean(value_K), np.empty(0))
    return found


def _mean(values: Sequence[float] | FloatArray) -> float:
    kept = np.asarray(values)[np.isfinite(values)]
    return float(kept.mean()) if len(kept) else float("nan")
