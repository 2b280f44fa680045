"""What is timed, beside what one would use instead: `make bench`. Ratios of one run; machines are noisy.

Made-up counts of the size of a small study, so that it runs anywhere without a download.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import polars as pl
import torch
from scipy import sparse
from sklearn.linear_model import MultiTaskLasso, Ridge

from sclandmarks.io.matrices import read_matrix, write_matrix
from sclandmarks.learn.task import Hooks, Task
from sclandmarks.matrix import ExpressionMatrix, MemoryBatches, to_torch
from sclandmarks.params import GroupLassoPanel, ReducedRankPredictor, RidgePredictor
from sclandmarks.predict import PREDICTORS
from sclandmarks.predict.sgd import SgdLearner
from sclandmarks.prep.scprep_adapter import log_normalise
from sclandmarks.select import prox
from sclandmarks.select.base import SelectionTask
from sclandmarks.select.lasso_solver import duality_gap, largest, lay_out, solve, start

N_CELLS, N_GENES, N_LANDMARKS = 2000, 6000, 700


def main() -> None:
    """Time everything and print a Markdown table."""
    torch.set_flush_denormal(True)
    counts = made_up_counts()
    value = log_normalise(counts.X_CG, 1e4, 10)
    dense = value.nnz / np.prod(value.shape)
    print(f"{N_CELLS} cells x {N_GENES} genes, {dense:.0%} non-zero, {torch.get_num_threads()} threads\n")
    print("| what | ours, s | instead | its time, s | ratio |\n| --- | --- | --- | --- | --- |")
    for row in (reading(counts, value), densify(value), sgd(value), *linear(value), group_lasso(value, counts.genes)):
        name, ours, instead, theirs = row
        print(f"| {name} | {ours:.3f} | {instead} | {theirs:.3f} | {theirs / ours:.1f} |", flush=True)


def made_up_counts() -> ExpressionMatrix:
    """Negative-binomial counts around a rank-20 structure."""
    rng = np.random.default_rng(0)
    loadings = rng.gamma(0.3, size=(20, N_GENES)) * rng.lognormal(0, 1, N_GENES)
    rates = rng.dirichlet(np.full(20, 0.3), N_CELLS) @ loadings
    rates *= 5000 * rng.lognormal(0, 0.4, (N_CELLS, 1)) / rates.sum(1, keepdims=True)
    X_CG = sparse.csr_matrix(rng.poisson(rates * rng.gamma(2, 0.5, rates.shape)).astype(np.int32))
    names = [f"G{i}" for i in range(N_GENES)]
    genes = pl.DataFrame(
        {"gene_id": names, "symbol": names, "ensembl_id": pl.Series([None] * N_GENES, dtype=pl.String)}
    )
    cells = pl.DataFrame({"cell_id": [f"b/{i}" for i in range(N_CELLS)]}).with_columns(
        *[pl.lit("b").alias(name) for name in ("dataset", "sample", "donor", "tissue", "condition", "cell_type")],
        pl.Series("library_size", np.asarray(X_CG.sum(1)).ravel().astype(np.int64)),
    )
    return ExpressionMatrix(X_CG, cells, genes.with_columns(pl.col("gene_id").alias("original")))


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Best of some repeats."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def reading(counts: ExpressionMatrix, value: sparse.csr_matrix) -> tuple[str, float, str, float]:
    """Whole matrix from disk, beside anndata's h5ad."""
    with tempfile.TemporaryDirectory() as folder:
        write_matrix(Path(folder) / "ours", counts, value)
        h5ad = Path(folder) / "theirs.h5ad"
        with anndata.settings.override(allow_write_nullable_strings=True):
            anndata.AnnData(value).write_h5ad(h5ad, compression="gzip")
        ours = seconds(lambda: read_matrix(Path(folder) / "ours"))
        return "read a matrix", ours, "anndata, h5ad gzip", seconds(lambda: anndata.read_h5ad(h5ad))


def densify(value: sparse.csr_matrix) -> tuple[str, float, str, float]:
    """A batch of 256 cells to a dense tensor."""
    block = value[:256]
    theirs = seconds(lambda: torch.from_numpy(block.toarray()), 20)
    return "batch of 256 to dense", seconds(lambda: to_torch(block), 20), "scipy toarray", theirs


def halves(value: sparse.csr_matrix, batch_size: int = 256) -> Task:
    """First genes in, the others out."""
    cut = int(0.9 * N_CELLS)
    genes = torch.arange(N_GENES)
    train, held_back = MemoryBatches(value[:cut], batch_size), MemoryBatches(value[cut:], batch_size)
    return Task(train, held_back, genes[:N_LANDMARKS], genes[N_LANDMARKS:])


def sgd(value: sparse.csr_matrix) -> tuple[str, float, str, float]:
    """One epoch of SGD, batch size 1, beside a torch loop; a tenth of the cells for the loop, times ten."""
    task = halves(value)
    ours = seconds(lambda: SgdLearner(task, 1e-3).epoch(1), 1)
    x_CL, y_CT = next(task.pairs([task.train.X_CG[: task.train.n_cells // 10]]))  # type: ignore[attr-defined]
    linear = torch.nn.Linear(task.n_landmarks, task.n_targets)
    optimizer = torch.optim.SGD(linear.parameters(), lr=5e-4)

    def loop() -> None:
        for i in range(len(x_CL)):
            optimizer.zero_grad()
            (linear(x_CL[i : i + 1]) - y_CT[i : i + 1]).square().sum().backward()
            optimizer.step()

    return "SGD, batch size 1, an epoch", ours, "torch.nn.Linear and SGD, a loop", 10 * seconds(loop, 1)


def linear(value: sparse.csr_matrix) -> list[tuple[str, float, str, float]]:
    """Ridge with its choice of lambda, beside scikit-learn's Ridge refitted at each of as many."""
    task = halves(value)
    ridge = PREDICTORS["ridge"](task, RidgePredictor(method="ridge"), Hooks())
    x_CL, y_CT = next(task.pairs([task.train.X_CG]))  # type: ignore[attr-defined]

    def refit() -> None:
        for step in ridge.history:
            Ridge(alpha=step.metrics["lambda"]).fit(x_CL.numpy(), y_CT.numpy())

    theirs = seconds(refit, 1)
    rank = ReducedRankPredictor(method="reduced_rank", max_rank=100)
    return [
        (
            "ridge, lambda chosen",
            seconds(lambda: PREDICTORS["ridge"](task, RidgePredictor(method="ridge"), Hooks()), 1),
            f"scikit-learn Ridge, {len(ridge.history)} fits",
            theirs,
        ),
        (
            "reduced rank, lambda and rank chosen",
            seconds(lambda: PREDICTORS["reduced_rank"](task, rank, Hooks()), 1),
            f"scikit-learn Ridge, {len(ridge.history)} fits",
            theirs,
        ),
    ]


def group_lasso(value: sparse.csr_matrix, genes: pl.DataFrame) -> tuple[str, float, str, float]:
    """One place of the path from nothing, beside scikit-learn's MultiTaskLasso at the same penalty and gap."""
    few = value[:, :1500].tocsr()
    settings = GroupLassoPanel(
        selector="group_lasso", seed=0, width=16, standardise=False, path_ratio=0.8, max_steps=500, tolerance=1e-4
    )
    task = SelectionTask(MemoryBatches(few), MemoryBatches(few), genes[:1500], 100)
    problem = lay_out(task, settings, settings.seed).problem()
    strength = 0.8**8 * largest(problem.C_GH)
    ours = seconds(lambda: solve(problem, strength, start(problem), settings.max_steps, settings.tolerance), 1)
    place = solve(problem, strength, start(problem), settings.max_steps, settings.tolerance)
    X = few.toarray() - few.toarray().mean(0)
    _, _, axes = torch.svd_lowrank(torch.from_numpy(X), q=26, niter=4)
    lasso = MultiTaskLasso(alpha=strength, fit_intercept=False, tol=1e-4, max_iter=500)
    theirs = seconds(lambda: lasso.fit(X, X @ axes[:, :16].numpy()), 1)
    gap = duality_gap(problem, strength, place.W_AH, place.active, place.gradient_GH) / problem.constant
    sizes = f"{len(place.active)} and {int((np.abs(lasso.coef_).sum(0) > 0).sum())} genes in, our gap {gap:.0e}"
    assert float(prox.norms(place.W_AH).min()) > 0
    return f"group lasso, 1,500 genes, cold ({sizes})", ours, "scikit-learn MultiTaskLasso", theirs


if __name__ == "__main__":
    main()
