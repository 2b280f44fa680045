"""The process in which a foreign file is read, see `isolated`: `python -P -m sclandmarks.io.raw.worker PARENT FD ...`.

The job comes as JSON on standard input. What is said goes, a line of JSON each, to the first of the open files that
the command names; the matrix goes to the others.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import logging
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter

from sclandmarks.errors import DataError, SclandmarksError
from sclandmarks.io.raw import READERS, Reader
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.handover import PARTS, pack_error, save_matrix
from sclandmarks.matrix import ExpressionMatrix

PR_SET_PDEATHSIG = 1
MOST_KILLABLE = "1000"
Say = Callable[[dict[str, Any]], None]


class _Forward(logging.Handler):
    """Hands log records to the parent process."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record."""
        self.say({"log": [record.name, record.levelno, record.getMessage()]})


Work = Callable[[dict[str, Any], Mapping[str, IO[bytes]]], dict[str, Any]]


def main(arguments: list[str]) -> None:
    """Read one file, and say how it ended."""
    at_work(arguments, lambda job, parts: _save(read_job(job), parts))


def at_work(arguments: list[str], work: Work) -> None:
    """Do a job that comes on standard input, and say how it ended.

    Parameters
    ----------
    arguments : list of str
        Id of the parent process; the open file to say it in, and one for each of PARTS, if any.
    work : callable
        Given the job and the open files, returns what is said, as JSON.
    """
    parent, voice, *fds = map(int, arguments)
    die_with(parent)
    spare_the_machine()
    with ExitStack() as stack:
        channel = stack.enter_context(open(voice, "wb", buffering=0))  # noqa: PTH123 (an open file)
        parts = {name: stack.enter_context(open(fd, "wb")) for name, fd in zip(PARTS, fds, strict=False)}  # noqa: PTH123

        def say(message: dict[str, Any]) -> None:
            channel.write(json.dumps(message).encode() + b"\n")

        job = json.load(sys.stdin.buffer)
        logging.basicConfig(level=job["level"], handlers=[_Forward(say)])
        logging.captureWarnings(True)
        say(_outcome(job, parts, work))


def die_with(parent: int) -> None:
    """Be killed by the system as soon as the parent process is gone, however it went (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that asked for the file is gone")


def spare_the_machine() -> None:
    """Leave Ctrl-C to the parent, write no core, and be the first to go where the system's memory runs out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(MOST_KILLABLE)


def _outcome(job: dict[str, Any], parts: Mapping[str, IO[bytes]], work: Work) -> dict[str, Any]:
    """Message of the end: `done`, with what the parent has to know, or `error`."""
    try:
        return {"done": work(job, parts)}
    except SclandmarksError as error:
        return {"error": pack_error(error)}


def read_job(job: dict[str, Any]) -> ExpressionMatrix:
    """Read a file; all that a library raises becomes a DataError that names the file.

    Parameters
    ----------
    job : dict
        `files`, role -> path; `settings`, of the reader; `origin`, the values of an Origin.

    Raises
    ------
    SclandmarksError
        As the reader raises it, or a DataError for anything else.
    """
    files = {role: Path(path) for role, path in job["files"].items()}
    settings, origin = TypeAdapter(Reader).validate_python(job["settings"]), Origin(*job["origin"])
    try:
        return READERS[settings.format](files, settings, origin)
    except SclandmarksError:
        raise
    except BaseException as error:  # panics of polars and pyarrow's aborts are no Exception
        logging.getLogger(__name__).debug("%s", traceback.format_exc())
        fault = _as_data_error(error, settings.format)
        fault.add_note(f"data set {origin.dataset}, file {files['counts']}")
        raise fault from error


def _as_data_error(error: BaseException, format_: str) -> DataError:
    if isinstance(error, MemoryError):
        return DataError("room in memory for the counts", str(error) or "too little", "Take a larger machine.")
    if isinstance(error, OSError):
        return DataError("files that can be read", str(error), "Mend the path or the permissions of the file.")
    got = f"{type(error).__name__}: {str(error).partition(os.linesep)[0]}"
    return DataError(f"a readable file of the format {format_}", got, "Get the file again.")


def _save(matrix: ExpressionMatrix, parts: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    try:
        return save_matrix(matrix, parts)
    except OSError as error:
        remedy = "Free space there, or set TMPDIR to a folder with room."
        raise DataError("room for the matrix in the folder of temporary files", str(error), remedy) from error


if __name__ == "__main__":
    main(sys.argv[1:])
