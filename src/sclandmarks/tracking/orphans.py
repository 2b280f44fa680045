"""Runs whose process was killed: nobody is left to end them, so the next process that opens the record does."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from sclandmarks.runtime.identity import boot, identify, is_alive

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROCESS = "process."
KEYS = ("host", "boot", "pid", "start")
MOST = 1000  # looked at in one go; the next stage looks at the others

_log = logging.getLogger(__name__)


def process_tags() -> dict[str, str]:
    """Tags that tell which process keeps a run open; none where the system does not tell processes apart."""
    process = identify(slot=0)
    return {f"{PROCESS}{key}": str(process[key]) for key in KEYS} if boot() else {}


def is_orphan(tags: Mapping[str, str]) -> bool:
    """Whether the process that these tags name is gone for certain.

    Parameters
    ----------
    tags : mapping of str to str
        Of a run. False without those of `process_tags`, and for a process of another machine or container.
    """
    host, name, pid, start = (tags.get(f"{PROCESS}{key}", "") for key in KEYS)
    if not (pid.isdecimal() and start.isdecimal()):
        return False
    alive = is_alive({"boot": name, "pid": int(pid), "start": int(start)})
    return alive is False or (alive is None and _started_again(host, name))


def _started_again(host: str, name: str) -> bool:
    """Whether it was this machine, before its last start."""
    process = identify(slot=0)
    return host == process["host"] and name.partition(" ")[0] != boot().partition(" ")[0]


def end_orphans(client: MlflowClient, experiment_id: str) -> int:
    """End the runs of an experiment whose process is gone as KILLED, with the reason as the tag "error".

    Returns
    -------
    int
        How many were ended.
    """
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'", max_results=MOST)
    orphans = [run for run in running if is_orphan(run.data.tags)]
    for run in orphans:
        pid, host = run.data.tags[f"{PROCESS}pid"], run.data.tags[f"{PROCESS}host"]
        try:
            client.set_tag(run.info.run_id, "error", f"process {pid} on {host} was killed, before the end set here")
            client.set_terminated(run.info.run_id, "KILLED")
        except MlflowException as error:  # taken out by somebody else meanwhile
            _log.debug("run %s was not ended: %s", run.info.run_id, error)
    return len(orphans)
