"""What every participant has to be, and what it is given."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import sparse

from sclandmarks.params import Panel
from sclandmarks.select import SELECTORS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def register() -> Any:
    return import_module("peers.register")


@pytest.fixture
def cells_module() -> Any:
    return import_module("peers.cells")


def made_cells(module: Any, labels: list[str]) -> Any:
    counts = np.random.default_rng(0).poisson(2.0, (len(labels), 12)).astype(np.int32)
    log = sparse.csr_matrix(np.log1p(counts).astype(np.float32))
    genes = np.array([f"ENSG{i}" for i in range(12)])
    return module.Cells(log, sparse.csr_matrix(counts), genes, np.array(labels))


def test_every_peer_has_an_adapter_of_the_one_signature(register: Any) -> None:
    for name, peer in register.PEERS.items():
        adapter = import_module(f"peers.adapters.{peer.adapter}")
        inspect.signature(adapter.select).bind(object(), 10, **peer.options)
        assert adapter.IMPORTS, name
        assert peer.settings
        assert peer.package


def test_what_peers_need_is_pinned(register: Any) -> None:
    texts = [(ROOT / f"benchmarks/peers-requirements{end}.txt").read_text() for end in ("", "-bare")]
    lines = [line for line in "\n".join(texts).splitlines() if line and not line.startswith("#")]
    assert all("==" in line for line in lines)
    pinned = {line.partition("==")[0].lower() for line in lines}
    assert {peer.package.lower() for peer in register.PEERS.values()} <= pinned


def test_peers_stay_out_of_the_lock(register: Any) -> None:
    locked = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().lower().splitlines()}
    references = {"scanpy", "skglm"}  # of tests
    assert not locked & ({peer.package.lower() for peer in register.PEERS.values()} - references)


def test_ours_are_settings_of_selectors(register: Any) -> None:
    for name, values in register.OURS.items():
        assert TypeAdapter(Panel).validate_python(values).selector in SELECTORS, name
    assert {register.BASELINE, *register.RANKS, *register.CONTROLS} <= set(register.OURS)
    assert not set(register.OURS) & set(register.PEERS)


def test_settings_tell_participants_apart(register: Any) -> None:
    names = [*register.OURS, *register.PEERS]
    assert len({register.settings_of(name) for name in names}) == len(names)


def test_cells_survive_the_files(cells_module: Any, tmp_path: Path) -> None:
    cells = made_cells(cells_module, ["a b", "Unknown", "c"])
    cells_module.save_cells(tmp_path / "train", cells)
    read = cells_module.load_cells(tmp_path / "train")
    assert (read.log_CG != cells.log_CG).nnz == 0
    assert (read.counts_CG != cells.counts_CG).nnz == 0
    assert read.genes.tolist() == cells.genes.tolist()
    assert read.labels.tolist() == cells.labels.tolist()


def test_small_and_unknown_types_are_left_out_of_labels(cells_module: Any) -> None:
    labels = ["big"] * 12 + ["small"] * 3 + ["Unknown"] * 15 + ["other"] * 10
    rows, kept = cells_module.labelled(made_cells(cells_module, labels))
    assert set(kept) == {"big", "other"}
    assert [labels[row] for row in rows] == kept.tolist()


def test_without_two_types_clusters_take_their_place(cells_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = np.array(["0"] * 15 + ["1"] * 15 + ["2"] * 2)
    monkeypatch.setattr(cells_module, "clusters", lambda cells: found)
    rows, labels = cells_module.labelled(made_cells(cells_module, ["Unknown"] * 32))
    assert rows.tolist() == list(range(30))
    assert set(labels) == {"0", "1"}


def test_annotated_names_give_the_columns_back(cells_module: Any) -> None:
    data = cells_module.annotated(made_cells(cells_module, ["a", "b", "a"]), np.array([2, 0]), np.array(["x", "y"]))
    assert data.obs["cell_type"].tolist() == ["x", "y"]
    assert cells_module.columns(data.var_names[[7, 3]]) == [7, 3]
    assert data.X.shape == data.layers["counts"].shape == (2, 12)


def test_axes_keep_the_variance_of_the_values(cells_module: Any) -> None:
    X_CG = np.random.default_rng(1).normal(3, 1, (30, 8)).astype(np.float32)
    centred_CG, scores_CN = cells_module.axes(X_CG, 8)
    np.testing.assert_allclose(centred_CG.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose((scores_CN**2).sum(), (centred_CG**2).sum(), rtol=1e-4)


@pytest.mark.parametrize("name", ["hvg_seurat", "hvg_cell_ranger", "hvg_pearson"])
def test_variable_genes_are_ranked_for_all_sizes(register: Any, planted_folder: Path, name: str) -> None:
    pytest.importorskip("scanpy")
    cells = import_module("peers.cells").load_cells(planted_folder / "train")
    select, options = import_module("peers.adapters.hvg").select, register.PEERS[name].options
    few, many = (select(cells, size, **options) for size in (5, 20))
    assert many[:5] == few
    assert len(set(many)) == 20
    assert set(many) <= set(range(80))


def test_peers_see_training_cells_alone(planted: Any, planted_folder: Path) -> None:
    cells = import_module("peers.cells").load_cells(planted_folder / "train")
    rows = np.flatnonzero(np.arange(planted.counts.n_cells) % 5 < 3)
    assert (cells.counts_CG != planted.counts.X_CG[rows]).nnz == 0
    expected = planted.values[rows] * np.log(10)
    np.testing.assert_allclose(cells.log_CG.toarray(), expected.toarray(), rtol=1e-6)


def test_ours_choose_the_planted_genes_from_the_same_cells(planted: Any, planted_folder: Path, register: Any) -> None:
    mine = import_module("peers.mine")
    task, panel = mine.open_task(planted_folder, register.OURS["greedy"], 6)
    assert task.train.n_cells == 240
    assert sorted(mine.choose(task, panel)) == sorted(planted.landmarks)
