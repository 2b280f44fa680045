"""A study in the record of runs: one run for the study, one under it for every trial that has ended.

The storage of the study is the truth and this is its projection. One process at a time writes it, from what the storage
says, so a trial that was run again can't be recorded twice; runs are found again by their tags. Whoever is killed while
writing leaves a run that is RUNNING, and the next one takes it out and writes it again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from filelock import FileLock, Timeout

from sclandmarks import schema
from sclandmarks.errors import SchemaError
from sclandmarks.io.tables import read_table
from sclandmarks.params import FitSearch, TrackingParams
from sclandmarks.tracking import Entry, Found, Ledger, Point, Status, open_ledger
from sclandmarks.tracking.guard import Patience
from sclandmarks.tracking.limits import flatten
from sclandmarks.tune.plan import BUDGET
from sclandmarks.tune.tables import seconds_of, settings_of, worker_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from sclandmarks.tune.plan import Plan

STATUS: dict[str, Status] = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
STAGE = "tune"
SECONDS = 5.0  # of one call while workers run: the launcher has to look after them
LOCK_SECONDS = 60


class Recorder:
    """Keeps a study's record up to date; its troubles never reach the caller.

    Parameters
    ----------
    settings : TrackingParams
        With `enabled` false nothing is recorded.
    plan : Plan
    """

    def __init__(self, settings: TrackingParams, plan: Plan) -> None:
        self._settings, self._plan = settings, plan
        self._ledger: Ledger | None = None
        self._patience = Patience(f"the record of study {plan.name}")
        self._lock = FileLock(Path(plan.root) / plan.folder / "record.lock")

    def sync(self, study: Study) -> None:
        """Record trials that have ended, for some seconds at most; nothing while another process does it."""
        self._call(lambda ledger: sync(study, self._plan, ledger, SECONDS), wait=0, now=False)

    def finish(self, study: Study) -> None:
        """Record all that has ended, and tables, figures and the best model with the study's run."""
        from sclandmarks.tune.summary import finish

        self._call(lambda ledger: finish(study, self._plan, ledger), wait=LOCK_SECONDS, now=True)

    def _call(self, action: Callable[[Ledger], object], wait: float, now: bool) -> None:
        if self._settings.enabled and not self._patience.call(lambda: self._locked(action, wait), now):
            self._ledger = None

    def _locked(self, action: Callable[[Ledger], object], wait: float) -> None:
        """Do it while no other process does; where one does for longer than `wait` seconds, leave it to that one."""
        Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=wait)
        except Timeout:
            return
        try:
            self._ledger = self._ledger or open_ledger(self._settings, STAGE)
            action(self._ledger)
        finally:
            self._lock.release()


def sync(study: Study, plan: Plan, ledger: Ledger, seconds: float | None = None) -> int:
    """Record the trials that have ended and are not recorded yet.

    Parameters
    ----------
    study : optuna.Study
    plan : Plan
    ledger : Ledger
    seconds : float, optional
        Stop after so long; the next call goes on.

    Returns
    -------
    int
        How many runs were written.
    """
    trials = ended(study)
    if not trials:
        return 0
    tags = identity(study, plan)
    parent = open_parent(study, plan, ledger)
    known = _whole(ledger, tags, parent.run_id)
    end, written = time.monotonic() + (math.inf if seconds is None else seconds), 0
    for trial in trials:
        if trial.number not in known and time.monotonic() < end:
            ledger.write(entry(trial, plan, tags, parent.run_id))
            written += 1
    return written


def ended(study: Study) -> list[FrozenTrial]:
    """Trials that are complete, pruned or failed: what the storage says of them does not change any more."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in STATUS]


def identity(study: Study, plan: Plan) -> dict[str, str]:
    """Tags that only this study has: its name, and the id that `open_study` gave it, as a name may be used again."""
    return {"study": plan.name, "study.id": str(study.user_attrs["id"])}


def _began(study: Study) -> datetime:
    starts = [one.datetime_start for one in study.get_trials(deepcopy=False) if one.datetime_start]
    return min(starts, default=datetime.now())


def open_parent(study: Study, plan: Plan, ledger: Ledger) -> Found:
    """Return the study's run, made where there is none."""
    wanted = identity(study, plan) | {"kind": "study"}
    if not (found := ledger.find(wanted)):
        tags = identity(study, plan) | _about(plan)
        ledger.write(Entry(f"study {plan.name}", "study", tags, "RUNNING", _began(study), params=_study_params(plan)))
        found = ledger.find(wanted)
    if not found[0].params:  # the writer was killed between its two steps
        ledger.add(found[0].run_id, _study_params(plan), ())
    return found[0]


def _study_params(plan: Plan) -> dict[str, object]:
    """What stays as it is while the study grows."""
    search = plan.search.model_dump(mode="json", exclude=set(BUDGET))
    return {"task": plan.task, "search": search, "base": plan.base.model_dump(mode="json")}


def _about(plan: Plan) -> dict[str, str]:
    search = plan.search
    predictor = {"predictor": search.predictor} if isinstance(search, FitSearch) else {}
    return {"task": plan.task, "panel": search.panel, "fingerprint": plan.fingerprint, **predictor}


def _whole(ledger: Ledger, tags: dict[str, str], parent: str) -> dict[int, Found]:
    """Recorded trials by number; halves, and all but the first of several, are taken out."""
    known: dict[int, Found] = {}
    for found in ledger.find(tags | {"kind": "trial"}):
        number = int(found.tags["trial"])
        if found.status == "RUNNING" or number in known or found.parent != parent:
            ledger.remove(found.run_id)
        else:
            known[number] = found
    return known


def entry(trial: FrozenTrial, plan: Plan, tags: Mapping[str, str], parent: str) -> Entry:
    """Everything that the record keeps of a trial that has ended; `tags` are those of the study."""
    ends = trial.datetime_complete or trial.datetime_start or datetime.now()
    folder = Path(plan.root) / plan.trial_folder / str(trial.number)
    panel = _table(folder / "panel.parquet", schema.PANEL) if plan.task == "select" else None
    return Entry(
        name=f"{plan.name} {trial.number}",
        kind="trial",
        tags=dict(tags) | _about(plan) | _trial_tags(trial),
        status=STATUS[trial.state.name],
        started=trial.datetime_start or ends,
        ended=ends,
        params=settings_of(trial),
        points=tuple(_points(trial, plan, folder, ends)),
        tables={} if panel is None else {"panel": panel},
        parent=parent,
    )


def _trial_tags(trial: FrozenTrial) -> dict[str, str]:
    own = trial.user_attrs
    worker = own.get("worker") or {}
    maybe = {
        "attempt": own.get("attempt"),
        "retry_of": own.get("retry_of"),
        "reason": own.get("reason"),
        "worker": worker_of(trial),
        "slot": worker.get("slot"),
    }
    known = {key: str(value) for key, value in maybe.items() if value is not None}
    return {"trial": str(trial.number), "state": trial.state.name.lower(), **known}


def _points(trial: FrozenTrial, plan: Plan, folder: Path, when: datetime) -> Iterator[Point]:
    """Figures of a trial, all as of its end; those that are not finite are left out, as MLflow keeps no NaN."""
    facts = trial.user_attrs.get("facts", {})
    machine = {"seconds": seconds_of(trial), "peak_bytes": trial.user_attrs.get("peak_bytes")}
    for name, value in (_final(trial, plan) | facts | machine).items():
        if value is not None and math.isfinite(value):
            yield Point(name, float(value), 0, when)
    for name, step, value in _curve(trial, plan, folder):
        if value is not None and math.isfinite(value):
            yield Point(name, value, step, when)


def _final(trial: FrozenTrial, plan: Plan) -> dict[str, float]:
    """Values of a complete trial; what Optuna has as the value of a pruned one is its last report."""
    values = trial.values or [] if trial.state.name == "COMPLETE" else []
    return {f"final/{name}": value for name, value in zip(plan.search.objectives, values, strict=False)}


def _curve(trial: FrozenTrial, plan: Plan, folder: Path) -> Iterator[tuple[str, int, float | None]]:
    """(figure, step, value) of what was seen while learning, or where no file tells it, of what was reported."""
    history = _table(folder / "history.parquet", schema.HISTORY)
    if history is not None and history.height:
        yield from history.select("metric", "step", "value").iter_rows()
        return
    for step, value in trial.intermediate_values.items():
        yield f"reported/{plan.search.objectives[0]}", step, value


def _table(path: Path, table: schema.Table) -> pl.DataFrame | None:
    """A table of a trial; None where it is not on this machine or not whole."""
    try:
        return read_table(path, table) if path.is_file() else None
    except SchemaError:
        return None


def differences(study: Study, plan: Plan, ledger: Ledger) -> list[str]:
    """What the record says other than the study, trial by trial; empty where they agree.

    Parameters
    ----------
    study : optuna.Study
    plan : Plan
    ledger : Ledger

    Returns
    -------
    list of str
        A sentence a difference: a trial that is missing, there twice, half or too much, or has another status,
        other settings or other values.
    """
    trials = {trial.number: trial for trial in ended(study)}
    if not trials:
        return []
    found: dict[int, list[Found]] = {}
    for run in ledger.find(identity(study, plan) | {"kind": "trial"}):
        found.setdefault(int(run.tags["trial"]), []).append(run)
    said = [f"trial {number}: recorded, but it has not ended" for number in sorted(set(found) - set(trials))]
    for number, trial in trials.items():
        said += [f"trial {number}: {fault}" for fault in _faults(trial, plan, found.get(number, []))]
    return said


def _faults(trial: FrozenTrial, plan: Plan, runs: list[Found]) -> Iterator[str]:
    if len(runs) != 1:
        yield f"expected one run; got {len(runs)}"
        return
    (run,) = runs
    if run.status != STATUS[trial.state.name]:
        yield f"expected {STATUS[trial.state.name]}; got {run.status}"
    for name, value in _final(trial, plan).items():
        if math.isfinite(value) and run.metrics.get(name) != value:
            yield f"expected {name} {value}; got {run.metrics.get(name)}"
    settings = flatten(settings_of(trial))
    if run.params != settings:
        yield f"expected settings {settings}; got {run.params}"
