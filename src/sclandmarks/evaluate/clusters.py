"""Are clusters of cells kept: k-means on imputed against measured cells, both on the measured cells' components."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.schema import UNKNOWN

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
N_COMPONENTS, SEEDS, STARTS = 30, (0, 1, 2), 10


class Space(NamedTuple):
    """Principal components of the measured test cells.

    Parameters
    ----------
    loadings_GK : numpy.ndarray, shape (n_genes, n_components), float32
    scores_CK : numpy.ndarray, shape (n_cells, n_components)
        Measured cells, not centred.
    """

    loadings_GK: NDArray[np.float32]
    scores_CK: FloatArray


def principal_space(blocks: Iterable[sparse.csr_matrix]) -> Space:
    """Components of the measured test cells; the matrix stays sparse."""
    from sklearn.decomposition import PCA

    X_CG = sparse.vstack(list(blocks), format="csr").astype(np.float64)
    n_components = min(N_COMPONENTS, min(X_CG.shape) - 1)
    if n_components < 1:
        return Space(np.zeros((X_CG.shape[1], 0), dtype=np.float32), np.zeros((X_CG.shape[0], 0)))
    pca = PCA(n_components, svd_solver="arpack", random_state=0).fit(X_CG)
    loadings_GK = np.ascontiguousarray(pca.components_.T)
    return Space(loadings_GK.astype(np.float32), np.asarray(X_CG @ loadings_GK))


def annotated(cells: pl.DataFrame) -> tuple[IntArray, IntArray]:
    """Positions of the cells with a known type, and the number of their type."""
    known = np.flatnonzero((cells["cell_type"] != UNKNOWN).to_numpy())
    kinds = cells["cell_type"].gather(known).rank("dense").cast(pl.Int64).to_numpy() - 1
    return known, kinds


def cluster(scores_CK: FloatArray, n_clusters: int) -> list[IntArray]:
    """Label every cell by k-means, once a seed."""
    from sklearn.cluster import KMeans

    if not scores_CK.shape[1]:
        return [np.zeros(len(scores_CK), dtype=np.int64) for _ in SEEDS]
    n_clusters = min(n_clusters, len(np.unique(scores_CK, axis=0)))
    return [
        KMeans(n_clusters, n_init=STARTS, random_state=seed).fit_predict(scores_CK).astype(np.int64) for seed in SEEDS
    ]


def agreement(left_C: IntArray, right_C: IntArray, weights_MC: FloatArray) -> FloatArray:
    """Adjusted Rand index of two labellings over weighted cells, shape (M,).

    Pairs of one cell with its own copies are not counted: they agree by themselves. With weights 1 this is Hubert and
    Arabie's index (1985, doi:10.1007/BF01908075).
    """
    both_C = left_C * (int(right_C.max(initial=0)) + 1) + right_C
    every_C = np.zeros_like(left_C)
    joint, left, right, all_pairs = (_pairs(labels, weights_MC) for labels in (both_C, left_C, right_C, every_C))
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = left * right / all_pairs
        index: FloatArray = (joint - expected) / ((left + right) / 2 - expected)
    return np.where((joint == left) & (joint == right), 1.0, index)


def _pairs(labels_C: IntArray, weights_MC: FloatArray) -> FloatArray:
    """Pairs of different cells with equal labels, weighted."""
    number_C = np.unique(labels_C, return_inverse=True)[1]
    member_CL = sparse.csr_matrix((np.ones(len(labels_C)), (np.arange(len(labels_C)), number_C)))
    size_ML, own_ML = weights_MC @ member_CL, weights_MC**2 @ member_CL
    return np.asarray((size_ML**2 - own_ML).sum(axis=1) / 2)


def mean_agreement(left: list[IntArray], right: list[IntArray], weights_MC: FloatArray) -> FloatArray:
    """Mean over seeds of the index of two lists of labellings, shape (M,)."""
    found = [agreement(a_C, b_C, weights_MC) for a_C, b_C in zip(left, right, strict=True)]
    return np.asarray(np.mean(found, axis=0))
