"""How many genes of plain greedy give what L1000 gives: `python benchmarks/reach.py [ROOT] [--predictors kernel]`.

ROOT and its cells are as in `bound.py`: training and validation cells, divided again; test cells are not read. Both
panels are given the same predictor, with its settings in params.yaml, and are judged on the genes that neither L1000
nor the first 300 of greedy measure; between sizes linear on a logarithmic axis.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from bound import GREEDY, divide_again, learning_rows

from sclandmarks import paths
from sclandmarks.evaluate.studies.cohort import Cohort, choose
from sclandmarks.evaluate.studies.crossing import crossings
from sclandmarks.genes import measured_landmarks
from sclandmarks.io.learning import batch_order
from sclandmarks.io.matrices import read_matrix
from sclandmarks.learn.task import Hooks, Task
from sclandmarks.matrix import IntArray, MemoryBatches, gene_positions
from sclandmarks.params import load_params
from sclandmarks.predict import PREDICTORS

SIZES = (15, 20, 30, 40, 50, 60, 80, 100, 130)
LARGEST = 300


def explained(cohort: Cohort, panel: IntArray, targets: IntArray, name: str) -> float:
    """Part of the variance of the targets in the judging cells that a panel explains by a predictor."""
    settings = load_params(paths.PARAMS).predictors[name]
    train, held_back = (MemoryBatches(part.X_CG, *batch_order(settings)) for part in cohort[:2])
    task = Task(train, held_back, torch.from_numpy(panel), torch.from_numpy(targets))
    module = PREDICTORS[settings.method](task, settings, Hooks()).module
    values_CG = cohort.test.X_CG.toarray()
    with torch.no_grad():
        predicted_CT = module(torch.from_numpy(values_CG[:, panel])).numpy()
    mean_T = np.asarray(cohort.train.X_CG[:, targets].mean(axis=0)).reshape(-1)
    errors = (np.square(values_CG[:, targets] - guess).sum(dtype=np.float64) for guess in (predicted_CT, mean_T))
    return float(1 - next(errors) / next(errors))


def main() -> None:
    """Print a line a division and predictor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=Path())
    parser.add_argument("--divisions", type=int, default=4)
    parser.add_argument("--predictors", nargs="+", default=["reduced_rank", "kernel"])
    given = parser.parse_args()
    matrix = read_matrix(given.root / paths.EXPRESSION, "value")
    l1000 = gene_positions(matrix.genes, measured_landmarks(matrix.genes))
    for seed in range(given.divisions):
        cohort = divide_again(matrix, learning_rows(given.root, matrix), seed)
        order = choose(GREEDY, cohort, LARGEST)
        targets = np.setdiff1d(np.arange(matrix.n_genes), np.concatenate([l1000, order]))
        for name in given.predictors:
            level = explained(cohort, l1000, targets, name)
            curve = [explained(cohort, order[:size], targets, name) for size in SIZES]
            words = " ".join(f"{size}: {value:.4f}" for size, value in zip(SIZES, curve, strict=True))
            found = crossings(np.array(SIZES, dtype=np.float64), np.array([curve]), np.array([level]))[0]
            print(f"{seed} {name}: L1000 {level:.4f} reached with {found:.0f} genes ({words})", flush=True)


if __name__ == "__main__":
    main()
