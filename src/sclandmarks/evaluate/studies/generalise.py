"""Generalisation: a group of cells is left out of all that is learned, and what that loses is measured on it.

Three trainings are judged on the same cells, the test cells of the group, and on the same genes:

without
    gene filter, panel, predictor, lambda and rank from the training and validation cells of the other groups;
within
    the same with the group's training and validation cells: what the usual split says;
same_size
    as within, on a random part of those cells as large as without has, so that fewer cells are not called a loss.

No cell of the group reaches the first, whatever its subset, and no test cell reaches any. The genes are those that
pass the filter without the group (genes that only its cells would keep are counted, not judged), and values are
normalised over them for all three, so that the errors can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.evaluate.bootstrap import resample
from sclandmarks.evaluate.studies.cohort import Cohort, choose, divide
from sclandmarks.evaluate.studies.judge import COMMON, Judge, fit_order, open_judge
from sclandmarks.evaluate.studies.scores import FloatArray, Predict, Resampled, Score, explained, minus, to_interval
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import ExpressionMatrix, IntArray, MemoryBatches
from sclandmarks.params import LogBase, Predictor, PrepareParams, StudiesParams
from sclandmarks.predict import PREDICTORS
from sclandmarks.prep.prepare import prepare
from sclandmarks.prep.scprep_adapter import expressed_genes
from sclandmarks.schema import UNKNOWN

WITHOUT, WITHIN, SAME_SIZE = "without", "within", "same_size"
LOST = {"lost": WITHIN, "lost_same_size": SAME_SIZE}
MEAN = "(mean)"
Key = tuple[str, str, str]
"""Panel, predictor, quantity."""


class Left(NamedTuple):
    """A group left out: the three trainings, all with the group's test cells, and the genes lost by the filter."""

    trainings: dict[str, Cohort]
    n_genes_lost: int
    log_base: LogBase | None = None


def leave_out(
    counts: ExpressionMatrix, split: pl.DataFrame, inside_C: pl.Series, settings: PrepareParams, seed: int
) -> Left:
    """Filter genes and normalise without a group, and divide the cells into the three trainings.

    Parameters
    ----------
    counts : ExpressionMatrix
        All cells that passed the cell filter, on all genes.
    split : polars.DataFrame
        As `schema.SPLIT`.
    inside_C : polars.Series of bool
        Whether each cell belongs to the group.
    settings : PrepareParams
    seed : int
        Of the cells drawn for `same_size`.

    Raises
    ------
    DataError
        If a subset is left without cells, or no gene passes.
    """
    subset = counts.cells.join(split, on="cell_id", how="left", maintain_order="left")["subset"]
    marked = counts.cells.select("cell_id").with_columns(subset=subset, inside=inside_C)
    relabelled = marked.select("cell_id", subset=_relabel())
    prepared = prepare(counts, relabelled, settings, seed)
    values = ExpressionMatrix(prepared.value, prepared.counts.cells, prepared.counts.genes)
    without = divide(values, relabelled)
    within = divide(values, relabelled.with_columns(pl.col("subset").str.strip_prefix("left out ")))
    within = within._replace(test=without.test)
    kept_with = expressed_genes(
        counts.X_CG[np.flatnonzero((subset == "train").to_numpy())], settings.min_reads, settings.min_cells
    )
    trainings = {WITHOUT: without, WITHIN: within, SAME_SIZE: _as_many(within, without, seed)}
    return Left(trainings, len(kept_with) - values.n_genes, settings.log_base)


def _relabel() -> pl.Expr:
    """Subsets with the group left out: its learning cells get names of their own, the others' test cells too."""
    learns = pl.col("subset") != "test"
    return (
        pl.when(pl.col("inside") & learns)
        .then(pl.lit("left out ") + pl.col("subset"))
        .when(~pl.col("inside") & ~learns)
        .then(pl.lit("other test"))
        .otherwise("subset")
    )


def _as_many(within: Cohort, without: Cohort, seed: int) -> Cohort:
    rng = np.random.default_rng(seed)
    train, validation = (
        matrix.take(np.sort(rng.permutation(matrix.n_cells)[: smaller.n_cells]))
        for matrix, smaller in zip(within[:2], without[:2], strict=True)
    )
    return Cohort(train, validation, within.test)


def judge_group(left: Left, settings: StudiesParams) -> tuple[dict[Key, Score], dict[str, int]]:
    """Score every panel and predictor of the three trainings; and the panels' sizes.

    Errors are on the genes that no panel of any training holds, against the mean of the `within` training cells.
    """
    study = settings.generalise
    orders = {
        (name, training): choose(settings.panels[name], cohort, study.n_landmarks)
        for name in study.panels
        for training, cohort in left.trainings.items()
    }
    judge = open_judge(left.trainings[WITHIN], orders.values())
    scores = {}
    for (name, training), order in orders.items():
        for predictor, entry in study.predictors.items():
            predict = fit_predictor(entry, left.trainings[training], order, left.log_base)
            scores[name, predictor, training] = _score(judge, predict, order)
    return scores, {name: len(orders[name, WITHOUT]) for name in study.panels}


def _score(judge: Judge, predict: Predict, order: IntArray) -> Score:
    return judge.score(predict, sparse.csr_matrix(judge.test_CG[:, order]), order)[COMMON]


def fit_predictor(settings: Predictor, cohort: Cohort, order: IntArray, log_base: LogBase | None = None) -> Predict:
    """Fit a predictor of the log scale: panel values to the values of all genes (zero at the panel's own).

    The closed form of `prefix` stands for `reduced_rank` on the values as they are: the same model, found faster.
    """
    if settings.method == "reduced_rank" and not settings.panel_total:
        return fit_order(cohort, order, [len(order)], settings.max_rank)[len(order)].predict
    inputs, outputs = split_genes(cohort.train.n_genes, order.tolist())
    size, seed = getattr(settings, "batch_size", 256), getattr(settings, "seed", 0)
    train, held_back = (MemoryBatches(matrix.X_CG, size, seed) for matrix in cohort[:2])
    task = Task(train, held_back, inputs, outputs, log_base=log_base)
    module = PREDICTORS[settings.method](task, settings, Hooks()).module

    @torch.no_grad()
    def predict(X_BL: torch.Tensor) -> torch.Tensor:
        Y_BG = torch.zeros(len(X_BL), cohort.train.n_genes)
        Y_BG[:, outputs] = module(X_BL)
        return Y_BG

    return predict


def generalise(
    counts: ExpressionMatrix, split: pl.DataFrame, settings: StudiesParams, prepare_: PrepareParams
) -> dict[schema.Table, pl.DataFrame]:
    """Leave every group out in turn, and tabulate what is lost.

    Parameters
    ----------
    counts : ExpressionMatrix
        Raw counts of the joined data sets, after the cell filter, on all genes.
    split : polars.DataFrame
        As `schema.SPLIT`.
    settings : StudiesParams
    prepare_ : PrepareParams
        The gene filter and normalisation.
    """
    groups, rows = list[dict[str, Any]](), list[dict[str, Any]]()
    for by in settings.generalise.by:
        judged: list[dict[Key, Resampled]] = []
        for group, about, left in _groups(counts, split, by, settings, prepare_):
            groups.append({"by": by, "group": group, **about})
            if left is not None:
                scores, sizes = judge_group(left, settings)
                test = left.trainings[WITHOUT].test
                resamples = resample(test.cells, settings.n_bootstrap, settings.seed + len(groups))
                judged.append(quantities(scores, resamples.weights_NC))
                n_targets = next(iter(scores.values())).n_genes
                for row in _rows(judged[-1], settings.confidence):
                    named = {"n_landmarks": sizes[row["panel"]], "n_targets": n_targets, "n_test": test.n_cells}
                    rows.append({"by": by, "group": group, **named, **row})
        if judged:
            n_test = sum(about["n_test"] for about in groups if about["by"] == by and about["status"] == "judged")
            none = {"n_landmarks": 0, "n_targets": 0, "n_test": n_test}
            rows += [
                {"by": by, "group": MEAN, **none, **row} for row in _rows(over_groups(judged), settings.confidence)
            ]
    return {
        schema.GROUPS: schema.frame(schema.GROUPS, groups),
        schema.GENERALISATION: schema.frame(schema.GENERALISATION, rows),
    }


def _groups(
    counts: ExpressionMatrix, split: pl.DataFrame, by: str, settings: StudiesParams, prepare_: PrepareParams
) -> Iterator[tuple[str, dict[str, Any], Left | None]]:
    """Every group of a column with what is known of it; None where it cannot be judged, and why."""
    names = counts.cells[by]
    subset = counts.cells.join(split, on="cell_id", how="left", maintain_order="left")["subset"]
    for group in sorted(set(names)):
        inside = names == group
        n_test, n_train = int((inside & (subset == "test")).sum()), int((~inside & (subset == "train")).sum())
        n_seen = int((inside & (subset == "train")).sum())
        about = {"n_train": n_train, "n_test": n_test, "n_genes": 0, "n_genes_lost": 0}
        why = _why_not(group, n_test, n_train, n_seen, settings.generalise.min_cells)
        left = None
        if not why:
            try:
                left = leave_out(counts, split, inside, prepare_, settings.seed)
            except DataError as error:
                why = f"skipped: {error}"
        if left is not None:
            about |= {"n_genes": left.trainings[WITHOUT].train.n_genes, "n_genes_lost": left.n_genes_lost}
        yield group, about | {"status": why or "judged"}, left


def _why_not(group: str, n_test: int, n_train: int, n_seen: int, least: int) -> str:
    if group == UNKNOWN:
        return "skipped: cells of no known group"
    if n_test < least:
        return f"skipped: {n_test} test cells, fewer than {least}"
    if n_train < least:
        return f"skipped: {n_train} training cells in other groups, fewer than {least}"
    return "" if n_seen else "skipped: no training cells, so the usual split leaves it out already"


def quantities(scores: Mapping[Key, Score], weights_NC: FloatArray) -> dict[Key, Resampled]:
    """Explained fraction of each training, and what `without` lost, on the same resamples of the test cells."""
    found = {key: explained(score, weights_NC) for key, score in scores.items()}
    lost = {
        (panel, predictor, quantity): minus(found[panel, predictor, training], found[panel, predictor, WITHOUT])
        for panel, predictor, _ in scores
        for quantity, training in LOST.items()
    }
    return found | lost


def over_groups(judged: Sequence[Mapping[Key, Resampled]]) -> dict[Key, Resampled]:
    """Mean over groups, each counting alike. The interval is over the test cells of these groups, not over groups."""
    found = {}
    for key in judged[0]:
        each = [one[key] for one in judged]
        mean_N = np.mean([one.values_N for one in each], axis=0)
        found[key] = Resampled(float(np.mean([one.value for one in each])), mean_N)
    return found


def _rows(found: Mapping[Key, Resampled], confidence: float) -> Iterator[dict[str, Any]]:
    for (panel, predictor, quantity), one in found.items():
        value = to_interval(one, confidence)._asdict()
        yield {"panel": panel, "predictor": predictor, "quantity": quantity, **value}
