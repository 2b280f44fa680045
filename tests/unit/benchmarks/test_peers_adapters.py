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
