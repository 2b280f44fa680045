"""One worker process: `python -m sclandmarks.tune.worker PLAN.json --slot JSON`.

The launcher starts it; it works by itself as well, on any machine that reaches the storage.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sclandmarks.tune.loop import Timing
    from sclandmarks.tune.objective import Objective
    from sclandmarks.tune.plan import Plan
    from sclandmarks.tune.slots import Slot
    from sclandmarks.tune.stop import Stop


def run_worker(
    plan: Plan, objective: Objective, slot: Slot | None, stop: Stop | None = None, timing: Timing | None = None
) -> Literal["over", "stop", "move"]:
    """Run trials of a study in this process until it is over.

    Parameters
    ----------
    plan : Plan
    objective : Objective
    slot : Slot, optional
        Where; the process has been started with its environment.
    stop : Stop, optional
        To stop it from outside.
    timing : Timing, optional

    Returns
    -------
    {"over", "stop", "move"}
        Why it ended: nothing left to do, asked to stop, or its GPU is filled by others and another has room.

    Raises
    ------
    SclandmarksError
        If the study is another one, or the storage stays away.
    OSError
        If the disk is full; the study goes on when it is run again.
    """
    from sclandmarks.tune.loop import Loop, Timing
    from sclandmarks.tune.slots import Slot
    from sclandmarks.tune.study import open_study

    timing = timing or Timing()
    room = open_study(plan, timing.patience, first=timing.patience)
    return Loop(room, objective, slot or Slot(0), stop, timing).run()


def main(arguments: Sequence[str] | None = None, open_objective: Callable[[Plan], Objective] | None = None) -> int:
    """Run one worker from the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
    open_objective : callable, optional
        What opens the objective of a plan; `objective.open_objective` if not given.

    Returns
    -------
    int
        Exit code: 0, or 75 if it wants to be started on another device. An error for users exits with 1.
    """
    given = _parse(arguments)
    slot = _open_slot(given.slot)
    if given.parent:
        threading.Thread(target=_die_with_parent, daemon=True).start()
    from sclandmarks.runtime.logs import plain_errors
    from sclandmarks.tune.plan import Plan
    from sclandmarks.tune.room import MOVE_EXIT
    from sclandmarks.tune.stop import Stop

    stop = Stop()
    stop.listen()
    with plain_errors():
        plan = Plan.from_json(given.plan.read_text())
        plan = plan if given.trials is None else replace(plan, trials=given.trials)
        os.chdir(plan.root)
        verdict = run_worker(plan, _opener(open_objective)(_within(plan, slot)), slot, stop, _timing(given.timing))
    return MOVE_EXIT if verdict == "move" else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sclandmarks.tune.worker", description=__doc__)
    parser.add_argument("plan", type=Path, help="the study's plan.json")
    parser.add_argument("--slot", help="a slot as JSON: device, threads, environment")
    parser.add_argument("--trials", type=int, help="of the whole study, if not as the plan says")
    parser.add_argument("--timing", default="{}", help="seconds of the machinery as JSON")
    parser.add_argument("--parent", action="store_true", help="end when standard input closes")
    return parser.parse_args(arguments)


def _open_slot(text: str | None) -> Slot | None:
    """Read a slot and set its environment, before numpy and torch are imported and read it."""
    if text is None:
        return None
    os.environ.update(json.loads(text)["env"])
    from sclandmarks.tune.slots import Slot, open_slot

    slot = Slot.from_json(text)
    if slot.gpu is not None:
        open_slot(slot)
    return slot


def _within(plan: Plan, slot: Slot | None) -> Plan:
    """Plan whose `runtime.threads` are the slot's: the objective sets them, and all cores are not this worker's."""
    if slot is None:
        return plan
    runtime = plan.context.runtime.model_copy(update={"threads": slot.threads})
    return replace(plan, context=plan.context.model_copy(update={"runtime": runtime}))


def _opener(given: Callable[[Plan], Objective] | None) -> Callable[[Plan], Objective]:
    if given is not None:
        return given
    from sclandmarks.tune.objective import open_objective

    return open_objective


def _timing(text: str) -> Timing:
    from sclandmarks.tune.loop import Timing

    return Timing(**json.loads(text))


def _die_with_parent() -> None:
    """End this process and what it started as soon as standard input closes: its launcher is gone."""
    while os.read(0, 4096):  # not sys.stdin, whose lock would outlive the interpreter
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
