"""Studies survive what happens in the hours they run: each fault, the number of times it was done, and what is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fault_table
import pytest
from postgres_server import Server, find_postgres, server
from study_audit import Audit

from sclandmarks.tune.plan import Plan
from sclandmarks.tune.study import read_study


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A PostgreSQL of these tests."""
    binaries, reason = find_postgres()
    if binaries is None:
        pytest.skip(reason)
    with server() as started:
        yield started


def all_there(audit: Audit, trials: int) -> None:
    """Every place has one result; none is lost, there twice or hanging; each failed trial has a repeat."""
    assert (audit.trials, audit.complete, audit.lost, audit.twice, audit.hanging) == (trials, trials, 0, 0, 0)
    assert audit.failed == audit.repeats


def states(plan: Plan) -> dict[int, tuple[str, str]]:
    """State and reason of each trial."""
    trials = read_study(plan).get_trials(deepcopy=False)
    return {trial.number: (trial.state.name, trial.user_attrs.get("reason", "")) for trial in trials}


def test_50_workers_are_killed_at_random_moments_and_no_trial_is_lost_or_there_twice(tmp_path: Path) -> None:
    killed = repeats = 0
    for seed in range(2):
        fault = fault_table.kill_workers(tmp_path / str(seed), kills=25, trials=120, seed=seed)
        all_there(fault.audit, 120)
        killed, repeats = killed + fault.tried, repeats + fault.audit.repeats
    assert killed == 50
    assert repeats >= 5  # enough of them had a trial


def test_a_killed_launcher_takes_its_workers_along_and_the_same_command_goes_on(tmp_path: Path) -> None:
    fault = fault_table.kill_launcher(tmp_path, kills=3, trials=30, seed=0)
    assert fault.tried == 3
    all_there(fault.audit, 30)
    assert fault.audit.repeats >= 3


def test_runs_agree_with_trials_one_by_one_after_the_launcher_that_records_them_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fault = fault_table.kill_recording_launcher(tmp_path, kills=1, trials=8, seed=0)
    all_there(fault.audit, 8)
    assert fault.audit.repeats >= 1


def test_workers_wait_for_a_postgresql_that_is_killed_and_started_again(tmp_path: Path, postgres: Server) -> None:
    fault = fault_table.kill_postgres(tmp_path, postgres, kills=2, trials=10, pause=0.3)
    assert fault.tried == 2
    all_there(fault.audit, 10)


def test_a_journal_cut_in_the_middle_of_a_line_goes_on(tmp_path: Path) -> None:
    fault = fault_table.tear_journal(tmp_path, cuts=3, trials=5, seed=0)
    all_there(fault.audit, 20)
    torn = Path(fault.plan.storage.removeprefix("journal:") + ".torn").read_text().splitlines()
    assert len(torn) == 3


def test_a_full_disk_stops_the_workers_with_a_plain_error_and_the_study_goes_on(tmp_path: Path) -> None:
    fault = fault_table.fill_disk(tmp_path, times=3, trials=20)
    assert fault.tried == 3
    all_there(fault.audit, 20)


def test_a_clock_that_steps_by_days_moves_nothing(tmp_path: Path) -> None:
    fault = fault_table.step_clock(tmp_path, trials=20)
    all_there(fault.audit, 20)
    assert fault.audit.repeats == 0
    trials = read_study(fault.plan).get_trials(deepcopy=False)
    assert all(0 <= trial.user_attrs["seconds"] < 3600 for trial in trials)  # and no day
    days = {trial.datetime_start.date() for trial in trials}
    assert len(days) > 1  # the clock did step


def test_two_launchers_share_the_budget_and_the_first_trial(tmp_path: Path) -> None:
    fault = fault_table.launch_twice(tmp_path, trials=12, times=2)
    all_there(fault.audit, 24)
    trials = read_study(fault.plan).get_trials(deepcopy=False)
    assert len(trials) == 24
    assert sum(trial.user_attrs.get("default", False) for trial in trials) == 1


def test_trials_that_return_nan_raise_or_never_end_fail_with_their_reason_once(tmp_path: Path) -> None:
    fault = fault_table.bad_trials(tmp_path, trials=10)
    assert fault.audit == Audit(10, complete=4, failed=6, repeats=0, lost=0, twice=0, hanging=0)
    ends = states(fault.plan)
    for number in (1, 6):
        assert ends[number] == ("FAIL", "expected 1 finite value(s), got nan")
    for number in (2, 7):
        assert ends[number] == ("FAIL", "ValueError: the weights went astray")
    for number in (3, 5):
        assert ends[number] == ("FAIL", "ran longer than trial_timeout, 6 s")


def test_a_stopped_launcher_costs_no_attempt(tmp_path: Path) -> None:
    fault = fault_table.stop_launcher(tmp_path, times=2, trials=8)
    all_there(fault.audit, 8)
    assert fault.audit.repeats >= 2
    attempts = [trial.user_attrs["attempt"] for trial in read_study(fault.plan).get_trials(deepcopy=False)]
    assert set(attempts) == {1}
