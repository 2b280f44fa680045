"""Tasks for selectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from sclandmarks import schema
from sclandmarks.matrix import MemoryBatches
from sclandmarks.prep.scprep_adapter import log_normalise
from sclandmarks.select import SelectionTask

TaskMaker = Callable[..., SelectionTask]


@pytest.fixture(scope="session")
def make_values() -> Callable[..., np.ndarray]:
    """Positive values, cells x genes, driven by four factors."""
    return _make_values


def _make_values(n_cells: int = 25, n_genes: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.gamma(1, size=(n_cells, 4)) @ rng.gamma(0.5, size=(4, n_genes))
    return (mixed + rng.gamma(1, size=(n_cells, n_genes))).astype(np.float32)


@pytest.fixture(scope="session")
def make_task() -> TaskMaker:
    """Make a task of dense values, genes named g0, g1, ... or as given; further fields by name."""
    return _make_task


def _make_task(values: Any, n_landmarks: int, names: list[str] | None = None, **fields: Any) -> SelectionTask:
    batches = MemoryBatches(sparse.csr_matrix(values, dtype=np.float32), 7)
    names = names or [f"g{i}" for i in range(batches.n_genes)]
    columns = {"gene_id": names, "symbol": names, "ensembl_id": [None] * len(names), "original": names}
    return SelectionTask(batches, batches, pl.DataFrame(columns, schema=schema.GENES.dtypes), n_landmarks, **fields)


@pytest.fixture(scope="session")
def planted_task(planted: Any) -> SelectionTask:
    """All planted cells, with counts and cells."""
    return _make_task(
        planted.values,
        6,
        cells=planted.counts.cells,
        counts=MemoryBatches(planted.counts.X_CG, 64),
        normalise=partial(log_normalise, scale=1e4, base=10),
    )
