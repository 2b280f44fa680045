"""The record of a study agrees with the study, however often it is written and wherever the writer is killed."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run as Entity

from sclandmarks.params import TrackingParams
from sclandmarks.tracking import Ledger, open_ledger
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.record import Recorder, differences, ended, identity, sync
from sclandmarks.tune.study import open_study
from sclandmarks.tune.summary import finish

Make = Callable[..., tuple[optuna.Study, Plan]]
N_KILLS = 12
# Imports once, opens nothing; for every line that it reads, a child of it writes the record. The line is the seconds
# after which the kernel ends the child (SIGALRM, which nothing here hears).
WRITERS = """
import os, signal, sys
from pathlib import Path
import mlflow.pytorch, mlflow.store.tracking.sqlalchemy_store, optuna, torch
from sclandmarks.io import models
from sclandmarks.params import TrackingParams
from sclandmarks.tracking import mlflow_ledger, open_ledger
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.summary import finish

def write(seconds):
    plan = Plan.from_json(Path(sys.argv[1]).read_text())
    journal = optuna.storages.journal.JournalFileBackend(plan.storage.removeprefix("journal:"))
    study = optuna.load_study(study_name=plan.name, storage=optuna.storages.JournalStorage(journal))
    ledger = open_ledger(TrackingParams(enabled=True, uri=sys.argv[2], experiment="tests"), "tune")
    signal.setitimer(signal.ITIMER_REAL, seconds)
    finish(study, plan, ledger)

for line in sys.stdin:
    child = os.fork()
    if not child:
        write(float(line))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/runs.db"


@pytest.fixture
def settings_of_record(uri: str) -> TrackingParams:
    return TrackingParams(enabled=True, uri=uri, experiment="tests")


@pytest.fixture
def ledger(settings_of_record: TrackingParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.chdir(tmp_path)
    return open_ledger(settings_of_record, "tune")


class Store:
    """What MLflow's own client says of a study."""

    def __init__(self, uri: str, study: optuna.Study) -> None:
        self.client = MlflowClient(uri)
        self.experiment = self.client.get_experiment_by_name("tests").experiment_id
        self.where = f"tags.`study.id` = '{study.user_attrs['id']}'"

    def runs(self, kind: str) -> list[Entity]:
        return list(self.client.search_runs([self.experiment], f"{self.where} and tags.kind = '{kind}'"))

    @property
    def parent(self) -> Entity:
        (parent,) = self.runs("study")
        return parent

    def trials(self) -> dict[int, Entity]:
        runs = self.runs("trial")
        numbered = {int(run.data.tags["trial"]): run for run in runs}
        assert len(numbered) == len(runs), "a trial twice"
        return numbered

    def points(self, run: Entity) -> Counter[tuple[str, int]]:
        """How often each (figure, step) is in a run."""
        history = [one for name in run.data.metrics for one in self.client.get_metric_history(run.info.run_id, name)]
        return Counter((one.key, one.step) for one in history)

    def files(self, run: Entity, folder: str) -> list[str]:
        return [Path(one.path).name for one in self.client.list_artifacts(run.info.run_id, folder)]

    def models(self) -> list[object]:
        wanted = f"source_run_id = '{self.parent.info.run_id}'"
        return list(self.client.search_logged_models([self.experiment], wanted))


def test_every_ended_trial_has_its_run(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(8)
    study.ask()  # runs
    study.enqueue_trial({"width": 20})  # waits
    assert sync(study, plan, ledger) == len(ended(study)) == 8
    store = Store(uri, study)
    trials = store.trials()
    states = {number: run.info.status for number, run in trials.items()}
    assert states == {n: {2: "KILLED", 3: "FAILED"}.get(n, "FINISHED") for n in range(8)}
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {store.parent.info.run_id}
    assert store.parent.info.status == "RUNNING"
    assert differences(study, plan, ledger) == []


def test_a_run_holds_what_is_known_of_its_trial(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(8)
    sync(study, plan, ledger)
    store, trials = Store(uri, study), study.trials
    runs = store.trials()
    whole = runs[4]
    tried = trials[4].user_attrs["settings"]
    assert {key: json.loads(value) if key != "loss" else value for key, value in whole.data.params.items()} == tried
    figures = {"final/mse": trials[4].value, "n_landmarks": 14.0, "best_step": 2.0, "seconds": 5.5, "peak_bytes": 1e3}
    assert {key: whole.data.metrics[key] for key in figures} == figures
    assert {step for name, step in store.points(whole) if name == "val_mse"} == {0, 1, 2, 3}
    assert "lost" not in whole.data.metrics, "a value that was not finite"
    took = trials[4].datetime_complete - trials[4].datetime_start
    assert whole.info.end_time - whole.info.start_time == pytest.approx(took.total_seconds() * 1000, abs=2)
    assert whole.data.tags["worker"] == "laptop:7" and whole.data.tags["state"] == "complete"


def test_pruned_failed_and_repeated_trials_say_so(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(8)
    sync(study, plan, ledger)
    store = Store(uri, study)
    runs = store.trials()
    pruned, failed, repeated = runs[2], runs[3], runs[7]
    assert store.points(pruned) == {("reported/mse", 0): 1, ("reported/mse", 1): 1, ("reported/mse", 2): 1,
                                    ("seconds", 0): 1, ("peak_bytes", 0): 1}  # fmt: skip
    assert failed.data.tags["reason"] == "fail, as the test wants it"
    assert (repeated.data.tags["retry_of"], repeated.data.tags["attempt"]) == ("3", "2")
    assert "final/mse" not in failed.data.metrics | pruned.data.metrics


def test_a_selection_keeps_its_panel(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(4, "select", objectives=("explained", "n_landmarks"))
    finish(study, plan, ledger)
    store = Store(uri, study)
    assert store.files(store.trials()[0], "tables") == ["panel.csv", "panel.json"]
    assert "pareto.svg" in store.files(store.parent, "figures")
    assert store.models() == []
    assert differences(study, plan, ledger) == []


def test_written_again_nothing_is_there_twice(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(8)
    finish(study, plan, ledger)
    store = Store(uri, study)
    before = {run.info.run_id for run in [store.parent, *store.trials().values()]}
    assert sync(study, plan, ledger) == 0
    finish(study, plan, ledger)
    runs = [store.parent, *store.trials().values()]
    assert {run.info.run_id for run in runs} == before
    assert {times for run in runs for times in store.points(run).values()} == {1}


def test_the_study_keeps_tables_figures_and_the_best_model_once(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(12)
    finish(study, plan, ledger)
    store = Store(uri, study)
    parent = store.parent
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["best.trial"] == str(study.best_trial.number)
    assert parent.data.metrics["best/mse"] == study.best_value
    assert {parent.data.metrics[f"n_{name}"] for name in ("trials", "complete", "pruned", "fail")} == {12, 10, 1}
    assert store.files(parent, "figures") == ["history.svg", "importance.svg", "parallel.svg", "slices.svg"]
    assert store.files(parent, "tables") == ["best.csv", "best.json", "trials.csv", "trials.json"]
    assert len(store.models()) == 1


def test_a_study_that_goes_on_replaces_its_best_model(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(5)
    finish(study, plan, ledger)
    store = Store(uri, study)
    (first,) = store.models()
    best = study.ask()
    folder = Path(plan.root) / plan.trial_folder
    (folder / str(best.number)).mkdir()
    (folder / "0" / "model").rename(folder / str(best.number) / "model")
    study.tell(best, -1.0)
    finish(study, plan, ledger)
    (second,) = store.models()
    assert first.model_id != second.model_id  # type: ignore[attr-defined]
    assert store.parent.data.tags["best.trial"] == str(best.number)
    assert store.points(store.parent)[("best/mse", 5)] == store.points(store.parent)[("best/mse", 6)] == 1


def test_a_name_used_again_is_another_study(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(3)
    finish(study, plan, ledger)
    Path(plan.storage.removeprefix("journal:")).unlink()
    again, _ = make_study(2)
    assert sync(again, plan, ledger) == 2
    assert len(Store(uri, study).trials()) == 3
    assert len(Store(uri, again).trials()) == 2


def test_a_study_has_an_id_from_its_beginning(plan_of: Callable[..., Plan], tmp_path: Path) -> None:
    plan = plan_of(folder=str(tmp_path / "s"))
    first = open_study(plan).study
    assert (
        identity(first, plan)
        == identity(open_study(plan).study, plan)
        == {"study": "s", "study.id": first.user_attrs["id"]}
    )
    assert first.metric_names == ["mse"]


def test_differences_are_seen(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(6)
    sync(study, plan, ledger)
    store = Store(uri, study)
    runs = store.trials()
    store.client.delete_run(runs[0].info.run_id)
    store.client.set_terminated(runs[1].info.run_id, "FAILED")
    store.client.log_metric(runs[4].info.run_id, "final/mse", 9.0)
    store.client.log_param(runs[5].info.run_id, "stranger", 1)
    twin = store.client.create_run(store.experiment, tags=runs[2].data.tags)
    said = differences(study, plan, ledger)
    assert [line.partition(":")[0] for line in said] == [f"trial {n}" for n in (0, 1, 2, 4, 5)]
    store.client.delete_run(twin.info.run_id)
    assert sync(study, plan, ledger) == 1, "only the one that is missing"


def test_a_half_written_run_is_replaced(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(5)
    sync(study, plan, ledger)
    store = Store(uri, study)
    half = store.trials()[1].info.run_id
    store.client.update_run(half, "RUNNING")
    assert sync(study, plan, ledger) == 1
    assert store.trials()[1].info.run_id != half
    assert differences(study, plan, ledger) == []


def kill_at_random_moments(plan: Path, uri: str, n: int) -> Iterator[int]:
    """Exit status of each of `n` writers of the record that are given half a second at most."""
    chance = random.Random(0)
    writers = subprocess.Popen(
        [sys.executable, "-c", WRITERS, str(plan), uri], cwd=plan.parent, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert writers.stdin and writers.stdout
    try:
        for _ in range(n):
            print(chance.uniform(0.001, 0.5), file=writers.stdin, flush=True)
            yield int(writers.stdout.readline())
    finally:
        writers.kill()
        writers.wait()


def test_a_killed_writer_leaves_nothing_twice(make_study: Make, ledger: Ledger, uri: str, tmp_path: Path) -> None:
    study, plan = make_study(10)
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json())
    fates, store = [], Store(uri, study)
    for fate in kill_at_random_moments(path, uri, N_KILLS):
        fates.append(fate)
        assert len(store.runs("study")) <= 1
        store.trials()
    assert -signal.SIGALRM in fates, "none was killed on the way"
    assert set(fates) <= {-signal.SIGALRM, 0}
    finish(study, plan, ledger)
    assert differences(study, plan, ledger) == []
    runs = [store.parent, *store.trials().values()]
    assert {times for run in runs for times in store.points(run).values()} == {1}
    assert {run.info.status for run in runs} == {"FINISHED", "KILLED", "FAILED"}
    assert len(store.models()) == 1


def test_a_call_stops_in_time_and_the_next_goes_on(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(4)
    assert sync(study, plan, ledger, seconds=0.0) == 0
    assert sync(study, plan, ledger) == 4


def test_nothing_to_record(make_study: Make, ledger: Ledger) -> None:
    study, plan = make_study(0)
    study.enqueue_trial({"width": 20})
    assert sync(study, plan, ledger) == 0
    finish(study, plan, ledger)
    assert differences(study, plan, ledger) == []


def test_a_dead_server_costs_one_warning_and_is_caught_up(
    make_study: Make, settings_of_record: TrackingParams, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    study, plan = make_study(4)
    recorder = Recorder(settings_of_record.model_copy(update={"uri": "http://127.0.0.1:9"}), plan)
    for _ in range(3):
        recorder.sync(study)
    recorder.finish(study)
    assert [one.levelno for one in caplog.records if "record of study" in one.message] == [logging.WARNING]
    alive = Recorder(settings_of_record, plan)
    alive.sync(study)
    assert len(Store(uri, study).trials()) == 4


def test_a_recorder_that_is_off_records_nothing(make_study: Make, tmp_path: Path) -> None:
    study, plan = make_study(2)
    recorder = Recorder(TrackingParams(enabled=False, uri=None, experiment="tests"), plan)
    recorder.sync(study)
    recorder.finish(study)
    assert not (tmp_path / plan.folder / "record.lock").exists()


def test_one_process_records_at_a_time(make_study: Make, settings_of_record: TrackingParams, tmp_path: Path) -> None:
    study, plan = make_study(2)
    lock = tmp_path / plan.folder / "record.lock"
    ledger = open_ledger(settings_of_record, "tune")
    with FileLock(lock):
        Recorder(settings_of_record, plan).sync(study)
        assert len(differences(study, plan, ledger)) == 2
    Recorder(settings_of_record, plan).sync(study)
    assert differences(study, plan, ledger) == []


def test_a_trial_without_files_is_recorded_by_its_reports(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(5, files=False)
    finish(study, plan, ledger)
    store = Store(uri, study)
    assert ("reported/mse", 2) in store.points(store.trials()[0])
    assert store.models() == []
    assert store.parent.info.status == "FINISHED"


def test_more_trials_may_be_asked_for_later(make_study: Make, ledger: Ledger, uri: str) -> None:
    study, plan = make_study(3)
    finish(study, plan, ledger)
    study.tell(study.ask(), 0.5)
    finish(study, replace(plan, trials=20), ledger)
    tags = Store(uri, study).parent.data.tags
    assert (tags["trials.asked"], tags["trials.ended"]) == ("20", "4")
