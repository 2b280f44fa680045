"""PCA and t-SNE of each data set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import ExploreParams

FloatArray = NDArray[np.float64]


class Components(NamedTuple):
    """Scores of the cells on principal components, and the variance each explains."""

    scores_CK: FloatArray
    explained_K: FloatArray


def embed_datasets(matrix: ExpressionMatrix, settings: ExploreParams) -> tuple[pl.DataFrame, dict[str, list[float]]]:
    """Embed each data set on its own.

    Parameters
    ----------
    matrix : ExpressionMatrix
        Normalised values.
    settings : ExploreParams
        Above `max_cells` cells of a data set, a seeded sample of so many is embedded.

    Returns
    -------
    polars.DataFrame
        As `schema.EMBEDDING`.
    dict
        Data set -> fraction of variance explained by each principal component.

    Raises
    ------
    DataError
        If all cells of a data set are alike.
    """
    frames, explained = [], {}
    for dataset in matrix.cells["dataset"].unique(maintain_order=True):
        place = np.flatnonzero((matrix.cells["dataset"] == dataset).to_numpy())
        rng = np.random.default_rng(settings.seed)
        chosen = np.sort(rng.permutation(place)[: settings.max_cells])
        part = matrix.take(chosen)
        if not (part.X_CG.max(axis=0) != part.X_CG.min(axis=0)).nnz:
            remedy = "Check its counts, or leave it out of data.datasets."
            raise DataError(f"genes that vary over the {len(chosen)} cells of {dataset}", "none", remedy)
        components = principal_components(part.X_CG, settings.n_components, settings.seed)
        tsne_C2 = embed_tsne(components.scores_CK, settings.perplexity, settings.seed)
        frames.append(_frame(part.cells, components.scores_CK, tsne_C2))
        explained[dataset] = components.explained_K.tolist()
    return pl.concat(frames), explained


def _frame(cells: pl.DataFrame, scores_CK: FloatArray, tsne_C2: FloatArray) -> pl.DataFrame:
    return cells.select("cell_id", "dataset", "cell_type").with_columns(
        pl.Series("pc1", scores_CK[:, 0]),
        pl.Series("pc2", scores_CK[:, 1]),
        pl.Series("tsne1", tsne_C2[:, 0]),
        pl.Series("tsne2", tsne_C2[:, 1]),
    )


def principal_components(X_CG: sparse.csr_matrix, n_components: int, seed: int) -> Components:
    """PCA with centring done implicitly, so that the matrix stays sparse.

    Signs are fixed by making the largest loading of each component positive.
    """
    from sklearn.decomposition import PCA

    wanted = max(2, min(n_components, min(X_CG.shape) - 1))
    model = PCA(n_components=wanted, svd_solver="arpack", random_state=seed)
    scores_CK = model.fit_transform(X_CG.astype(np.float64))
    largest = np.abs(model.components_).argmax(axis=1)
    signs = np.sign(model.components_[np.arange(wanted), largest])
    return Components(scores_CK * signs, np.asarray(model.explained_variance_ratio_))


def embed_tsne(scores_CK: FloatArray, perplexity: float, seed: int) -> FloatArray:
    """t-SNE (openTSNE) of principal components, shape (n_cells, 2), seeded."""
    from openTSNE import TSNE

    possible = max(1.0, min(perplexity, (len(scores_CK) - 1) / 3))
    model = TSNE(perplexity=possible, random_state=seed, n_jobs=-1, initialization="pca", neighbors="exact")
    return np.asarray(model.fit(scores_CK), dtype=np.float64)
