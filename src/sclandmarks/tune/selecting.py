"""Search of a selector's settings: choose on training cells, judge what the panel explains on validation cells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch

from sclandmarks import schema
from sclandmarks.io.gene_lists import read_lists
from sclandmarks.io.learning import LEARNING, LearningData, batch_order
from sclandmarks.io.tables import write_table
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import gene_positions
from sclandmarks.params import DIRECTIONS, Direction, ReducedRankPredictor, Section, SelectSearch
from sclandmarks.predict import PREDICTORS
from sclandmarks.prep.prepare import normaliser
from sclandmarks.select import SELECTORS, Selected, SelectionTask
from sclandmarks.tune.objective import Curve, Outcome, Report, is_epoch, kept_curve
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.space import settled
from sclandmarks.tune.yardstick import explainable, mean_mse, share


class SelectObjective:
    """Chooses a panel by the base selector with a trial's settings.

    Judged by a reduced-rank ridge regression from the panel to all other genes, fitted on the training cells: the
    squared error of the training mean that it takes away on the validation cells, as a part of that of ALL genes. A
    gene of the panel counts as unexplained, and the whole is the same for every panel, so that taking the genes of
    large variance into the panel gains nothing by itself.

    Parameters
    ----------
    plan : Plan
    device : torch.device
    """

    def __init__(self, plan: Plan, device: torch.device) -> None:
        assert isinstance(plan.search, SelectSearch)  # noqa: S101 (a plan of this task has it)
        self.plan, self.device, self.search = plan, device, plan.search
        self.directions: tuple[Direction, ...] = tuple(DIRECTIONS[name] for name in plan.search.objectives)
        self.data, self.normalise = LearningData(), normaliser(plan.context.prepare)
        self._train, self._validation = (self.data.batches(subset, plan.base) for subset in LEARNING)
        self._counts, self._cells = self.data.batches("train", unit="counts"), self.data.cells("train")
        self.lists = read_lists(plan.base)
        self._judge = ReducedRankPredictor(method="reduced_rank", max_rank=plan.search.max_rank)
        self.mean_mse_G = mean_mse(self._train, self._validation)
        is_captured = plan.search.objectives[0] == "captured"
        self.whole_G = explainable(self.data, plan, self.mean_mse_G) if is_captured else self.mean_mse_G

    def __call__(self, settings: Mapping[str, Any], report: Report, folder: Path) -> Outcome:
        """Choose and judge a panel, see `Objective`."""
        size = int(settings.get("n_landmarks") or self.plan.n_landmarks or 0)
        chosen = settled(self.plan.base, settings)
        curve = Curve(report if len(self.directions) == 1 else None, self._figure)
        with kept_curve(curve, folder):
            selected = self._select(chosen, size, curve)
            curve.steps = {step.step: step for step in selected.history} or curve.steps
        panel = selected.panel.head(size) if len(self.directions) == 1 else selected.panel
        write_table(folder / "panel.parquet", panel, schema.PANEL)
        return self._outcome(selected, panel)

    def _select(self, chosen: Section, size: int, curve: Curve) -> Selected:
        train, validation = (batches.reordered(*batch_order(chosen)) for batches in (self._train, self._validation))
        task = SelectionTask(
            train, validation, self.data.genes, size, self.device, self._cells, self._counts, self.normalise, self.lists
        )
        selector = str(getattr(chosen, "selector"))  # noqa: B009 (a panel's section has it)
        return SELECTORS[selector](task, chosen, Hooks(curve.on_epoch))

    def _outcome(self, selected: Selected, panel: pl.DataFrame) -> Outcome:
        explained = self.explained(panel["gene_id"])
        facts = {name: float(value) for name, value in selected.facts.items()} | {
            "n_landmarks": float(panel.height),
            "explained": share(explained, self.mean_mse_G),
        }
        values = {name: share(explained, self.whole_G) for name in ("explained", "captured")}
        values["n_landmarks"] = facts["n_landmarks"]
        return Outcome(tuple(values[name] for name in self.search.objectives), facts)

    def explained(self, gene_ids: pl.Series) -> float:
        """Squared error of the training mean that the panel takes away from the other genes; a cell's mean, summed."""
        places = [int(place) for place in gene_positions(self.data.genes, list(gene_ids))]
        inputs, outputs = split_genes(self.data.genes.height, places)
        task = Task(self._train, self._validation, inputs, outputs, self.device)
        mse = PREDICTORS["reduced_rank"](task, self._judge, Hooks()).chosen["validation_mse"]
        return float(self.mean_mse_G[outputs.numpy()].sum()) - mse * len(outputs)

    def _figure(self, metrics: Mapping[str, float]) -> float | None:
        """What the selecting network itself explains of all genes; larger is better, as of the score."""
        if not is_epoch(metrics):
            return None
        return share(float(self.mean_mse_G.sum()) - metrics["validation_mse"] * len(self.mean_mse_G), self.whole_G)
