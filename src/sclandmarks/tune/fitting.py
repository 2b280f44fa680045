"""Search of a predictor's settings: fit on training cells, judge by the MSE on validation cells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sclandmarks import paths, schema
from sclandmarks.io.learning import LEARNING, LearningData, batch_order
from sclandmarks.io.models import save_model
from sclandmarks.io.tables import read_table
from sclandmarks.learn.task import Hooks, Task
from sclandmarks.params import DIRECTIONS, Direction, FitSearch, Section
from sclandmarks.predict import PREDICTORS, Fitted
from sclandmarks.predict.base import held_back_mse
from sclandmarks.tune.objective import Curve, Outcome, Report, is_epoch, kept_curve
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.space import settled
from sclandmarks.tune.yardstick import explainable, mean_mse, share


class FitObjective:
    """Fits the base predictor with a trial's settings; the panel's genes in, all others out.

    Whatever loss is minimised, the score is the MSE of the kept weights on the validation cells, or the captured part.

    Parameters
    ----------
    plan : Plan
    device : torch.device
    """

    def __init__(self, plan: Plan, device: torch.device) -> None:
        assert isinstance(plan.search, FitSearch)  # noqa: S101 (a plan of this task has it)
        self.plan, self.device, self.search = plan, device, plan.search
        self.directions: tuple[Direction, ...] = (DIRECTIONS[self.search.objective],)
        self.data = LearningData()
        file = paths.panel(self.search.panel)
        self.panel = read_table(file, schema.PANEL)["gene_id"]
        self.inputs, self.outputs = self.data.split_at(self.panel, file)
        self._train, self._validation = (self.data.batches(subset, plan.base) for subset in LEARNING)
        self._counts = self.data.counts(plan.base)
        self._mean_T = self._explainable_T = np.zeros(0)
        if self.search.objective == "captured":
            mean_mse_G, targets = mean_mse(self._train, self._validation), self.outputs.numpy()
            self._mean_T = mean_mse_G[targets]
            self._explainable_T = explainable(self.data, plan, mean_mse_G)[targets]

    def __call__(self, settings: Mapping[str, Any], report: Report, folder: Path) -> Outcome:
        """Fit with these settings, see `Objective`."""
        chosen = settled(self.plan.base, settings)
        curve = Curve(report, self._figure)
        with kept_curve(curve, folder):
            task = self.task(chosen)
            fitted = PREDICTORS[self.method](task, chosen, Hooks(curve.on_epoch))
        mse = fitted.chosen.get("validation_mse")
        return self.finish(fitted, held_back_mse(fitted.module, task) if mse is None else mse, folder)

    @property
    def method(self) -> str:
        """Key of PREDICTORS."""
        return str(getattr(self.plan.base, "method"))  # noqa: B009 (a predictor's section has it)

    def task(self, chosen: Section) -> Task:
        """Training and validation cells in batches as the settings say, inputs and outputs."""
        parts = (self._train, self._validation, self._counts)
        train, validation, counts = (batches.reordered(*batch_order(chosen)) for batches in parts)
        log_base = self.plan.context.prepare.log_base
        return Task(train, validation, self.inputs, self.outputs, self.device, log_base, counts)

    def finish(self, fitted: Fitted, mse: float, folder: Path) -> Outcome:
        """Save the model, and make the outcome of its error on the validation cells."""
        search = self.search
        about = {"panel": search.panel, "predictor": search.predictor}
        made = self.data.made(getattr(self.plan.base, "unit", "log"), self.plan.context.prepare)
        save_model(folder / "model", fitted, self.panel, self.data.names(self.outputs), about | made)
        facts = {
            "validation_mse": mse,
            "n_landmarks": float(len(self.inputs)),
            "best_step": float(fitted.best_step),
            "n_steps": float(len(fitted.history)),
            "n_weights": float(sum(weights.numel() for weights in fitted.module.parameters())),
        }
        return Outcome((self._score(mse),), facts)

    def _score(self, mse: float) -> float:
        """The MSE itself, or (MSE_mean - MSE) / (MSE_mean - MSE_floor) over the targets."""
        if self.search.objective == "mse":
            return mse
        return share(float(self._mean_T.sum()) - mse * len(self._mean_T), self._explainable_T)

    def _figure(self, metrics: Mapping[str, float]) -> float | None:
        return self._score(metrics["validation_mse"]) if is_epoch(metrics) else None
