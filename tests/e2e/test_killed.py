"""What is killed at any moment goes on, and ends with the hashes of an undisturbed run."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from mlflow import MlflowClient

from sclandmarks.tracking.orphans import is_orphan

if TYPE_CHECKING:
    from conftest import Project

# Read by Python at its start: stages that die while they write, or wait there to be killed, and checkpoints more often
# than every 10 s, after the first of which training may wait to be killed.
HOOKS = """
import os, signal, time
from sclandmarks.io import atomic, checkpoints

left, flush = int(os.environ.get("WRITES_BEFORE_DEATH", "1000000")), atomic._flush

def flush_or_die(path):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    while "WAIT_AT_WRITE" in os.environ:
        time.sleep(1)
    flush(path)

atomic._flush = flush_or_die
checkpoints.FileCheckpoint.__init__.__defaults__ = (0.1,)
save = checkpoints.FileCheckpoint.save

def save_and_wait(checkpoint, state):
    save(checkpoint, state)
    while checkpoint.path.exists() and "WAIT_AT_CHECKPOINT" in os.environ:
        time.sleep(1)

checkpoints.FileCheckpoint.save = save_and_wait
"""
# A dvc that is killed while it writes dvc.lock, with nothing of it on the disk yet.
TEAR = """
import os, signal
from dvc.utils.serialize import _common

def tear(path, data, dumper, fs=None, **arguments):
    open(path, "w").close()
    os.kill(os.getpid(), signal.SIGKILL)

_common._dump_data = tear
"""
PATIENCE = 1200


@pytest.fixture
def hooks(tmp_path: Path) -> str:
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(HOOKS)
    return str(tmp_path / "hooks")


def hashes(project: Project, *stages: str) -> list[dict[str, object]]:
    """What dvc.lock says of these stages."""
    locked = yaml.safe_load(project.lock())["stages"]
    return [locked[stage] for stage in stages]


def wait_for(found: object, seconds: float = PATIENCE) -> None:
    """Wait until a function gives something true."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.02)


def test_a_network_killed_in_training_goes_on_and_ends_the_same(done: Project, hooks: str, tmp_path: Path) -> None:
    long = {"predictors__network__max_epochs": 600, "predictors__network__patience": 600}
    undisturbed = done.copy(tmp_path / "undisturbed", **long)
    undisturbed.dvc("repro", "fit@l1000-network")
    project = done.copy(tmp_path / "killed", **long)
    checkpoints = project.root / "state/checkpoints"
    hooked = {"PYTHONPATH": f"{hooks}:{project.root}/src", "WAIT_AT_CHECKPOINT": "1"}
    with project.started("dvc", "repro", "fit@l1000-network", **hooked) as process:
        wait_for(lambda: process.poll() is not None or [*checkpoints.glob("*.pt")])
        assert process.poll() is None, process.stdout.read()
    assert [*checkpoints.glob("*.pt")]
    assert not (project.root / "models/l1000-network/model.json").exists()
    log = project.dvc("repro", "fit@l1000-network")
    assert log.count("going on from checkpoint") == 1
    assert project.lock() == undisturbed.lock()
    assert project.lock() != done.lock()
    assert not [*checkpoints.glob("*.pt")]
    assert {path.parent for path in project.parts()} <= {checkpoints}
    assert not stale(project)


def stale(project: Project) -> bool:
    """Whether dvc still sees something to do for what was run here."""
    return "Running stage" in project.dvc("repro", "fit@l1000-network")


STAGES = ("fetch", "ingest", "split", "prepare")


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 6])
def test_an_ingest_that_dies_while_it_writes_is_made_whole(
    done: Project, fresh: Project, hooks: str, tmp_path: Path, writes: int
) -> None:
    project = fresh.copy(tmp_path / "project")
    die(project, hooks, writes, "ingest")
    project.dvc("repro", "ingest")
    assert hashes(project, "ingest") == hashes(done, "ingest")
    assert not project.parts()


@pytest.mark.parametrize(
    ("stage", "writes", "goal"),
    [(["prepare"], 0, "prepare"), (["prepare"], 3, "prepare"), (["select", "random-0"], 0, "targets")],
)
def test_a_stage_that_dies_while_it_writes_changes_nothing(
    project: Project, done: Project, hooks: str, stage: list[str], writes: int, goal: str
) -> None:
    die(project, hooks, writes, *stage)
    project.dvc("repro", goal)
    assert project.lock() == done.lock()
    assert not [path for path in project.parts() if path.is_relative_to(project.root / "data")]


def die(project: Project, hooks: str, writes: int, *stage: str) -> None:
    """Run a stage that kills itself after so many files, in the midst of the next."""
    project.stage(*stage, fine=False, PYTHONPATH=f"{hooks}:{project.root}/src", WRITES_BEFORE_DEATH=str(writes))
    assert len(project.parts()) == 1


def test_a_dvc_killed_while_it_writes_its_lock_can_be_mended(fresh: Project, done: Project, tmp_path: Path) -> None:
    project = fresh.copy(tmp_path / "project")
    project.dvc("repro", "split")
    (tmp_path / "sitecustomize.py").write_text(TEAR)
    project.run("dvc", "repro", "prepare", fine=False, PYTHONPATH=str(tmp_path))
    (project.root / ".dvc" / "tmp" / "rwlock").write_text('{"write": {')
    assert not project.run("dvc", "status", fine=False).stdout.startswith("Data and pipelines are up to date")
    assert "dvc.lock was torn" in project.run("sclandmarks", "mend").stdout
    output = project.dvc("repro", "prepare")
    assert "Running stage 'split'" not in output  # from the cache; ingest keeps what is there, and so runs again
    assert hashes(project, *STAGES) == hashes(done, *STAGES)


def test_a_repro_killed_at_any_moment_can_be_repeated(done: Project, fresh: Project, tmp_path: Path) -> None:
    project = fresh.copy(tmp_path / "project")
    rng = random.Random(0)
    for stage in ("ingest", "ingest", "prepare", "prepare"):
        with project.started("dvc", "repro", "prepare", PYTHONUNBUFFERED="1") as process:
            for line in process.stdout:
                if line.startswith(f"Running stage '{stage}'"):
                    break
            time.sleep(rng.uniform(0.1, 1.6))
        project.run("sclandmarks", "mend")
    project.dvc("repro", "prepare")
    assert hashes(project, *STAGES) == hashes(done, *STAGES)
    assert not [path for path in project.parts() if path.is_relative_to(project.root / "data")]


def runs(project: Project) -> list[Any]:
    """Runs recorded so far, the first one first."""
    database = project.root / "state/mlflow.db"
    client = MlflowClient(f"sqlite:///{database}") if database.exists() else None
    experiment = client and client.get_experiment_by_name("e2e")
    return client.search_runs([experiment.experiment_id])[::-1] if client and experiment else []


def test_a_fit_goes_with_its_dvc_and_its_run_is_ended(project: Project, done: Project, hooks: str) -> None:
    project.set("tracking.enabled", True)
    goal = "fit@l1000-ridge"
    hooked = {"PYTHONPATH": f"{hooks}:{project.root}/src", "WAIT_AT_WRITE": "1"}
    with project.started("dvc", "repro", "--force", "--single-item", goal, **hooked) as process:
        wait_for(lambda: process.poll() is not None or runs(project))
        assert process.poll() is None, process.stdout.read()
        process.kill()  # it alone, not its stage
        wait_for(lambda: is_orphan(runs(project)[0].data.tags))
    assert [run.info.status for run in runs(project)] == ["RUNNING"]
    project.dvc("repro", "--force", "--single-item", goal)
    assert [run.info.status for run in runs(project)] == ["KILLED", "FINISHED"]
    assert project.lock() == done.lock()
    assert not project.parts()
