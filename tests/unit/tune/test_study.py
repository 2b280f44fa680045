"""Studies opened, resumed and refused."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import RandomSampler, TPESampler
from quick_study import more, quick_plan

from sclandmarks.errors import StudyError
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.study import open_pruner, open_sampler, open_study, read_study


def test_a_study_of_other_data_is_refused_with_both_hashes_and_the_remedy(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path)
    open_study(plan)
    with pytest.raises(StudyError, match=rf"\(other\).*\({plan.fingerprint}\).*Give another --study name"):
        open_study(more(plan, fingerprint="other"))


def test_a_study_of_another_schema_is_refused(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path)
    open_study(plan).study.set_user_attr("schema", "0")
    with pytest.raises(StudyError, match="schema 0"):
        open_study(plan)


def test_a_larger_budget_is_written_into_the_study(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path)
    open_study(plan)
    room = open_study(more(plan, trials=99))
    assert Plan.from_json(room.study.user_attrs["plan"]).trials == 99
    assert room.study.user_attrs["schema"] == "1"
    assert json.loads(room.study.user_attrs["plan"])["fingerprint"] == plan.fingerprint


def test_many_who_open_a_study_at_once_enqueue_its_first_trial_once(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path)
    openers = [threading.Thread(target=open_study, args=(plan,)) for _ in range(6)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert len(read_study(plan).trials) == 1


def test_reading_makes_nothing(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path)
    with pytest.raises(StudyError, match="Start it: `sclandmarks tune fit --study quick`"):
        read_study(plan)
    assert not list(Path(plan.folder).iterdir())
    open_study(plan)
    with pytest.raises(StudyError, match="expected study other"):
        read_study(more(plan, name="other"))


def test_samplers_and_pruners_are_those_of_the_search(tmp_path: Path) -> None:
    def plan(**search: str) -> Plan:
        return quick_plan(tmp_path, **search)

    assert isinstance(open_sampler(plan(sampler="tpe"), 0), TPESampler)
    assert isinstance(open_sampler(plan(sampler="random"), 0), RandomSampler)
    assert isinstance(open_pruner(plan(pruner="none")), NopPruner)
    assert isinstance(open_pruner(plan(pruner="median")), MedianPruner)
    hyperband = open_pruner(plan(pruner="hyperband"))
    assert isinstance(hyperband, HyperbandPruner)
    assert hyperband._max_resource == plan().base.max_epochs  # fixed: "auto" would let workers differ
