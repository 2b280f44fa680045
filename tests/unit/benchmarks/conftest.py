"""Makes benchmarks/peers importable; a data set of the benchmark from the planted cells."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sclandmarks import paths, schema
from sclandmarks.io.matrices import write_matrix
from sclandmarks.io.tables import write_table

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "benchmarks"))

KeepResult = Callable[..., None]


@pytest.fixture(scope="session")
def planted_folder(planted: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted cells as `data.make_folder` leaves a data set: every fifth cell to test, every fifth held back."""
    from peers.data import export

    folder = tmp_path_factory.mktemp("work") / "planted"
    write_matrix(folder / paths.EXPRESSION, planted.counts, planted.values)
    subset = np.array(["train", "train", "train", "validation", "test"])[np.arange(planted.counts.n_cells) % 5]
    split = pl.DataFrame({"cell_id": planted.counts.cells["cell_id"], "subset": subset})
    write_table(folder / paths.SPLIT, split, schema.SPLIT)
    shutil.copy(ROOT / paths.PARAMS, folder / paths.PARAMS)
    export(folder)
    return folder


@pytest.fixture
def keep_result() -> KeepResult:
    """Write a result as a selection leaves it."""
    from peers.launch import result_path
    from peers.register import settings_of

    def keep(folder: Path, name: str, size: int, genes: list[str] | None, **more: Any) -> None:
        row = {"name": name, "size": size, "settings": settings_of(name), "status": "ok" if genes else "over"}
        row |= {"why": "", "peak_mib": 100.0} | ({"genes": genes, "seconds": 1.0, "cpu": 1.5} if genes else {}) | more
        path = result_path(folder, name, size)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(row))

    return keep
