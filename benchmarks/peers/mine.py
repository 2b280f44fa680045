"""Ours, as a peer: runs in the project's own interpreter, on the files of the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from peers.data import read_cohorts
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import Panel, load_params
from sclandmarks.prep.prepare import normaliser
from sclandmarks.select import SELECTORS, SelectionTask


def open_task(folder: Path, settings: dict[str, Any], size: int) -> tuple[SelectionTask, Panel]:
    """The training cells as every selector takes them, and the settings, checked."""
    panel: Panel = TypeAdapter(Panel).validate_python(settings)
    values, counts = read_cohorts(folder)
    batch, seed = getattr(panel, "batch_size", 256), getattr(panel, "seed", 0)
    train, held_back, raw = (
        MemoryBatches(matrix.X_CG, batch, seed) for matrix in (values.train, values.validation, counts.train)
    )
    normalise = normaliser(load_params(folder / "params.yaml").prepare)
    task = SelectionTask(
        train, held_back, values.train.genes, size, cells=values.train.cells, counts=raw, normalise=normalise
    )
    return task, panel


def choose(task: SelectionTask, panel: Panel) -> list[str]:
    """Ids of the genes, first choice first."""
    found = SELECTORS[panel.selector](task, panel, Hooks()).panel.sort("rank")
    return [str(gene) for gene in found["gene_id"]]
