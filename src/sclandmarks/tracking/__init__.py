"""The record of runs: MLflow, or nothing. It stands beside the work and never decides a result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sclandmarks.params import TrackingParams
from sclandmarks.tracking.base import Kind, NullRun, NullTracker, Run, Tracker
from sclandmarks.tracking.guard import GuardedTracker
from sclandmarks.tracking.ledger import Entry, Found, Ledger, Point, Status

if TYPE_CHECKING:
    from sclandmarks.tracking.mlflow import MlflowTracker

__all__ = [
    "Entry",
    "Found",
    "GuardedTracker",
    "Kind",
    "Ledger",
    "NullRun",
    "NullTracker",
    "Point",
    "Run",
    "Status",
    "Tracker",
    "open_ledger",
    "open_tracker",
]

# Read by mlflow and by the PostgreSQL driver; what the user has set stays.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a dead server is noticed in seconds: mlflow's own 7 take minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",  # seconds, to connect and between two bytes of an answer
    "PGCONNECT_TIMEOUT": "5",
}


@contextmanager
def open_tracker(settings: TrackingParams, stage: str) -> Iterator[Tracker]:
    """Open the record of runs that the settings name.

    Parameters
    ----------
    settings : TrackingParams
        With `enabled` false nothing is kept and mlflow is not imported.
    stage : str
        Name of the stage, a tag of every run.

    Yields
    ------
    Tracker
        Its failures cost one warning; nothing is raised by it, whether the server is dead or the disk full.

    Examples
    --------
    >>> off = TrackingParams(enabled=False, uri=None, experiment="doc")
    >>> with open_tracker(off, stage="fit") as tracker, tracker.run("l1000 + ridge") as run:
    ...     run.log_metrics({"mse": 0.1})
    """
    if not settings.enabled:
        yield NullTracker()
        return
    yield GuardedTracker(lambda: _mlflow(settings, stage))


def open_ledger(settings: TrackingParams, stage: str) -> Ledger:
    """Open the record of runs that the settings name, to write whole runs and find them again.

    Parameters
    ----------
    settings : TrackingParams
        With `enabled` true.
    stage : str
        A tag of every run.

    Raises
    ------
    Exception
        Whatever the store raises, here or later: the caller tries again another time.
    """
    tracker = _mlflow(settings, stage)
    from sclandmarks.tracking.mlflow_ledger import MlflowLedger  # late: mlflow takes seconds to import

    return MlflowLedger(tracker)


def _mlflow(settings: TrackingParams, stage: str) -> MlflowTracker:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from sclandmarks.tracking.mlflow import MlflowTracker  # late: mlflow takes seconds to import

    return MlflowTracker(settings.uri, settings.experiment, stage)
