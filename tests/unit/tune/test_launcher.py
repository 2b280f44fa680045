"""The launcher: workers started, replaced, stopped; and its errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import fault_table
import pytest
from quick_launch import QUICK_TIMING
from quick_study import COMMAND, Quick, more, quick_plan
from study_audit import audit

from sclandmarks.errors import StudyError
from sclandmarks.runtime.identity import is_alive
from sclandmarks.tune import launcher as launcher_module
from sclandmarks.tune.launcher import launch
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.slots import Slot
from sclandmarks.tune.study import read_study
from sclandmarks.tune.worker import run_worker

SLOTS = [Slot(0), Slot(1)]


def nothing() -> None:
    return


def go(plan: Plan, **how: object) -> str:
    """Launch quick workers."""
    given = {"timeout": None, "slots": SLOTS, "on_change": nothing, "command": COMMAND, "timing": QUICK_TIMING} | how
    return launch(plan, **given)  # type: ignore[arg-type]


def quick(monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
    """Describe the objective of the workers."""
    monkeypatch.setenv("QUICK", json.dumps(settings))


def test_a_study_runs_to_its_end_and_is_recorded(tmp_path: Path) -> None:
    seen: list[int] = []
    plan = quick_plan(tmp_path, trials=12)
    assert go(plan, on_change=lambda: seen.append(len(read_study(plan).trials))) == "over"
    assert seen[-1] == 12
    assert audit(plan)._asdict() == {
        "trials": 12, "complete": 12, "failed": 0, "repeats": 0, "lost": 0, "twice": 0, "hanging": 0,
    }  # fmt: skip
    slots = {trial.user_attrs["worker"]["slot"] for trial in read_study(plan).trials}
    assert slots <= {0, 1}
    assert Plan.from_json((Path(plan.folder) / "plan.json").read_text()) == plan


def test_a_study_that_is_over_starts_no_worker(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, trials=2)
    run_worker(plan, Quick(), None, timing=QUICK_TIMING)
    seen: list[int] = []
    assert go(plan, command=["/absent"], on_change=lambda: seen.append(1)) == "over"
    assert seen == [1]


def test_no_more_workers_start_than_have_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    real = launcher_module.Worker
    monkeypatch.setattr(launcher_module, "Worker", lambda *given: started.append(given[2].index) or real(*given))
    go(quick_plan(tmp_path, trials=1), slots=[Slot(n) for n in range(4)])
    assert started == [0]


def test_a_worker_that_cannot_start_ends_the_launcher_with_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch, **{"cannot start": True})
    with pytest.raises(StudyError, match=r"(?s)ended with code 1.*ImportError: no module of that name.*[01]\.log"):
        go(quick_plan(tmp_path))


def test_a_command_that_is_no_worker_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="ended with code 2"):
        go(quick_plan(tmp_path), command=[sys.executable, "-c", "raise SystemExit(2)"])


def test_workers_that_die_again_and_again_end_the_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch, faults={"*": "die"})
    monkeypatch.setattr(launcher_module, "DEATHS", 2)
    plan = quick_plan(tmp_path, max_retries=1)
    with pytest.raises(StudyError, match="killed in a row, the last by signal 9"):
        go(plan, slots=SLOTS[:1])
    assert all(trial.state.name in ("FAIL", "WAITING") for trial in read_study(plan).trials)


def test_a_trial_that_kills_its_workers_is_given_up_and_the_study_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch, faults={"1": "die", "2": "die", "3": "die"})
    plan = quick_plan(tmp_path, trials=4, workers=1)
    assert go(plan, slots=SLOTS[:1]) == "over"
    found = audit(plan)
    assert (found.trials, found.complete, found.failed, found.lost) == (4, 3, 3, 1)
    reasons = [trial.user_attrs.get("reason", "") for trial in read_study(plan).trials]
    assert sum(reason.endswith("not run again after 3 attempts") for reason in reasons) == 1


def test_the_timeout_stops_workers_as_ctrl_c_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch, faults={"*": "hang"})
    plan = quick_plan(tmp_path)
    assert go(plan, timeout=4.0) == "timeout"
    ended = [trial for trial in read_study(plan).trials if trial.state.name == "FAIL"]
    assert all(trial.user_attrs["reason"].startswith("stopped") for trial in ended)
    assert audit(plan).repeats == len(ended)


def test_a_second_ctrl_c_ends_workers_that_do_not_listen(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, trials=2)
    begun = plan.trial_folder / "begun.txt"
    with fault_table.start("quick_launch.py", plan, quick={"faults": {"*": "hang"}}, STOP="3000") as launcher:
        assert launcher.stderr is not None
        fault_table.wait_until(lambda: begun.exists() and begun.read_text().count("\n") == 2)
        for line in begun.read_text().splitlines():
            os.kill(int(line.split()[1]), signal.SIGSTOP)  # it can neither listen nor leave
        launcher.send_signal(signal.SIGINT)
        while "stopping" not in (said := launcher.stderr.readline()):  # two signals at once would be one
            assert said, "it has ended"
        assert launcher.poll() is None
        launcher.send_signal(signal.SIGINT)
        out, told = launcher.communicate(timeout=fault_table.END)
    assert out.strip() == "stopped", told
    assert not any(is_alive(trial.user_attrs.get("worker", {})) for trial in read_study(plan).trials)
    repeats = [trial for trial in read_study(plan).trials if "retry_of" in trial.user_attrs]
    assert repeats
    assert all(trial.user_attrs["attempt"] == 1 for trial in repeats)


def test_a_record_that_fails_is_tried_again_and_the_last_failure_is_told(tmp_path: Path) -> None:
    def away() -> None:
        raise ConnectionError("no server")

    plan = quick_plan(tmp_path, trials=3)
    with pytest.raises(ConnectionError, match="no server"):
        go(plan, on_change=away)
    assert audit(plan).complete == 3


def test_signals_are_as_before_afterwards(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    go(quick_plan(tmp_path, trials=1))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_closed_terminal_stops_it_unless_nohup_says_otherwise() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup themselves
    try:
        with launcher_module.listening(lambda: heard.append(1)):
            os.kill(os.getpid(), signal.SIGHUP)
            assert heard == [1]
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with launcher_module.listening(lambda: heard.append(1)):
            os.kill(os.getpid(), signal.SIGHUP)
        assert heard == [1]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_workers_get_the_environment_of_their_slot_and_no_password_in_a_file(tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    spy = [
        sys.executable,
        "-c",
        f"import os, json, pathlib; pathlib.Path({str(seen)!r}).write_text(json.dumps(dict(os.environ)))",
    ]
    plan = quick_plan(tmp_path, trials=1)
    given = more(plan, storage="postgresql://me:s3cret%40word@127.0.0.1:9/db")
    worker = launcher_module.Worker(
        given, Path(plan.folder) / "plan.json", Slot(0, env={"SPY": "1"}), spy, QUICK_TIMING
    )
    worker.process.wait(fault_table.END)
    environment = json.loads(seen.read_text())
    assert (environment["PGPASSWORD"], environment["SPY"]) == ("s3cret@word", "1")
    assert worker.last_words() == "nothing"
    worker.close()
    assert "s3cret" not in " ".join(worker.process.args)  # type: ignore[arg-type]


def test_the_launcher_does_without_torch() -> None:
    code = "import sys, sclandmarks.tune.launcher; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
