"""Run as a script: a launcher of a quick study, `quick_launch.py PLAN.json [TIMEOUT]`; prints how it ended."""

from __future__ import annotations

import sys
from pathlib import Path

from quick_study import COMMAND

from sclandmarks.tune.launcher import launch
from sclandmarks.tune.loop import Timing
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.slots import Slot

QUICK_TIMING = Timing(beat=0.2, grace=1.5, poll=0.02, patience=60.0, record=0.2, stop=5.0)


def main(file: str, timeout: str | None = None) -> None:
    """Run the plan of a file."""
    plan = Plan.from_json(Path(file).read_text())
    slots = [Slot(index) for index in range(plan.workers)]
    print(launch(plan, timeout and float(timeout), slots, lambda: None, COMMAND, QUICK_TIMING))


if __name__ == "__main__":
    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        main(*sys.argv[1:])
