"""Tables of the comparison: honest sets, paired differences, parts that add up."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse, stats

from sclandmarks import schema
from sclandmarks.errors import PanelError
from sclandmarks.evaluate.bootstrap import Interval, resample_weights
from sclandmarks.evaluate.compare import (
    Evaluation,
    comparison_rows,
    difference_rows,
    figures,
    nested_metrics,
    overlap_row,
    overlaps,
    per_gene_rows,
    per_type_rows,
    tabulate,
    verdict,
)
from sclandmarks.genes import l1000_landmarks
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.moments import gene_means
from sclandmarks.params import CompareParams, FitParams, MeanPredictor, RidgePredictor, ZeroPredictor
from sclandmarks.predict import PREDICTORS

N_TRAIN, N_TEST = 300, 100
WEIGHTS_NC = resample_weights(N_TEST, 60, seed=0)
SETTINGS = CompareParams(seed=0, n_bootstrap=60, confidence=0.9, reference="ridge")
PANELS = {"zero": [0, 1], "mean": [0, 1], "ridge": [2, 45, 47, 52, 62, 69, 70], "ridge_small": [45]}
COMMON = sorted(set(range(80)) - {gene for panel in PANELS.values() for gene in panel})
PREDICTOR = {
    "zero": ZeroPredictor(method="zero"),
    "mean": MeanPredictor(method="mean"),
    "ridge": RidgePredictor(method="ridge"),
}


@pytest.fixture(scope="module")
def evaluation(planted) -> Evaluation:
    """Four fits on the log scale and one on counts; gene g10 is constant among the test cells."""
    test_CG = planted.values[N_TRAIN:].toarray()
    test_CG[:, 10] = 1.7
    train, test = MemoryBatches(planted.values[:N_TRAIN], 64), MemoryBatches(sparse.csr_matrix(test_CG), 32)
    genes = planted.counts.genes
    common = [f"g{gene}" for gene in COMMON]
    made = Evaluation(genes, common, WEIGHTS_NC, torch.device("cpu"))
    for name, panel in PANELS.items():
        add(made, name, name.split("_")[0], panel, train, test)
    add(made, "counts", "mean", [0, 1], train, test, scale="counts")
    return made


def add(
    evaluation: Evaluation,
    name: str,
    predictor: str,
    panel: list[int],
    train: MemoryBatches,
    test: MemoryBatches,
    scale: str = "log",
) -> None:
    """Fit and add."""
    inputs, outputs = split_genes(80, panel)
    fitted = PREDICTORS[predictor](Task(train, train, inputs, outputs), PREDICTOR[predictor], Hooks())
    landmarks, targets = [f"g{gene}" for gene in panel], [f"g{gene}" for gene in outputs.tolist()]
    fit = FitParams(panel="panel", predictor=predictor)
    evaluation.add(name, fit, scale, fitted.module, landmarks, targets, train, test)


@pytest.fixture(scope="module")
def tables(evaluation: Evaluation, planted) -> dict[schema.Table, pl.DataFrame]:
    """All tables, each checked against its schema."""
    tables = tabulate(evaluation, planted.counts.cells[N_TRAIN:], SETTINGS)
    return {table: schema.check(frame, table) for table, frame in tables.items()}


def value(tables: dict[schema.Table, pl.DataFrame], fit: str, target_set: str, metric: str) -> float:
    """One figure of the comparison."""
    return tables[schema.COMPARISON].row(
        by_predicate=(pl.col("fit") == fit) & (pl.col("target_set") == target_set) & (pl.col("metric") == metric),
        named=True,
    )["value"]


def test_own_and_common_targets(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """Own: all genes but the panel. Common: the same genes for every fit."""
    n_targets = tables[schema.COMPARISON].select("fit", "target_set", "n_landmarks", "n_targets").unique().sort("fit")
    want = {(name, "own", len(panel), 80 - len(panel)) for name, panel in [*PANELS.items(), ("counts", [0, 1])]}
    want |= {(name, "common", len(panel), len(COMMON)) for name, panel in [*PANELS.items(), ("counts", [0, 1])]}
    assert set(n_targets.rows()) == want


def test_controls_have_the_figures_they_must_have(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """The mean explains nothing by definition, zero is worse, the landmarks explain some of the noisy counts."""
    assert value(tables, "mean", "common", "explained") == pytest.approx(0, abs=1e-6)
    assert value(tables, "zero", "common", "explained") < 0
    assert value(tables, "ridge", "common", "explained") > 0.2
    assert value(tables, "ridge", "common", "mse") < value(tables, "ridge_small", "common", "mse")


def test_every_interval_holds_its_value(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """Low <= value <= high for means over cells, and a strict interval where cells differ."""
    means = tables[schema.COMPARISON].filter(pl.col("metric").is_in(["mse", "weighted_mse"]))
    assert means.select((pl.col("low") < pl.col("value")) & (pl.col("value") < pl.col("high"))).to_series().all()


def test_a_fit_differs_from_itself_by_exactly_nothing(evaluation: Evaluation) -> None:
    """The same resamples on both sides: no noise is left in a paired difference."""
    errors = evaluation.errors["ridge"]["common"]
    rows = difference_rows("ridge", errors, "ridge", errors, WEIGHTS_NC, 0.9)
    assert rows.select("value", "low", "high", "verdict").rows() == [(0, 0, 0, "no difference shown")] * 2


def test_differences_are_paired_and_signed(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """Fit minus reference, each log fit but the reference itself, none of the counts; the worse one is called so."""
    found = tables[schema.DIFFERENCES]
    assert found["fit"].unique(maintain_order=True).to_list() == ["zero", "mean", "ridge_small"]
    for fit, reference, metric, difference, low, high, said in found.iter_rows():
        gap = value(tables, fit, "common", metric) - value(tables, reference, "common", metric)
        assert difference == pytest.approx(gap, rel=1e-6)
        assert low <= difference <= high
        assert said == "worse"


def test_a_paired_interval_is_narrower_than_two_apart(evaluation: Evaluation) -> None:
    """What pairing is for: fits that fail on the same cells."""
    better, base = evaluation.errors["ridge_small"]["common"], evaluation.errors["mean"]["common"]
    paired = difference_rows("a", better, "b", base, WEIGHTS_NC, 0.9).row(0, named=True)
    apart = [figures(errors, WEIGHTS_NC, 0.9)["mse"] for errors in (better, base)]
    assert paired["high"] - paired["low"] < sum(interval.high - interval.low for interval in apart)


@pytest.mark.parametrize(
    ("low", "mid", "high", "smaller_is_better", "larger_is_better"),
    [
        (-3, -2, -1, "better", "worse"),
        (1, 2, 3, "worse", "better"),
        (-1, 1, 3, "no difference shown", "no difference shown"),
        (0, 1, 2, "no difference shown", "no difference shown"),
        (-2, -1, 0, "no difference shown", "no difference shown"),
    ],
)
def test_verdicts(low: float, mid: float, high: float, smaller_is_better: str, larger_is_better: str) -> None:
    """An interval that touches zero shows nothing; else the sign of what is better decides."""
    assert verdict(Interval(mid, low, high), -1) == smaller_is_better
    assert verdict(Interval(mid, low, high), 1) == larger_is_better


def test_constant_genes_are_left_out_of_r_squared(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """g10 has none, all others have; the median is over these."""
    own = tables[schema.PER_GENE].filter(pl.col("fit") == "ridge")
    assert own.filter(pl.col("r2").is_null())["gene_id"].to_list() == ["g10"]
    assert own.filter(pl.col("gene_id") == "g10")["variance"].item() == 0
    assert value(tables, "ridge", "own", "r2_median") == pytest.approx(own["r2"].median())


def test_genes_and_cell_types_add_up_to_the_whole(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """MSE over genes and over cells of all types is the MSE of the fit."""
    own = tables[schema.PER_GENE].filter(pl.col("fit") == "ridge_small")
    assert own["mse"].mean() == pytest.approx(value(tables, "ridge_small", "own", "mse"), rel=1e-5)
    types = tables[schema.PER_TYPE].filter(pl.col("fit") == "ridge_small")
    assert types["n_cells"].sum() == N_TEST
    assert types["cell_type"].to_list() == ["type0", "type1", "type2"]
    whole = (types["mse"] * types["n_cells"]).sum() / N_TEST
    assert whole == pytest.approx(value(tables, "ridge_small", "common", "mse"), rel=1e-6)


def test_a_cell_type_by_hand(evaluation: Evaluation, planted) -> None:
    """Only its own cells count, for errors and for the baseline."""
    errors, cells = evaluation.errors["ridge"]["common"], planted.counts.cells[N_TRAIN:]
    row = per_type_rows("ridge", errors, cells).row(by_predicate=pl.col("cell_type") == "type1", named=True)
    here = (cells["cell_type"] == "type1").to_numpy()
    assert row["mse"] == pytest.approx(errors.sse_C[here].mean() / errors.n_targets)
    assert row["explained"] == pytest.approx(1 - errors.sse_C[here].sum() / errors.baseline_C[here].sum())


def test_the_means_are_those_of_the_training_cells(evaluation: Evaluation, planted) -> None:
    """The baseline of every test cell, from the definition."""
    mean_T = planted.values[:N_TRAIN].toarray().astype(float).mean(axis=0)[COMMON]
    np.testing.assert_allclose(gene_means([planted.values[:N_TRAIN]])[COMMON], mean_T, rtol=1e-6)
    test_CT = planted.values[N_TRAIN:].toarray()
    test_CT[:, 10] = 1.7
    want_C = ((test_CT[:, COMMON] - mean_T) ** 2).sum(axis=1)
    np.testing.assert_allclose(evaluation.errors["ridge"]["common"].baseline_C, want_C, rtol=1e-4)


def test_a_fit_of_foreign_genes_is_refused(planted) -> None:
    """Genes are named by id; one that the matrix lacks is not guessed."""
    empty, cells = Evaluation(planted.counts.genes, [], WEIGHTS_NC, torch.device("cpu")), MemoryBatches(planted.values)
    fit = FitParams(panel="panel", predictor="mean")
    with pytest.raises(PanelError, match="first elsewhere"):
        empty.add("fit", fit, "log", torch.nn.Identity(), ["g0"], ["elsewhere"], cells, cells)


def test_no_targets_give_no_rows(evaluation: Evaluation) -> None:
    """A set without genes has no figure, rather than NaN."""
    errors = evaluation.errors["mean"]["own"]
    nothing = np.empty(0)
    empty = type(errors)(*[np.zeros(N_TEST)] * 3, nothing, nothing, np.full(60, np.nan))
    rows = comparison_rows(evaluation.fits["mean"], {"common": empty, "own": errors}, WEIGHTS_NC, 0.9)
    assert rows["target_set"].unique().to_list() == ["own"]
    assert per_gene_rows("mean", empty, evaluation.targets["mean"][:0]).is_empty()


def test_nested_metrics_hold_every_value(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """As `dvc metrics diff` reads them."""
    nested = nested_metrics(tables[schema.COMPARISON])
    assert nested["ridge"]["common"]["mse"] == value(tables, "ridge", "common", "mse")
    n_values = sum(len(metrics) for sets in nested.values() for metrics in sets.values())
    assert n_values == tables[schema.COMPARISON].height == 5 * 2 * 5


def test_overlap_by_brute_force() -> None:
    """Of all panels of 3 of 7 genes, so many share at least two with the reference of 4."""
    row = overlap_row("mine", ["a", "b", "x"], ["a", "b", "c", "d"], 7)
    panels = list(combinations("abcdxyz", 3))
    at_least_two = sum(len(set(panel) & set("abcd")) >= 2 for panel in panels) / len(panels)
    assert (row["n_shared"], row["jaccard"]) == (2, 2 / 5)
    assert row["p_value"] == pytest.approx(at_least_two)


def test_overlap_of_the_study() -> None:
    """33 of 910 shared with 754 measured landmarks of 8,960 genes, against a sum over the tail."""
    panel, reference = [f"g{i}" for i in range(910)], [f"g{i}" for i in range(877, 877 + 754)]
    row = overlap_row("f910", panel, reference, 8960)
    tail = stats.hypergeom(8960, 754, 910).pmf(np.arange(33, 755)).sum()
    assert row["n_shared"] == 33
    assert row["p_value"] == pytest.approx(tail)
    assert row["p_value"] > 0.99
    assert overlap_row("none", [], [], 10)["jaccard"] == 0


def test_overlaps_are_with_the_measured_landmarks(make_matrix) -> None:
    """Under their ids of this matrix."""
    symbols = l1000_landmarks()["current_symbol"].to_list()[:3]
    genes = make_matrix(2, 6).genes.with_columns(pl.Series("symbol", [*symbols, "a", "b", "c"]))
    rows = schema.check(overlaps({"all": ["g0", "g1", "g2"], "one": ["g2", "g3"]}, genes), schema.OVERLAP)
    assert rows["n_shared"].to_list() == [3, 1]
    assert rows["n_reference"].to_list() == [3, 3]
    assert rows["p_value"][0] == pytest.approx(1 / 20)
