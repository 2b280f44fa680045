"""A stage goes with its DVC, and with it alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sclandmarks
from sclandmarks.runtime.identity import started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells of another process's end")

STAGE = """
import os, time
from sclandmarks.runtime.logs import run_stage
def main():
    print("at work", os.getpid(), flush=True)
    time.sleep(600)
run_stage(main)
"""
DVC = """
import subprocess, sys, time
command = [*sys.argv[2:], sys.executable, "-c", sys.argv[1]]
child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), flush=True)
time.sleep(600)
"""


def child_of_a_killed_parent(*shell: str, **env: str) -> int:
    """Id of a process that was at work when its parent, or that of the shell between, was killed by SIGKILL."""
    kept = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    environment = kept | {"PYTHONPATH": str(Path(sclandmarks.__file__).parents[1])} | env
    command = [sys.executable, "-c", DVC, STAGE, *shell]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        at_work, pid = parent.stdout.readline().rsplit(maxsplit=1)
        parent.kill()
    assert at_work == "at work"
    return int(pid)


@pytest.mark.parametrize("shell", [[], ["sh", "-c", '"$@"; exit', "sh"]], ids=["no shell", "a shell that stays"])
def test_a_stage_goes_with_its_dvc(shell: list[str]) -> None:
    pid = child_of_a_killed_parent(*shell, DVC_STAGE="fit@a")
    end = time.monotonic() + 300
    while started(pid) is not None:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_script_that_a_person_started_stays() -> None:
    pid = child_of_a_killed_parent()
    try:
        time.sleep(0.2)
        assert started(pid) is not None
    finally:
        os.kill(pid, signal.SIGKILL)
