"""A server that goes away for a while: calls to the storage wait until it is back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from sclandmarks.errors import StudyError

T = TypeVar("T")
FIRST, LONGEST = 0.1, 5.0  # seconds between two tries
AWAY = ("OperationalError", "InterfaceError", "PendingRollbackError")  # the last follows from another in a session
REFUSED = ("authentication failed", "does not exist", "pg_hba.conf")  # no waiting helps
BACK = "Start the server again, then run the same command: the study goes on."

_log = logging.getLogger(__name__)


def wait_for(call: Callable[[], T], patience: float) -> T:
    """Call again and again while the server is away.

    Parameters
    ----------
    call : callable
        To be repeated after a failure.
    patience : float
        Seconds; with 0 the first failure passes through.

    Raises
    ------
    StudyError
        If the server is still away then.
    """
    begin, pause = time.monotonic(), FIRST
    while True:
        try:
            return call()
        except Exception as error:
            if not patience or not is_outage(error):
                raise
            if time.monotonic() - begin > patience:
                raise StudyError(
                    "a storage that answers", f"{first_line(error)}, {patience:.0f} s long", BACK
                ) from None
            if pause == FIRST:
                _log.warning("the storage does not answer, waiting up to %.0f s: %s", patience, first_line(error))
        time.sleep(pause)
        pause = min(LONGEST, 2 * pause)


def is_outage(error: BaseException) -> bool:
    """Whether an error says that the server is away, so that the same call can succeed later."""
    return any(_is_away(cause) for cause in _causes(error))


def first_line(error: BaseException) -> str:
    """What the innermost cause of an error says, on one line."""
    innermost = list(_causes(error))[-1]
    lines = str(innermost).strip().splitlines()
    return lines[0] if lines else type(innermost).__name__


class _Patience(BaseStorage):
    """Passes every call to a storage on, and waits while its server is away.

    Parameters
    ----------
    backend : optuna.storages.BaseStorage
    patience : float
        Seconds.
    """

    def __init__(self, backend: BaseStorage, patience: float) -> None:
        self.backend, self.patience = backend, patience

    def remove_session(self) -> None:
        """Let go of connections."""
        self.backend.remove_session()


def _passed_on(name: str) -> Callable[..., Any]:
    def method(self: _Patience, *args: Any, **kwargs: Any) -> Any:
        tries = 0

        def call() -> Any:
            nonlocal tries
            tries += 1
            try:
                return getattr(self.backend, name)(*args, **kwargs)
            except UpdateFinishedTrialError:
                if name == "set_trial_state_values" and tries > 1 and _is_done(self.backend, *args, **kwargs):
                    return True  # the first try had got through; only its answer was lost
                raise

        return wait_for(call, self.patience)

    method.__name__ = name
    return method


_METHODS = {name: _passed_on(name) for name in sorted(BaseStorage.__abstractmethods__)}
Patient = cast(Callable[[BaseStorage, float], BaseStorage], type("Patient", (_Patience,), _METHODS))


def _is_done(storage: BaseStorage, trial_id: int, state: TrialState, values: Any = None) -> bool:
    trial = storage.get_trial(trial_id)
    return trial.state == state and (values is None or list(values) == trial.values)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from; a driver's error is kept in `orig`."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or getattr(cause, "orig", None)


def _is_away(error: BaseException) -> bool:
    kind = type(error)
    if kind.__module__.startswith("sqlalchemy."):
        if any(words in str(error) for words in REFUSED):
            return False
        return kind.__name__ in AWAY or getattr(error, "connection_invalidated", False)
    code = getattr(error, "code", None)
    return kind.__module__.startswith("grpc.") and callable(code) and getattr(code(), "name", "") == "UNAVAILABLE"
