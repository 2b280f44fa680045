"""Damaged model folders: a model that predicts finite values, or one error of the project; nothing else."""

from __future__ import annotations

import copy
import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sclandmarks.errors import SchemaError
from sclandmarks.io.models import ABOUT, WEIGHTS, load_model, save_model, weights_hash
from sclandmarks.io.normalisation import made_of
from sclandmarks.params import PrepareParams
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import Spec, build

N_EDITS, N_BYTES, SPARE = 150, 60, 2 << 30
SPECS = [
    Spec("constant", 2, 3),
    Spec("linear", 2, 3),
    Spec("low_rank", 2, 3, rank=1, panel_total=True),
    Spec("nearest", 2, 3, width=4, rank=2),
    Spec("kernel", 2, 3, width=4, rank=2, axes=2),
    Spec("paper_network", 2, 3, width=4, depth=2, dropout=0.5),
    Spec("d_gex", 2, 3, width=4, depth=1),
    Spec("network", 2, 3, width=4, depth=1, rank=2, members=2, positive=True),
]
PREPARE = PrepareParams(min_library_size=1, min_reads=1, min_cells=1, scale=1, log_base="e")
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 5, 10**6, 10**12, 10**30, 0.5, 1e300, float("nan"), float("-inf"), "", "a", "2",
    "\ud800", "kernel", "counts", [], ["a"], ["a", "a"], [[]], {}, {"a": 1}, ["a", "b", "c"], [1, 2, 3],
]  # fmt: skip


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Two GB above what is mapped already: what asks for more than that is refused, and the test fails."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + SPARE, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key and item below a node."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [place for key, value in inner for place in [(*path, key), *places(value, (*path, key))]]


def edited(about: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Put an odd value somewhere, take something away, or change a name; once to three times."""
    about = copy.deepcopy(about)
    for _ in range(rng.integers(1, 4)):
        *above, last = (found := places(about))[rng.integers(len(found))]
        node: Any = about
        for key in above:
            node = node[key]
        if rng.random() < 0.2:
            del node[last]
        else:
            node[last] = copy.deepcopy(ODD[rng.integers(len(ODD))])
    return about


def check(folder: Path) -> bool:
    """Load; a model that is taken predicts finite values of its shape. Return whether it was taken."""
    try:
        model = load_model(folder)
    except SchemaError as error:
        assert error.got
        assert error.remedy
        assert len(str(error)) < 3000
        return False
    with torch.no_grad():
        y_BT = (
            model.predict_counts(torch.tensor([[3, 0], [0, 0]]))
            if model.by_own_total
            else model.module(torch.ones(2, 2))
        )
    assert y_BT.shape == (2, len(model.targets))
    assert y_BT.isfinite().all()
    return True


def saved(folder: Path, spec: Spec) -> dict[str, Any]:
    """Save a module with random weights; what its model.json says."""
    module = build(spec)
    generator = torch.Generator().manual_seed(1)
    module.load_state_dict({k: torch.rand(v.shape, generator=generator) for k, v in module.state_dict().items()})
    if spec.panel_total:
        module.total.ln_base.fill_(1.0)
    save_model(folder, Fitted(module.eval(), spec), ["b", "a"], ["x", "y", "z"], made_of("log", PREPARE, 5))
    about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
    return about


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_edits_of_model_json_end_well(spec: Spec, tmp_path: Path, little_memory: None) -> None:
    about, rng = saved(tmp_path, spec), np.random.default_rng(11)
    assert check(tmp_path)
    n_taken = 0
    for _ in range(N_EDITS):
        (tmp_path / ABOUT).write_text(json.dumps(edited(about, rng)))
        n_taken += check(tmp_path)
    assert n_taken < 0.8 * N_EDITS


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_damaged_weights_whose_hash_fits_end_well(spec: Spec, tmp_path: Path, little_memory: None) -> None:
    about, rng = saved(tmp_path, spec), np.random.default_rng(12)
    whole = (tmp_path / WEIGHTS).read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for i in range(N_BYTES):
        data = bytearray(whole)
        if i % 3 == 0:
            data = data[: rng.integers(len(data))]
        for _ in range(rng.integers(1, 4)):
            if data:
                data[rng.integers(min(len(data), 8 + header))] = rng.integers(256)
        (tmp_path / WEIGHTS).write_bytes(bytes(data))
        (tmp_path / ABOUT).write_text(json.dumps(about | {"sha256": weights_hash(tmp_path)}))
        check(tmp_path)
