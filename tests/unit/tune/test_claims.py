"""Who runs what: claims within the budget, the dead found, their trials run again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState
from quick_study import more, quick_plan

from sclandmarks.runtime.identity import identify
from sclandmarks.tune import claims
from sclandmarks.tune.claims import Silence, again, beating, claim, fail, mark_over, sweep
from sclandmarks.tune.study import Room, open_study

ELSEWHERE = {"host": "other", "pid": 1, "start": 1, "boot": "another machine", "slot": 0}
DEAD = {**identify(0), "pid": 2**22 + 1}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return open_study(quick_plan(tmp_path, trials=4))


def trials(room: Room) -> list[FrozenTrial]:
    return room.study.get_trials(deepcopy=False)


def take(room: Room, worker: dict[str, Any] | None = None) -> int | None:
    """Number of the trial that a worker gets."""
    trial = claim(room, worker or identify(0), Silence())
    return None if trial is None else trial.number


def test_the_first_trial_has_the_settings_of_the_base_and_the_budget_is_exact(room: Room) -> None:
    assert [take(room) for _ in range(6)] == [0, 1, 2, 3, None, None]
    assert trials(room)[0].system_attrs["fixed_params"] == {"width": 64, "dropout": 0.1} | {
        name: getattr(room.plan.base, name) for name in ("width", "dropout")
    }
    assert [trial.user_attrs["attempt"] for trial in trials(room)] == [1] * 4


def test_a_larger_budget_goes_on(room: Room) -> None:
    for _ in range(4):
        take(room)
    wider = room._replace(plan=more(room.plan, trials=5))
    assert [take(wider), take(wider)] == [4, None]


def test_the_trial_of_a_dead_worker_is_failed_and_run_again_first(room: Room) -> None:
    assert take(room, DEAD) == 0
    assert take(room) == 1  # the repeat, waiting since the sweep
    first, repeat = trials(room)
    assert first.state == TrialState.FAIL
    assert first.user_attrs["reason"] == f"its worker died (process {DEAD['pid']} on {DEAD['host']}); enqueued again"
    assert (repeat.user_attrs["retry_of"], repeat.user_attrs["attempt"]) == (0, 2)
    assert repeat.system_attrs["fixed_params"] == first.system_attrs["fixed_params"]


def test_what_a_dead_worker_was_writing_is_swept_away(room: Room) -> None:
    take(room, DEAD)
    (room.plan.trial_folder / ".0.part" / "model").mkdir(parents=True)
    take(room)
    assert not list(room.plan.trial_folder.iterdir())


def test_parameters_drawn_before_the_death_are_kept(room: Room) -> None:
    take(room)
    trial = claim(room, DEAD, Silence())
    assert trial is not None
    width = trial.suggest_int("width", 1, 256, log=True)
    take(room)
    assert trials(room)[2].system_attrs["fixed_params"] == {"width": width}


def test_attempts_end(room: Room) -> None:
    for _ in range(room.plan.search.max_retries + 1):
        take(room, DEAD)
    with room.store.claim():
        assert sweep(room, Silence()) == [2]
    last = trials(room)[2]
    assert last.user_attrs["reason"].endswith("not run again after 3 attempts")
    assert len(trials(room)) == 3


def test_what_was_stopped_on_purpose_costs_no_attempt(room: Room) -> None:
    take(room, DEAD)
    with room.store.claim():
        sweep(room, Silence(), free=True)
    assert trials(room)[1].user_attrs["attempt"] == 1


def test_a_trial_that_lost_its_worker_between_two_writes_is_run_again(room: Room) -> None:
    room.study.ask()
    assert take(room) == 1
    assert trials(room)[0].user_attrs["reason"] == "its worker died before it began; enqueued again"


def test_a_repeat_enqueued_by_one_who_died_then_is_not_enqueued_twice(room: Room) -> None:
    take(room, DEAD)
    room.study.enqueue_trial({}, user_attrs={"retry_of": 0, "attempt": 2})
    take(room)
    assert [trial.user_attrs.get("retry_of") for trial in trials(room)] == [None, 0]
    assert trials(room)[0].state == TrialState.FAIL


def test_the_living_are_left_alone(room: Room) -> None:
    take(room)
    with room.store.claim():
        assert sweep(room, Silence()) == []


def test_a_trial_of_another_machine_is_lost_when_it_is_silent_by_our_own_clock(room: Room) -> None:
    clock = Clock()
    silence = Silence(grace=100, clock=clock)
    trial = claim(room, ELSEWHERE, silence)
    assert trial is not None
    looks = []
    for now, beat in ((0, None), (90, 1), (180, 1), (189, 2), (280, 2), (290, 2)):
        clock.now = now
        if beat is not None:
            trial.set_user_attr("beat", beat)
        with room.store.claim():
            looks.append(sweep(room, silence))
    assert looks == [[], [], [], [], [], [0]]


def test_signs_of_life_are_written_while_a_trial_runs(room: Room) -> None:
    trial = claim(room, identify(0), Silence())
    assert trial is not None
    with beating(room, trial, every=0.01):
        for _ in range(6000):
            if trials(room)[0].user_attrs.get("beat", 0) >= 2:
                break
            claims.time.sleep(0.01)
    assert trials(room)[0].user_attrs["beat"] >= 2


def test_a_trial_beyond_its_time_fails_and_is_not_run_again(room: Room) -> None:
    take(room, DEAD)
    mark_over(room, trials(room)[0], "ran longer than trial_timeout, 5 s")
    assert take(room) == 1
    assert trials(room)[0].user_attrs["reason"] == "ran longer than trial_timeout, 5 s"
    assert "retry_of" not in trials(room)[1].user_attrs


def test_a_trial_that_ended_meanwhile_keeps_its_result(room: Room) -> None:
    trial = claim(room, DEAD, Silence())
    assert trial is not None
    seen = trials(room)[0]
    room.study.tell(trial, 1.0)
    fail(room, seen, "too late")
    mark_over(room, seen, "too late")
    assert trials(room)[0].state == TrialState.COMPLETE


def test_where_claims_do_not_exclude_each_other_the_later_trial_is_not_run(room: Room) -> None:
    apart = room._replace(store=room.store._replace(claim=_nobody, exclusive=False))
    silence = Silence()
    for _ in range(3):
        claim(apart, identify(0), silence)
    other = room.study.ask()  # another machine takes the last place at the same moment, and has the lower number
    seen = [trials(room)]
    real = apart.study.get_trials
    apart.study.get_trials = lambda **how: seen.pop()[:3] if seen else real(**how)  # type: ignore[method-assign]
    assert claims._next(apart) is not None
    apart.study.get_trials = real  # type: ignore[method-assign]
    late = trials(room)[4]
    assert late.number > other.number
    from optuna.trial import Trial

    assert claims._drop_surplus(apart, Trial(room.study, late._trial_id))
    assert trials(room)[4].user_attrs["surplus"]
    assert not claims._drop_surplus(apart, Trial(room.study, trials(room)[3]._trial_id))


@contextmanager
def _nobody() -> Iterator[None]:
    yield


def test_again_without_a_successor_enqueues_one(room: Room) -> None:
    take(room)
    with room.store.claim():
        again(room, trials(room)[0], "gone")
        again(room, trials(room)[0], "gone")
    assert len(trials(room)) == 2
