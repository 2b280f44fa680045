"""Single files out of a wheel, zip or tar.gz; what an archive says about paths and links is never followed."""

from __future__ import annotations

import gzip
import hashlib
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from sclandmarks.errors import SourceError

MAX_BYTES = 4 << 30
CHUNK = 1 << 20
BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def extract(archive: Path, member: str, target: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Copy one regular file out of an archive.

    Parameters
    ----------
    archive : Path
        A .whl, .zip or .tar.gz file.
    member : str
        Path inside the archive, with `/`.
    target : Path
        The file to write; its folder is made.
    max_bytes : int
        Largest size that is accepted.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    SourceError
        If the archive is broken, has no such member, or the member is absolute, climbs with `..`, is no regular
        file, or is too large; a note names the archive.
    """
    try:
        _check_path(member)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _open_member(archive, member) as source:
            _copy(source, target, member, max_bytes)
    except SourceError as error:
        error.add_note(f"archive: {archive}")
        raise
    return target


def _check_path(member: str) -> None:
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or "\\" in member:
        raise SourceError("a path inside the archive, without ..", member, "Mend `source.members` in datasets.yaml.")


@contextmanager
def _open_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    opened = _open_zip if archive.suffix in (".whl", ".zip") else _open_tar
    try:
        with opened(archive, member) as source:
            yield source
    except KeyError as error:
        raise SourceError(
            f"a member {member}", "an archive without it", "Mend `source.members` in datasets.yaml."
        ) from error
    except BROKEN as error:
        raise SourceError("a readable archive", str(error), "Check `source.file` and `source.sha256`.") from error


@contextmanager
def _open_zip(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo(member)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir() or kind not in (0, stat.S_IFREG):
            raise _irregular(member)
        with file.open(info) as source:
            yield source


@contextmanager
def _open_tar(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with tarfile.open(archive, "r:*") as file:
        info = file.getmember(member)
        source = file.extractfile(info) if info.isfile() else None
        if source is None:
            raise _irregular(member)
        with source:
            yield source


def _irregular(member: str) -> SourceError:
    return SourceError(f"a regular file {member}", "a folder, link or device", "Name the file itself in `members`.")


def _copy(source: IO[bytes], target: Path, member: str, max_bytes: int) -> None:
    size = 0
    with target.open("wb") as file:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > max_bytes:
                target.unlink()
                raise SourceError(f"{member} of at most {max_bytes} bytes", "a larger one", "Check the archive.")
            file.write(chunk)
