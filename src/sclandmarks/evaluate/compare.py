"""Tables of the comparison: every figure with its interval, paired differences, cell types, overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from sclandmarks import schema
from sclandmarks.evaluate.bootstrap import Interval, interval
from sclandmarks.evaluate.errors import Errors, ErrorSums, gather_errors, r_squared
from sclandmarks.genes import measured_landmarks
from sclandmarks.learn.task import dense_pairs
from sclandmarks.matrix import Batches, gene_positions
from sclandmarks.moments import gene_means
from sclandmarks.params import CompareParams, FitParams

FloatArray = NDArray[np.float64]


class Fit(NamedTuple):
    """What a row of the comparison is called."""

    fit: str
    panel: str
    predictor: str
    scale: str
    n_landmarks: int


class Evaluation:
    """Errors of every fit on the same test cells and the same resamples of them.

    Parameters
    ----------
    genes : polars.DataFrame
        Genes of the matrix.
    common : list of str
        Ids of the common targets.
    weights_NC : numpy.ndarray, shape (n_bootstrap, n_cells)
        See `bootstrap.resample_weights`.
    device : torch.device
    """

    def __init__(
        self, genes: pl.DataFrame, common: Sequence[str], weights_NC: FloatArray, device: torch.device
    ) -> None:
        self.genes, self.common, self.weights_NC, self.device = genes, set(common), weights_NC, device
        self.fits: dict[str, Fit] = {}
        self.errors: dict[str, dict[str, Errors]] = {}
        self.targets: dict[str, pl.DataFrame] = {}
        self._means: dict[str, Tensor] = {}

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
        """Predict the test cells by one fit, and keep its errors on its own and on the common targets.

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
        """
        inputs = torch.from_numpy(gene_positions(self.genes, landmarks))
        outputs = torch.from_numpy(gene_positions(self.genes, targets))
        if scale not in self._means:
            self._means[scale] = gene_means(train.in_order())
        shared = np.flatnonzero([gene in self.common for gene in targets])
        sums = ErrorSums(
            self._means[scale][outputs], {"own": np.arange(len(targets)), "common": shared}, self.weights_NC
        )
        pairs = dense_pairs(test.in_order(), inputs, outputs, self.device)
        self.errors[name] = gather_errors(module, pairs, sums, self.device)
        self.fits[name] = Fit(name, fit.panel, fit.predictor, scale, len(landmarks))
        self.targets[name] = self.genes[outputs.numpy()]


def figures(errors: Errors, weights_NC: FloatArray, confidence: float) -> dict[str, Interval]:
    """MSE, weighted MSE, explained fraction and median R^2, each with its bootstrap interval.

    explained = 1 - SSE / SSE of the training mean, pooled over genes and cells. Median R^2 is over the genes that
    vary among the test cells; n_constant says how many do not.
    """
    if errors.n_targets == 0:
        return {}
    n_values = errors.n_targets * len(errors.sse_C)
    found = {}
    for name, per_cell in (("mse", errors.sse_C), ("weighted_mse", errors.weighted_C)):
        found[name] = interval(per_cell.sum() / n_values, weights_NC @ per_cell / n_values, confidence)
    found["explained"] = interval(
        _explained(errors.sse_C.sum(), errors.baseline_C.sum()),
        _explained(weights_NC @ errors.sse_C, weights_NC @ errors.baseline_C),
        confidence,
    )
    r2_T = r_squared(errors.mse_T, errors.variance_T)
    median = float(np.nanmedian(r2_T)) if np.isfinite(r2_T).any() else float("nan")
    found["r2_median"] = interval(median, _centred(errors.r2_N, median), confidence)
    found["n_constant"] = Interval(float(np.isnan(r2_T).sum()), float("nan"), float("nan"))
    return found


def _centred(resampled_N: FloatArray, value: float) -> FloatArray:
    """Shift resampled medians to the value: a median over genes of noisy ratios is biased under resampling."""
    finite = resampled_N[np.isfinite(resampled_N)]
    return resampled_N - np.median(finite) + value if len(finite) else resampled_N


def _explained(sse: Any, baseline: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - sse / baseline


def comparison_rows(fit: Fit, errors: Mapping[str, Errors], weights_NC: FloatArray, confidence: float) -> pl.DataFrame:
    """Rows of `schema.COMPARISON` of one fit."""
    rows = [
        {**fit._asdict(), "target_set": target_set, "n_targets": found.n_targets, "metric": metric, **value._asdict()}
        for target_set, found in errors.items()
        for metric, value in figures(found, weights_NC, confidence).items()
    ]
    frame = pl.DataFrame(rows) if rows else schema.COMPARISON.empty()
    return frame.with_columns(pl.col("value", "low", "high").fill_nan(None)).select(
        [pl.col(name).cast(dtype) for name, dtype in schema.COMPARISON.dtypes.items()]
    )


def difference_rows(
    name: str, errors: Errors, reference: str, base: Errors, weights_NC: FloatArray, confidence: float
) -> pl.DataFrame:
    """Rows of `schema.DIFFERENCES`: fit minus reference on the same targets and resamples."""
    n_values = max(errors.n_targets * len(errors.sse_C), 1)
    gap_C = errors.sse_C - base.sse_C
    mse = interval(gap_C.sum() / n_values, weights_NC @ gap_C / n_values, confidence)
    total, totals = errors.baseline_C.sum(), weights_NC @ errors.baseline_C
    explained = interval(-gap_C.sum() / total, -(weights_NC @ gap_C) / totals, confidence)
    rows = [
        {"fit": name, "reference": reference, "metric": metric, **value._asdict(), "verdict": verdict(value, sign)}
        for metric, value, sign in (("mse", mse, -1), ("explained", explained, 1))
    ]
    return pl.DataFrame(rows, schema=schema.DIFFERENCES.dtypes)


def verdict(difference: Interval, sign: int) -> str:
    """Say what an interval of a difference shows; `sign` is 1 where larger is better, -1 where smaller is."""
    if not (difference.low > 0 or difference.high < 0):  # NaN shows nothing
        return "no difference shown"
    return "better" if difference.value * sign > 0 else "worse"


def per_type_rows(name: str, errors: Errors, cells: pl.DataFrame) -> pl.DataFrame:
    """Rows of `schema.PER_TYPE`: MSE and explained fraction of every cell type, on the common targets."""
    table = cells.select("dataset", "cell_type").with_columns(
        pl.Series("sse", errors.sse_C), pl.Series("baseline", errors.baseline_C)
    )
    grouped = table.group_by("dataset", "cell_type", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n_cells"),
        (pl.col("sse").mean() / max(errors.n_targets, 1)).alias("mse"),
        (1 - pl.col("sse").sum() / pl.col("baseline").sum()).fill_nan(None).alias("explained"),
    )
    return grouped.select(pl.lit(name).alias("fit"), *grouped.columns).sort("dataset", "cell_type")


def per_gene_rows(name: str, errors: Errors, genes: pl.DataFrame) -> pl.DataFrame:
    """Rows of `schema.PER_GENE`; `genes` are the targets, in order."""
    r2_T = r_squared(errors.mse_T, errors.variance_T)
    return genes.select(pl.lit(name).alias("fit"), "gene_id", "symbol").with_columns(
        pl.Series("mse", errors.mse_T),
        pl.Series("variance", errors.variance_T),
        pl.Series("r2", r2_T).fill_nan(None),
    )


def overlap_row(name: str, panel: list[str], reference: list[str], n_genes: int) -> dict[str, Any]:
    """Row of `schema.OVERLAP`: how many genes a panel shares with the reference.

    The p value is hypergeometric: drawing `len(panel)` of `n_genes` genes at random would share at least as many.
    """
    shared, united = len(set(panel) & set(reference)), len(set(panel) | set(reference))
    return {
        "panel": name,
        "n_landmarks": len(panel),
        "n_reference": len(reference),
        "n_shared": shared,
        "jaccard": shared / united if united else 0.0,
        "p_value": float(stats.hypergeom.sf(shared - 1, n_genes, len(reference), len(panel))),
    }


def overlaps(panels: Mapping[str, list[str]], genes: pl.DataFrame) -> pl.DataFrame:
    """Overlap of every panel with the measured landmarks of L1000, `schema.OVERLAP`."""
    reference = measured_landmarks(genes)
    rows = [overlap_row(name, panel, reference, genes.height) for name, panel in panels.items()]
    return pl.DataFrame(rows, schema=schema.OVERLAP.dtypes)


def tabulate(evaluation: Evaluation, cells: pl.DataFrame, settings: CompareParams) -> dict[schema.Table, pl.DataFrame]:
    """Make all tables of the comparison.

    Parameters
    ----------
    evaluation : Evaluation
        With every fit added.
    cells : polars.DataFrame
        The test cells, in the order of the errors.
    settings : CompareParams
        Fits on the log scale are compared with `reference`, on the common targets.
    """
    errors, weights_NC, confidence = evaluation.errors, evaluation.weights_NC, settings.confidence
    log = [name for name, fit in evaluation.fits.items() if fit.scale == "log"]
    others = [name for name in log if name != settings.reference and settings.reference in log]
    base = errors[settings.reference]["common"]
    return {
        schema.COMPARISON: pl.concat(
            [comparison_rows(fit, errors[name], weights_NC, confidence) for name, fit in evaluation.fits.items()]
        ),
        schema.DIFFERENCES: _stack(
            schema.DIFFERENCES,
            [
                difference_rows(name, errors[name]["common"], settings.reference, base, weights_NC, confidence)
                for name in others
            ],
        ),
        schema.PER_TYPE: _stack(schema.PER_TYPE, [per_type_rows(name, errors[name]["common"], cells) for name in log]),
        schema.PER_GENE: _stack(
            schema.PER_GENE, [per_gene_rows(name, errors[name]["own"], evaluation.targets[name]) for name in log]
        ),
    }


def _stack(table: schema.Table, parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([table.empty(), *parts])


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
