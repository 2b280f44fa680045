"""Stability selection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sclandmarks.learn.task import Hooks
from sclandmarks.params import EnsemblePanel
from sclandmarks.select.ensemble import resampled, select_ensemble, stability


def settings(**changes) -> EnsemblePanel:
    base = {"selector": "top_variance"}
    return EnsemblePanel(
        **{"selector": "ensemble", "seed": 0, "n_resamples": 8, "fraction": 0.5, "base": base} | changes
    )


def test_genes_are_ranked_by_how_often_they_are_chosen(make_task, make_values) -> None:
    """Recounted from the same samples."""
    values = make_values(40)
    task = make_task(values, 6)
    selected = select_ensemble(task, settings(), Hooks())
    rng, times_G = np.random.default_rng(0), np.zeros(40)
    for _ in range(8):
        cells = np.sort(rng.choice(40, 20, replace=False))
        times_G[np.argsort(-values[cells].astype(np.float64).var(0))[:6]] += 1
    frequency = dict(zip(task.genes["gene_id"], times_G / 8, strict=True))
    assert selected.panel["score"].to_list() == [frequency[gene] for gene in selected.panel["gene_id"]]
    assert selected.panel["score"].is_sorted(descending=True)
    assert float(selected.panel["score"][-1]) >= np.sort(times_G)[-6] / 8
    assert selected.facts["n_always"] == (times_G == 8).sum()
    assert "of 8 samples of the cells, mean rank" in selected.panel["reason"][0]


def test_a_sample_keeps_cells_counts_and_values_together(planted_task, planted) -> None:
    cells = np.array([3, 5, 64, 399])
    sample = resampled(planted_task, cells, 0)
    assert sample.train.n_cells == sample.counts.n_cells == 4
    np.testing.assert_array_equal(sample.train.X_CG.toarray(), planted.values[cells].toarray())
    np.testing.assert_array_equal(sample.counts.X_CG.toarray(), planted.counts.X_CG[cells].toarray())
    assert sample.cells["cell_id"].to_list() == [f"planted/{i}" for i in cells]


def test_any_selector_can_be_the_base(planted_task, planted) -> None:
    """One with counts, one with cells' weights."""
    for base in (
        {"selector": "hvg", "flavour": "pearson"},
        {"selector": "greedy", "ridge": 0.1, "denoised": True, "cell_type_weights": "equal"},
    ):
        selected = select_ensemble(planted_task, settings(base=base, n_resamples=2), Hooks())
        assert selected.panel.height == 6
    assert set(selected.panel["gene_id"]) == set(planted.landmarks)


def test_a_base_of_fewer_genes_is_filled_up(make_task, make_values) -> None:
    task = make_task(make_values(40), 12)
    base = {"selector": "top_variance", "n_landmarks": 12}
    few = select_ensemble(replace(task, n_landmarks=30), settings(base=base, n_resamples=1), Hooks())
    assert few.panel.height == 30
    assert few.panel["gene_id"].n_unique() == 30
    assert (few.panel["reason"].str.contains("fills up") == (np.arange(30) >= 12)).all()


@pytest.mark.parametrize(
    ("times", "n_chosen", "want"),
    [([4, 4, 0, 0], [2] * 4, 1.0), ([2, 2, 2, 2], [2] * 4, 1 - (1 / 4) * (4 / 3) / (1 / 4)), ([1, 1, 0], [2], 1.0)],
)
def test_stability_is_that_of_nogueira(times, n_chosen, want: float) -> None:
    assert stability(np.array(times, dtype=float), n_chosen) == pytest.approx(want)
