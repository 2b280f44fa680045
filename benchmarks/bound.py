"""What a selector could gain with hindsight: `python benchmarks/bound.py [ROOT] [--divisions 4]`.

ROOT is a repository, or a data set's folder of `peers.py`, with what `prepare` wrote. Its training and validation cells
are divided again, 70 % to learn from, 10 % for the choice of lambda and rank, 20 % to judge on; its test cells are not
read. Every panel is judged like any other, by reduced-rank ridge regression fitted to the 70 %, and set beside plain
greedy's panel of the same size, on the genes that neither measures: the ratio of the fractions explained, its mean and
standard error over divisions. The panels that see what no selector sees:

- `half the cells`: plain greedy on half of the 70 %. What it loses says what more cells would give.
- `and the judging cells`: plain greedy on the 70 % and on the cells that judge.
- `by the very error`: each next gene is the one that lowers the error on the judging cells most, of ridge regression
  fitted to the 70 % and cut to the axes that plain greedy's fit has; `exchanged`: then genes are exchanged by the same.
- `by half of the error`: so on half of the judging cells, judged on the others, and the other way round.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from sclandmarks import paths, schema
from sclandmarks.evaluate.studies.cohort import Cohort, choose, divide
from sclandmarks.evaluate.studies.judge import COMMON, fit_order, open_judge
from sclandmarks.evaluate.studies.prefix import LowRank
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.tables import read_table
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import ExpressionMatrix, IntArray
from sclandmarks.params import GreedyPanel
from sclandmarks.select import forward
from sclandmarks.select.residual import CellDeflation, Deflation, GramDeflation

GREEDY = GreedyPanel(selector="greedy", ridge=0.1)
MAX_RANK = 60
EXCHANGED = 100  # larger panels are not exchanged: a sweep takes minutes


class Hindsight:
    """State of a selection by the error on other cells, see `forward.State`.

    With R the residual of the covariance as in `select.residual`, T that of the other cells, both by ridge regression
    on the chosen genes of the cells learned from, axes V and E = T V, B = V' R, choosing j lowers the error by

        gain_j = 2 t_j' E b_j / d_j - |t_j|^2 |b_j|^2 / d_j^2,  d_j = R_jj + lambda

    and then T <- T - t_j r', E <- E - t_j b', B <- B - b r' with r = R_j: / root, b = b_j / root, t = t_j / root.

    Parameters
    ----------
    deflation : Deflation
        Of the cells learned from.
    T_CG : torch.Tensor, shape (n_cells, n_genes), float64
        The other cells about the same means, divided by sqrt(n_cells).
    V_GK : torch.Tensor, shape (n_genes, n_axes)
        Orthonormal.
    ridge : float
    """

    def __init__(self, deflation: Deflation, T_CG: Tensor, V_GK: Tensor, ridge: float) -> None:
        self.deflation, self.ridge = deflation, ridge
        self.left_G, self.B_KG = deflation.variance_G.clone(), deflation.apply(V_GK.T)
        self.T_CG, self.E_CK = T_CG.clone(), T_CG @ V_GK
        self.total, self._start = float(T_CG.square().sum()), float(self.E_CK.square().sum())
        self.chosen_G = torch.zeros(len(V_GK), dtype=torch.bool)

    def gains(self) -> Tensor:
        """By how much choosing each gene would lower the error, shape (n_genes,); below 0 where it raises it."""
        d_G = self.left_G + self.ridge
        told_G = ((self.E_CK.T @ self.T_CG) * self.B_KG).sum(0)
        return 2 * told_G / d_G - self.T_CG.square().sum(0) * self.B_KG.square().sum(0) / d_G.square()

    def merits(self) -> Tensor:
        """The gains, moved to be above 0: also the least bad gene is chosen."""
        gain_G = self.gains()
        return gain_G - gain_G.min() + 1e-12 * self.total

    def explained_fraction(self) -> float:
        """Part of the other cells' variance that the chosen genes explain."""
        return (self._start - float(self.E_CK.square().sum())) / self.total

    def add(self, gene: int) -> None:
        """Choose a gene."""
        self._move(gene, -1.0)

    def try_without(self, gene: int) -> forward.Trial:
        """Take a gene out; the worth of another in its place is the difference of their gains."""
        self._move(gene, 1.0)
        gain_G = self.gains()
        return forward.Trial(gene, gain_G - gain_G[gene], ())

    def keep_gene(self, trial: forward.Trial) -> None:
        """Choose the gene of a trial again."""
        self._move(trial.gene, -1.0)

    def reset(self) -> None:
        """Not needed: a panel is chosen once."""
        raise NotImplementedError

    def _move(self, gene: int, sign: float) -> None:
        root = math.sqrt(self.ridge - sign * float(self.left_G[gene]))
        r_G = self.deflation.pull(gene, root).r_G
        self.deflation.push(sign)
        t_C, b_K = self.T_CG[:, gene] / root, self.B_KG[:, gene] / root
        self.T_CG.addr_(t_C, r_G, alpha=sign)
        self.E_CK.addr_(t_C, b_K, alpha=sign)
        self.B_KG.addr_(b_K, r_G, alpha=sign)
        self.left_G = (self.left_G + sign * r_G.square()).clamp(min=0)
        self.chosen_G[gene] = sign < 0


def learning_rows(root: Path, matrix: ExpressionMatrix) -> IntArray:
    """Training cells, then validation cells, as rows of the matrix."""
    split = read_table(root / paths.SPLIT, schema.SPLIT)
    parts = divide(matrix, split)[:2]
    places = {name: row for row, name in enumerate(matrix.cells["cell_id"])}
    return np.array([places[name] for part in parts for name in part.cells["cell_id"]], dtype=np.int64)


def divide_again(matrix: ExpressionMatrix, rows: IntArray, seed: int) -> Cohort:
    """Cells to learn from, to choose lambda and rank on, and to judge on."""
    order = np.random.default_rng(seed).permutation(rows)
    ends = [int(0.7 * len(order)), int(0.8 * len(order))]
    return Cohort(*(matrix.take(np.sort(part)) for part in np.split(order, ends)))


def ratio(cohort: Cohort, order: IntArray, greedy: IntArray, fitted: LowRank) -> float:
    """Explained by a panel over explained by greedy's, whose fit is given, on the genes in neither."""
    judge = open_judge(cohort, [order, greedy])
    own = fit_order(cohort, order, [len(order)], MAX_RANK)[len(order)]
    scores = [judge.score_prefix(fit, one)[COMMON] for fit, one in ((own, order), (fitted, greedy))]
    return float(np.divide(*(1 - score.sse_C.sum() / score.baseline_C.sum() for score in scores)))


def by_error(cohort: Cohort, fitted: LowRank, greedy: IntArray, sweeps: int) -> Iterator[tuple[str, IntArray]]:
    """The panel chosen by the error on the judging cells, and the same exchanged."""
    values = [torch.from_numpy(matrix.X_CG.toarray()).double() for matrix in (cohort.train, cohort.test)]
    mean_G = values[0].mean(0)
    X_CG, T_CG = ((part - mean_G) / math.sqrt(len(part)) for part in values)
    B_RG = fitted.B_RG.double().clone()
    B_RG[:, greedy] = 0
    ridge = fitted.lambda_ / cohort.train.n_cells
    state = Hindsight(open_deflation(X_CG), T_CG, torch.linalg.qr(B_RG.T).Q, ridge)
    every_G = torch.ones_like(state.chosen_G)
    forward.choose(state, [every_G], len(greedy), Hooks())
    yield "", chosen(state)
    if sweeps:
        forward.exchange(state, chosen(state).tolist(), every_G, sweeps)
        yield ", exchanged", chosen(state)


def open_deflation(X_CG: Tensor) -> Deflation:
    """Hold the cells where they are fewer than the genes, else their covariance."""
    ones_G = torch.ones(X_CG.shape[1]).double()
    return CellDeflation(X_CG, ones_G) if len(X_CG) < len(ones_G) else GramDeflation(X_CG.T @ X_CG, ones_G)


def chosen(state: Hindsight) -> IntArray:
    """Columns of the chosen genes."""
    return state.chosen_G.nonzero().squeeze(1).numpy()


def ratios(cohort: Cohort, sizes: Sequence[int], seed: int) -> Iterator[tuple[str, int, float]]:
    """Every kind of hindsight at every size: its name, the size, its ratio to plain greedy."""
    greedy = choose(GREEDY, cohort, max(sizes))
    half = cohort.train.take(np.sort(np.random.default_rng(seed).permutation(cohort.train.n_cells)[::2]))
    more = join(cohort.train, cohort.test)
    seen = {"half the cells": half, "and the judging cells": more}
    orders = {name: choose(GREEDY, cohort._replace(train=train), max(sizes)) for name, train in seen.items()}
    halves = np.array_split(np.random.default_rng(100 + seed).permutation(cohort.test.n_cells), 2)
    parts = [cohort._replace(test=cohort.test.take(np.sort(rows))) for rows in halves]
    for size, fitted in fit_order(cohort, greedy, sizes, MAX_RANK).items():
        plain, sweeps = greedy[:size], 2 if size <= EXCHANGED else 0
        for name, order in orders.items():
            yield name, size, ratio(cohort, order[:size], plain, fitted)
        for suffix, panel in by_error(cohort, fitted, plain, sweeps):
            yield f"by the very error{suffix}", size, ratio(cohort, panel, plain, fitted)
        for seen_part, other in (parts, parts[::-1]):
            for _, panel in by_error(seen_part, fitted, plain, 0):
                yield "by half of the error", size, ratio(other, panel, plain, fitted)


def join(one: ExpressionMatrix, other: ExpressionMatrix) -> ExpressionMatrix:
    """Cells of both."""
    from scipy import sparse

    cells = pl.concat([one.cells, other.cells])
    return ExpressionMatrix(sparse.vstack([one.X_CG, other.X_CG], format="csr"), cells, one.genes)


def main() -> None:
    """Print a line a figure, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=Path())
    parser.add_argument("--divisions", type=int, default=4)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 300, 910])
    given = parser.parse_args()
    matrix = read_matrix(given.root / paths.EXPRESSION, "value")
    rows = learning_rows(given.root, matrix)
    found = []
    for seed in range(given.divisions):
        for name, size, value in ratios(divide_again(matrix, rows, seed), given.sizes, seed):
            found.append({"panel": name, "genes": size, "division": seed, "ratio": value})
            print(f"{seed} {size} {name}: {value:.4f}", flush=True)
    print(table(pl.DataFrame(found), given.sizes))


def table(found: pl.DataFrame, sizes: Sequence[int]) -> str:
    """Mean and standard error over divisions, as Markdown."""
    each = found.group_by("panel", "genes", "division", maintain_order=True).agg(pl.col("ratio").mean())
    figures = each.group_by("panel", "genes", maintain_order=True).agg(
        pl.col("ratio").mean(), se=pl.col("ratio").std() / pl.len().sqrt()
    )
    words = {(name, size): f"{value:.3f} ± {spread or 0:.3f}" for name, size, value, spread in figures.iter_rows()}
    lines = [
        f"| {name} | " + " | ".join(words.get((name, size), "") for size in sizes) + " |"
        for name in figures["panel"].unique(maintain_order=True)
    ]
    head = ["| panel | " + " | ".join(str(size) for size in sizes) + " |", "| --- |" + " ---: |" * len(sizes)]
    return "\n".join(head + lines)


if __name__ == "__main__":
    main()
