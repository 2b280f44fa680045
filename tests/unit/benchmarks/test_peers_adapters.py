"""Adapters of peers that are not installed here, on a stand-in for the package: what they ask of it and read."""

from __future__ import annotations

import collections
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture
def cells(planted_folder: Path) -> Any:
    return import_module("peers.cells").load_cells(planted_folder / "train")


class Gates:
    """Stands in for `stg.STG`: the most open gates are the last ones."""

    def __init__(self, input_dim: int, output_dim: int, **settings: Any) -> None:
        self.n_genes, self.n_types, self.settings = input_dim, output_dim, settings

    def fit(self, X_CG: Any, codes: Any, nr_epochs: int, shuffle: bool, verbose: bool) -> None:
        assert collections.Sequence  # type: ignore[attr-defined]
        assert X_CG.shape == (len(codes), self.n_genes)
        assert set(codes) == set(range(self.n_types))

    def get_gates(self, mode: str) -> Any:
        assert mode == "raw"
        return np.arange(self.n_genes, dtype=np.float32)


def test_stg_ranks_by_gates_and_is_lent_the_names_it_misses(cells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = import_module("peers.adapters.stg")
    for name in adapter.MOVED:  # so that they are taken away after this test
        monkeypatch.setattr(collections, name, None, raising=False)
    monkeypatch.setitem(sys.modules, "stg", SimpleNamespace(STG=Gates))
    assert adapter.select(cells, 3) == [79, 78, 77]


class Path4:
    """Stands in for `lassonet.LassoNetRegressor`: four places, at each of which genes of low numbers leave."""

    made: Path4

    def __init__(self, lambda_start: float, path_multiplier: float, **settings: Any) -> None:
        self.start, self.multiplier, self.places = lambda_start, path_multiplier, 0
        self.model = SimpleNamespace(skip=SimpleNamespace(weight=torch.empty(0)))
        Path4.made = self

    def path(self, X_CG: Any, Y_CN: Any, callback: Any) -> None:
        assert np.isclose(Y_CN.std(), 1, rtol=1e-4)
        for n_gone in (0, 0, 20, 40, 80):
            weights_G = torch.arange(1.0, X_CG.shape[1] + 1)
            weights_G[:n_gone] = 0
            self.model.skip.weight = torch.stack([weights_G, -weights_G])
            self.places += 1
            callback(self, [SimpleNamespace(lambda_=self.start * self.multiplier**self.places)])


@pytest.mark.parametrize(("fewest", "places"), [(50, 4), (0, 5)])
def test_lassonet_ranks_by_leaving_and_ends_at_the_smallest_panel(
    cells: Any, monkeypatch: pytest.MonkeyPatch, fewest: int, places: int
) -> None:
    adapter = import_module("peers.adapters.lassonet")
    monkeypatch.setattr(adapter, "FEWEST", fewest)
    monkeypatch.setitem(sys.modules, "lassonet", SimpleNamespace(LassoNetRegressor=Path4))
    assert adapter.select(cells, 60) == list(range(79, 19, -1))
    assert Path4.made.places == places


def test_lassonets_path_starts_by_what_empties_a_linear_model() -> None:
    adapter = import_module("peers.adapters.lassonet")
    X_CG, Y_CN = (np.random.default_rng(3).normal(size=(40, n)).astype(np.float32) for n in (7, 4))
    W_GN = torch.zeros(7, 4, requires_grad=True)
    torch.nn.functional.mse_loss(torch.from_numpy(X_CG) @ W_GN, torch.from_numpy(Y_CN)).backward()
    assert W_GN.grad is not None
    assert adapter.last_penalty(X_CG, Y_CN) == pytest.approx(W_GN.grad.norm(dim=1).max().item(), rel=1e-5)


def test_lassonets_genes_that_come_back_count_by_when_they_first_left() -> None:
    norms_PG = np.array([[1, 1, 1, 1], [1, 0, 2, 1], [0, 3, 3, 4], [0, 3, 0, 1]], dtype=np.float32)
    order = import_module("peers.adapters.lassonet").by_leaving(norms_PG)
    assert order.tolist() == [3, 2, 0, 1]
