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


class Leaving:
    """Stands in for `lassonet.LassoNetRegressor`: genes leave in twos, the odd one of two with larger weights."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def path(self, X_CG: Any, Y_CN: Any, callback: Any, disable_lambda_warning: bool) -> None:
        n_genes = X_CG.shape[1]
        np.testing.assert_allclose(X_CG.mean(axis=0), 0, atol=1e-4)
        for step in range(n_genes // 2 + 1):
            weight = torch.ones(3, n_genes)
            weight[:, 1::2] = 2.0
            weight[:, : 2 * step] = 0.0
            callback(SimpleNamespace(model=SimpleNamespace(skip=SimpleNamespace(weight=weight))), [])
        self.feature_importances_ = torch.arange(n_genes) // 2


def test_stg_ranks_by_gates_and_is_lent_the_names_it_misses(cells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = import_module("peers.adapters.stg")
    for name in adapter.MOVED:  # so that they are taken away after this test
        monkeypatch.setattr(collections, name, None, raising=False)
    monkeypatch.setitem(sys.modules, "stg", SimpleNamespace(STG=Gates))
    assert adapter.select(cells, 3) == [79, 78, 77]


def test_lassonet_ranks_by_leaving_and_then_by_weight(cells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lassonet", SimpleNamespace(LassoNetRegressor=Leaving))
    order = import_module("peers.adapters.lassonet").select(cells, 80)
    assert order[:4] == [79, 78, 77, 76]
    assert sorted(order) == list(range(80))
