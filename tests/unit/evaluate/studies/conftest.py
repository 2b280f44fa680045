"""A cohort of the planted cells, and small settings of the studies."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from sclandmarks.evaluate.studies.cohort import Cohort, divide
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import PrepareParams, StudiesParams

SETTINGS: dict[str, Any] = {
    "seed": 0, "n_bootstrap": 60, "confidence": 0.95, "max_rank": 8,
    "panels": {
        "l1000": {"selector": "l1000"},
        "top_variance": {"selector": "top_variance"},
        "greedy": {"selector": "greedy", "ridge": 0.1},
        "random": {"selector": "random", "seed": 0},
    },
    "curves": {
        "panels": ["greedy", "random"], "sizes": {"smallest": 2, "largest": 20, "n": 4}, "repeats": 2,
        "fractions": [0.3, 1.0], "n_landmarks": 6, "subsamples": 2,
    },
    "generalise": {
        "by": ["cell_type", "dataset"], "panels": ["greedy", "random"], "n_landmarks": 6,
        "predictors": {"reduced_rank": {"method": "reduced_rank", "max_rank": 8}, "mean": {"method": "mean"}},
        "min_cells": 5,
    },
    "stability": {"panels": ["greedy", "random"], "sizes": [3, 6], "repeats": 4, "fraction": 0.5},
    "realistic": {
        "panels": ["greedy"], "n_landmarks": 6, "repeats": 2, "efficiency": [0.1, 0.5], "dropout": [0.5],
        "saturation": [2], "crowding": [20],
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def study() -> StudiesParams:
    return StudiesParams.model_validate(SETTINGS)


@pytest.fixture(scope="session")
def preparation() -> PrepareParams:
    return PrepareParams(min_library_size=0, min_reads=1, min_cells=2, scale=10000, log_base=10)


@pytest.fixture(scope="session")
def split_of() -> Any:
    """Every fifth cell to test, every fifth to validation, the others to training."""

    def assign(cells: pl.DataFrame) -> pl.DataFrame:
        subset = np.array(["train", "train", "train", "validation", "test"])[np.arange(cells.height) % 5]
        return pl.DataFrame({"cell_id": cells["cell_id"], "subset": subset})

    return assign


@pytest.fixture(scope="session")
def values(planted: Any, split_of: Any) -> Cohort:
    matrix = ExpressionMatrix(planted.values, planted.counts.cells, planted.counts.genes)
    return divide(matrix, split_of(matrix.cells))


@pytest.fixture(scope="session")
def counts(planted: Any, split_of: Any) -> Cohort:
    return divide(planted.counts, split_of(planted.counts.cells))
