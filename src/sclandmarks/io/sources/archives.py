"""What comes from elsewhere: what it must hash to, files half come, and single files out of a wheel, zip or tar.gz.

What an archive says about paths and links is never followed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from sclandmarks.errors import SchemaError, SourceError
from sclandmarks.io.tables import read_json, write_json

MAX_BYTES = 4 << 30
CHUNK = 1 << 20
BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
logger = logging.getLogger(__name__)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_pins(lock: Path) -> dict[str, str]:
    """Read what addresses gave when they were first fetched.

    Parameters
    ----------
    lock : Path
        A JSON file that is meant to be in git.

    Returns
    -------
    dict of str to str
        Address -> SHA-256; nothing where there is no such file yet.

    Raises
    ------
    SourceError
        If the file is not as `add_pin` writes it.
    """
    if not lock.exists():
        return {}
    try:
        pins = {key: str(value) for key, value in read_json(lock).items() if key != "version"}
        wrong = [url for url, sha256 in pins.items() if not re.fullmatch("[0-9a-f]{64}", sha256)]
    except SchemaError as error:
        raise SourceError(f"JSON in {lock}", error.got, "Mend it, or get it back with git.") from error
    if wrong:
        raise SourceError(f"a sha256 for {wrong[0]} in {lock}", pins[wrong[0]], "Mend it, or get it back with git.")
    return pins


def add_pin(lock: Path, url: str, sha256: str) -> None:
    """Write what an address gave; one process at a time.

    `version` sorts last, so that the line of any address can be deleted by itself.

    Raises
    ------
    SourceError
        As `read_pins`.
    """
    write_json(lock, read_pins(lock) | {url: sha256, "version": 1})


def drop_pins(lock: Path, urls: Iterable[str]) -> None:
    """Forget what these addresses gave; one process at a time. A lock without any other address is removed.

    Raises
    ------
    SourceError
        As `read_pins`.
    """
    left = {url: sha256 for url, sha256 in read_pins(lock).items() if url not in set(urls)}
    if left:
        write_json(lock, left | {"version": 1})
    else:
        lock.unlink(missing_ok=True)


def is_kept(path: Path, sha256: str) -> bool:
    """Whether a file is there and sound; what a killed download left is removed."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink()
    if not path.is_file():
        return False
    if sha256_of(path) == sha256:
        return True
    logger.warning("%s is not the file its sha256 promises", path)
    return False


class Partial:
    """A file that is still coming: `<target>.part`, and of what it is the beginning in `<target>.part.json`.

    Parameters
    ----------
    target : Path
        The whole file.
    url : str
        Where it comes from.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.target, self.url = target, url
        self.path = target.with_name(f"{target.name}.part")
        self._state = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def validator(self) -> str | None:
        """Strong ETag or date of the file that it is the beginning of; None where it cannot be gone on with."""
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            return str(state["validator"]) if state["url"] == self.url and state["validator"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def ask_for_rest(self) -> dict[str, str]:
        """Headers that ask for the rest if the file is still the same, and else for all of it; {} for all of it."""
        size, validator = self.size, self.validator
        return {"Range": f"bytes={size}-", "If-Range": validator} if size and validator else {}

    def restart(self, validator: str | None) -> None:
        """Empty it, before its new state is written: a death in between leaves nothing to go on with."""
        self.path.write_bytes(b"")
        self._state.write_text(json.dumps({"url": self.url, "validator": validator}), encoding="utf-8")

    def discard(self) -> None:
        """Remove what has come."""
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def finish(self, accept: Callable[[Path], None] | None = None) -> None:
        """Flush it to disk and put it in the place of the target.

        Raises
        ------
        SourceError
            If `accept`, given the path, raises it; then what has come is removed.
        """
        try:
            if accept is not None:
                accept(self.path)
        except SourceError:
            self.discard()
            raise
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._state.unlink(missing_ok=True)


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
    except (*BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of the archive
            raise
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
