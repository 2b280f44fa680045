"""The turns of a worker: how trials end, and what is written of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import FrozenTrial
from quick_study import Quick, more, quick_plan
from study_audit import audit

from sclandmarks.errors import StudyError
from sclandmarks.params import SelectSearch
from sclandmarks.tune import loop as loop_module
from sclandmarks.tune.loop import Loop, Timing
from sclandmarks.tune.objective import Objective, Outcome
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.slots import Slot
from sclandmarks.tune.stop import Stop
from sclandmarks.tune.study import open_study, read_study
from sclandmarks.tune.worker import run_worker

FAST = Timing(poll=0.01)


def work(plan: Plan, objective: Objective | None = None) -> list[FrozenTrial]:
    """Trials after one worker has run a study."""
    assert run_worker(plan, objective or Quick(), None, timing=FAST) == "over"
    return read_study(plan).get_trials(deepcopy=False)


class Made:
    """An objective from a function."""

    directions = ("minimize",)

    def __init__(self, run: Callable[[Mapping[str, Any], Callable[[int, float], None], Path], Outcome]) -> None:
        self.run = run

    def __call__(self, settings: Mapping[str, Any], report: Callable[[int, float], None], folder: Path) -> Outcome:
        return self.run(settings, report, folder)


def test_a_finished_trial_has_its_attributes_and_its_files(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, trials=3)
    trials = work(plan)
    assert audit(plan).complete == 3
    attributes = trials[1].user_attrs
    assert set(attributes["worker"]) == {"host", "pid", "start", "boot", "slot"}
    assert attributes["settings"] == pytest.approx(trials[1].params, rel=1e-4)  # decimals have five digits
    assert attributes["facts"] == {"width": trials[1].params["width"]}
    assert attributes["attempt"] == 1
    left = sorted(path.name for path in plan.trial_folder.iterdir() if path.is_dir())
    assert left == ["0", "1", "2"]


def test_one_worker_draws_the_same_trials_again_and_a_resumed_one_draws_others(tmp_path: Path) -> None:
    params = [
        [trial.params for trial in work(quick_plan(tmp_path, trials=8, name=name, sampler="tpe"))] for name in "ab"
    ]
    assert params[0] == params[1]
    resumed = quick_plan(tmp_path, trials=4, name="c", sampler="tpe")
    work(resumed)
    assert [trial.params for trial in work(more(resumed, trials=8))] == params[0]
    assert len({trial["dropout"] for trial in params[0]}) == 8


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_fails_with_its_reason(tmp_path: Path, value: float) -> None:
    (trial,) = work(quick_plan(tmp_path, trials=1), Made(lambda *_: Outcome((value,))))
    assert trial.state.name == "FAIL"
    assert trial.user_attrs["reason"] == f"expected 1 finite value(s), got {value}"
    assert not math.isnan(trial.user_attrs["seconds"])


def test_the_wrong_number_of_values_fails(tmp_path: Path) -> None:
    (trial,) = work(quick_plan(tmp_path, trials=1), Made(lambda *_: Outcome((1.0, 2.0))))
    assert trial.user_attrs["reason"] == "expected 1 finite value(s), got 1.0, 2.0"


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_the_pruner_stops_bad_trials_at_a_step(tmp_path: Path, pruner: str) -> None:
    plan = quick_plan(tmp_path, trials=25, pruner=pruner)
    trials = work(plan, Quick(faults={"*": "report"}))
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    assert pruned
    assert all(trial.user_attrs["reason"].startswith("stopped by the pruner at step ") for trial in pruned)
    assert all(len(trial.intermediate_values) < 20 for trial in pruned)
    assert audit(plan).failed == 0


def test_out_of_memory_is_tried_once_more_alone(tmp_path: Path) -> None:
    trials = work(quick_plan(tmp_path, trials=3), Quick(faults={"1": "memory once"}))
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    assert trials[1].user_attrs["phase"] == "alone"
    assert "phase" not in trials[2].user_attrs


def test_out_of_memory_twice_prunes_with_the_sizes_and_later_trials_stay_below(tmp_path: Path) -> None:
    ran: list[int] = []

    def card(settings: Mapping[str, Any], _: object, folder: Path) -> Outcome:
        """Holds a width below 32."""
        ran.append(settings["width"])
        if settings["width"] >= 32:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        (folder / "made.txt").write_text("1")
        return Outcome((float(settings["width"]),))

    plan = quick_plan(tmp_path, trials=40)
    trials = work(plan, Made(card))
    full = [trial for trial in trials if "too_big" in trial.user_attrs]
    assert full[0].state.name == "PRUNED"
    width = full[0].params["width"]
    assert full[0].user_attrs["too_big"] == {"width": width}
    reason = full[0].user_attrs["reason"]
    assert reason.startswith(
        f"out of memory, even alone, with width {width}: OutOfMemoryError: CUDA out of memory. Tried"
    )
    limits = [trial.params["width"] for trial in full]
    assert limits == sorted(set(limits), reverse=True)  # each smaller than those before it
    assert [size for size in ran if size >= 32] == [size for limit in limits for size in (limit, limit)]
    left_out = [trial for trial in trials if trial.user_attrs.get("reason", "").startswith("not run: width ")]
    assert left_out
    found = audit(plan)
    assert found.trials == 40
    assert found.complete == 40 - len(full)
    assert found.hanging == 0


def test_a_lack_of_memory_without_sizes_is_pruned_and_limits_nothing(tmp_path: Path) -> None:
    def none(*_: object) -> Outcome:
        raise MemoryError

    space = {"dropout": {"low": 0.0, "high": 0.7}}
    trials = work(quick_plan(tmp_path, trials=3, space=space), Made(none))
    assert [trial.state.name for trial in trials] == ["PRUNED"] * 3
    assert "settings that name no size" in trials[0].user_attrs["reason"]


def test_a_full_disk_in_a_trial_stops_the_worker_and_the_trial_is_run_again(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, trials=3)
    with pytest.raises(StudyError, match=r"room on the disk.*the study goes on"):
        run_worker(plan, Quick(faults={"1": "full"}), None, timing=FAST)
    assert read_study(plan).trials[1].state.name == "RUNNING"  # of this process, which still lives


def test_a_fault_of_the_storage_inside_of_a_trial_is_not_the_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("optuna.trial.Trial.report", broken)
    with pytest.raises(OSError, match="Input/output"):
        run_worker(quick_plan(tmp_path), Quick(faults={"*": "report"}), None, timing=FAST)


def test_one_failure_after_the_other_stops_the_worker_before_the_budget_is_gone(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, trials=40)
    for more_failed in (10, 20):
        with pytest.raises(StudyError, match="10 failed in a row, the last with ValueError: the weights went astray"):
            run_worker(plan, Quick(faults={"*": "raise"}), None, timing=FAST)
        assert audit(plan).failed == more_failed
    work(plan)
    assert audit(plan).complete == 20


def test_what_a_trial_taken_for_lost_comes_to_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = quick_plan(tmp_path, trials=2)
    room = open_study(plan)

    def lost(settings: Mapping[str, Any], _: object, folder: Path) -> Outcome:
        number = int(folder.name.strip(".").removesuffix(".part"))
        if number == 0:
            loop_module.again(room, room.study.get_trials(deepcopy=False)[0], "silent")
        (folder / "made.txt").write_text("1")
        return Outcome((1.0,))

    trials = work(plan, Made(lost))
    assert [trial.state.name for trial in trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert "trial 0 was taken for lost" in caplog.text
    assert audit(plan).repeats == 1
    assert not (plan.trial_folder / "0").exists()


def test_a_stopped_worker_gives_its_trial_back(tmp_path: Path) -> None:
    plan, stop = quick_plan(tmp_path, trials=3), Stop()

    def stopped(settings: Mapping[str, Any], report: Callable[[int, float], None], folder: Path) -> Outcome:
        if folder.name == ".1.part":
            stop.ask()
        (folder / "made.txt").write_text("1")
        return Outcome((1.0,))

    assert run_worker(plan, Made(stopped), None, stop, FAST) == "stop"
    trials = read_study(plan).get_trials(deepcopy=False)
    assert trials[1].user_attrs["reason"] == "stopped by Ctrl-C or SIGTERM; enqueued again"
    assert (trials[2].state.name, trials[2].user_attrs["retry_of"], trials[2].user_attrs["attempt"]) == (
        "WAITING",
        1,
        1,
    )
    work(plan, Made(stopped))
    assert audit(plan).complete == 3


def test_a_worker_without_room_on_its_device_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "wait_for_room", lambda slot, stop: "move")
    assert Loop(open_study(quick_plan(tmp_path)), Quick(), Slot(0), timing=FAST).run() == "move"


def test_several_objectives_are_not_pruned(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, trials=3)
    search: dict[str, Any] = plan.search.model_dump() | {
        "panel": "group_lasso", "objectives": ["explained", "n_landmarks"], "n_landmarks": None, "max_rank": 5,
    }  # fmt: skip
    for key in ("predictor", "objective"):
        del search[key]
    search["space"] = {"width": {"low": 8, "high": 64, "log": True}}
    base = plan.base.model_copy(update={"width": 16})
    both = more(plan, search=SelectSearch.model_validate(search), base=base)

    def two(settings: Mapping[str, Any], report: Callable[[int, float], None], folder: Path) -> Outcome:
        report(0, 1.0)
        if folder.name == ".1.part":
            raise MemoryError
        return Outcome((0.5, float(settings["width"])))

    trials = work(both, Made(two))
    assert trials[1].state.name == "PRUNED"
    assert [len(trial.values) for trial in trials if trial.state.name == "COMPLETE"] == [2, 2]
