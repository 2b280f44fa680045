"""Writing that never leaves half a file: write aside, flush to disk, then rename."""

from __future__ import annotations

import fcntl
import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it takes the place of `path` only when the block ends without error.

    What killed writers of `path` left beside it is removed first.

    Parameters
    ----------
    path : Path
        The final file; its folder is made.

    Raises
    ------
    OSError
        As the file system raises it (full disk, no permission), with a note that names the file.
        What was at `path` before is still there, and the file aside is gone.
    """
    aside: Path | None = None
    handle: int | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left(path)
        handle, aside = _open_aside(path)
        yield aside
        _flush(aside)
        aside.chmod(0o666 & ~_umask())
        aside.replace(path)
    except BaseException as error:
        error.add_note(f"while writing {path}; nothing half-written was left there")
        raise
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def _open_aside(path: Path) -> tuple[int, Path]:
    """Make a file aside and lock it; another where a second writer took it for left, before it was locked."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with suppress(OSError):  # a disk without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)


def remove_left(path: Path) -> None:
    """Remove what killed writers of a file left beside it. A writer that lives holds a lock on its own."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError), left.open("rb") as file:  # gone meanwhile, or of another user
            if _try_lock(file.fileno()):
                left.unlink()


def _try_lock(handle: int) -> bool:
    """Lock an open file until it is closed or its process gone; False where another has, or the disk has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all."""
    with write_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
