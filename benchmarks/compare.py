"""Time of judging one fit against the time of fitting it, its growth with cells and genes, and its peak memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import polars as pl
import torch
from scipy import sparse

from sclandmarks import schema
from sclandmarks.evaluate.compare import Evaluation, tabulate
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import CompareParams, FitParams, NetworkPredictor, ReducedRankPredictor
from sclandmarks.predict import PREDICTORS

PREDICTOR = {
    "reduced_rank": ReducedRankPredictor(method="reduced_rank", max_rank=100),
    "network": NetworkPredictor(
        method="network", width=48, depth=1, dropout=0.3, weight_decay=1.0, loss="mse", learning_rate=1e-3,
        batch_size=128, max_epochs=200, patience=10, seed=0,
    ),
}  # fmt: skip
SETTINGS = CompareParams(seed=0, n_bootstrap=1000, confidence=0.95, reference="fit")


def made(n_cells: int, n_genes: int) -> sparse.csr_matrix:
    """Log values of cells of ten types, some 30 % of them not zero."""
    rng = np.random.default_rng(0)
    kinds_KG = rng.gamma(0.3, 1, (10, n_genes))
    return sparse.csr_matrix(np.log10(rng.poisson(kinds_KG[rng.integers(0, 10, n_cells)]) + 1).astype(np.float32))


def named(n_cells: int, n_genes: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables of cells and genes."""
    text = ["dataset", "sample", "donor", "tissue", "condition"]
    cells = {"cell_id": [f"c{i}" for i in range(n_cells)]} | {name: ["one"] * n_cells for name in text}
    cells |= {"cell_type": [f"t{i % 10}" for i in range(n_cells)], "library_size": [1000] * n_cells}
    ids = [f"g{i}" for i in range(n_genes)]
    genes = pl.DataFrame({"gene_id": ids, "symbol": ids, "ensembl_id": [None] * n_genes, "original": ids})
    return pl.DataFrame(cells).select(list(schema.CELLS.dtypes)), genes


def timed(call: Callable[[], object]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def judge(X_CG: sparse.csr_matrix, test: sparse.csr_matrix, module: torch.nn.Module, n_landmarks: int) -> float:
    """Seconds to judge one fit and to make its tables; what is shared by all fits is measured before."""
    cells, genes = named(test.shape[0], test.shape[1])
    ids, device = genes["gene_id"].to_list(), torch.device("cpu")
    made = Evaluation(genes, cells, {"panel": ids[:n_landmarks]}, ids[n_landmarks:], SETTINGS, device)
    train, batches = MemoryBatches(X_CG), MemoryBatches(test)
    made.clusters(made.measured("log", train, batches))
    fit = FitParams(panel="panel", predictor="x")
    seconds = timed(lambda: made.add("fit", fit, "log", module, ids[:n_landmarks], ids[n_landmarks:], train, batches))
    return seconds + timed(lambda: tabulate(made, {}))


def against_fits(n_cells: int = 1550, n_test: int = 390, n_genes: int = 7200, n_landmarks: int = 690) -> None:
    """One fit against judging it, at the size of the pancreas data."""
    X_CG = made(n_cells + n_test, n_genes)
    train, held, test = X_CG[: n_cells - 150], X_CG[n_cells - 150 : n_cells], X_CG[n_cells:]
    task = Task(MemoryBatches(train), MemoryBatches(held), *split_genes(n_genes, range(n_landmarks)))
    for name, settings in PREDICTOR.items():
        start = time.perf_counter()
        module = PREDICTORS[name](task, settings, Hooks()).module
        fit = time.perf_counter() - start
        print(f"| {name} | {fit:.2f} | {judge(train, test, module, n_landmarks):.2f} |", flush=True)


def growth(sizes: list[tuple[int, int]], n_landmarks: int = 300) -> None:
    """Seconds and peak memory of judging a linear fit as cells or genes double."""
    for n_cells, n_genes in sizes:
        module = torch.nn.Linear(n_landmarks, n_genes - n_landmarks)
        X_CG = made(n_cells, n_genes)
        seconds = judge(X_CG[:200], X_CG, module, n_landmarks)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"| {n_cells} | {n_genes} | {seconds:.2f} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("| fit | fitting, s | judging it, s |\n| --- | --- | --- |")
    against_fits()
    print("\n| test cells | genes | judging, s | peak so far, GiB |\n| --- | --- | --- | --- |")
    growth([(500, 2000), (1000, 2000), (2000, 2000), (4000, 2000), (500, 4000), (500, 8000)])
    sys.stdout.flush()
