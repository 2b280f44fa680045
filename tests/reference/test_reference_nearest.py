"""Nearest cells against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import KnnPredictor
from sclandmarks.predict.nearest import NEIGHBOURS, fit_knn

N_TRAIN = 200


@pytest.fixture(scope="module")
def task(planted) -> Task:
    """From the planted landmarks to all other genes."""
    train, held_back = MemoryBatches(planted.values[:N_TRAIN], 64), MemoryBatches(planted.values[N_TRAIN:], 50)
    return Task(train, held_back, *split_genes(80, planted.positions))


def dense(task: Task, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Panel and targets of all cells of a part, in float64."""
    pairs = list(task.pairs(getattr(task, part).in_order()))
    return tuple(np.concatenate([pair[i].double().numpy() for pair in pairs]) for i in (0, 1))


def test_every_number_of_neighbours_gives_the_error_of_scikit_learn(task: Task) -> None:
    ours = fit_knn(task, KnnPredictor(method="knn", max_cells=N_TRAIN, seed=0), Hooks())
    (x_CL, y_CT), (x_BL, y_BT) = dense(task, "train"), dense(task, "validation")
    for step in ours.history:
        theirs = KNeighborsRegressor(int(step.metrics["n_neighbours"]), algorithm="brute").fit(x_CL, y_CT)
        assert step.metrics["validation_mse"] == pytest.approx(np.square(theirs.predict(x_BL) - y_BT).mean(), rel=1e-3)
    assert [step.metrics["n_neighbours"] for step in ours.history] == list(NEIGHBOURS)
    assert ours.chosen["validation_mse"] == min(step.metrics["validation_mse"] for step in ours.history)
    chosen = KNeighborsRegressor(int(ours.chosen["n_neighbours"]), algorithm="brute").fit(x_CL, y_CT)
    np.testing.assert_allclose(ours.module(task.example(5)).numpy(), chosen.predict(x_BL[:5]), atol=1e-3)


def test_a_sample_of_the_cells_is_kept(task: Task) -> None:
    """No more than asked for, the same for the same seed, another for another."""
    first, again, other = (
        fit_knn(task, KnnPredictor(method="knn", max_cells=30, seed=seed), Hooks()) for seed in (0, 0, 1)
    )
    kept = first.module.X_KL.numpy()
    assert kept.shape == (30, 6)
    np.testing.assert_array_equal(kept, again.module.X_KL.numpy())
    assert not np.array_equal(kept, other.module.X_KL.numpy())
    rows = {row.tobytes() for row in dense(task, "train")[0].astype(np.float32)}
    assert all(row.tobytes() in rows for row in kept)
    assert first.spec.rank <= 30
