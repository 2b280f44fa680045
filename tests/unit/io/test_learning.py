"""What learning stages read: raw counts in the batches of the values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from sclandmarks import paths, schema
from sclandmarks.io.learning import LearningData
from sclandmarks.io.matrices import write_matrix
from sclandmarks.io.tables import write_table
from sclandmarks.params import KnnPredictor, PaperNetworkPredictor

EPOCHS = {"learning_rate": 0.1, "batch_size": 33, "max_epochs": 1, "patience": 1, "seed": 4}
NETWORK = PaperNetworkPredictor(method="paper_network", width=2, depth=1, dropout=0.0, loss="mse", **EPOCHS)


@pytest.fixture
def data(planted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LearningData:
    """The planted cells, every third one to learn from."""
    monkeypatch.chdir(tmp_path)
    write_matrix(paths.EXPRESSION, planted.counts, planted.values)
    subset = pl.Series(["train", "validation", "test"] * 134).head(400)
    write_table(paths.SPLIT, planted.counts.cells.select("cell_id").with_columns(subset=subset), schema.SPLIT)
    return LearningData()


@pytest.mark.parametrize("settings", [NETWORK, KnnPredictor(method="knn", max_cells=5, seed=0)])
def test_counts_are_those_of_the_training_cells_in_the_batches_of_the_values(data: LearningData, settings: Any) -> None:
    """In every epoch, also after the values were read: neither takes the other's decoded groups for its own."""
    values, counts = data.batches("train", settings), data.counts(settings)
    assert (counts.n_cells, counts.batch_size) == (values.n_cells, values.batch_size)
    list(values.in_order())
    for epoch in (0, 1):
        for value, count in zip(values.epoch(epoch), counts.epoch(epoch), strict=True):
            total_B1 = np.asarray(count.sum(axis=1))
            want = np.log10(1 + 1e4 * count.toarray() / total_B1)
            np.testing.assert_allclose(value.toarray(), want, rtol=1e-5, atol=1e-6)
    whole = sparse.vstack(list(counts.in_order()))
    assert whole.dtype == np.int32
    assert whole.shape == (134, 80)
