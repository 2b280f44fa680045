"""Worker processes: started in a group of their own, watched, ended with their children."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sclandmarks.runtime.identity import boot, started
from sclandmarks.tune.loop import Timing
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.slots import Slot
from sclandmarks.tune.storage import password

COMMAND = (sys.executable, "-P", "-m", "sclandmarks.tune.worker")
TOLD = 15  # last lines of a worker's log in an error

_log = logging.getLogger(__name__)


class Worker:
    """One worker process.

    Parameters
    ----------
    plan : Plan
        Its storage may hold a password, which goes into the environment of the process and into no file.
    file : Path
        The plan, written without the password.
    slot : Slot
    command : sequence of str
    timing : Timing
    """

    def __init__(self, plan: Plan, file: Path, slot: Slot, command: Sequence[str], timing: Timing) -> None:
        self.slot = slot
        self.log = file.parent / "workers" / f"{socket.gethostname()}-{slot.index}.log"
        self.log.parent.mkdir(exist_ok=True)
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        secret = password(plan.storage)
        given = [str(file.resolve()), "--slot", slot.to_json(), "--timing", json.dumps(asdict(timing)), "--parent"]
        given += ["--trials", str(plan.trials)]  # another launcher of the study may have written another budget
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *given],
                stdin=subprocess.PIPE,  # closes when the launcher dies, however it dies
                stdout=log,
                stderr=log,
                cwd=plan.root,
                env=os.environ | slot.env | ({"PGPASSWORD": secret} if secret else {}),
                start_new_session=True,  # Ctrl-C in the terminal reaches the launcher alone
            )
        self.start = started(self.process.pid)

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self.process.poll()

    def runs(self, worker: dict[str, object] | None) -> bool:
        """Whether the attribute `worker` of a trial names this process."""
        return worker is not None and (worker["pid"], worker["start"], worker["boot"]) == (
            self.process.pid,
            self.start,
            boot(),
        )

    def ask_to_stop(self) -> None:
        """Let it leave its trial and end."""
        if self.code is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its children at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Let go of the pipe of an ended worker."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def last_words(self) -> str:
        """What it wrote last: the message of an error, or the last lines."""
        with self.log.open("rb") as log:
            log.seek(self._begin)
            lines = log.read().decode(errors="replace").strip().splitlines()
        errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        return "\n".join(lines[errors[-1] :] if errors else lines[-TOLD:]) or "nothing"
