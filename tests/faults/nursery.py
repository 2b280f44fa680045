"""Run as a script: workers forked from one process and killed at random.

`nursery.py PLAN.json KILLS SEED LONGEST`: KILLS of them, one at most LONGEST seconds after another trial has begun.
Then trials that are held may go on.

A forked worker costs milliseconds, a started one a second; the process that is killed does the same. Prints as JSON
how many were killed; those that had a trial are told apart from those between two.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from quick_launch import QUICK_TIMING
from quick_study import go_file, open_quick

from sclandmarks.tune.plan import Plan
from sclandmarks.tune.worker import run_worker


def main(file: str, kills: int, seed: int, longest: float) -> None:
    """Keep the plan's workers alive, kill one every now and then, until the study is over."""
    plan, draw, killed = Plan.from_json(Path(file).read_text()), random.Random(seed), 0
    children = {_fork(plan) for _ in range(plan.workers)}
    while children:
        if killed < kills:
            _wait_for_one_more(plan)
            time.sleep(draw.uniform(0.0, longest))
            victim = draw.choice(sorted(children))
            os.kill(victim, signal.SIGKILL)
        pid, status = os.wait()
        children.discard(pid)
        if os.WIFSIGNALED(status):
            killed += 1
            children.add(_fork(plan))
            if killed == kills:
                go_file(plan).touch()
        elif status:
            raise SystemExit(f"a worker ended with status {status}")
    print(json.dumps({"killed": killed}))


def _wait_for_one_more(plan: Plan) -> None:
    """Return when another trial has begun, or after ten seconds."""
    file, end = plan.trial_folder / "begun.txt", time.monotonic() + 10
    size = file.stat().st_size if file.exists() else 0
    while time.monotonic() < end and (file.stat().st_size if file.exists() else 0) == size:
        time.sleep(0.01)


def _fork(plan: Plan) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        run_worker(plan, open_quick(plan), None, timing=QUICK_TIMING)
    except BaseException as error:
        traceback.print_exception(error)
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
