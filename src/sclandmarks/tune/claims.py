"""Who runs what: workers claim trials, and trials of dead workers are found and run again.

Optuna's own heartbeat and `RetryHeartbeatStaleTrialCallback` are not used: they work within `Study.optimize` alone,
only on a database, and wait even where the dead process can be seen. Here a process of this machine is looked up; one
of another machine gives signs of life, counted, not timed, so that clocks do not have to agree.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from sclandmarks.runtime.identity import is_alive
from sclandmarks.tune import ledger
from sclandmarks.tune.study import Room, open_sampler

BEAT = 30.0  # seconds between two signs of life of a trial
GRACE = 120.0  # seconds without one after which a trial of another machine counts as lost

_log = logging.getLogger(__name__)


class Silence:
    """Since when trials of other machines have given no sign of life, by the clock of the one who looks.

    Parameters
    ----------
    grace : float
        Seconds.
    clock : callable
        Seconds that no change of the date moves.
    """

    def __init__(self, grace: float = GRACE, clock: Callable[[], float] = time.monotonic) -> None:
        self.grace, self.clock = grace, clock
        self._seen: dict[int, tuple[Any, float]] = {}

    def is_lost(self, trial: FrozenTrial) -> bool:
        """Whether the sign has not changed for the grace; the first look never says so."""
        sign = trial.user_attrs.get("beat")
        last, since = self._seen.get(trial.number, (None, self.clock()))
        if trial.number not in self._seen or last != sign:
            since = self.clock()
        self._seen[trial.number] = (sign, since)
        return self.clock() - since > self.grace


def claim(room: Room, worker: Mapping[str, Any], silence: Silence) -> Trial | None:
    """Take the next trial: one that waits, else another if the budget allows.

    Parameters
    ----------
    room : Room
    worker : mapping
        As `identity.identify` returns it.
    silence : Silence

    Returns
    -------
    optuna.trial.Trial or None
        None if there is nothing to take at this moment; `ledger.is_over` says whether there ever will be.
    """
    with room.store.claim():
        sweep(room, silence)
        while (trial := _next(room)) is not None:
            if room.store.exclusive or not _drop_surplus(room, trial):
                trial.set_user_attr("worker", dict(worker))
                trial.set_user_attr("attempt", trial.user_attrs.get("attempt", 1))
                return trial
    return None


def sweep(room: Room, silence: Silence, free: bool = False) -> list[int]:
    """End the trials of dead workers, and enqueue them again. The caller holds the claim.

    Parameters
    ----------
    room : Room
    silence : Silence
    free : bool
        The workers were stopped on purpose: it costs their trials no attempt.

    Returns
    -------
    list of int
        Numbers of the trials ended.
    """
    dead = [trial for trial in ledger.running(room.study.get_trials(deepcopy=False)) if _is_dead(room, trial, silence)]
    for trial in dead:
        again(room, trial, "stopped" if free else f"its worker died {_where(trial)}", costs=not free)
        shutil.rmtree(scratch_folder(room, trial.number), ignore_errors=True)
    return [trial.number for trial in dead]


def again(room: Room, trial: FrozenTrial, reason: str, *, costs: bool = True) -> None:
    """Fail a trial, and enqueue it again if it has attempts left. The caller holds the claim.

    The repeat is enqueued first: whoever is killed in between leaves a trial that the next sweep ends.
    """
    attributes = trial.user_attrs
    barred = attributes.keys() & {"over", "surplus"}
    left = not barred and (not costs or ledger.attempt(trial) <= room.plan.search.max_retries)
    if left and ledger.successor(trial.number, room.study.get_trials(deepcopy=False)) is None:
        fixed = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        marks = {"retry_of": trial.number, "attempt": ledger.attempt(trial) + costs}
        room.study.enqueue_trial(fixed, user_attrs=marks)
    end = "enqueued again" if left else f"not run again after {ledger.attempt(trial)} attempts"
    fail(room, trial, attributes.get("over") or f"{reason}; {end}")


def fail(room: Room, trial: FrozenTrial, reason: str) -> None:
    """Fail a trial with a reason, unless it has ended meanwhile."""
    storage, number = room.store.storage, trial._trial_id
    try:
        storage.set_trial_user_attr(number, "reason", reason)
        storage.set_trial_state_values(number, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return
    _log.warning("trial %d failed: %s", trial.number, reason)


def mark_over(room: Room, trial: FrozenTrial, reason: str) -> None:
    """Mark a running trial as one that fails with a reason, and is not run again, when its worker has died."""
    with suppress(UpdateFinishedTrialError):
        room.store.storage.set_trial_user_attr(trial._trial_id, "over", reason)


def scratch_folder(room: Room, number: int) -> Path:
    """Where a trial writes while it runs; renamed when it ends."""
    return room.plan.trial_folder / f".{number}.part"


@contextmanager
def beating(room: Room, trial: Trial, every: float = BEAT) -> Iterator[None]:
    """Give a sign of life of a trial from time to time, from a thread, while the block runs."""
    done = threading.Event()
    thread = threading.Thread(target=_beat, args=(room, trial._trial_id, every, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _beat(room: Room, trial_id: int, every: float, done: threading.Event) -> None:
    count = 0
    while not done.wait(every):
        count += 1
        try:
            room.store.storage.set_trial_user_attr(trial_id, "beat", count)
        except UpdateFinishedTrialError:
            return
        except Exception as error:  # the trial itself meets the same fault when it writes
            _log.warning("no sign of life could be written: %s", error)


def _next(room: Room) -> Trial | None:
    trials = room.study.get_trials(deepcopy=False)
    waits = any(trial.state == TrialState.WAITING for trial in trials)
    if not waits and ledger.count(trials) >= room.plan.trials:
        return None
    room.study.sampler = open_sampler(room.plan, len(trials))
    return room.study.ask()


def _drop_surplus(room: Room, trial: Trial) -> bool:
    """End a trial that two machines began at once for one place; True if it was one."""
    trials = room.study.get_trials(deepcopy=False)
    frozen = trials[trial.number]
    if not ledger.is_surplus(frozen, trials, room.plan.trials):
        return False
    trial.set_user_attr("surplus", True)
    fail(room, frozen, "surplus: another worker took the last place of the budget at the same moment; not run")
    return True


def _is_dead(room: Room, trial: FrozenTrial, silence: Silence) -> bool:
    worker = trial.user_attrs.get("worker")
    lives = is_alive(worker) if worker else (False if room.store.exclusive else None)
    return silence.is_lost(trial) if lives is None else not lives


def _where(trial: FrozenTrial) -> str:
    worker = trial.user_attrs.get("worker")
    return f"(process {worker['pid']} on {worker['host']})" if worker else "before it began"
