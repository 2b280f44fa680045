"""The faults a study survives, each as a function that does it and looks at the study afterwards.

`tests/faults/test_faults.py` runs them small, `benchmarks/tune_faults.py` at length.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from postgres_server import Server
from quick_study import go_file, more, quick_plan
from study_audit import Audit, audit

from sclandmarks.runtime.identity import is_alive
from sclandmarks.tune.ledger import running
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.study import read_study

HERE = Path(__file__).parent
END = 600.0  # seconds after which a process of a test has failed; none takes a tenth of it


class Fault(NamedTuple):
    """A line of the table: how often it was tried, on how many trials, and what the study came to."""

    name: str
    tried: int
    plan: Plan
    audit: Audit


def kill_workers(
    root: Path, kills: int, trials: int, seed: int, storage: str | None = None, longest: float = 0.15
) -> Fault:
    """Kill -9 of workers at random moments, each at most `longest` seconds after a trial has begun."""
    plan = quick_plan(root, trials, storage=storage, max_retries=99)
    end = run("nursery.py", plan, kills, seed, longest, quick={"seconds": 0.03, "held": trials - plan.workers})
    return Fault("worker killed", json.loads(end.stdout)["killed"], plan, audit(plan))


def kill_launcher(root: Path, kills: int, trials: int, seed: int, longest: float = 0.5) -> Fault:
    """Kill -9 of the launcher at random moments; its workers must go with it, and the same command goes on.

    It is killed while trials run, of which one is held.
    """
    plan, draw, killed = quick_plan(root, trials, max_retries=99), random.Random(seed), 0
    while killed < kills:
        held = len(_trials(plan)) + plan.workers
        with start("quick_launch.py", plan, quick={"seconds": 0.1, "held": held}) as launcher:
            wait_until(lambda held=held: _is_at(plan, 0, held) or launcher.poll() is not None)
            time.sleep(draw.uniform(0.0, longest))
            if launcher.poll() is not None:
                break
            launcher.kill()
            killed += 1
        wait_until(lambda: not is_at_work(plan))
    run("quick_launch.py", plan)
    return Fault("launcher killed", killed, plan, audit(plan))


def kill_recording_launcher(root: Path, kills: int, trials: int, seed: int) -> Fault:
    """Kill -9 of the launcher, which records trials as runs; at the end runs and trials must agree one by one.

    It is killed when a trial has ended and another is held.
    """
    plan, draw = quick_plan(root, trials, max_retries=99), random.Random(seed)
    where = f"sqlite:///{root / 'runs.db'}"
    os.environ["RECORD"] = where
    try:
        for _ in range(kills):
            goal, held = len(_noted(plan, "ended.txt")) + 1, len(_trials(plan)) + plan.workers
            with start("quick_launch.py", plan, quick={"seconds": 1.0, "held": held}, cwd=root) as launcher:
                wait_until(lambda goal=goal, held=held: _is_at(plan, goal, held) or launcher.poll() is not None)
                time.sleep(draw.uniform(0.0, 2.0))
                launcher.kill()
        run("quick_launch.py", plan, cwd=root)
    finally:
        del os.environ["RECORD"]
    assert (said := disagreement(plan, where)) == [], said
    return Fault("launcher killed, runs recorded", kills, plan, audit(plan))


def disagreement(plan: Plan, where: str) -> list[str]:
    """What the runs of a database say other than the study, once what a launcher had no time for is recorded, too."""
    from quick_launch import record_settings

    from sclandmarks.tracking import open_ledger
    from sclandmarks.tune.record import differences, sync

    study, ledger = read_study(plan), open_ledger(record_settings(where), "tune")
    sync(study, plan, ledger)
    return differences(study, plan, ledger)


def kill_postgres(root: Path, server: Server, kills: int, trials: int, pause: float = 1.0) -> Fault:
    """Kill -9 of PostgreSQL under running workers, which wait until it is back."""
    plan, killed = quick_plan(root, trials, storage=server.url), 0
    held = trials - plan.workers
    with start("nursery.py", plan, 0, 0, 1.0, quick={"seconds": 0.05, "held": held}) as workers:
        for turn in range(kills):
            goal = held * (turn + 1) // (kills + 1)
            wait_until(lambda goal=goal: len(_noted(plan, "ended.txt")) >= goal or workers.poll() is not None)
            if workers.poll() is not None:
                break
            server.kill()
            killed += 1
            time.sleep(pause)
            server.start()
        go_file(plan).touch()
        _finish(workers)
    return Fault("PostgreSQL killed and started", killed, plan, audit(plan))


def tear_journal(root: Path, cuts: int, trials: int, seed: int) -> Fault:
    """Cut the journal in the middle of its last line; the study goes on."""
    plan, draw = quick_plan(root, trials * (cuts + 1), max_retries=99), random.Random(seed)
    journal = Path(plan.storage.removeprefix("journal:"))
    for turn in range(cuts):
        run("nursery.py", more(plan, trials=trials * (turn + 1)), 0, 0, 1.0)
        text = journal.read_bytes()
        last = text.rstrip(b"\n").rfind(b"\n") + 1
        journal.write_bytes(text[: draw.randrange(last + 1, len(text))])
    run("nursery.py", plan, 0, 0, 1.0)
    return Fault("journal cut in a line", cuts, plan, audit(plan))


def fill_disk(root: Path, times: int, trials: int) -> Fault:
    """Let no file grow beyond a limit: the journal's writes fail in the middle of a line, as on a full disk."""
    plan = quick_plan(root, trials, max_retries=99)
    journal = Path(plan.storage.removeprefix("journal:"))
    stopped = 0
    for _ in range(times):
        limit = (journal.stat().st_size if journal.exists() else 0) + 3001
        with start("nursery.py", plan, 0, 0, 1.0, limit=limit) as workers:
            _, told = workers.communicate(timeout=END)
            stopped += workers.returncode != 0 and "File too large" in told
        assert journal.read_bytes().endswith(b"\n"), "a half line stayed"
    run("nursery.py", plan, 0, 0, 1.0)
    return Fault("disk full", stopped, plan, audit(plan))


def step_clock(root: Path, trials: int) -> Fault:
    """Set the clock of the workers back and forth by a day at each look."""
    plan = quick_plan(root, trials)
    run(
        "nursery.py",
        plan,
        0,
        0,
        1.0,
        quick={"seconds": 0.01},
        PYTHONPATH=f"{HERE / 'clock'}:{os.environ.get('PYTHONPATH', '')}",
    )
    return Fault("clock steps", trials, plan, audit(plan))


def launch_twice(root: Path, trials: int, times: int) -> Fault:
    """Start two launchers with one study name at once, one with half the budget: they share it and the first trial."""
    plan = quick_plan(root, trials * times)
    for turn in range(times):
        part, less = more(plan, trials=trials * (turn + 1)), more(plan, trials=trials * turn + trials // 2)
        with start("quick_launch.py", part) as one, start("quick_launch.py", less, file="less.json") as other:
            _finish(one)
            _finish(other)
        assert audit(part).trials == part.trials
    return Fault("two launchers at once", times, plan, audit(plan))


def bad_trials(root: Path, trials: int) -> Fault:
    """Trials that return NaN, raise, and never end."""
    plan = quick_plan(root, trials, trial_timeout=6.0)
    faults = {"1": "nan", "2": "raise", "3": "hang", "5": "hang", "6": "nan", "7": "raise"}
    run("quick_launch.py", plan, quick={"faults": faults})
    return Fault("NaN, raises, never ends", len(faults), plan, audit(plan))


def stop_launcher(root: Path, times: int, trials: int) -> Fault:
    """Stop a launcher by SIGINT or SIGTERM in the middle of trials, which lose no attempt."""
    plan = quick_plan(root, trials, max_retries=0)
    for turn in range(times):
        with start("quick_launch.py", plan, quick={"held": 0}) as launcher:
            wait_until(lambda: is_at_work(plan) or launcher.poll() is not None)
            time.sleep(0.1)
            launcher.send_signal(signal.SIGTERM if turn % 2 else signal.SIGINT)
            assert _finish(launcher).strip() == "stopped"
    run("quick_launch.py", plan)
    return Fault("Ctrl-C or SIGTERM", times, plan, audit(plan))


def start(
    script: str,
    plan: Plan,
    *arguments: object,
    quick: Mapping[str, Any] | None = None,
    limit: int | None = None,
    file: str = "given.json",
    cwd: Path | None = None,
    **env: str,
) -> subprocess.Popen[str]:
    """Start a script of this folder on a plan; `limit` is the largest size of a file, bytes."""
    written = Path(plan.folder) / file
    written.write_text(plan.to_json())
    command = [sys.executable, str(HERE / script), str(written), *map(str, arguments)]
    environment = os.environ | {"QUICK": json.dumps(quick or {})} | env
    before: Callable[[], None] | None = None
    if limit is not None:
        before = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # noqa: E731
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=cwd,
        preexec_fn=before,
    )


def run(script: str, plan: Plan, *arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a script of this folder to its end."""
    with start(script, plan, *arguments, **how) as process:
        out, told = process.communicate(timeout=END)
    assert process.returncode == 0, told
    return subprocess.CompletedProcess(process.args, 0, out, told)


def wait_until(holds: Callable[[], bool], longest: float = END) -> None:
    """Look again and again until something holds."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < longest, "it does not come"
        time.sleep(0.02)


def _finish(process: subprocess.Popen[str]) -> str:
    out, told = process.communicate(timeout=END)
    assert process.returncode == 0, told
    return out


def is_at_work(plan: Plan) -> bool:
    """Whether a trial is run by a process that lives."""
    return any(is_alive(trial.user_attrs.get("worker", {})) for trial in running(_trials(plan)))


def _trials(plan: Plan) -> list[Any]:
    try:
        return read_study(plan).get_trials(deepcopy=False)
    except Exception:  # not there yet
        return []


def _is_at(plan: Plan, ended: int, held: int) -> bool:
    """Whether so many trials have ended, and one is held."""
    is_held = any(int(line.split()[0]) >= held for line in _noted(plan, "begun.txt"))
    return is_held and len(_noted(plan, "ended.txt")) >= ended


def _noted(plan: Plan, name: str) -> list[str]:
    file = plan.trial_folder / name
    return file.read_text().splitlines() if file.exists() else []
