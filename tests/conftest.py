"""What all tests share: small matrices, a planted data set, and that no chance or clock decides.

Hypothesis draws the same examples in every run. `pytest --hypothesis-profile=search` draws others, and more of them.
"""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from scipy import sparse

from sclandmarks import schema
from sclandmarks.matrix import ExpressionMatrix, IntArray

MatrixMaker = Callable[..., ExpressionMatrix]

settings.register_profile(
    "sclandmarks", deadline=None, max_examples=60, print_blob=True, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.register_profile("search", settings.get_profile("sclandmarks"), derandomize=False, max_examples=1000)
settings.load_profile("sclandmarks")


class Planted(NamedTuple):
    """Cells whose genes are all driven by a few landmarks.

    `values` is log10(10000 x / total + 1) of the counts, float32 CSR with the same places; `positions` are the
    columns of `landmarks`.
    """

    counts: ExpressionMatrix
    values: sparse.csr_matrix
    landmarks: list[str]
    positions: IntArray


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Chance that a test does not seed itself, and subnormal numbers, are as if nothing had run here before."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(0)
        torch.set_flush_denormal(False)  # `open_device` sets it for the rest of its process


@pytest.fixture
def reserve_port() -> Iterator[Callable[[], int]]:
    """Return ports of loopback that refuse connections, and that the system gives to nobody else during the test.

    A server that asks for one by number may have it, as servers set SO_REUSEADDR.
    """
    with ExitStack() as places:

        def reserve() -> int:
            place = places.enter_context(socket.socket())
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(("127.0.0.1", 0))
            return int(place.getsockname()[1])

        yield reserve


@pytest.fixture(scope="session")
def make_matrix() -> MatrixMaker:
    """Make a matrix of Poisson counts, or of the counts given."""
    return _make_matrix


@pytest.fixture(scope="session")
def planted() -> Planted:
    """400 cells x 80 genes: each of 74 follows two of 6 landmarks, half of them along a bend, and noise of its own.

    The landmarks are not among the most variable genes; greedy selection and the path of a group lasso on
    standardised genes take exactly them first.
    """
    rng = np.random.default_rng(7)
    positions = np.sort(rng.choice(80, 6, replace=False))
    level_CL = rng.uniform(-1.7, 1.7, (400, 6))
    weight_LG = np.zeros((6, 80))
    for gene in range(80):
        weight_LG[[gene % 6, (gene + 1 + gene // 6 % 2) % 6], gene] = rng.choice([-0.4, 0.4], 2)
    bent_CG = np.logaddexp(0, 2 * level_CL) / 1.2 @ weight_LG
    driven_CG = np.where(np.arange(80) % 2, level_CL @ weight_LG, bent_CG - bent_CG.mean(axis=0))
    rate_CG = rng.uniform(2, 6, 80) * np.exp(driven_CG + rng.normal(0, 0.2, (400, 80)))
    rate_CG[:, positions] = 20 * np.exp(1.2 * level_CL)
    counts = _make_matrix(counts=rng.poisson(rate_CG), dataset="planted")
    return Planted(counts, _normalise(counts.X_CG), counts.genes["gene_id"][positions].to_list(), positions)


def _normalise(X_CG: sparse.csr_matrix) -> sparse.csr_matrix:
    per_read_C = 1e4 / np.asarray(X_CG.sum(axis=1)).ravel()
    data = np.log10(X_CG.data * np.repeat(per_read_C, np.diff(X_CG.indptr)) + 1).astype(np.float32)
    return sparse.csr_matrix((data, X_CG.indices.copy(), X_CG.indptr.copy()), shape=X_CG.shape)


def _make_matrix(
    n_cells: int = 20,
    n_genes: int = 10,
    seed: int = 0,
    *,
    mean: float = 1.0,
    counts: Any = None,
    dataset: str = "toy",
) -> ExpressionMatrix:
    """Make counts with cells toy/0, toy/1, ... and genes g0, g1, ..., of several kinds."""
    if counts is None:
        counts = np.random.default_rng(seed).poisson(mean, (n_cells, n_genes))
    X_CG = sparse.csr_matrix(counts, dtype=np.int32)
    return ExpressionMatrix(X_CG, _cells(X_CG, dataset), _genes(X_CG.shape[1]))


def _cells(X_CG: sparse.csr_matrix, dataset: str) -> pl.DataFrame:
    numbers = range(X_CG.shape[0])
    columns = {
        "cell_id": [f"{dataset}/{i}" for i in numbers],
        "dataset": [dataset for _ in numbers],
        "sample": [f"sample{i % 5}" for i in numbers],
        "donor": [f"donor{i % 4}" for i in numbers],
        "tissue": [f"tissue{i % 2}" for i in numbers],
        "condition": [f"condition{i % 2}" for i in numbers],
        "cell_type": [f"type{i % 3}" for i in numbers],
        "library_size": np.asarray(X_CG.sum(axis=1)).ravel(),
    }
    return pl.DataFrame(columns, schema=schema.CELLS.dtypes)


def _genes(n_genes: int) -> pl.DataFrame:
    names = [f"g{i}" for i in range(n_genes)]
    columns = {"gene_id": names, "symbol": names, "ensembl_id": [None] * n_genes, "original": names}
    return pl.DataFrame(columns, schema=schema.GENES.dtypes)
