"""Tables of the noise floor follow their schemas and say what the floor says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from sclandmarks import schema
from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.noise import (
    WHOLE,
    NoiseFloor,
    group_floors,
    group_labels,
    group_of,
    noise_floor,
    noise_per_gene,
    noise_rows,
)
from sclandmarks.matrix import MemoryBatches

RNG = np.random.default_rng(0)
COUNTS = sparse.csr_matrix(RNG.poisson(RNG.gamma(1, 3, (90, 12)) * (np.arange(12) > 0)).astype(np.int32))
GENES = pl.DataFrame({"gene_id": [f"E{i}" for i in range(12)], "symbol": [f"S{i}" for i in range(12)]})


def floor_of(n_bootstrap: int) -> NoiseFloor:
    weights_NC = resample_weights(90, n_bootstrap, 0) if n_bootstrap else None
    return noise_floor([COUNTS], 1e4, 10, 3, 0, weights_NC)


def test_rows_of_the_whole_and_of_types() -> None:
    """Pooled over the genes asked for, a row a set of cells."""
    found, genes = floor_of(50), np.array([2, 5])
    labels = group_labels(pl.DataFrame({"dataset": ["d"] * 90, "cell_type": ["x"] * 40 + ["y"] * 50}))
    groups = group_floors(MemoryBatches(COUNTS), labels, 1e4, 10, 3, 0, resample_weights(90, 50, 0))
    table = schema.check(noise_rows([(WHOLE, found), *groups], genes, 0.9), schema.NOISE)
    assert table.select("dataset", "cell_type").rows() == [("all", "all"), ("d", "x"), ("d", "y")]
    assert [group_of(label) for label in dict.fromkeys(labels)] == [("d", "x"), ("d", "y")]
    assert table["n_cells"].to_list() == [90, 40, 50]
    assert table["n_genes"].to_list() == [2, 2, 2]
    row = table.row(0, named=True)
    assert (row["floor"], row["floor_low"], row["floor_high"]) == found.floor_mse(genes, 0.9)
    assert row["explainable"] == pytest.approx(1 - row["floor"] / row["variance"])


def test_a_constant_gene_has_no_reliability() -> None:
    """Null, while its floor is zero; the others keep theirs."""
    found = floor_of(50)
    table = schema.check(noise_per_gene(found, GENES, 0.9), schema.NOISE_PER_GENE)
    assert table["reliability"].is_null().to_list() == [True] + [False] * 11
    assert table["floor"][0] == 0
    assert table["floor"].to_list() == found.floor_G.tolist()
    assert (table["floor_low"] <= table["floor_high"]).all()
    np.testing.assert_allclose(table["floor_low"][1:], np.quantile(found.floor_NG[:, 1:], 0.05, axis=0), rtol=1e-5)


def test_without_resamples_the_ends_are_missing() -> None:
    """Null, not NaN."""
    found = floor_of(0)
    for table in (noise_rows([("all", found)], None, 0.9), noise_per_gene(found, GENES, 0.9)):
        assert table["floor_low"].null_count() == table.height
        assert table["floor"].null_count() == 0
