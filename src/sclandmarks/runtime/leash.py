"""A stage ends with the DVC that runs it: two of one stage at once, of old and new settings, must not be."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

SHELLS = {"ash", "bash", "busybox", "dash", "fish", "ksh", "sh", "zsh"}


def end_with_dvc() -> None:
    """Be killed as soon as the `dvc` that runs this stage is gone, however it went (Linux).

    A DVC that is killed alone leaves its stage at work, and the next `dvc repro` would start it a second time beside
    it. Where no DVC runs this process, nothing is done.
    """
    if "DVC_STAGE" not in os.environ or not hasattr(os, "pidfd_open"):
        return
    try:
        handle = os.pidfd_open(_runner())
    except OSError:  # no such calls here, or nobody above
        return
    threading.Thread(target=_end_with, args=[handle], daemon=True).start()


def _runner() -> int:
    """Process that runs this one: the parent, or what is above the shells by which DVC starts a command."""
    pid = os.getppid()
    while (found := _name_and_parent(pid))[0] in SHELLS:
        pid = found[1]
    return pid


def _name_and_parent(pid: int) -> tuple[str, int]:
    name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    return name, int(rest.split()[1])


def _end_with(handle: int) -> None:
    with DefaultSelector() as ended:
        ended.register(handle, EVENT_READ)
        ended.select()
    os.kill(os.getpid(), signal.SIGKILL)
