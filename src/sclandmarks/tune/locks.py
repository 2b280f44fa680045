"""Locks between processes that a killed process cannot leave behind: the kernel drops them with the process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lock_file(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold a lock on a file (`flock`), waiting for it as long as it takes.

    Parameters
    ----------
    path : Path
        Made if absent, with its folder; it stays, empty.
    shared : bool
        With others that hold it shared; else alone.

    Raises
    ------
    OSError
        If it cannot be made, with a note.

    Notes
    -----
    On NFS Linux passes `flock` on to the server (NFSv4, or NFSv3 with its lock service), unless the mount says
    `local_lock` or `nolock`: then the machines do not see each other's locks, and a study must not span them.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        error.add_note(f"while making the lock {path}")
        raise
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
