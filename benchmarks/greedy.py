"""What greedy selection and the group lasso cost: `python benchmarks/greedy.py [FOLDER OF A PROCESSED MATRIX]`.

`--only WHAT` runs the cases of one kind: greedy, blended (with a factor model), group_lasso, naive. Without a folder
on made-up values of the size of the pancreas data. Each case runs in a process of its own; its peak memory is that
process's, the idle interpreter with torch included. The naive version keeps the residual matrix; it runs a few steps,
and its time is multiplied by the number of steps, as each costs the same.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy import sparse

from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import GreedyPanel, GroupLassoPanel, Section
from sclandmarks.select import SELECTORS, SelectionTask

NAIVE_STEPS = 5
RIDGE = 0.1


@dataclass(frozen=True)
class Case:
    """Sizes of one run."""

    what: str
    n_cells: int
    n_genes: int
    n_landmarks: int
    folder: str = ""


def cases(folder: str) -> list[Case]:
    """The aim of issue 5, then growth in cells, genes and panel size."""
    base = [Case(what, 1549, 8043, 910, folder) for what in ("greedy", "blended", "group_lasso", "naive")]
    grown = [(1549, 8043, 100), (1549, 8043, 300), (775, 8043, 300), (3098, 8043, 300), (1549, 4021, 300)]
    more = [(6000, 2000, 300), (24000, 2000, 300), (24000, 4000, 300)]
    return [*base, *(Case(what, *size) for what in ("greedy", "group_lasso") for size in [*grown, *more])]


def values(case: Case) -> sparse.csr_matrix:
    """Processed values: the first cells and genes of a matrix, or made up around 20 factors, a quarter non-zero."""
    if case.folder:
        table = pl.read_parquet(Path(case.folder) / "matrix.parquet", columns=["gene_index", "value"])
        ends = np.cumsum(table["gene_index"].list.len().to_numpy())
        data, places = (table[name].explode().to_numpy() for name in ("value", "gene_index"))
        n_genes = pl.read_parquet(Path(case.folder) / "genes.parquet").height
        X_CG = sparse.csr_matrix((data, places, np.r_[0, ends]), (table.height, n_genes))
        return X_CG[: case.n_cells, : case.n_genes]
    rng, blocks = np.random.default_rng(0), []
    loadings = rng.gamma(0.3, size=(20, case.n_genes)) * rng.lognormal(0, 1, case.n_genes) * 0.2
    for start in range(0, case.n_cells, 1000):
        rates = rng.dirichlet(np.full(20, 0.3), min(1000, case.n_cells - start)) @ loadings * 20
        blocks.append(sparse.csr_matrix(np.log10(rng.poisson(rates) + 1).astype(np.float32)))
    return sparse.vstack(blocks, format="csr")


def task_of(case: Case) -> SelectionTask:
    """Select from all cells."""
    batches = MemoryBatches(values(case))
    names = [f"g{i}" for i in range(batches.n_genes)]
    none = pl.Series([None] * len(names), dtype=pl.String)
    genes = pl.DataFrame({"gene_id": names, "symbol": names, "ensembl_id": none, "original": names})
    return SelectionTask(batches, batches, genes, case.n_landmarks)


SETTINGS: dict[str, Section] = {
    "greedy": GreedyPanel(selector="greedy", ridge=RIDGE, factor_share=0.0),
    "blended": GreedyPanel(selector="greedy", ridge=RIDGE, factor_share=0.3),
    "group_lasso": GroupLassoPanel(
        selector="group_lasso", width=32, standardise=False, path_ratio=0.8, max_steps=200, tolerance=1e-3, seed=0
    ),
}


def ours(task: SelectionTask, settings: Section) -> float:
    """Seconds of the whole selection, gathering included."""
    begin = time.perf_counter()
    SELECTORS[settings.selector](task, settings, Hooks())  # type: ignore[attr-defined]
    return time.perf_counter() - begin


def naive(task: SelectionTask) -> float:
    """Seconds of the residual-matrix version, a few steps multiplied by the number of genes."""
    begin = time.perf_counter()
    X_CG = torch.from_numpy(sparse.vstack(list(task.train.in_order())).toarray()).double()
    X_CG -= X_CG.mean(0)
    R_GG = X_CG.T @ X_CG / len(X_CG)
    strength, free_G = RIDGE * float(R_GG.diagonal().mean()), torch.ones(len(R_GG), dtype=torch.bool)
    opened = time.perf_counter() - begin
    for _ in range(NAIVE_STEPS):
        size_G = free_G.double() @ R_GG.square() - R_GG.diagonal().square()
        gain_G = (size_G / (R_GG.diagonal() + strength)).masked_fill(~free_G, -1)
        best = int(gain_G.argmax())
        column_G = R_GG[best] / (R_GG[best, best] + strength).sqrt()
        R_GG -= torch.outer(column_G, column_G)
        free_G[best] = False
    step = (time.perf_counter() - begin - opened) / NAIVE_STEPS
    return opened + step * task.n_landmarks


def run(case: Case) -> None:
    """One case in this process; prints its time and memory."""
    torch.set_flush_denormal(True)
    task = task_of(case)
    cpu = time.process_time()
    seconds = naive(task) if case.what == "naive" else ours(task, SETTINGS[case.what])
    used = time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = [task.train.n_cells, task.genes.height, task.n_landmarks]
    print(json.dumps({"seconds": seconds, "cpu": used, "peak": peak, "size": size}))


def main() -> None:
    """Every case in a process of its own, as a Markdown table."""
    print(f"{torch.get_num_threads()} threads\n\n| what | cells | genes | panel | s | CPU s | peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    words = sys.argv[1:]
    only = words.pop(words.index("--only") + 1) if "--only" in words else ""
    folders = [word for word in words if word != "--only"]
    for case in cases(folders[0] if folders else ""):
        if only not in {"", case.what}:
            continue
        arguments = [str(part) for part in (case.what, case.n_cells, case.n_genes, case.n_landmarks, case.folder)]
        command = [sys.executable, __file__, "--case", *arguments]
        out = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        cells, genes, panel = out["size"]
        what = f"naive, {NAIVE_STEPS} steps extrapolated" if case.what == "naive" else case.what
        cpu = "" if case.what == "naive" else f"{out['cpu']:.1f}"
        print(
            f"| {what} | {cells} | {genes} | {panel} | {out['seconds']:.1f} | {cpu} | {out['peak']:.0f} |", flush=True
        )


if __name__ == "__main__":
    if "--case" in sys.argv:
        what, n_cells, n_genes, n_landmarks, folder = sys.argv[2:]
        run(Case(what, int(n_cells), int(n_genes), int(n_landmarks), folder))
    else:
        main()
