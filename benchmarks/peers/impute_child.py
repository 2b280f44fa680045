"""DeepImpute's network in a process of its own: `python -m peers.impute_child FOLDER PANEL OUT LOSS`."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np

from peers.cells import load_cells
from peers.child import peak, used


def main(folder: str, panel: str, out: str, loss: str) -> None:
    """Read the panel's columns and test values, write the predictions and what they cost."""
    from peers.adapters import deepimpute

    cells, given = load_cells(Path(folder) / "train"), np.load(panel)
    for package in deepimpute.IMPORTS:
        import_module(package)
    began, before = time.perf_counter(), used()
    predicted_CT = deepimpute.impute(cells, given["places"], given["test_CL"], loss)
    np.savez(out, predicted_CT=predicted_CT, costs=[time.perf_counter() - began, used() - before, peak()])


if __name__ == "__main__":
    main(*sys.argv[1:])
