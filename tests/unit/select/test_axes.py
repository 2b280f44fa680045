"""Principal axes against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sclandmarks.learn.task import Hooks
from sclandmarks.params import LoadingsPanel
from sclandmarks.select.axes import principal_axes, select_pca_loadings
from sclandmarks.select.greedy import open_deflation


@pytest.mark.parametrize("n_cells", [25, 90])
def test_axes_are_scikit_learns(make_task, make_values, n_cells: int) -> None:
    """From the cells, and from the covariance."""
    values = make_values(n_cells)
    axes = principal_axes(open_deflation(make_task(values, 3)), 5)
    theirs = PCA(5, svd_solver="full").fit(values.astype(np.float64))
    np.testing.assert_allclose(axes.variance_T, theirs.explained_variance_ * (n_cells - 1) / n_cells, rtol=1e-5)
    np.testing.assert_allclose(axes.V_GT.T.abs(), np.abs(theirs.components_), atol=1e-4)


def test_there_are_no_more_axes_than_cells_tell(make_task, make_values) -> None:
    assert len(principal_axes(open_deflation(make_task(make_values(6), 3)), 20).variance_T) == 5


@pytest.mark.parametrize("weight", ["leverage", "variance"])
def test_loadings_rank_genes(make_task, make_values, weight: str) -> None:
    values = make_values(90)
    settings = LoadingsPanel(selector="pca_loadings", n_components=5, weight=weight)
    panel = select_pca_loadings(make_task(values, 7), settings, Hooks()).panel
    theirs = PCA(5, svd_solver="full").fit(values.astype(np.float64))
    per_axis = theirs.explained_variance_ * 89 / 90 if weight == "variance" else np.ones(5)
    score_G = per_axis @ theirs.components_**2
    assert panel["gene_id"].to_list() == [f"g{i}" for i in np.argsort(-score_G)[:7]]
    np.testing.assert_allclose(panel["score"], np.sort(score_G)[::-1][:7], rtol=1e-4)
