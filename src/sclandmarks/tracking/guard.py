"""The rule that the record never decides a result: whatever breaks in it costs one warning."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from sclandmarks.tracking.base import Kind, NullRun, NullTracker, Run, Tracker

if TYPE_CHECKING:
    import polars as pl
    import torch

LONGEST_REASON = 500

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Guard:
    """Runs calls until one fails; warns of that one; skips all later ones.

    Attributes
    ----------
    error : Exception or None
        What broke the record, None while it is whole.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None

    def call(self, action: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        """Return what `action` returns, or None where it fails or an earlier one failed.

        Interrupts (KeyboardInterrupt, SystemExit) are not failures and go through.
        """
        return None if self.error is not None else self.last_call(action, *args, **kwargs)

    def last_call(self, action: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        """Like `call`, but try even after a failure: for what closes a run."""
        try:
            return action(*args, **kwargs)
        except Exception as error:
            self._note(error)
            return None

    def _note(self, error: Exception) -> None:
        if self.error is not None:
            _log.debug("tracking failed again: %s", reason(error))
            return
        self.error = error
        _log.warning("tracking stopped, the work goes on without a record of it: %s", reason(error))
        _log.debug("where tracking stopped", exc_info=error)


def reason(error: BaseException) -> str:
    """Say an error in one short line, without the credentials an address may carry."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    text = re.sub(r"://[^/@\s]+@", "://***@", text)
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."


class Patience:
    """Runs calls that may fail for a while and can be made up for later.

    The first failure is one warning, the end of the trouble one line; in between, tries become rare.

    Parameters
    ----------
    what : str
        What is not done meanwhile, for the warning.
    first, longest : float
        Seconds from a failure to the next try: doubled each time, up to `longest`.
    clock : callable
        Seconds.
    """

    def __init__(
        self, what: str, first: float = 10, longest: float = 300, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._first, self._longest, self._clock = what, first, longest, clock
        self._wait, self._next = 0.0, 0.0

    def call(self, action: Callable[[], object], now: bool = False) -> bool:
        """Say whether `action` was done: not where it failed, nor where it is too early to try again.

        Parameters
        ----------
        action : callable
            Interrupts (KeyboardInterrupt, SystemExit) go through.
        now : bool
            Try whether it is too early or not.
        """
        if not now and self._clock() < self._next:
            return False
        try:
            action()
        except Exception as error:
            self._failed(error)
            return False
        if self._wait:
            _log.info("%s: caught up", self._what)
        self._wait = self._next = 0.0
        return True

    def _failed(self, error: Exception) -> None:
        level = logging.DEBUG if self._wait else logging.WARNING
        _log.log(level, "%s is behind, the work goes on and it is tried again later: %s", self._what, reason(error))
        _log.debug("where it failed", exc_info=error)
        self._wait = min(max(2 * self._wait, self._first), self._longest)
        self._next = self._clock() + self._wait


class GuardedRun:
    """A run behind a guard.

    Parameters
    ----------
    run : Run
    guard : Guard
        Shared by all runs of a tracker.
    """

    def __init__(self, run: Run, guard: Guard) -> None:
        self._run, self._guard = run, guard

    def log_metrics(self, values: Mapping[str, float | None], step: int | None = None) -> None:
        """Record figures, see `Run`."""
        self._guard.call(self._run.log_metrics, values, step)

    def log_table(self, name: str, frame: pl.DataFrame) -> None:
        """Keep a table, see `Run`."""
        self._guard.call(self._run.log_table, name, frame)

    def log_text(self, name: str, text: str) -> None:
        """Keep a text, see `Run`."""
        self._guard.call(self._run.log_text, name, text)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Keep a file, see `Run`."""
        self._guard.call(self._run.log_file, path, folder)

    def log_figure(self, path: Path) -> None:
        """Keep a figure, see `Run`."""
        self._guard.call(self._run.log_figure, path)

    def log_model(self, module: torch.nn.Module, example: torch.Tensor, best_step: int) -> None:
        """Keep a network, see `Run`."""
        self._guard.call(self._run.log_model, module, example, best_step)


class GuardedTracker:
    """A tracker whose failures never reach the caller.

    Any exception of the backend, when it is made or later, becomes one logged warning, and from then on this keeps
    nothing. Exceptions of the caller's own block go through unchanged.

    Parameters
    ----------
    make : callable
        Makes the backend; called once, at once.
    """

    def __init__(self, make: Callable[[], Tracker]) -> None:
        self._guard = Guard()
        self._backend: Tracker = self._guard.call(make) or NullTracker()

    @contextmanager
    def run(
        self,
        name: str,
        *,
        kind: Kind = "stage",
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        inputs: Iterable[Path] = (),
    ) -> Iterator[Run]:
        """Open a run, see `Tracker`.

        A run whose record broke is closed as FAILED where the backend still answers: an incomplete record must not
        look like a whole one.
        """
        guard = self._guard
        block = guard.call(self._backend.run, name, kind=kind, params=params, tags=tags, inputs=inputs)
        run = guard.call(block.__enter__) if block is not None else None
        if block is None or run is None:
            yield NullRun()
            return
        try:
            yield GuardedRun(run, guard)
        except BaseException as error:
            guard.last_call(block.__exit__, type(error), error, error.__traceback__)
            raise
        if (broken := guard.error) is not None:
            guard.last_call(block.__exit__, type(broken), broken, broken.__traceback__)
        else:
            guard.call(block.__exit__, None, None, None)
