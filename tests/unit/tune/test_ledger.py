"""What trials add up to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState, create_trial

from sclandmarks.tune import ledger


def trial(number: int, state: TrialState = TrialState.COMPLETE, **attributes: Any) -> FrozenTrial:
    made = create_trial(state=state, value=1.0 if state == TrialState.COMPLETE else None, user_attrs=attributes)
    made.number = number
    return made


def test_repeats_and_surplus_trials_do_not_count() -> None:
    trials = [
        trial(0, default=True),
        trial(1, TrialState.FAIL),
        trial(2, TrialState.FAIL, retry_of=1),
        trial(3, retry_of=2),
        trial(4, TrialState.FAIL, surplus=True),
    ]
    assert ledger.count(trials) == 2
    assert ledger.is_over(trials, 2)
    assert not ledger.is_over(trials, 3)


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.WAITING])
def test_a_study_with_a_trial_that_has_not_ended_is_not_over(state: TrialState) -> None:
    assert not ledger.is_over([trial(0), trial(1, state)], 2)


def test_the_later_of_two_defaults_and_of_two_repeats_is_surplus() -> None:
    trials = [trial(0, default=True), trial(1, default=True), trial(2, retry_of=0), trial(3, retry_of=0)]
    assert [ledger.is_surplus(each, trials, 9) for each in trials] == [False, True, False, True]


def test_the_successor_is_the_repeat_that_ran() -> None:
    trials = [trial(0), trial(1, retry_of=0, surplus=True), trial(2, retry_of=0)]
    found = ledger.successor(0, trials)
    assert found is not None
    assert found.number == 2
    assert ledger.successor(2, trials) is None


def test_attempts_count_from_one() -> None:
    assert ledger.attempt(trial(0)) == 1
    assert ledger.attempt(trial(1, attempt=3)) == 3


@given(st.lists(st.sampled_from(["new", "repeat"]), min_size=1, max_size=40), st.integers(1, 12))
def test_whoever_asks_and_in_whatever_order_the_budget_is_never_exceeded(kinds: list[str], budget: int) -> None:
    """Trials are numbered by the storage; each asker judges its own by the earlier ones, marked or not."""
    trials = []
    for number, kind in enumerate(kinds):
        repeated = {"retry_of": number - 1} if kind == "repeat" and number else {}
        trials.append(trial(number, **repeated))
    run = [each for each in trials if not ledger.is_surplus(each, trials, budget)]
    assert sum("retry_of" not in each.user_attrs for each in run) == min(budget, ledger.count(trials))
