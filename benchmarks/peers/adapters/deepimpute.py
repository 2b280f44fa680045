"""DeepImpute's network (Arisdakessian et al. 2019, doi:10.1186/s13059-019-1837-6) from a panel to all other genes.

The package chooses inputs of its own for every network. Here its `build` makes the networks, with its layers, loss,
optimiser and early stopping, and every network of 512 targets gets the panel: the predictor of the study. The package
asks Keras for `lr`, which Keras 3 calls `learning_rate`; that one name is translated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from peers.cells import Cells

IMPORTS = ("tensorflow", "deepimpute.multinet")
HELD_BACK = 0.05  # as in its fit


def impute(cells: Cells, panel: NDArray[np.int64], test_CL: NDArray[np.float32], loss: str) -> NDArray[np.float32]:
    """Natural log values of all genes but the panel's, in their order, shape (n_test_cells, n_targets).

    Parameters
    ----------
    cells : Cells
        Training cells.
    panel : numpy.ndarray, shape (n_landmarks,)
        Columns of the panel.
    test_CL : numpy.ndarray, shape (n_test_cells, n_landmarks)
        Values of the panel in other cells.
    loss : str
        `wMSE`, its own, which weighs an error by the measured value, so that zeros do not count; or a loss of Keras.
    """
    import tensorflow
    from deepimpute import multinet

    adam = tensorflow.keras.optimizers.Adam
    tensorflow.keras.optimizers.Adam = lambda lr: adam(learning_rate=lr)
    tensorflow.keras.utils.set_random_seed(0)
    net = multinet.MultiNet(ncores=2, seed=0, verbose=0, loss=loss)
    X_CG = cells.dense()
    targets = np.setdiff1d(np.arange(X_CG.shape[1]), panel)
    blocks = filled(targets, net.sub_outputdim)
    model = net.build([len(panel)] * len(blocks))
    train, held_back = parts(len(X_CG))
    pairs = [
        ([X_CG[rows][:, panel]] * len(blocks), [X_CG[rows][:, some] for some in blocks]) for rows in (train, held_back)
    ]
    stop = tensorflow.keras.callbacks.EarlyStopping(monitor="val_loss", patience=net.NN_parameters["patience"])
    epochs, size = net.NN_parameters["max_epochs"], net.NN_parameters["batch_size"]
    model.fit(*pairs[0], validation_data=pairs[1], epochs=epochs, batch_size=size, callbacks=[stop], verbose=2)
    found: Any = model.predict([test_CL] * len(blocks), verbose=0)
    return np.hstack(found if isinstance(found, list) else [found])[:, : len(targets)].astype(np.float32)


def filled(targets: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """The targets in blocks of one size; the last is filled up with the first ones, whose second copy is not used."""
    n_blocks = -(-len(targets) // size)
    return list(np.resize(targets, n_blocks * size).reshape(n_blocks, size))


def parts(n_cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on, and rows that decide when to stop."""
    order = np.random.default_rng(0).permutation(n_cells)
    cut = max(1, int(HELD_BACK * n_cells))
    return np.sort(order[cut:]), np.sort(order[:cut])
