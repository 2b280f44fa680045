"""Studies without data: plain Optuna trials with the attributes that a worker sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
import polars as pl
import pytest
import torch

from sclandmarks import schema
from sclandmarks.io.models import save_model
from sclandmarks.io.tables import write_table
from sclandmarks.params import Params, load_params
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import Spec, build
from sclandmarks.tune.plan import Context, Plan
from sclandmarks.tune.space import suggest

REPOSITORY = Path(__file__).parents[4]
Make = Callable[..., tuple[optuna.Study, Plan]]


@pytest.fixture(scope="session")
def settings() -> Params:
    return load_params(REPOSITORY / "params.yaml")


@pytest.fixture
def plan_of(settings: Params, tmp_path: Path) -> Callable[..., Plan]:
    """A plan of the repository's own searches in an empty folder."""

    def make(task: str = "fit", objectives: tuple[str, ...] = ("explained",), **own: Any) -> Plan:
        search = settings.tune.fit
        base = settings.predictors[search.predictor]
        if task == "select":
            search = settings.tune.select.model_copy(update={"objectives": objectives})
            base = settings.panels[search.panel]
        context = Context(prepare=settings.prepare, noise=settings.noise, runtime=settings.runtime)
        known = {
            "name": "s", "task": task, "storage": f"journal:{tmp_path / 'journal.log'}", "folder": "state/tune/s",
            "trials": 12, "workers": 1, "search": search, "base": base, "n_landmarks": 10, "context": context,
            "root": str(tmp_path), "fingerprint": "0123",
        }  # fmt: skip
        return Plan(**known | own)

    return make


@pytest.fixture
def make_study(plan_of: Callable[..., Plan]) -> Make:
    """A study of `n` ended trials: number 2 pruned, 3 failed and run again as the last, the others complete."""

    def make(n: int = 8, task: str = "fit", files: bool = True, **own: Any) -> tuple[optuna.Study, Plan]:
        plan = plan_of(task, **own)
        directions = ["minimize"] if task == "fit" else ["maximize", "minimize"][: len(plan.search.objectives)]
        sampler = optuna.samplers.RandomSampler(seed=0)
        storage = optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(plan.storage.removeprefix("journal:"))
        )
        study = optuna.create_study(
            study_name=plan.name, storage=storage, directions=directions, sampler=sampler, load_if_exists=True
        )
        if "id" not in study.user_attrs:
            study.set_user_attr("id", uuid4().hex)
        grow(study, plan, n, files)
        return study, plan

    return make


def grow(study: optuna.Study, plan: Plan, n: int, files: bool = False) -> None:
    """Add `n` ended trials."""
    for _ in range(n):
        trial = study.ask()
        run_trial(study, plan, trial, files)


def run_trial(study: optuna.Study, plan: Plan, trial: optuna.Trial, files: bool) -> None:
    tried = suggest(trial, plan.search.space)
    fate = {2: "pruned", 3: "fail"}.get(trial.number, "complete")
    about = {"settings": tried, "attempt": 1, "seconds": 1.5 + trial.number, "peak_bytes": 1000,
             "worker": {"host": "laptop", "pid": 7, "start": 1.0, "slot": 0}}  # fmt: skip
    if trial.number == 7:
        about |= {"attempt": 2, "retry_of": 3}
    for key, value in about.items():
        trial.set_user_attr(key, value)
    score = score_of(tried) + trial.number / 1000
    single = len(plan.search.objectives) == 1
    for step in range(3 if single else 0):
        trial.report(score + (3 - step) / 10, step)
    folder = Path(plan.root) / plan.trial_folder / str(trial.number)
    if fate == "complete":
        trial.set_user_attr("facts", {"n_landmarks": 10 + trial.number, "best_step": 2})
        if files:
            write_files(folder, plan, score)
        study.tell(trial, [score, 10.0 + trial.number][: len(plan.search.objectives)])
        return
    trial.set_user_attr("reason", f"{fate}, as the test wants it")
    study.tell(trial, state=optuna.trial.TrialState[fate.upper()])


def score_of(tried: dict[str, Any]) -> float:
    return float(len(json.dumps(tried)) % 17) / 100 + tried["width"] / 1000


def write_files(folder: Path, plan: Plan, score: float) -> None:
    """What an objective leaves: a curve, and a model or a panel."""
    rows = [(step, "val_mse", score + 1 / (1 + step)) for step in range(4)] + [(3, "lost", None)]
    write_table(
        folder / "history.parquet", pl.DataFrame(rows, schema=schema.HISTORY.dtypes, orient="row"), schema.HISTORY
    )
    if plan.task == "select":
        panel = pl.DataFrame(
            {"rank": [1, 2], "gene_id": ["a", "b"], "symbol": ["A", "B"], "ensembl_id": [None, None],
             "score": [score, None], "reason": ["best", "next"]},
            schema=schema.PANEL.dtypes,
        )  # fmt: skip
        write_table(folder / "panel.parquet", panel, schema.PANEL)
        return
    spec = Spec("linear", n_landmarks=3, n_targets=2)
    torch.manual_seed(0)
    fitted = Fitted(build(spec), spec, [], 2, {"mse": score})
    save_model(folder / "model", fitted, ["a", "b", "c"], ["d", "e"], {"scale": "log"})
