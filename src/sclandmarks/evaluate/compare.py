"""Every fit on the same test cells: tables with intervals, and a verdict for every two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.evaluate import rows
from sclandmarks.evaluate.bootstrap import resample
from sclandmarks.evaluate.controls import CONTROLS, WithFeatures
from sclandmarks.evaluate.genewise import MOST_RESAMPLES
from sclandmarks.evaluate.judge import Detail, Fit, Judge, Judged
from sclandmarks.evaluate.measured import Floors, Measured, estimate_floors, measure, pair_name
from sclandmarks.evaluate.pairs import Contest, difference_rows
from sclandmarks.evaluate.profiles import known_types
from sclandmarks.evaluate.targets import COMMON, PAIR, target_sets
from sclandmarks.matrix import Batches, Cells, gene_positions
from sclandmarks.params import NO_PANEL, CompareParams, FitParams, NoiseParams, PrepareParams

FloatArray = NDArray[np.float64]
Panels = Mapping[str, Sequence[str]]


class Evaluation:
    """Every fit on the same test cells and the same resamples of them.

    Memory: resamples x cells, resamples x genes, one block of cells x genes, and `predictions.MEMORY`; of each fit
    what is kept are sums a cell and pair of panels, figures a resample, and rows a gene. Time grows as cells x genes x
    (landmarks + `MOST_RESAMPLES`), up to the logarithm of a sort.

    Parameters
    ----------
    genes : polars.DataFrame
        Genes of the matrix.
    cells : polars.DataFrame
        The test cells, in the order of their batches.
    panels : mapping of str to list of str
        Compared panel -> ids of its genes.
    common : sequence of str
        Ids of the common targets.
    settings : CompareParams
    device : torch.device

    Raises
    ------
    PanelError
        If a gene of a panel or a common target is not in the matrix.
    """

    def __init__(
        self,
        genes: pl.DataFrame,
        cells: pl.DataFrame,
        panels: Panels,
        common: Sequence[str],
        settings: CompareParams,
        device: torch.device,
    ) -> None:
        self.genes, self.cells, self.settings = genes, cells, settings
        self.resamples = resample(cells, settings.n_bootstrap, settings.seed)
        known = {**panels, NO_PANEL: []} if settings.controls else panels
        places = {name: gene_positions(genes, list(panel)) for name, panel in known.items()}
        self.sets = target_sets(genes.height, places, gene_positions(genes, list(common)).tolist())
        self.types = known_types(cells)
        self.judge = Judge(genes, self.sets, self.types, self.resamples, settings.n_markers, device)
        self.floors: Floors | None = None
        self.fits: dict[str, Judged] = {}
        self.parts: dict[schema.Table, list[pl.DataFrame]] = {}
        self._measured: dict[str, Measured] = {}
        self._clusters: rows.Clusters | None = None

    def estimate_floors(self, counts: Batches, prepare: PrepareParams, noise: NoiseParams) -> None:
        """Estimate the noise floors from the counts of the test cells, for captured; before any fit is added."""
        weights_NC = self.resamples.weights_NC
        self.floors = estimate_floors(counts, self.cells, self.sets.common_G, prepare, noise, weights_NC)

    def measured(self, scale: str, train: Batches, test: Batches) -> Measured:
        """Return what is known of the test cells on a scale; passes over the cells the first time."""
        if scale not in self._measured:
            floor = self.floors.whole if self.floors and scale == "log" else None
            self._measured[scale] = measure(self.sets, train, test, floor, scale == "log")
        return self._measured[scale]

    def add(
        self,
        name: str,
        fit: FitParams,
        scale: str,
        module: nn.Module,
        landmarks: Sequence[str],
        targets: Sequence[str],
        train: Batches,
        test: Batches,
    ) -> None:
        """Judge one fit on the test cells.

        Parameters
        ----------
        name : str
            Of the fit.
        fit : FitParams
        scale : {"log", "counts"}
        module : torch.nn.Module
        landmarks, targets : sequence of str
            Gene ids of its inputs and outputs.
        train, test : Batches
            Training cells, for the means alone; test cells.

        Raises
        ------
        PanelError
            If a gene of the fit is not in the matrix.
        DataError
            If a prediction is NaN or infinite.
        """
        inputs, outputs = (torch.from_numpy(gene_positions(self.genes, ids)) for ids in (landmarks, targets))
        about = Fit(name, fit.panel, fit.predictor, scale, len(landmarks))
        self._add(about, module, inputs, outputs, self.measured(scale, train, test), test)

    def add_controls(self, train_cells: pl.DataFrame, train: Batches, test: Batches) -> None:
        """Fit the controls of the settings to the training cells, and judge them as fits of an empty panel.

        Parameters
        ----------
        train_cells : polars.DataFrame
            Table of the training cells, in the order of their batches.
        train, test : Batches
            Values on the scale of logs.

        Raises
        ------
        DataError
            If a table does not match its cells, or a cell has no reads.
        """
        n_genes, measured = self.genes.height, self.measured("log", train, test)
        for name in self.settings.controls:
            control = CONTROLS[name](train, train_cells)
            features, outputs = control.encode(self.cells), torch.arange(n_genes)
            inputs = n_genes + torch.arange(features.shape[1])
            about = Fit(name, NO_PANEL, name, "log", 0)
            self._add(about, control.module(outputs), inputs, outputs, measured, WithFeatures(test, features))

    def _add(
        self, fit: Fit, module: nn.Module, inputs: Tensor, outputs: Tensor, measured: Measured, test: Cells
    ) -> None:
        try:
            judged, detail = self.judge.judge(fit, module, inputs, outputs, measured, test)
        except DataError as error:
            error.add_note(f"fit {fit.fit}")
            raise
        self.fits[fit.fit] = judged
        if fit.scale == "log":
            self._tabulate(judged, detail, measured)

    def _tabulate(self, judged: Judged, detail: Detail, measured: Measured) -> None:
        """Keep the rows of a fit on the scale of logs."""
        name, confidence = judged.fit.fit, self.settings.confidence
        errors, floor = judged.errors[COMMON], self._floor_of(detail.outputs)
        common_T = self.sets.common_G[detail.outputs]
        baseline_C = measured.baseline(COMMON)
        self._keep(schema.PER_TYPE, rows.per_type_rows(
            name, errors, baseline_C, self.cells, self.floors, self.resamples, confidence))  # fmt: skip
        self._keep(schema.GENEWISE, rows.genewise_rows(name, detail.targets, detail.genes, confidence))
        self._keep(schema.PER_CELL, rows.per_cell_rows(name, errors, self.cells))
        self._keep(schema.LEVELS, rows.level_rows(name, detail, measured, floor, common_T, confidence))
        if detail.profiles is not None and common_T.any():
            self._keep(
                schema.PROFILES, rows.profile_rows(name, detail.profiles, self.types, self.resamples, confidence)
            )
        self._keep(schema.CLUSTERS, self.clusters(measured).rows(name, detail.scores_CK))

    def clusters(self, measured: Measured) -> rows.Clusters:
        """Return the clusters of the measured cells; their own rows are kept the first time."""
        if self._clusters is None:
            scores_CK = measured.space.scores_CK if measured.space else np.zeros((self.cells.height, 0))
            some_NC = self.resamples.weights_NC[:MOST_RESAMPLES]
            self._clusters = rows.Clusters(scores_CK, self.cells, some_NC, self.settings.confidence)
            self._keep(schema.CLUSTERS, self._clusters.measured_rows())
        return self._clusters

    def _floor_of(self, places: NDArray[np.int64]) -> tuple[FloatArray, FloatArray] | None:
        """Noise floor of these genes: value, and in the resamples of single genes."""
        if self.floors is None:
            return None
        whole = self.floors.whole
        return whole.floor_G[places], whole.floor_NG[:MOST_RESAMPLES][:, places].astype(np.float64)

    def _keep(self, table: schema.Table, part: pl.DataFrame) -> None:
        self.parts.setdefault(table, []).append(part)

    def contests(self, target_set: str) -> list[Contest]:
        """Pairs of fits on the scale of logs: every two on their pair targets, or all with the reference on common."""
        log = {name: judged for name, judged in self.fits.items() if judged.fit.scale == "log"}
        if target_set == PAIR:
            return [self._contest(log[a], log[b], PAIR) for a, b in combinations(log, 2)]
        reference = log.get(self.settings.reference)
        others = [judged for judged in log.values() if judged is not reference]
        return [self._contest(judged, reference, COMMON) for judged in others] if reference else []

    def _contest(self, fit: Judged, reference: Judged, target_set: str) -> Contest:
        measured, panels = self._measured["log"], list(self.sets.panels)
        one, other = fit.fit.panel, reference.fit.panel
        name = COMMON if target_set == COMMON else pair_name(one, other)
        if target_set == COMMON:
            mask_G = self.sets.common_G
            sse_C, reference_C = (judged.errors[COMMON].sse_C for judged in (fit, reference))
        else:
            mask_G = self.sets.pair(one, other)
            sse_C = fit.pair_CS[:, panels.index(other)]
            reference_C = reference.pair_CS[:, panels.index(one)]
        return Contest(
            fit.fit.fit, reference.fit.fit, int(mask_G.sum()), sse_C, reference_C,
            measured.baseline(name), measured.floor(name),
        )  # fmt: skip


def tabulate(evaluation: Evaluation, groups: Mapping[str, Sequence[str]]) -> dict[schema.Table, pl.DataFrame]:
    """Make all tables of the comparison.

    Parameters
    ----------
    evaluation : Evaluation
        With every fit added.
    groups : mapping of str to list of str
        Fits that differ only in a seed, see `groups.seed_groups`.
    """
    settings, resamples, fits = evaluation.settings, evaluation.resamples, evaluation.fits
    confidence, unit = settings.confidence, resamples.unit
    parts = {table: list(part) for table, part in evaluation.parts.items()}
    parts[schema.COMPARISON] = [rows.comparison_rows(judged, unit, confidence) for judged in fits.values()]
    parts[schema.DIFFERENCES] = [
        difference_rows(evaluation.contests(target_set), target_set, resamples, confidence)
        for target_set in (COMMON, PAIR)
    ]
    parts[schema.SEEDS] = [
        rows.group_rows(name, [fits[one] for one in group], unit, confidence, settings.seed)
        for name, group in groups.items()
    ]
    return {table: pl.concat([table.empty(), *parts.get(table, [])]) for table in TABLES}


TABLES = (
    schema.COMPARISON, schema.DIFFERENCES, schema.SEEDS, schema.PER_TYPE, schema.GENEWISE, schema.PER_CELL,
    schema.LEVELS, schema.PROFILES, schema.CLUSTERS,
)  # fmt: skip


def final_metrics(comparison: pl.DataFrame, fit: str) -> dict[str, float | None]:
    """Figures of one fit as target set/metric -> value, for the record of runs."""
    mine = comparison.filter(pl.col("fit") == fit)
    return {f"{row['target_set']}/{row['metric']}": row["value"] for row in mine.iter_rows(named=True)}


def nested_metrics(comparison: pl.DataFrame) -> dict[str, dict[str, dict[str, float | None]]]:
    """Fit -> target set -> metric -> value: the form of metrics/comparison.json, for `dvc metrics diff`."""
    nested: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in comparison.iter_rows(named=True):
        place = nested.setdefault(row["fit"], {}).setdefault(row["target_set"], {})
        place[row["metric"]] = row["value"]
    return nested
