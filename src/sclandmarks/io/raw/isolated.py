"""Reading foreign files in a process of its own, so that a damaged one can only ever be an error.

Libraries that parse foreign bytes crash, hang and eat memory: libhdf5 is known to fault on flipped bytes. The child
process is killed when it takes too much, and dies with its parent; its files have no name, so nothing is left over.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from sclandmarks.errors import DataError, ParamsError, SclandmarksError
from sclandmarks.io.raw.common import Origin, naming
from sclandmarks.io.raw.handover import PARTS, load_matrix, unpack_error
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import Section

WORKER = "sclandmarks.io.raw.worker"
MEMORY_GB, HOURS = "SCLANDMARKS_READ_GB", "SCLANDMARKS_READ_HOURS"
MEMORY_SHARE = 0.8
LEAST_S = 180.0
SLOWEST = 5e4
"""Bytes a second; sound files of 100 MB are read about a thousand times as fast."""
POLL_S = 0.05
SAY_EVERY_S = 60.0
LAST_BREATH_S = 5.0
PIPE_BYTES = 1 << 16
TAIL_BYTES = 2000
GB = 1e9
MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
logger = logging.getLogger(__name__)


class Limits(NamedTuple):
    """What reading a file may take.

    Parameters
    ----------
    memory : int
        Bytes.
    seconds : float
        Wall-clock time.
    """

    memory: int
    seconds: float


def machine_limits(size: int) -> Limits:
    """Limits for files of this size on this machine: most of the free memory, and minutes that grow with the size.

    The environment overrides them: SCLANDMARKS_READ_GB and SCLANDMARKS_READ_HOURS.

    Parameters
    ----------
    size : int
        Bytes.

    Raises
    ------
    ParamsError
        If these are no positive numbers.
    """
    memory = _asked(MEMORY_GB, GB) or MEMORY_SHARE * _free_memory()
    return Limits(int(memory), _asked(HOURS, 3600) or LEAST_S + size / SLOWEST)


def read_isolated(
    files: Mapping[str, Path], settings: Section, origin: Origin, limits: Limits | None = None
) -> ExpressionMatrix:
    """Read a file of counts as `READERS[settings.format]` does, in a process of its own.

    Parameters
    ----------
    files : mapping of str to Path
    settings : Section
        Of the reader.
    origin : Origin
    limits : Limits, optional
        By default those of `machine_limits`.

    Returns
    -------
    ExpressionMatrix
        Its arrays lie in a file that goes with them, and are read as they are needed.

    Raises
    ------
    SclandmarksError
        What the reader raises, with its notes.
    DataError
        If the reader crashes or takes more than `limits`; a note names the file.
    """
    limits = limits or machine_limits(_size(files))
    job = {
        "files": {role: str(path) for role, path in files.items()},
        "settings": settings.model_dump(mode="json"),
        "origin": list(origin),
        "level": logging.getLogger().getEffectiveLevel(),
    }
    with ExitStack() as stack:
        parts = {name: stack.enter_context(_temporary()) for name in PARTS}
        errors = stack.enter_context(_temporary())
        with naming(files["counts"], origin), _started(WORKER, job, parts, errors) as child:
            end = child.end(limits)
            if "done" in end:
                return load_matrix(parts, end["done"])
        raise unpack_error(end["error"])


def ask(worker: str, job: dict[str, Any], files: Mapping[str, Path], limits: Limits | None, note: str) -> Any:
    """What another worker says of files, in a process of its own.

    Parameters
    ----------
    worker : str
        Module whose main part calls `worker.at_work`.
    job : dict
        What it is given, as JSON; the level of the log is added.
    files : mapping of str to Path
        Role -> file that it opens.
    limits : Limits, optional
        By default those of `machine_limits`.
    note : str
        Added to the errors that it cannot raise itself.

    Raises
    ------
    SclandmarksError
        What the worker raises, with its notes.
    DataError
        If the worker crashes or takes more than `limits`.
    """
    job = job | {"level": logging.getLogger().getEffectiveLevel()}
    with ExitStack() as stack:
        try:
            errors = stack.enter_context(_temporary())
            with _started(worker, job, {}, errors) as child:
                end = child.end(limits or machine_limits(_size(files)))
        except SclandmarksError as error:
            error.add_note(note)
            raise
    if "done" in end:
        return end["done"]
    raise unpack_error(end["error"])


def _temporary() -> IO[bytes]:
    try:
        return cast(IO[bytes], tempfile.TemporaryFile())
    except OSError as error:
        raise DataError("a folder for temporary files", str(error), "Set TMPDIR to one with room.") from error


class _Child:
    """A process that reads a file.

    Parameters
    ----------
    process : subprocess.Popen
    voice : int
        The open end of a pipe, where it says what it does.
    errors : file
        Its standard error.
    """

    def __init__(self, process: subprocess.Popen[bytes], voice: int, errors: IO[bytes]) -> None:
        self.process, self.voice, self.errors = process, voice, errors

    def end(self, limits: Limits) -> dict[str, Any]:
        """Pass on what it logs until it says how it ended.

        Raises
        ------
        DataError
            If it takes too much, or dies without saying.
        """
        for line in self._lines(limits):
            try:
                message = json.loads(line)
                if "done" in message or "error" in message:
                    return dict(message)
                name, level, text = message["log"]
            except (ValueError, KeyError, TypeError) as error:
                raise _crashed("what it said makes no sense") from error
            logging.getLogger(name).log(level, "%s", text)
        raise self._death()

    def _lines(self, limits: Limits) -> Iterator[bytes]:
        rest, begin, said = b"", time.monotonic(), time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self.voice, selectors.EVENT_READ)
            while True:
                ready = selector.select(POLL_S)
                now, used = time.monotonic(), _resident(self.process.pid)
                _check(used, now - begin, limits)
                if now - said > SAY_EVERY_S:
                    said = now
                    logger.info("reading for %.0f minutes, with %.1f GB of memory", (now - begin) / 60, used / GB)
                if ready:
                    chunk = os.read(self.voice, PIPE_BYTES)
                    if not chunk:
                        return
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from lines

    def _death(self) -> DataError:
        """What became of a process that says no more."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(LAST_BREATH_S)
        code = self.process.poll()
        self.errors.seek(0)
        said = self.errors.read()[-TAIL_BYTES:].decode("utf-8", "backslashreplace")
        logger.debug("the reader's standard error: %s", said)
        if code == -signal.SIGKILL:
            return _too_much("more than was free: the system ended it (SIGKILL)", "what the machine has")
        if code is not None and code < 0:
            return _crashed(signal.Signals(-code).name)
        return _crashed(f"exit code {code}: {said.strip().rpartition(chr(10))[2]}")


@contextmanager
def _started(worker: str, job: dict[str, Any], parts: Mapping[str, IO[bytes]], errors: IO[bytes]) -> Iterator[_Child]:
    """A child at work; it is dead when the block ends."""
    voice, its_voice = os.pipe()
    fds = [its_voice, *(part.fileno() for part in parts.values())]
    command = [sys.executable, "-P", "-m", worker, str(os.getpid()), *map(str, fds)]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=errors, stderr=errors, pass_fds=fds) as process:
            try:
                os.close(its_voice)
                its_voice = -1
                with suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as stdin:
                    stdin.write(json.dumps(job).encode())
                yield _Child(process, voice, errors)
            finally:
                process.kill()
    finally:
        os.close(voice)
        if its_voice >= 0:
            os.close(its_voice)


def _crashed(how: str) -> DataError:
    return DataError("a sound file", f"one that crashed its reader ({how})", "It is damaged: get it again.")


def _check(used: int, seconds: float, limits: Limits) -> None:
    if used > limits.memory:
        raise _too_much(f"{used / GB:.3g} GB", f"{limits.memory / GB:.3g} GB")
    if seconds > limits.seconds:
        raise DataError(
            f"a file of this size to be read within {limits.seconds / 60:.3g} minutes",
            "no end by then",
            f"The file is damaged: get it again. If it is sound and the machine slow, set {HOURS}.",
        )


def _too_much(got: str, limit: str) -> DataError:
    remedy = f"The file is damaged, or too large for this machine; set {MEMORY_GB} to allow more."
    return DataError(f"a file that is read with at most {limit} of memory", f"one that took {got}", remedy)


def _resident(pid: int) -> int:
    """Bytes of memory a process holds of its own, without mapped files (Linux); 0 where that is not known."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def _size(files: Mapping[str, Path]) -> int:
    """Bytes of the files, and of all in those that are folders; what cannot be seen counts for nothing."""
    size = 0
    for one in chain.from_iterable(map(_within, files.values())):
        with suppress(OSError):
            size += one.stat().st_size
    return size


def _within(path: Path) -> Iterator[Path]:
    yield path
    with suppress(OSError):  # too long a name, or a closed folder above
        if path.is_dir():
            yield from path.rglob("*")


def _free_memory() -> float:
    """Bytes of memory that are free, or that a container may take at most."""
    free = sys.maxsize
    with suppress(OSError, ValueError, StopIteration):
        lines = MEMINFO.read_text().splitlines()
        free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    with suppress(OSError, ValueError):
        free = min(free, int(CGROUP.read_text()))
    return free


def _asked(name: str, unit: float) -> float | None:
    text = os.environ.get(name)
    if text is None:
        return None
    try:
        asked = float(text)
    except ValueError:
        asked = float("nan")
    if not 0 < asked < float("inf"):
        raise ParamsError(f"a positive number in the environment variable {name}", repr(text), "Mend or unset it.")
    return asked * unit
