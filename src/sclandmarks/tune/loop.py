"""What a worker does: claim a trial, run it, tell what came out, until the study is over."""

from __future__ import annotations

import errno
import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from sclandmarks.errors import StudyError
from sclandmarks.runtime.identity import identify
from sclandmarks.tune import ledger, memory
from sclandmarks.tune.claims import BEAT, GRACE, Silence, again, beating, claim, scratch_folder
from sclandmarks.tune.objective import Objective, Outcome
from sclandmarks.tune.room import wait_for_room
from sclandmarks.tune.slots import Slot
from sclandmarks.tune.space import suggest
from sclandmarks.tune.stop import Stop, Stopped
from sclandmarks.tune.study import PATIENCE, Room

FAILURES = 10  # trials of one worker in a row that fail, after which something else must be wrong
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Verdict = Literal["over", "stop", "move"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Seconds of a study's machinery.

    Parameters
    ----------
    beat, grace : float
        Between two signs of life, and without one until a trial of another machine counts as lost.
    poll : float
        Between two looks for work or for workers that ended.
    patience : float
        For which a storage that went away is waited for.
    record : float
        Between two calls of the launcher's `on_change`.
    stop : float
        That workers get to leave their trials when they are to stop.
    """

    beat: float = BEAT
    grace: float = GRACE
    poll: float = 0.5
    patience: float = PATIENCE
    record: float = 5.0
    stop: float = 30.0


@dataclass(frozen=True)
class End:
    """How a trial ended; without a state it was stopped, or ran out of memory."""

    state: TrialState | None
    reason: str = ""
    outcome: Outcome | None = None


class _StorageFault(BaseException):
    """A fault of the storage inside of an objective, which is no fault of the trial and not for it to catch."""


class Loop:
    """The turns of one worker.

    Parameters
    ----------
    room : Room
    objective : Objective
    slot : Slot
        Room on its device is waited for before each claim; trials on one device make room for one that ran out of
        memory there.
    stop : Stop, optional
    timing : Timing, optional
    """

    def __init__(
        self,
        room: Room,
        objective: Objective,
        slot: Slot,
        stop: Stop | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.room, self.objective = room, objective
        self.stop, self.timing = stop or Stop(), timing or Timing()
        self.silence = Silence(self.timing.grace)
        self._failed, self._last = 0, ""
        self.slot = slot
        self.me = identify(slot.index)
        self.floor = memory.Floor(Path(room.plan.folder) / "locks", f"{self.me['host']}-{slot.device}")

    def run(self) -> Verdict:
        """Take turns until the study is over, or this worker is to stop or to move to another device.

        Raises
        ------
        StudyError
            If the storage stays away, the disk is full, or one trial after the other fails.
        OSError
            If the journal cannot be written.
        """
        while not self.stop.asked:
            if (verdict := wait_for_room(self.slot, lambda: self.stop.asked)) != "go":
                return verdict
            if self._failed >= FAILURES:
                raise StudyError("trials that end", f"{FAILURES} failed in a row, the last with {self._last}",
                                 "Mend what it says, then run again: the study goes on.")  # fmt: skip
            if not self._turn():
                if ledger.is_over(self.room.study.get_trials(deepcopy=False), self.room.plan.trials):
                    return "over"
                time.sleep(self.timing.poll)
        return "stop"

    def _turn(self) -> bool:
        """Run one trial; False if there was none to take."""
        with ExitStack() as floor:
            try:
                with self.stop.open():
                    floor.enter_context(self.floor.shared())
            except Stopped:
                return False
            trial = claim(self.room, self.me, self.silence)
            if trial is None:
                return False
            self._run(trial, floor)
            return True

    def _run(self, trial: Trial, floor: ExitStack) -> None:
        try:
            settings = suggest(trial, self.room.plan.search.space)
            trial.set_user_attr("settings", settings)
            limit = memory.limit_of(settings, memory.limits(self.room.study.get_trials(deepcopy=False)))
            if limit is not None:
                self._leave_out(trial, settings, limit)
                return
            memory.reset_peak()
            begin = time.monotonic()
            with beating(self.room, trial, self.timing.beat):
                end = self._try(trial, settings)
                if end.state is None and end.reason:
                    end = self._try_alone(trial, settings, floor)
            trial.set_user_attr("seconds", time.monotonic() - begin)
            trial.set_user_attr("peak_bytes", memory.read_peak())
            self._tell(trial, end)
        except UpdateFinishedTrialError:
            _log.warning("trial %d was taken for lost while it ran; what it came to is dropped", trial.number)
        finally:
            shutil.rmtree(self._scratch(trial), ignore_errors=True)

    def _try(self, trial: Trial, settings: Mapping[str, Any]) -> End:
        """Run the objective once, and say how it ended; faults of storage and disk pass through."""
        scratch = self._scratch(trial)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            with self.stop.open():
                return self._judged(self.objective(settings, self._report(trial), scratch))
        except Stopped:
            return End(None)
        except optuna.TrialPruned as error:
            return End(TrialState.PRUNED, str(error) or "pruned")
        except _StorageFault as fault:
            raise fault.args[0] from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise StudyError(
                    "room on the disk", str(error), "Free space, then run again: the study goes on."
                ) from None
            if memory.is_out_of_memory(error):
                return End(None, _said(error))
            _log.exception("trial %d raised", trial.number)
            return End(TrialState.FAIL, _said(error))

    def _try_alone(self, trial: Trial, settings: Mapping[str, Any], floor: ExitStack) -> End:
        """Run again, with the device to itself, what ran out of memory; prune it if it does so again."""
        memory.free_memory()
        floor.close()
        trial.set_user_attr("phase", "waits to be alone")
        with ExitStack() as alone:
            try:
                with self.stop.open():
                    alone.enter_context(self.floor.alone())
            except Stopped:
                return End(None)
            trial.set_user_attr("phase", "alone")
            end = self._try(trial, settings)
        if end.state is not None or not end.reason:
            return end
        memory.free_memory()
        trial.set_user_attr("too_big", memory.sizes(settings))
        return End(
            TrialState.PRUNED, f"out of memory, even alone, with {memory.show(memory.sizes(settings))}: {end.reason}"
        )

    def _report(self, trial: Trial) -> Callable[[int, float], None]:
        """Return what the objective reports an epoch to."""
        single = len(self.room.study.directions) == 1

        def report(step: int, value: float) -> None:
            with self.stop.shielded():
                try:
                    if single:
                        trial.report(value, step)
                    poor = single and trial.should_prune()
                except Exception as error:
                    raise _StorageFault(error) from None
            if poor:
                raise optuna.TrialPruned(f"stopped by the pruner at step {step}")

        return report

    def _judged(self, outcome: Outcome) -> End:
        wanted = len(self.room.study.directions)
        if len(outcome.values) != wanted or not all(math.isfinite(value) for value in outcome.values):
            told = ", ".join(str(value) for value in outcome.values)
            return End(TrialState.FAIL, f"expected {wanted} finite value(s), got {told or 'none'}", outcome)
        return End(TrialState.COMPLETE, outcome=outcome)

    def _tell(self, trial: Trial, end: End) -> None:
        if end.state is None:
            self._give_back(trial)
            return
        self._failed, self._last = (self._failed + 1 if end.state == TrialState.FAIL else 0), end.reason
        if end.reason:
            trial.set_user_attr("reason", end.reason)
        if end.outcome is not None:
            trial.set_user_attr("facts", dict(end.outcome.facts))
        kept = self.room.plan.trial_folder / str(trial.number)
        if end.state != TrialState.FAIL:
            shutil.rmtree(kept, ignore_errors=True)
            self._scratch(trial).replace(kept)
        values = end.outcome.values if end.outcome is not None and end.state == TrialState.COMPLETE else None
        self._end(trial, end.state, values)
        _log.info("trial %d: %s %s", trial.number, end.state.name.lower(), values or end.reason)

    def _end(self, trial: Trial, state: TrialState, values: tuple[float, ...] | None = None) -> None:
        """Tell the state; a trial that others ended meanwhile stays as it is.

        Raises
        ------
        UpdateFinishedTrialError
            If it ended meanwhile.
        """
        try:
            self.room.study.tell(trial, values, state)
        except ValueError as error:  # Optuna looks first, and says so in other words
            raise UpdateFinishedTrialError(str(error)) from None

    def _give_back(self, trial: Trial) -> None:
        """Enqueue a trial again that was stopped on purpose."""
        with self.room.store.claim():
            again(self.room, self._frozen(trial), "stopped by Ctrl-C or SIGTERM", costs=False)

    def _leave_out(self, trial: Trial, settings: Mapping[str, Any], limit: FrozenTrial) -> None:
        """Prune a trial that cannot fit, and enqueue a smaller one in its place."""
        too_big = limit.user_attrs["too_big"]
        smaller = memory.shrink(self._frozen(trial), too_big)
        what = f"{memory.show(memory.sizes(settings))} is no smaller than trial {limit.number}, which ran out of memory"
        with self.room.store.claim():
            if smaller is not None:
                marks = {"retry_of": trial.number, "attempt": ledger.attempt(self._frozen(trial))}
                self.room.study.enqueue_trial(smaller, user_attrs=marks)
        trial.set_user_attr("reason", f"not run: {what}" + ("; a smaller one is enqueued" if smaller else ""))
        self._end(trial, TrialState.PRUNED)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self.room.study.get_trials(deepcopy=False)[trial.number]

    def _scratch(self, trial: Trial) -> Path:
        return scratch_folder(self.room, trial.number)


def _said(error: BaseException) -> str:
    """Name and message of an error, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
