"""PCA and t-SNE of each data set."""

from __future__ import annotations

import numpy as np
import openTSNE
import polars as pl
import pytest
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.explore.embed import embed_datasets, embed_tsne, principal_components
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import ExploreParams

SETTINGS = ExploreParams(seed=0, n_components=5, perplexity=10, max_cells=60)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep t-SNE to one thread, which changes no bit; its OpenMP threads spin where other work wants the cores."""
    monkeypatch.setattr(openTSNE, "TSNE", lambda TSNE=openTSNE.TSNE, **settings: TSNE(**settings | {"n_jobs": 1}))


def test_pca_is_numpys_svd_of_the_centred_matrix(planted) -> None:
    """Scores up to sign, and fractions of variance; the matrix stays sparse on the way."""
    found = principal_components(planted.values, 6, seed=0)
    centred_CG = planted.values.toarray().astype(np.float64)
    centred_CG -= centred_CG.mean(axis=0)
    U_CK, s_K, _ = np.linalg.svd(centred_CG, full_matrices=False)
    want_CK = U_CK[:, :6] * s_K[:6]
    np.testing.assert_allclose(np.abs(found.scores_CK), np.abs(want_CK), atol=1e-8)
    np.testing.assert_allclose(found.explained_K, (s_K**2 / (s_K**2).sum())[:6], rtol=1e-8)


def test_signs_are_fixed(planted) -> None:
    """The largest loading of each component is positive, whatever the seed of the solver."""
    first, other = (principal_components(planted.values, 4, seed=seed).scores_CK for seed in (0, 1))
    np.testing.assert_allclose(first, other, atol=1e-8)
    centred_CG = planted.values.toarray() - planted.values.toarray().mean(axis=0)
    loadings_KG = first.T @ centred_CG
    largest_K = np.abs(loadings_KG).argmax(axis=1)
    assert (loadings_KG[np.arange(4), largest_K] > 0).all()


@pytest.mark.parametrize(("n_cells", "wanted"), [(3, 2), (5, 4)])
def test_few_cells_give_fewer_components(planted, n_cells: int, wanted: int) -> None:
    """No more than one less than there are cells."""
    assert principal_components(planted.values[:n_cells], 50, seed=0).scores_CK.shape == (n_cells, wanted)


def test_tsne_is_seeded_and_separates_what_is_apart() -> None:
    """The same again to the last bit; two distant groups of cells stay neighbours among themselves."""
    rng = np.random.default_rng(0)
    groups_C = np.arange(80) % 2
    scores_CK = rng.normal(size=(80, 5)) + 20 * groups_C[:, None]
    first, again = embed_tsne(scores_CK, 10, 3), embed_tsne(scores_CK, 10, 3)
    np.testing.assert_array_equal(first, again)
    distance_CC = np.linalg.norm(first[:, None] - first[None], axis=2) + np.diag(np.full(80, np.inf))
    assert (groups_C[distance_CC.argmin(axis=1)] == groups_C).mean() > 0.95


def test_each_dataset_on_its_own(planted) -> None:
    """A seeded sample of at most max_cells of each; the others do not change it."""
    cells = planted.counts.cells[:110].with_columns(
        pl.Series("dataset", ["a"] * 80 + ["b"] * 30), pl.Series("library_size", np.arange(110))
    )
    matrix = ExpressionMatrix(sparse.csr_matrix(planted.values[:110]), cells, planted.counts.genes)
    frame, explained = embed_datasets(matrix, SETTINGS)
    schema.check(frame, schema.EMBEDDING)
    assert dict(frame.group_by("dataset").len().iter_rows()) == {"a": 60, "b": 30}
    assert set(frame["cell_id"]) <= set(cells["cell_id"])
    assert {name: len(values) for name, values in explained.items()} == {"a": 5, "b": 5}
    alone, explained_alone = embed_datasets(matrix.take(np.arange(80, 110)), SETTINGS)
    np.testing.assert_allclose(alone["pc1"], frame.filter(pl.col("dataset") == "b")["pc1"], atol=1e-8)
    assert explained_alone["b"] == pytest.approx(explained["b"])
    assert frame.select(pl.col("pc1", "pc2", "tsne1", "tsne2").is_finite().all()).row(0) == (True,) * 4


def test_cells_that_are_all_alike_are_refused(planted) -> None:
    """By the name of their data set; a solver would find no direction at all."""
    alike = sparse.csr_matrix(np.repeat(planted.counts.X_CG[:1].toarray(), 20, axis=0).astype(np.float32))
    matrix = ExpressionMatrix(alike, planted.counts.cells[:20], planted.counts.genes)
    with pytest.raises(DataError, match=r"genes that vary over the 20 cells of planted; got none"):
        embed_datasets(matrix, SETTINGS)
