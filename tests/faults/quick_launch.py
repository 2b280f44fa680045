"""Run as a script: a launcher of a quick study, `quick_launch.py PLAN.json [TIMEOUT]`; prints how it ended.

With RECORD in the environment, the address of a database, trials are recorded there as runs; STOP are the seconds that
workers get to stop.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from quick_study import COMMAND

from sclandmarks.params import TrackingParams
from sclandmarks.tune.launcher import launch
from sclandmarks.tune.loop import Timing
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.slots import Slot
from sclandmarks.tune.study import read_study

QUICK_TIMING = Timing(beat=0.2, grace=1.5, poll=0.02, patience=60.0, record=0.2, stop=5.0)


def main(file: str, timeout: str | None = None) -> None:
    """Run the plan of a file."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts tests in the background ignores it
    plan = Plan.from_json(Path(file).read_text())
    slots = [Slot(index) for index in range(plan.workers)]
    timing = replace(QUICK_TIMING, stop=float(os.environ.get("STOP", QUICK_TIMING.stop)))
    print(launch(plan, timeout and float(timeout), slots, _recording(plan), COMMAND, timing))


def _recording(plan: Plan) -> Callable[[], None]:
    if "RECORD" not in os.environ:
        return lambda: None
    from sclandmarks.tune.record import Recorder

    recorder = Recorder(record_settings(os.environ["RECORD"]), plan)
    return lambda: recorder.sync(read_study(plan))


def record_settings(uri: str) -> TrackingParams:
    """Settings of a record of quick studies."""
    return TrackingParams(enabled=True, uri=uri, experiment="faults")


if __name__ == "__main__":
    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        main(*sys.argv[1:])
