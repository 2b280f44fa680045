"""Clusters of genes and their representatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sclandmarks.learn.task import Hooks
from sclandmarks.params import KMeansPanel
from sclandmarks.select.kmeans import representatives, select_l1000_kmeans

SETTINGS = KMeansPanel(selector="l1000_kmeans", seed=0, n_components=6, rounds=1, ridge=0.1)


@pytest.fixture(scope="module")
def clustered(make_task):
    """30 genes in three programmes of 15, 10 and 5; in each the first gene has the least noise."""
    rng = np.random.default_rng(2)
    programme_G = np.repeat([0, 1, 2], [15, 10, 5])
    noise_G = np.where(np.isin(np.arange(30), [0, 15, 25]), 0.05, 0.6)
    values = rng.normal(size=(100, 3))[:, programme_G] + noise_G * rng.normal(size=(100, 30)) + 5
    return make_task(values, 3)


def test_one_gene_of_each_programme_in_the_order_of_their_sizes(clustered) -> None:
    panel = select_l1000_kmeans(clustered, SETTINGS, Hooks()).panel
    places = [int(gene[1:]) for gene in panel["gene_id"]]
    assert [np.searchsorted([15, 25], place, side="right") for place in places] == [0, 1, 2]
    assert "cluster of 15 genes in round 1" in panel["reason"][0]


def test_what_is_explained_is_removed_before_the_next_round(clustered) -> None:
    """After one gene of a programme, less is left to cluster."""
    seen: list[float] = []
    hooks = Hooks(lambda metrics, step: seen.append(metrics["left"]))
    settings = SETTINGS.model_copy(update={"rounds": 2})
    selected = select_l1000_kmeans(replace(clustered, n_landmarks=6), settings, hooks)
    assert selected.panel["gene_id"].n_unique() == 6
    assert len(seen) == 2
    assert seen[1] < 0.5 * seen[0]


def test_rounds_share_the_panel_and_more_rounds_than_genes_do_no_harm(clustered) -> None:
    for n_landmarks, rounds in ((7, 3), (2, 5), (29, 2)):
        settings = SETTINGS.model_copy(update={"rounds": rounds})
        panel = select_l1000_kmeans(replace(clustered, n_landmarks=n_landmarks), settings, Hooks()).panel
        assert panel["gene_id"].n_unique() == n_landmarks


def test_representatives_are_nearest_to_their_centres() -> None:
    points = np.array([[0.0, 0], [0.1, 0], [0.25, 0], [5, 5], [5, 5.1], [5, 5.3], [9, 9]])
    assert sorted(representatives(points, [6], 2, 0)) == [(1, 3), (4, 3)]


def test_points_that_coincide_are_filled_up() -> None:
    """Fewer places than clusters wanted."""
    found = representatives(np.zeros((6, 2)), [0], 3, 0)
    assert len({gene for gene, _ in found}) == 3
    assert 0 not in {gene for gene, _ in found}
