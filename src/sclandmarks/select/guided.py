"""Selection that starts from a list: L1000, genes of the user, or another selector's panel."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import NamedTuple

from sclandmarks.errors import PanelError
from sclandmarks.genes import l1000_landmarks, measured_landmarks
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import gene_positions
from sclandmarks.params import GuidedPanel
from sclandmarks.select.base import Selected, SelectionTask, nested_task
from sclandmarks.select.constraints import GeneFinder
from sclandmarks.select.greedy import search

log = logging.getLogger(__name__)


class Start(NamedTuple):
    """Positions of the genes to start from, where they come from in words, and how many are not measured."""

    places: list[int]
    source: str
    n_missing: int


def select_guided(task: SelectionTask, settings: GuidedPanel, hooks: Hooks) -> Selected:
    """Keep what is wished, take the best of the start, add what explains most, exchange what is worth less.

    Where the start holds more genes than the panel, those that explain most are taken; where fewer, genes are added.
    `sweeps: 0` exchanges none of them, `max_swaps` bounds how many. What is to be avoided or out of bounds is left
    out of the start.

    Raises
    ------
    PanelError
        If no gene of the start is measured, or the wishes cannot be fulfilled, see `constraints.constrain`.
    """
    start = find_start(task, settings, hooks)
    if not start.places:
        raise PanelError(
            "genes to start from that are measured in these data",
            f"none of {start.n_missing} of {start.source}",
            "Mend the names in start, or use the greedy selector.",
        )
    if start.n_missing:
        log.warning("%d genes of %s are not measured", start.n_missing, start.source)
    selected = search(task, settings, start.places, dict.fromkeys(start.places, f"from {start.source}"), hooks)
    names = set(task.genes["gene_id"][start.places])
    n_left = float(len(names & set(selected.panel["gene_id"])))
    return replace(selected, facts=selected.facts | {"n_of_start": n_left, "n_start_missing": float(start.n_missing)})


def find_start(task: SelectionTask, settings: GuidedPanel, hooks: Hooks) -> Start:
    """Positions of the genes to start from; a panel to start from has its own size, or that of the whole."""
    if settings.start == "l1000":
        found = measured_landmarks(task.genes)
        return Start(gene_positions(task.genes, found).tolist(), "L1000", l1000_landmarks().height - len(found))
    if isinstance(settings.start, tuple):
        listed = GeneFinder(task.genes, task.lists).find(settings.start)
        return Start(list(listed.weights), "the list to start from", len(listed.missing))
    from sclandmarks.select import SELECTORS

    name = settings.start.selector
    panel = SELECTORS[name](nested_task(task, settings.start), settings.start, Hooks(checkpoint=hooks.checkpoint)).panel
    return Start(gene_positions(task.genes, panel["gene_id"].to_list()).tolist(), f"the panel of {name}", 0)
