"""Groups left out of all that is learned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse

from sclandmarks import schema
from sclandmarks.evaluate.bootstrap import resample
from sclandmarks.evaluate.studies.generalise import (
    SAME_SIZE,
    WITHIN,
    WITHOUT,
    fit_predictor,
    generalise,
    judge_group,
    leave_out,
    quantities,
)
from sclandmarks.evaluate.studies.scores import to_interval
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import PrepareParams, StudiesParams
from sclandmarks.params.predictors import MeanPredictor, ReducedRankPredictor, RidgePredictor


@pytest.fixture(scope="module")
def grouped(planted: Any) -> ExpressionMatrix:
    """The planted cells, and one more gene that only type0 expresses."""
    counts = planted.counts
    own = (counts.cells["cell_type"] == "type0").to_numpy().astype(np.int32)[:, None] * 3
    genes = pl.concat([counts.genes, counts.genes[:1].with_columns(pl.lit("own").alias("gene_id"))])
    return ExpressionMatrix(sparse.csr_matrix(sparse.hstack([counts.X_CG, own], format="csr")), counts.cells, genes)


@pytest.fixture(scope="module")
def tables(
    grouped: ExpressionMatrix, split_of: Any, study: StudiesParams, preparation: PrepareParams
) -> dict[schema.Table, pl.DataFrame]:
    return generalise(grouped, split_of(grouped.cells), study, preparation)


def left_of(grouped: ExpressionMatrix, split: pl.DataFrame, preparation: PrepareParams) -> Any:
    return leave_out(grouped, split, grouped.cells["cell_type"] == "type0", preparation, seed=0)


def test_trainings_have_the_cells_they_should(
    grouped: ExpressionMatrix, split_of: Any, preparation: PrepareParams
) -> None:
    split = split_of(grouped.cells)
    left = left_of(grouped, split, preparation)
    kind = dict(grouped.cells.select("cell_id", "cell_type").iter_rows())
    subset = dict(split.iter_rows())
    without, within, same = (left.trainings[name] for name in (WITHOUT, WITHIN, SAME_SIZE))
    assert not {kind[cell] for part in without[:2] for cell in part.cells["cell_id"]} & {"type0"}
    for name, part in zip(("train", "validation"), within, strict=False):
        assert set(part.cells["cell_id"]) == {cell for cell in subset if subset[cell] == name}
    for cohort in left.trainings.values():
        assert cohort.test.cells.equals(without.test.cells)
    assert {(kind[cell], subset[cell]) for cell in without.test.cells["cell_id"]} == {("type0", "test")}
    assert [part.n_cells for part in same[:2]] == [part.n_cells for part in without[:2]]
    assert set(same.train.cells["cell_id"]) < set(within.train.cells["cell_id"])


def test_genes_that_only_the_group_keeps_are_counted_not_judged(
    grouped: ExpressionMatrix, split_of: Any, preparation: PrepareParams
) -> None:
    left = left_of(grouped, split_of(grouped.cells), preparation)
    assert left.n_genes_lost == 1
    for cohort in left.trainings.values():
        assert "own" not in cohort.train.genes["gene_id"].to_list()
        totals = np.asarray(np.expm1(cohort.test.X_CG.toarray() * np.log(10)).sum(axis=1))
        np.testing.assert_allclose(totals, 1e4, rtol=1e-3)


def test_nothing_of_the_group_reaches_what_is_learned_without_it(
    grouped: ExpressionMatrix, split_of: Any, study: StudiesParams, preparation: PrepareParams
) -> None:
    """Planted leak: other counts in every cell of the group, test cells too, change no gene, panel or fit."""
    inside = (grouped.cells["cell_type"] == "type0").to_numpy()
    X_CG = grouped.X_CG.toarray()
    X_CG[inside] = np.random.default_rng(5).poisson(30, X_CG[inside].shape)
    changed = ExpressionMatrix(sparse.csr_matrix(X_CG), grouped.cells, grouped.genes)
    split = split_of(grouped.cells)
    one, two = (left_of(matrix, split, preparation).trainings[WITHOUT] for matrix in (grouped, changed))
    assert one.train.genes.equals(two.train.genes)
    assert (one.train.X_CG != two.train.X_CG).nnz == 0
    order = np.array([5, 17, 40])
    settings = ReducedRankPredictor(method="reduced_rank", max_rank=3)
    X_BL = torch.rand(7, 3, generator=torch.Generator().manual_seed(0))
    assert (fit_predictor(settings, one, order)(X_BL) == fit_predictor(settings, two, order)(X_BL)).all()
    seen = [left_of(matrix, split, preparation).trainings[WITHIN] for matrix in (grouped, changed)]
    assert (seen[0].train.X_CG != seen[1].train.X_CG).nnz  # the training that may see them does


@pytest.mark.parametrize(
    "settings", [RidgePredictor(method="ridge"), ReducedRankPredictor(method="reduced_rank", max_rank=3)]
)
def test_panels_of_their_own_total_predict_from_counts_alone(
    settings: Any, values: Any, preparation: PrepareParams
) -> None:
    """In the base of the preparation; the closed form of whole cells does not stand in."""
    order, own = np.array([1, 30, 60]), settings.model_copy(update={"panel_total": True})
    predict = fit_predictor(own, values, order, preparation.log_base)
    X_BL = torch.from_numpy(values.test.X_CG[:, order].toarray())
    thrice_BL = torch.log10(1 + 3 * (10 ** X_BL.double() - 1)).float()
    torch.testing.assert_close(predict(thrice_BL), predict(X_BL), rtol=1e-4, atol=1e-4)
    plain = fit_predictor(settings, values, order)
    assert not torch.allclose(plain(thrice_BL), plain(X_BL), atol=1e-2)


def test_predictors_of_the_table_predict_all_genes(values: Any) -> None:
    order = np.array([1, 30, 60])
    X_BL = torch.from_numpy(values.test.X_CG[:, order].toarray())
    mean = fit_predictor(MeanPredictor(method="mean"), values, order)(X_BL)
    others = np.setdiff1d(np.arange(80), order)
    np.testing.assert_allclose(mean[0, others], values.train.X_CG.toarray().mean(0)[others], rtol=1e-5)
    ridge = fit_predictor(RidgePredictor(method="ridge"), values, order)(X_BL)
    assert ridge.shape == (80, 80)
    assert not ridge[:, order].any()


def test_every_group_is_judged_or_said_to_be_skipped(tables: Any) -> None:
    groups = schema.check(tables[schema.GROUPS], schema.GROUPS)
    status = {(row["by"], row["group"]): row["status"] for row in groups.to_dicts()}
    assert {status["cell_type", f"type{i}"] for i in range(3)} == {"judged"}
    assert status["dataset", "planted"].startswith("skipped: 0 training cells in other groups")
    lost = dict(groups.select("group", "n_genes_lost").iter_rows())
    assert lost["type0"] == 1
    assert lost["type1"] == 0


def test_unknown_and_small_groups_are_skipped(
    grouped: ExpressionMatrix, split_of: Any, study: StudiesParams, preparation: PrepareParams
) -> None:
    kinds = ["Unknown" if i % 2 else "rare" if i < 8 else "only test" if i % 5 == 4 else "common" for i in range(400)]
    names = pl.Series("cell_type", [kind if i % 20 or i < 8 else "common" for i, kind in enumerate(kinds)])
    matrix = ExpressionMatrix(grouped.X_CG, grouped.cells.with_columns(names), grouped.genes)
    only_common = study.generalise.model_copy(update={"by": ("cell_type",), "panels": ("random",)})
    tables = generalise(
        matrix, split_of(matrix.cells), study.model_copy(update={"generalise": only_common}), preparation
    )
    status = dict(tables[schema.GROUPS].select("group", "status").iter_rows())
    assert status["Unknown"] == "skipped: cells of no known group"
    assert status["rare"] == "skipped: 1 test cells, fewer than 5"
    assert status["only test"] == "skipped: no training cells, so the usual split leaves it out already"
    assert status["common"].startswith("skipped: 0 test cells")


def test_quantities_add_up_and_the_mean_is_over_groups(tables: Any) -> None:
    frame = schema.check(tables[schema.GENERALISATION], schema.GENERALISATION)
    wide = frame.pivot(on="quantity", index=["group", "panel", "predictor"], values="value")
    np.testing.assert_allclose(wide["lost"], wide["within"] - wide["without"], atol=1e-12)
    np.testing.assert_allclose(wide["lost_same_size"], wide["same_size"] - wide["without"], atol=1e-12)
    one = (pl.col("panel") == "greedy") & (pl.col("predictor") == "reduced_rank")
    rows = dict(wide.filter(one).select("group", "without").iter_rows())
    mean = rows.pop("(mean)")
    assert mean == pytest.approx(np.mean(list(rows.values())))
    assert len(rows) == 3


def test_donors_are_drawn_as_in_the_comparison(
    planted: Any, split_of: Any, study: StudiesParams, preparation: PrepareParams
) -> None:
    """The ends of a group of six donors are as wide as six donors make them."""
    donor = pl.Series([f"d{i // 7 % 6}" for i in range(planted.counts.n_cells)])
    counts = replace(planted.counts, cells=planted.counts.cells.with_columns(donor=donor))
    only = study.generalise.model_copy(update={"by": ("cell_type",), "panels": ("random",)})
    settings = study.model_copy(update={"generalise": only})
    frame = generalise(counts, split_of(counts.cells), settings, preparation)[schema.GENERALISATION]
    first = frame["group"][0]
    left = leave_out(counts, split_of(counts.cells), counts.cells["cell_type"] == first, preparation, settings.seed)
    scores, _ = judge_group(left, settings)
    resamples = resample(left.trainings["without"].test.cells, settings.n_bootstrap, settings.seed + 1)
    assert resamples.unit == "donor"
    expected = quantities(scores, resamples.weights_NC)["random", "mean", "without"]
    mine = frame.filter(
        (pl.col("group") == first) & (pl.col("predictor") == "mean") & (pl.col("quantity") == "without")
    )
    row = mine.row(0, named=True)
    assert (row["value"], row["low"], row["high"]) == pytest.approx(to_interval(expected, settings.confidence))


def test_the_mean_of_all_training_cells_is_zero(tables: Any) -> None:
    frame = tables[schema.GENERALISATION]
    within = frame.filter((pl.col("predictor") == "mean") & (pl.col("quantity") == "within"))
    np.testing.assert_allclose(within["value"], 0, atol=1e-6)


def test_a_group_like_the_others_loses_little_one_unlike_them_much(
    planted: Any, split_of: Any, study: StudiesParams, preparation: PrepareParams
) -> None:
    """Types of the planted cells are drawn without regard to expression. Then one gets programmes of its own."""
    rng = np.random.default_rng(0)
    inside = (planted.counts.cells["cell_type"] == "type0").to_numpy()
    X_CG = planted.counts.X_CG.toarray()
    X_CG[np.ix_(inside, np.arange(40))] = rng.poisson(np.linspace(0, 30, 40), (inside.sum(), 40))
    unlike = ExpressionMatrix(sparse.csr_matrix(X_CG), planted.counts.cells, planted.counts.genes)
    lost = []
    for matrix in (planted.counts, unlike):
        left = leave_out(matrix, split_of(matrix.cells), pl.Series(inside), preparation, seed=0)
        scores, sizes = judge_group(left, study)
        assert sizes == {"greedy": 6, "random": 6}
        within, without = (scores["greedy", "reduced_rank", name].sse_C.sum() for name in (WITHIN, WITHOUT))
        lost.append((without - within) / scores["greedy", "reduced_rank", WITHIN].baseline_C.sum())
    assert abs(lost[0]) < 0.1
    assert lost[1] > 0.15
