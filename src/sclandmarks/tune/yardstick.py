"""What scores are measured against: the error of the training mean, and what of it can be explained at all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sclandmarks import schema
from sclandmarks.evaluate.noise import noise_floor, noise_per_gene
from sclandmarks.io.batches import ParquetBatches
from sclandmarks.io.learning import LEARNING, LearningData
from sclandmarks.io.tables import read_table, write_table
from sclandmarks.matrix import Batches
from sclandmarks.moments import gene_means
from sclandmarks.tune.plan import Plan

FloatArray = NDArray[np.float64]


def mean_mse(train: Batches, validation: Batches) -> FloatArray:
    """Mean squared error, on the validation cells, of the training mean of every gene, shape (n_genes,)."""
    mean_G = gene_means(train.in_order()).double().numpy()
    sums_2G = np.zeros((2, len(mean_G)))
    for block in validation.in_order():
        values = block.data.astype(np.float64)
        for sums_G, part in zip(sums_2G, (values, values**2), strict=True):
            sums_G += np.bincount(block.indices, part, minlength=len(mean_G))
    first_G, second_G = sums_2G / validation.n_cells
    return np.asarray(second_G - 2 * mean_G * first_G + mean_G**2)


def explainable(data: LearningData, plan: Plan, mean_mse_G: FloatArray) -> FloatArray:
    """Part of `mean_mse_G` above the noise floor, shape (n_genes,).

    The reliability of every gene is estimated on the learning cells. It is computed once a study and kept in its
    folder.

    Parameters
    ----------
    data : LearningData
    plan : Plan
    mean_mse_G : numpy.ndarray, shape (n_genes,)
        As `mean_mse`.
    """
    kept = Path(plan.folder) / f"noise-{plan.fingerprint}.parquet"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_suffix(".lock")):
        if not kept.is_file():
            _estimate(data, plan, kept)
    rho_G = read_table(kept, schema.NOISE_PER_GENE)["reliability"].fill_null(0.0).to_numpy()
    return np.asarray(rho_G * mean_mse_G)


def _estimate(data: LearningData, plan: Plan, target: Path) -> None:
    prepare, noise = plan.context.prepare, plan.context.noise
    rows = [np.flatnonzero((data.subsets == subset).fill_null(False).to_numpy()) for subset in LEARNING]
    blocks = chain(*(_counts(data, places).in_order() for places in rows))
    found = noise_floor(
        blocks, prepare.scale, prepare.log_base, noise.n_repeats, noise.seed, cells_C=np.concatenate(rows)
    )
    write_table(target, noise_per_gene(found, data.genes, confidence=0.95), schema.NOISE_PER_GENE)


def _counts(data: LearningData, rows: NDArray[np.int64]) -> ParquetBatches:
    return ParquetBatches(data.file, rows, values="count")


def share(explained: float, whole: Sequence[float] | FloatArray) -> float:
    """Part of a whole that is explained; NaN where the whole is nothing."""
    total = float(np.sum(whole))
    return explained / total if total > 0 else float("nan")
