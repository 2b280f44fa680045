"""The launcher: starts workers, replaces dead ones, ends trials that take too long, stops cleanly."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from sclandmarks.errors import StudyError
from sclandmarks.io.atomic import write_text
from sclandmarks.tune import ledger
from sclandmarks.tune.claims import Silence, mark_over, sweep
from sclandmarks.tune.crew import COMMAND, Worker
from sclandmarks.tune.loop import Timing
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.room import MOVE_EXIT, relocate
from sclandmarks.tune.slots import Slot
from sclandmarks.tune.study import Room, open_study, public

DEATHS = 5  # workers killed in a row, beyond the retries of one trial, without one trial that ends
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Ended = Literal["over", "stopped", "timeout"]
_log = logging.getLogger(__name__)


def launch(
    plan: Plan,
    timeout: float | None,
    slots: Sequence[Slot],
    on_change: Callable[[], None],
    command: Sequence[str] = COMMAND,
    timing: Timing | None = None,
) -> Ended:
    """Run a study to its end, or until stopped; the same call goes on with it.

    Parameters
    ----------
    plan : Plan
    timeout : float, optional
        Seconds after which workers stop as on Ctrl-C.
    slots : sequence of Slot
        One worker each.
    on_change : callable
        Called every few seconds while trials end, and once when all workers have ended.
    command : sequence of str
        Starts a worker when the plan's file and options are appended.
    timing : Timing, optional

    Returns
    -------
    {"over", "stopped", "timeout"}
        The budget is used up; Ctrl-C, SIGTERM or a closed terminal; the timeout. Workers leave a running trial, which
        is run again by the next call and loses no attempt. A second Ctrl-C ends them at once.

    Raises
    ------
    StudyError
        If the study is another one, the storage cannot be used, a worker cannot start or cannot go on, or workers
        are killed again and again.
    """
    timing = timing or Timing()
    room = open_study(plan, timing.patience)
    file = Path(plan.folder) / "plan.json"
    write_text(file, public(plan).to_json())
    launcher = _Launcher(room, file, command, timing, on_change)
    with listening(launcher.ask):
        return launcher.run(slots, timeout)


class _Launcher:
    def __init__(
        self, room: Room, file: Path, command: Sequence[str], timing: Timing, on_change: Callable[[], None]
    ) -> None:
        self.room, self.file, self.command, self.timing, self.on_change = room, file, command, timing, on_change
        self.crew: list[Worker] = []
        self.asked = 0
        self.silence = Silence(timing.grace)
        self._since: dict[tuple[int, str], float] = {}
        self._ended, self._deaths = 0, 0

    def ask(self) -> None:
        self.asked += 1

    def run(self, slots: Sequence[Slot], timeout: float | None) -> Ended:
        try:
            end = self._work(slots, timeout)
        except BaseException:
            self._bury()
            with suppress(Exception):  # what stopped the work counts, not what follows from it
                self._sweep(free=True)
                self.on_change()
            raise
        self._bury()
        self._sweep(free=True)
        self.on_change()
        return end

    def _work(self, slots: Sequence[Slot], timeout: float | None) -> Ended:
        begin = looked = time.monotonic()
        self._sweep()
        self.crew = [self._start(slot) for slot in slots[: self._left()]]
        while self.crew and not self.asked and (timeout is None or time.monotonic() - begin < timeout):
            time.sleep(self.timing.poll)
            self._look_after()
            if time.monotonic() - looked > self.timing.record:
                self._sweep()
                self._record()
                looked = time.monotonic()
        late = bool(self.crew) and not self.asked
        self._stop()
        trials = self.room.study.get_trials(deepcopy=False)
        return "over" if ledger.is_over(trials, self.room.plan.trials) else "timeout" if late else "stopped"

    def _bury(self) -> None:
        for worker in self.crew:
            worker.kill()

    def _left(self) -> int:
        """Most workers that can have a trial."""
        trials, budget = self.room.study.get_trials(deepcopy=False), self.room.plan.trials
        if ledger.is_over(trials, budget):
            return 0
        return max(1, budget - ledger.count(trials) + sum(not trial.state.is_finished() for trial in trials))

    def _start(self, slot: Slot) -> Worker:
        return Worker(self.room.plan, self.file, slot, self.command, self.timing)

    def _look_after(self) -> None:
        """Bury and replace the workers that ended, and end trials that take too long."""
        ended = [worker for worker in self.crew if worker.code is not None]
        if ended:
            self._sweep()
        for worker in ended:
            worker.close()
            self.crew.remove(worker)
            if (slot := self._next_slot(worker)) is not None:
                self.crew.append(self._start(slot))
        self._end_long_ones()

    def _next_slot(self, worker: Worker) -> Slot | None:
        """Where a worker that ended is replaced; None if there is nothing left to do.

        Raises
        ------
        StudyError
            If another one would end as this one.
        """
        code = worker.code or 0
        if code == 0:
            return None
        if code == MOVE_EXIT:
            return relocate(worker.slot)
        if code > 0:
            said = worker.last_words().rstrip(".")
            raise StudyError(
                "a worker that runs",
                f"one that ended with code {code}:\n{said}",
                f"Mend that, then run again: the study goes on. All it wrote: {worker.log}",
            )
        self._count_death(worker)
        return worker.slot

    def _count_death(self, worker: Worker) -> None:
        ended = sum(trial.state.is_finished() and "worker" in trial.user_attrs and trial.state.name != "FAIL"
                    for trial in self.room.study.get_trials(deepcopy=False))  # fmt: skip
        self._deaths = self._deaths + 1 if ended == self._ended else 1
        self._ended = ended
        _log.warning(
            "worker %d was killed by signal %d; another takes its place", worker.slot.index, -(worker.code or 0)
        )
        if self._deaths > self.room.plan.search.max_retries + DEATHS:
            raise StudyError(
                "workers that live",
                f"{self._deaths} killed in a row, the last by signal {-(worker.code or 0)}; no trial ended between",
                f"Look whether memory runs out (`dmesg`); fewer --workers need less. What it wrote: {worker.log}",
            )

    def _end_long_ones(self) -> None:
        """Kill the workers whose trial is beyond its time; a trial is marked first, so that nobody runs it again."""
        most = self.room.plan.search.trial_timeout
        if most is None:
            return
        now, since = time.monotonic(), {}
        for trial in ledger.running(self.room.study.get_trials(deepcopy=False)):
            phase = str(trial.user_attrs.get("phase", ""))
            worker = next((worker for worker in self.crew if worker.runs(trial.user_attrs.get("worker"))), None)
            if worker is None or phase.startswith("waits"):
                continue
            begin = since[trial.number, phase] = self._since.get((trial.number, phase), now)
            if now - begin > most:
                mark_over(self.room, trial, f"ran longer than trial_timeout, {most:g} s")
                worker.kill()
                self.crew.remove(worker)
                self._sweep()
                self.crew.append(self._start(worker.slot))
        self._since = since

    def _sweep(self, free: bool = False) -> None:
        with self.room.store.claim():
            sweep(self.room, self.silence, free)

    def _record(self) -> None:
        try:
            self.on_change()
        except Exception:
            _log.exception("the study could not be recorded; it is tried again")

    def _stop(self) -> None:
        """Let workers leave their trials; end them at once on a second Ctrl-C, or when they take too long."""
        if self.crew:
            _log.warning(
                "stopping: workers leave their trials, which are run again next time; Ctrl-C ends them at once"
            )
        for worker in self.crew:
            worker.ask_to_stop()
        begin = time.monotonic()
        while any(worker.code is None for worker in self.crew) and self.asked < 2:
            if time.monotonic() - begin > self.timing.stop:
                break
            time.sleep(min(0.1, self.timing.poll))


@contextmanager
def listening(ask: Callable[[], None]) -> Iterator[None]:
    """Take SIGINT, SIGTERM and SIGHUP as the word to stop, in the main thread; as before afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in STOPS if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, lambda *_: ask()) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
