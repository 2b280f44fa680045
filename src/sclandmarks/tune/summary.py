"""What the record keeps of a study as a whole: tables, figures, and the best model once."""

from __future__ import annotations

import logging
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from sclandmarks import schema
from sclandmarks.errors import SchemaError
from sclandmarks.io.tables import read_table
from sclandmarks.report.style import to_svg
from sclandmarks.tracking import Found, Ledger, Point, Run
from sclandmarks.tune.figures import draw_study
from sclandmarks.tune.record import ended, open_parent, sync
from sclandmarks.tune.tables import best_rows, counts, flat, trials_table

if TYPE_CHECKING:
    from optuna import Study

    from sclandmarks.tune.plan import Plan

EXAMPLE_ROWS = 4

_log = logging.getLogger(__name__)


def finish(study: Study, plan: Plan, ledger: Ledger) -> None:
    """Record all trials that have ended, then the study as a whole; does nothing where that is there already.

    Killed on the way it is done again: files of a run are replaced, figures carry their trial's time and stay once, and
    the models of the run are taken out before one is logged.

    Parameters
    ----------
    study : optuna.Study
    plan : Plan
    ledger : Ledger
    """
    sync(study, plan, ledger)
    if not (over := ended(study)):
        return
    parent, n_ended = open_parent(study, plan, ledger), str(len(over))
    if parent.status == "FINISHED" and parent.tags.get("trials.ended") == n_ended:
        return
    trials = trials_table(study)
    run = ledger.edit(parent.run_id)
    _log_tables(run, trials, plan)
    _log_figures(run, study, plan, trials)
    ledger.add(parent.run_id, {}, _points(trials, study, plan))
    best = _log_best(run, parent, plan, trials, ledger)
    asked = {"trials.asked": str(plan.trials), "trials.ended": n_ended, "workers": str(plan.workers)}
    ledger.mark(parent.run_id, "FINISHED", asked | best)


def _log_tables(run: Run, trials: pl.DataFrame, plan: Plan) -> None:
    run.log_table("trials", flat(trials))
    best = trials.filter("is_best")
    if best.height:
        run.log_table("best", flat(best))


def _log_figures(run: Run, study: Study, plan: Plan, trials: pl.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for drawing in draw_study(study, trials, plan.search):
            path = Path(folder) / f"{drawing.name}.svg"
            path.write_text(to_svg(drawing.figure, drawing.name), encoding="utf-8")
            run.log_figure(path)


def _points(trials: pl.DataFrame, study: Study, plan: Plan) -> list[Point]:
    """Figures of the study at this number of ended trials, as of the last end."""
    over = ended(study)
    when = max(trial.datetime_complete for trial in over if trial.datetime_complete)
    best = best_rows(trials, plan.search.objectives)
    values = {f"best/{name}": best[0][name] for name in plan.search.objectives} if len(best) == 1 else {}
    figures = {f"n_{name}": float(value) for name, value in counts(trials).items()} | values
    return [Point(name, value, len(over), when) for name, value in figures.items() if math.isfinite(value)]


def _log_best(run: Run, parent: Found, plan: Plan, trials: pl.DataFrame, ledger: Ledger) -> dict[str, str]:
    """Log the model or panel of the best trial where it is not there; return the tag that says whose it is."""
    best = trials.filter("is_best")
    if best.height != 1:
        return {}
    number = str(best["number"][0])
    if parent.tags.get("best.trial") != number:
        folder = Path(plan.root) / plan.trial_folder / number
        try:
            _log_model(run, parent, folder, ledger) if plan.task == "fit" else _log_panel(run, folder)
        except SchemaError as error:  # ran on a machine that shares no folder with this one
            _log.info("the best trial is recorded without its files: %s", error)
    return {"best.trial": number}


def _log_model(run: Run, parent: Found, folder: Path, ledger: Ledger) -> None:
    import torch

    from sclandmarks.io.models import load_model

    saved = load_model(folder / "model")
    ledger.remove_models(parent.run_id)
    run.log_model(saved.module, torch.zeros(EXAMPLE_ROWS, len(saved.landmarks)), best_step=0)


def _log_panel(run: Run, folder: Path) -> None:
    run.log_table("best_panel", read_table(folder / "panel.parquet", schema.PANEL))
