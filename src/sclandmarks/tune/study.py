"""A study: opened or resumed, its sampler and pruner, and its first trial."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from sclandmarks.errors import StudyError
from sclandmarks.params import DIRECTIONS
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.space import defaults
from sclandmarks.tune.storage import Store, open_store, without_password

SCHEMA = "1"
EPOCHS = 100  # of a base that does not say how many at most
WARM_UP = 5  # epochs before the median stops a trial
PATIENCE = 300.0  # seconds for which a worker waits for a storage that went away


class Room(NamedTuple):
    """A study, its storage and its plan: what workers and the launcher work in.

    Parameters
    ----------
    plan : Plan
    study : optuna.Study
    store : Store
    """

    plan: Plan
    study: optuna.Study
    store: Store


def open_study(plan: Plan, patience: float = PATIENCE, first: float = 0.0) -> Room:
    """Open the study of a plan, or make it with the settings of the base as its first trial. Many may do so at once.

    Parameters
    ----------
    plan : Plan
        Paths in it are relative to the working directory, the root of the repository.
    patience, first : float
        Seconds for which a server that went away is waited for: later, and at the first contact.

    Raises
    ------
    StudyError
        If the study there is of other data, split or search, or a server does not answer.
    ParamsError, DataError
        As `open_store`.
    """
    store = open_store(plan.storage, plan.name, Path(plan.folder), plan.workers, patience, first)
    with store.claim():
        study = optuna.create_study(
            storage=store.storage,
            study_name=plan.name,
            directions=[DIRECTIONS[name] for name in plan.search.objectives],
            sampler=open_sampler(plan, 0),
            pruner=open_pruner(plan),
            load_if_exists=True,
        )
        _sign(study, plan)
        if not any(trial.user_attrs.get("default") for trial in study.get_trials(deepcopy=False)):
            study.enqueue_trial(defaults(plan), user_attrs={"default": True})
    return Room(plan, study, store)


def read_study(plan: Plan) -> optuna.Study:
    """Open a study that is there, for looking at it.

    Raises
    ------
    StudyError
        If there is none of that name.
    """
    if plan.storage.startswith("journal:") and not Path(plan.storage.removeprefix("journal:")).exists():
        raise _absent(plan)
    store = open_store(plan.storage, plan.name, Path(plan.folder))
    try:
        return optuna.load_study(study_name=plan.name, storage=store.storage)
    except KeyError:
        raise _absent(plan) from None


def open_sampler(plan: Plan, number: int) -> BaseSampler:
    """Return the sampler for one trial; its seed comes from the study's seed and the number of trials before it.

    Notes
    -----
    With one seed a worker, a resumed worker would draw again what it drew when it was new.
    """
    seed = (plan.search.seed * 1_000_003 + number) % 2**32
    if plan.search.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(multivariate=True, constant_liar=True, seed=seed)


def open_pruner(plan: Plan) -> BasePruner:
    """Return the pruner that the search names."""
    if plan.search.pruner == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=WARM_UP)
    if plan.search.pruner == "hyperband":  # with a fixed end, as workers that start at once must agree on the brackets
        most = int(getattr(plan.base, "max_epochs", EPOCHS))
        return HyperbandPruner(min_resource=min(WARM_UP, most), max_resource=most, reduction_factor=3)
    return NopPruner()


def public(plan: Plan) -> Plan:
    """Return the plan without the password of its storage, to be written and shown."""
    return dataclasses.replace(plan, storage=without_password(plan.storage))


def _sign(study: optuna.Study, plan: Plan) -> None:
    """Write the plan into a new study; refuse a study of another fingerprint."""
    text, written = public(plan).to_json(), study.user_attrs
    if "plan" in written and json.loads(written["plan"])["fingerprint"] != plan.fingerprint:
        raise StudyError(
            f"study {plan.name} of the data, split and search at hand ({plan.fingerprint})",
            f"one of others ({json.loads(written['plan'])['fingerprint']})",
            "Give another --study name; or put data, params.yaml and split back as they were (`git log params.yaml`).",
        )
    if written.get("schema", SCHEMA) != SCHEMA:
        raise StudyError(f"a study of schema {SCHEMA}", f"schema {written['schema']}", "Use the version that made it.")
    if study.metric_names is None:  # shown by the dashboard
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(plan.search.objectives))
    identity = written.get("id") or uuid4().hex  # a name may be used again: the record of runs asks for this
    for key, value in (("schema", SCHEMA), ("plan", text), ("id", identity)):
        if written.get(key) != value:
            study.set_user_attr(key, value)


def _absent(plan: Plan) -> StudyError:
    where = without_password(plan.storage)
    return StudyError(
        f"study {plan.name} in {where}", "none", f"Start it: `sclandmarks tune {plan.task} --study {plan.name}`."
    )
