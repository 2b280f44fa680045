"""Tables of the comparison: honest sets, paired differences, parts that add up."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse, stats

from sclandmarks import schema
from sclandmarks.errors import DataError, PanelError
from sclandmarks.evaluate import rows
from sclandmarks.evaluate.bootstrap import Resamples, resample, resample_weights
from sclandmarks.evaluate.cellwise import CellErrors
from sclandmarks.evaluate.compare import Evaluation, final_metrics, nested_metrics, tabulate
from sclandmarks.evaluate.figures import Pooled
from sclandmarks.evaluate.genewise import GenePass
from sclandmarks.evaluate.groups import seed_groups
from sclandmarks.evaluate.kept import GeneRanks, Kept
from sclandmarks.evaluate.levels import bounds, level_edges, levels_of
from sclandmarks.evaluate.overlap import overlap_row, overlaps
from sclandmarks.evaluate.pairs import Contest, difference_rows, verdict
from sclandmarks.evaluate.profiles import Profiles, known_types
from sclandmarks.genes import l1000_landmarks
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import (
    CompareParams,
    FitParams,
    MeanPredictor,
    NoiseParams,
    PrepareParams,
    RandomPanel,
    RidgePredictor,
    ZeroPredictor,
)
from sclandmarks.predict import PREDICTORS

N_TRAIN, N_TEST = 300, 100
SETTINGS = CompareParams(seed=0, n_bootstrap=60, confidence=0.9, reference="ridge", n_markers=5)
PREPARE = PrepareParams(min_library_size=1, min_reads=1, min_cells=1, scale=1e4, log_base=10)
PANELS = {"two": [0, 1], "seven": [2, 45, 47, 52, 62, 69, 70], "one": [45]}
FITS = {"zero": "two", "mean": "two", "ridge": "seven", "ridge_small": "one"}
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
    panels = {name: [f"g{gene}" for gene in panel] for name, panel in PANELS.items()}
    common = [f"g{gene}" for gene in COMMON]
    cells = planted.counts.cells[N_TRAIN:].with_columns(donor=pl.lit("one"))
    made = Evaluation(planted.counts.genes, cells, panels, common, SETTINGS, torch.device("cpu"))
    counts = MemoryBatches(planted.counts.X_CG[N_TRAIN:], 32)
    made.estimate_floors(counts, PREPARE, NoiseParams(seed=0, n_repeats=2, n_bootstrap=20))
    for name, panel in FITS.items():
        add(made, name, name.split("_")[0], panel, train, test)
    add(made, "counts", "mean", "two", train, test, scale="counts")
    return made


def add(
    evaluation: Evaluation,
    name: str,
    predictor: str,
    panel: str,
    train: MemoryBatches,
    test: MemoryBatches,
    scale: str = "log",
) -> None:
    """Fit and add."""
    inputs, outputs = split_genes(80, PANELS[panel])
    fitted = PREDICTORS[predictor](Task(train, train, inputs, outputs), PREDICTOR[predictor], Hooks())
    landmarks, targets = [f"g{gene}" for gene in PANELS[panel]], [f"g{gene}" for gene in outputs.tolist()]
    fit = FitParams(panel=panel, predictor=predictor)
    evaluation.add(name, fit, scale, fitted.module, landmarks, targets, train, test)


@pytest.fixture(scope="module")
def tables(evaluation: Evaluation, planted) -> dict[schema.Table, pl.DataFrame]:
    """All tables, each checked against its schema."""
    tables = tabulate(evaluation, {"z*": ["zero", "mean"]})
    return {table: schema.check(frame, table) for table, frame in tables.items()}


def value(tables: dict[schema.Table, pl.DataFrame], fit: str, target_set: str, metric: str) -> float:
    """One figure of the comparison."""
    return tables[schema.COMPARISON].row(
        by_predicate=(pl.col("fit") == fit) & (pl.col("target_set") == target_set) & (pl.col("metric") == metric),
        named=True,
    )["value"]


def test_target_sets(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """Own: all genes but the panel. Common: the same genes for every fit. All: the whole matrix."""
    found = tables[schema.COMPARISON].select("fit", "target_set", "n_landmarks", "n_targets").unique()
    want = set()
    for name, panel in (FITS | {"counts": "two"}).items():
        n = len(PANELS[panel])
        want |= {(name, "own", n, 80 - n), (name, "common", n, len(COMMON)), (name, "all", n, 80)}
    assert set(found.rows()) == want
    pairs = tables[schema.DIFFERENCES].filter(pl.col("target_set") == "pair").unique(["fit", "reference"])
    sizes = {(a, b): 80 - len({*PANELS[FITS[a]], *PANELS[FITS[b]]}) for a, b in combinations(FITS, 2)}
    assert dict(zip(pairs.select("fit", "reference").rows(), pairs["n_targets"], strict=True)) == sizes


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


def test_captured_is_explained_over_what_can_be(tables: dict[schema.Table, pl.DataFrame], evaluation) -> None:
    """From its definition: MSE of the mean is MSE / (1 - explained)."""
    mse, explained = (value(tables, "ridge", "common", metric) for metric in ("mse", "explained"))
    floor = evaluation.floors.whole.floor_G[COMMON].mean()
    mean = mse / (1 - explained)
    assert value(tables, "ridge", "common", "captured") == pytest.approx((mean - mse) / (mean - floor), rel=1e-4)
    assert value(tables, "mean", "common", "captured") == pytest.approx(0, abs=1e-5)


def test_all_genes_count_the_panel_as_measured(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """Its errors are 0, and it is captured whole."""
    assert value(tables, "ridge", "all", "mse") == pytest.approx(value(tables, "ridge", "own", "mse") * 73 / 80)
    assert value(tables, "ridge", "all", "explained") > value(tables, "ridge", "own", "explained")
    assert 0 < value(tables, "mean", "all", "captured") < value(tables, "ridge", "all", "captured") <= 1


def test_differences_are_paired_and_signed(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """Fit minus reference, each log fit but the reference itself, none of the counts; the worse one is called so."""
    found = tables[schema.DIFFERENCES].filter(pl.col("target_set") == "common")
    assert found["fit"].unique(maintain_order=True).to_list() == ["zero", "mean", "ridge_small"]
    for row in found.iter_rows(named=True):
        here, there = (value(tables, row[name], "common", row["metric"]) for name in ("fit", "reference"))
        assert row["value"] == pytest.approx(here - there, rel=1e-4)
        assert row["low"] <= row["value"] <= row["high"]
        assert row["verdict"] == "worse"
        assert 0 < row["p"] <= row["p_adjusted"] <= 1
        assert row["unit"] == "cell"


def test_a_pair_differs_on_the_genes_of_neither(tables: dict[schema.Table, pl.DataFrame], evaluation) -> None:
    """From the errors of single genes."""
    genes = {f"g{i}" for i in range(80) if i not in {*PANELS["two"], *PANELS["one"]}}
    rows = tables[schema.GENEWISE].filter(pl.col("gene_id").is_in(genes))
    mse = {name: rows.filter(pl.col("fit") == name)["mse"].mean() for name in ("mean", "ridge_small")}
    found = tables[schema.DIFFERENCES].filter(
        (pl.col("fit") == "mean") & (pl.col("reference") == "ridge_small") & (pl.col("metric") == "mse")
    )
    assert found["value"].item() == pytest.approx(mse["mean"] - mse["ridge_small"], rel=1e-3)


@pytest.mark.parametrize(
    ("difference", "adjusted", "smaller_is_better", "larger_is_better"),
    [
        (-2, 0.01, "better", "worse"),
        (2, 0.01, "worse", "better"),
        (2, 0.2, "no difference shown", "no difference shown"),
        (2, float("nan"), "no difference shown", "no difference shown"),
    ],
)
def test_verdicts(difference: float, adjusted: float, smaller_is_better: str, larger_is_better: str) -> None:
    """A corrected p-value above 1 - confidence shows nothing; else the sign of what is better decides."""
    assert verdict(difference, -1, adjusted, 0.95) == smaller_is_better
    assert verdict(difference, 1, adjusted, 0.95) == larger_is_better


def test_constant_genes_are_left_out_of_r_squared(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """g10 has none, all others have; the median is over these."""
    own = tables[schema.GENEWISE].filter(pl.col("fit") == "ridge")
    assert own.filter(pl.col("r2").is_null())["gene_id"].to_list() == ["g10"]
    assert own.filter(pl.col("gene_id") == "g10")["variance"].item() == 0
    assert value(tables, "ridge", "own", "r2_median") == pytest.approx(own["r2"].median())


def test_genes_and_cell_types_add_up_to_the_whole(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """MSE over genes and over cells of all types is the MSE of the fit."""
    own = tables[schema.GENEWISE].filter(pl.col("fit") == "ridge_small")
    assert own["mse"].mean() == pytest.approx(value(tables, "ridge_small", "own", "mse"), rel=1e-5)
    types = tables[schema.PER_TYPE].filter(pl.col("fit") == "ridge_small")
    assert types["n_cells"].sum() == N_TEST
    assert types["cell_type"].to_list() == ["type0", "type1", "type2"]
    whole = (types["mse"] * types["n_cells"]).sum() / N_TEST
    assert whole == pytest.approx(value(tables, "ridge_small", "common", "mse"), rel=1e-6)


def test_a_cell_type_by_hand(tables: dict[schema.Table, pl.DataFrame], evaluation: Evaluation) -> None:
    """Only its own cells count, for errors, baseline and floor."""
    row = tables[schema.PER_TYPE].row(
        by_predicate=(pl.col("cell_type") == "type1") & (pl.col("fit") == "ridge"), named=True
    )
    here = (evaluation.cells["cell_type"] == "type1").to_numpy()
    sse_C = evaluation.fits["ridge"].errors["common"].sse_C[here]
    base_C = evaluation._measured["log"].baseline("common")[here]
    floor = evaluation.floors.types["planted", "type1"].value
    assert row["mse"] == pytest.approx(sse_C.mean() / len(COMMON))
    assert row["explained"] == pytest.approx(1 - sse_C.sum() / base_C.sum())
    assert row["captured"] == pytest.approx((base_C.mean() - sse_C.mean()) / (base_C.mean() - floor))
    assert row["captured_low"] < row["captured"] < row["captured_high"]


def test_a_type_of_few_donors_has_no_interval() -> None:
    """Where donors are drawn: a type of five donors has one, of four only its value; profiles alike."""
    donor = np.tile(np.arange(6), 20)
    cells = pl.DataFrame({"dataset": "x", "donor": [f"d{i}" for i in donor], "cell_type": "many"}).with_columns(
        cell_type=pl.when(pl.Series(donor < 4) & pl.Series(np.arange(120) < 60))
        .then(pl.lit("few"))
        .otherwise("cell_type")
    )
    resamples, types = resample(cells, 50, 0), known_types(cells)
    sse_C = np.random.default_rng(0).uniform(0.5, 1, 120)
    errors = CellErrors(7, *[sse_C] * 5)
    found = rows.per_type_rows("fit", errors, np.ones(120), cells, None, resamples, 0.9)
    assert found["cell_type"].to_list() == types.names["cell_type"].to_list() == ["few", "many"]
    assert found["explained"].null_count() == 0
    assert found["explained_low"].is_null().to_list() == [True, False]
    part_MK, part_K = np.random.default_rng(1).normal(size=(21, 2)), np.zeros(2)
    profiles = Profiles(part_MK, part_MK, part_MK, part_K, part_K)
    table = rows.profile_rows("fit", profiles, types, resamples, 0.9).filter(pl.col("metric") == "profile_r")
    assert table["low"].is_null().to_list() == [True, False]


@pytest.fixture(scope="module")
def controlled(planted) -> Evaluation:
    """The mean of a panel beside the controls; half of the cells are twice as deep, for that alone."""
    twice_C1 = np.where(np.arange(N_TRAIN + N_TEST) % 2, 2.0, 1.0)[:, None]
    values_CG = sparse.csr_matrix(planted.values.multiply(twice_C1).astype(np.float32))
    cells = planted.counts.cells.with_columns(library_size=pl.Series((1000 * twice_C1[:, 0]).astype(np.int64)))
    settings = SETTINGS.model_copy(update={"reference": "mean", "controls": ("library_size", "cell_type_mean")})
    train, test = MemoryBatches(values_CG[:N_TRAIN], 64), MemoryBatches(values_CG[N_TRAIN:], 32)
    panels, common = {"two": ["g0", "g1"]}, [f"g{gene}" for gene in range(2, 80)]
    made = Evaluation(planted.counts.genes, cells[N_TRAIN:], panels, common, settings, torch.device("cpu"))
    made.estimate_floors(
        MemoryBatches(planted.counts.X_CG[N_TRAIN:], 32), PREPARE, NoiseParams(seed=0, n_repeats=2, n_bootstrap=20)
    )
    add(made, "mean", "mean", "two", train, test)
    made.add_controls(cells[:N_TRAIN], train, test)
    return made


def test_controls_are_rows_like_any_fit(controlled: Evaluation) -> None:
    """On every target set, of no panel; own is the whole, and every table has them."""
    tables = {table: schema.check(frame, table) for table, frame in tabulate(controlled, {}).items()}
    rows = tables[schema.COMPARISON].filter(pl.col("fit") == "library_size")
    assert set(rows.select("panel", "predictor", "scale", "n_landmarks").rows()) == {("none", "library_size", "log", 0)}
    assert dict(rows.select("target_set", "n_targets").rows()) == {"own": 80, "common": 78, "all": 80}
    own, whole = (value(tables, "library_size", name, "captured") for name in ("own", "all"))
    assert own == pytest.approx(whole)
    part = rows.filter(pl.col("metric") == "explained")
    assert part.select((pl.col("low") < pl.col("value")) & (pl.col("value") < pl.col("high"))).to_series().all()
    for table in set(tables) - {schema.SEEDS, schema.DIFFERENCES}:
        assert {"mean", "library_size", "cell_type_mean"} <= set(tables[table]["fit"]), table.name


def test_depth_alone_is_told_from_the_mean(controlled: Evaluation) -> None:
    """Where half of the cells are deeper, library size is better than the mean, by a verdict, on common and pair."""
    rows = tabulate(controlled, {})[schema.DIFFERENCES].filter(pl.col("metric") == "explained")
    common = rows.filter(pl.col("target_set") == "common")
    assert set(common.select("fit", "reference").rows()) == {("library_size", "mean"), ("cell_type_mean", "mean")}
    assert common.row(by_predicate=pl.col("fit") == "library_size", named=True)["verdict"] == "better"
    sizes = dict(rows.filter(pl.col("target_set") == "pair").select("fit", "n_targets").rows())
    assert sizes == {"mean": 78, "library_size": 80}


def test_the_errors_of_a_control_by_hand(controlled: Evaluation, planted) -> None:
    """Means of the two depths, from numpy."""
    dense = planted.values.toarray() * np.where(np.arange(N_TRAIN + N_TEST) % 2, 2.0, 1.0)[:, None]
    train, test = dense[:N_TRAIN], dense[N_TRAIN:]
    expected = np.where(np.arange(N_TEST)[:, None] % 2, train[1::2].mean(0), train[::2].mean(0))
    found = controlled.fits["library_size"].errors["own"].sse_C
    np.testing.assert_allclose(found, ((test - expected) ** 2).sum(1), rtol=1e-4)


def test_without_controls_there_is_no_empty_panel(evaluation: Evaluation) -> None:
    """And nothing is added."""
    n_fits = len(evaluation.fits)
    evaluation.add_controls(evaluation.cells, *[MemoryBatches(sparse.csr_matrix((N_TEST, 80), dtype=np.float32))] * 2)
    assert len(evaluation.fits) == n_fits
    assert set(evaluation.sets.panels) == set(PANELS)


def test_what_is_kept_between_fits_changes_no_number(planted) -> None:
    """The same tables where nothing is kept and where all is, to the last bit."""
    cells, panels = planted.counts.cells[N_TRAIN:], {name: [f"g{i}" for i in genes] for name, genes in PANELS.items()}
    train, test = MemoryBatches(planted.values[:N_TRAIN], 64), MemoryBatches(planted.values[N_TRAIN:], 32)
    found = []
    for limit in (0, 1 << 20):
        settings = (SETTINGS, torch.device("cpu"))
        made = Evaluation(planted.counts.genes, cells, panels, [f"g{gene}" for gene in COMMON], *settings)
        kept = {"gene_ranks": GeneRanks(80, limit), "cell_ranks": Kept(limit)}
        made._measured["log"] = replace(made.measured("log", train, test), **kept)
        for name, panel in FITS.items():
            add(made, name, name.split("_")[0], panel, train, test)
        assert kept["cell_ranks"].n_bytes == (0 if limit == 0 else 4 * N_TEST * (78 + 73 + 79 + len(COMMON)))
        assert kept["gene_ranks"].known_G.any() == (limit > 0)
        found.append(tabulate(made, {}))
    for table, frame in found[0].items():
        assert frame.equals(found[1][table]), table.name


def test_what_is_known_of_single_genes_is_let_go(evaluation: Evaluation) -> None:
    """Of a fit nothing is kept that grows as resamples x genes: 30 fits of 8,000 genes would take 2 GB."""
    for judged in evaluation.fits.values():
        arrays = [figure.resampled_N for figure in judged.figures.values()]
        arrays += [vars(errors)[name] for errors in judged.errors.values() for name in ("sse_C", "pearson_C")]
        assert max(array.size for array in arrays) <= max(N_TEST, SETTINGS.n_bootstrap)
        assert judged.pair_CS.shape == (N_TEST, len(PANELS))
        assert not any(isinstance(part, GenePass | Profiles) for part in vars(judged).values())


def test_a_fit_of_foreign_genes_is_refused(planted) -> None:
    """Genes are named by id; one that the matrix lacks is not guessed."""
    cells, panels = planted.counts.cells[:20], {"panel": ["g0"]}
    empty = Evaluation(planted.counts.genes, cells, panels, [], SETTINGS, torch.device("cpu"))
    batches, fit = MemoryBatches(planted.values[:20]), FitParams(panel="panel", predictor="mean")
    with pytest.raises(PanelError, match="first elsewhere"):
        empty.add("fit", fit, "log", torch.nn.Identity(), ["g0"], ["elsewhere"], batches, batches)


def test_predictions_that_are_no_numbers_are_refused(planted) -> None:
    """By the fit's name, and before anything is made of them."""
    cells, panels = planted.counts.cells[:20], {"panel": ["g0"]}
    empty = Evaluation(planted.counts.genes, cells, panels, [], SETTINGS, torch.device("cpu"))
    broken = torch.nn.Linear(1, 79)
    torch.nn.init.constant_(broken.bias[3:4].detach(), float("inf"))
    batches, fit = MemoryBatches(planted.values[:20]), FitParams(panel="panel", predictor="mean")
    targets = [f"g{i}" for i in range(1, 80)]
    with pytest.raises(DataError, match="finite numbers; got 20 of 1580 that are NaN or infinite") as caught:
        empty.add("mine", fit, "log", broken, ["g0"], targets, batches, batches)
    assert caught.value.__notes__ == ["fit mine"]


def contest(floor: float) -> Contest:
    """Two fits of ten targets over six cells, whose mean leaves an error of 2."""
    sse_C = np.linspace(1, 1.5, 6)
    return Contest("a", "b", 10, sse_C, sse_C + 0.1, np.full(6, 2.0), Pooled(floor, np.full(50, floor)))


@pytest.mark.parametrize(("floor", "metrics"), [(1.9, ["mse", "explained", "captured"]), (1.99, ["mse", "explained"])])
def test_no_difference_in_captured_where_there_is_none_of_it(floor: float, metrics: list[str]) -> None:
    """With less than 2 % above the floor the fits have no captured, and so no difference in it."""
    resamples = Resamples("cell", resample_weights(6, 50, 0), np.arange(6))
    found = difference_rows([contest(floor)], "pair", resamples, 0.95)
    assert found["metric"].to_list() == metrics
    expected = [-0.01, 0.1 / 2, 0.1 / (2 - floor)]
    assert found["value"].to_list() == pytest.approx(expected[: len(metrics)])


def test_the_same_predictor_does_not_beat_itself() -> None:
    """Errors that only rounding parts, all to one side, are no difference; one cell that differs makes one."""
    sse_C = np.random.default_rng(0).uniform(100, 200, 50)
    resamples = Resamples("cell", resample_weights(50, 99, 0), np.arange(50))
    same = Contest("a", "b", 10, sse_C * (1 - 1e-7), sse_C, np.full(50, 200.0), None)
    found = difference_rows([same], "pair", resamples, 0.95)
    assert (found["value"].to_list(), found["p"].to_list()) == ([0, 0], [1, 1])
    assert set(found["verdict"]) == {"no difference shown"}
    other_C = np.where(np.arange(50) == 7, 0.9, 1 - 1e-7) * sse_C
    found = difference_rows([same._replace(sse_C=other_C)], "pair", resamples, 0.95)
    assert found["value"][0] == pytest.approx((other_C - sse_C).mean() / 10)
    assert found["p"][0] < 1


def test_one_level_where_all_means_are_equal() -> None:
    """Its ends are that mean."""
    edges = level_edges(np.full(5, 0.25))
    assert levels_of(np.full(5, 0.25), edges).tolist() == [0] * 5
    assert bounds(edges, 0) == (0.25, 0.25)
    assert bounds(np.array([0.0, 0.5, 2.0]), 1) == (0.5, 2.0)


def test_no_common_targets_give_no_rows(planted) -> None:
    """A set without genes has no figure, rather than NaN."""
    cells, panels = planted.counts.cells[N_TRAIN:], {name: [f"g{i}" for i in genes] for name, genes in PANELS.items()}
    settings = SETTINGS.model_copy(update={"reference": "mean"})
    alone = Evaluation(planted.counts.genes, cells, panels, [], settings, torch.device("cpu"))
    train, test = MemoryBatches(planted.values[:N_TRAIN]), MemoryBatches(planted.values[N_TRAIN:])
    for name in ("zero", "mean"):
        add(alone, name, name, "two", train, test)
    tables = {table: schema.check(frame, table) for table, frame in tabulate(alone, {}).items()}
    assert set(tables[schema.COMPARISON]["target_set"]) == {"own", "all"}
    assert set(tables[schema.DIFFERENCES]["target_set"]) == {"pair"}
    assert tables[schema.PER_CELL].is_empty()


def test_a_group_is_the_mean_over_its_fits(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """With their spread, and an interval that two seeds make wide."""
    row = tables[schema.SEEDS].row(
        by_predicate=(pl.col("target_set") == "common") & (pl.col("metric") == "mse"), named=True
    )
    each = [value(tables, name, "common", "mse") for name in ("zero", "mean")]
    assert (row["group"], row["fits"], row["n_fits"]) == ("z*", "zero, mean", 2)
    assert row["value"] == pytest.approx(np.mean(each))
    assert row["spread"] == pytest.approx(np.std(each, ddof=1))
    assert row["low"] < min(each)
    assert row["high"] > max(each)


def test_groups_are_fits_that_differ_in_a_seed() -> None:
    """Of the panel or the predictor; other settings part them."""
    panels = {f"r{i}": RandomPanel(selector="random", seed=i) for i in range(3)}
    panels["matched"] = RandomPanel(selector="random", seed=9, n_landmarks=5)
    fits = {f"{panel}-ridge": FitParams(panel=panel, predictor="ridge") for panel in panels}
    fits["r0-mean"] = FitParams(panel="r0", predictor="mean")
    assert seed_groups(fits, panels, PREDICTOR) == {"r*-ridge": ["r0-ridge", "r1-ridge", "r2-ridge"]}


def test_levels_part_the_targets(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """Every own target is in one level, and the levels add up to the whole."""
    rows = tables[schema.LEVELS].filter(
        (pl.col("fit") == "ridge") & (pl.col("target_set") == "own") & (pl.col("metric") == "mse")
    )
    assert rows["n_targets"].sum() == 73
    whole = (rows["value"] * rows["n_targets"]).sum() / 73
    assert whole == pytest.approx(value(tables, "ridge", "own", "mse"), rel=1e-4)


def test_clusters_and_profiles_have_their_controls(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """The measured cells say what could be reached; the mean changes no profile."""
    assert set(tables[schema.CLUSTERS]["fit"]) == {"measured", *FITS}
    change = tables[schema.PROFILES].filter((pl.col("fit") == "mean") & (pl.col("metric") == "profile_change_r"))
    np.testing.assert_allclose(change["value"], 0, atol=1e-6)


def test_nested_metrics_hold_every_value(tables: dict[schema.Table, pl.DataFrame]) -> None:
    """As `dvc metrics diff` reads them."""
    nested = nested_metrics(tables[schema.COMPARISON])
    assert final_metrics(tables[schema.COMPARISON], "ridge")["common/mse"] == nested["ridge"]["common"]["mse"]
    assert nested["ridge"]["common"]["mse"] == value(tables, "ridge", "common", "mse")
    n_values = sum(len(metrics) for sets in nested.values() for metrics in sets.values())
    assert n_values == tables[schema.COMPARISON].height


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
