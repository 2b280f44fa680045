"""The journal of a study: one JSON object a line, appended whole or not at all."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from sclandmarks.errors import DataError
from sclandmarks.tune.locks import lock_file

_log = logging.getLogger(__name__)
_SHOWN = 60  # bytes of a broken line in a message
_BEGIN = b'{"op_code"'  # of a journal, as Optuna and `append_logs` write it


class Journal(BaseJournalBackend):
    """Optuna's journal file, but its lock dies with its holder, and no torn or half line stays in it.

    Parameters
    ----------
    path : Path
        Made if absent, with its folder. The lock is the file `<path>.flock`, see `locks.lock_file` about NFS; what is
        cut off is kept in `<path>.torn`.

    Raises
    ------
    DataError
        If the file is no journal; it is not touched.
    OSError
        If it cannot be read and written, with a note.

    Notes
    -----
    Optuna's own lock is a link that a killed worker leaves behind; all others then wait 30 seconds.
    """

    def __init__(self, path: Path) -> None:
        _check_begin(path)
        self.path = path
        self._lock = path.with_name(f"{path.name}.flock")
        self._next, self._offset = 0, 0  # number of the next line to read, and where it begins
        try:
            with lock_file(self._lock):
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
                try:
                    _cut_torn(handle, path, parse=True)
                finally:
                    os.close(handle)
        except OSError as error:
            error.add_note(f"while opening the journal {path}")
            raise

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield operations from a number on. A last line without its end is being written: it is left for later.

        Raises
        ------
        DataError
            If a line that others follow is not an operation.
        """
        if log_number_from != self._next:
            self._next, self._offset = 0, 0
        if self.path.stat().st_size <= self._offset:
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                log = _parse(line)
                if log is None:
                    raise _broken(self.path, self._next + 1, line)
                self._next, self._offset = self._next + 1, self._offset + len(line)
                if self._next > log_number_from:
                    yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations; what creates, begins or ends a trial is on the disk when this returns.

        Raises
        ------
        OSError
            As the file system raises it (disk full); the journal is as before.
        """
        data = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        with lock_file(self._lock):
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                _append(handle, data, _cut_torn(handle, self.path))
                if any("trial_id" not in log or "state" in log for log in logs):
                    os.fsync(handle)
            except OSError as error:
                error.add_note(
                    f"while writing {self.path}; its last line is whole. Free space, then run again: the study goes on"
                )
                raise
            finally:
                os.close(handle)


def _check_begin(path: Path) -> None:
    """Refuse another file, which is not to be cut: its first bytes, as many as there are, tell."""
    if path.is_dir() or not path.name:
        raise DataError("a file for a journal", f"a folder, {path}", "Name a file in it: journal:PATH/journal.log.")
    if not path.is_file():
        return
    with path.open("rb") as file:
        begin = file.read(len(_BEGIN))
    if not _BEGIN.startswith(begin):
        raise DataError(
            "a journal of one operation in JSON a line",
            f"{path}, which begins with {begin!r}",
            "Nothing was changed in it. Name another file: journal:PATH.",
        )


def _append(handle: int, data: bytes, size: int) -> None:
    try:
        while data:
            data = data[os.write(handle, data) :]
    except BaseException:
        os.ftruncate(handle, size)
        raise


def _cut_torn(handle: int, path: Path, parse: bool = False) -> int:
    """Cut off a last line without end (or, with `parse`, without sense), keep it aside, return the size in bytes."""
    size = os.fstat(handle).st_size
    if size == 0 or (not parse and os.pread(handle, 1, size - 1) == b"\n"):
        return size
    begin = _last_line(handle, size)
    torn = os.pread(handle, size - begin, begin)
    if torn.endswith(b"\n") and _parse(torn) is not None:
        return size
    with path.with_name(f"{path.name}.torn").open("ab") as file:
        file.write(torn + b"\n")
    os.ftruncate(handle, begin)
    os.fsync(handle)
    _log.warning("%s: its last line was torn; %d bytes moved to %s.torn", path, len(torn), path.name)
    return begin


def _last_line(handle: int, size: int, step: int = 65536) -> int:
    """Where the last line begins."""
    end = size - 1  # a line's end at the very end is not the end of the line before
    while end > 0:
        begin = max(0, end - step)
        found = os.pread(handle, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        log = json.loads(line)
    except ValueError:
        return None
    return log if isinstance(log, dict) and "op_code" in log else None


def _broken(path: Path, number: int, line: bytes) -> DataError:
    return DataError(
        "a journal of one operation in JSON a line",
        f"{path}, line {number}: {line[:_SHOWN]!r}",
        f"Put a copy of the file back; or keep what is before that line and lose what follows: "
        f"`head -n {number - 1} {path.name} > whole`, then move it to {path.name}.",
    )
