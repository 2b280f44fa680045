"""Files and folders of one's own: whether they can be read, and what their content hashes to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sclandmarks.errors import SourceError
from sclandmarks.io.raw.tenx_mtx import beside
from sclandmarks.io.sources.archives import sha256_of

FOLDERS = frozenset({"tenx_mtx", "zarr", "parquet"})
"""Formats whose counts may be a folder."""
MEND = "Correct `source` in datasets.yaml, or put the file there."


def check_readable(path: Path, *, folder: bool = False) -> None:
    """Refuse what is no file that can be opened; with `folder`, a folder is fine too.

    Raises
    ------
    SourceError
        If nothing is there, it is a link to nothing, a folder or a device, or may not be read.
    """
    with accessible(path):
        if path.is_symlink() and not path.exists():
            raise SourceError(f"a file {path}", f"a link to {path.readlink()}, where nothing is", MEND)
        if not path.exists():
            raise SourceError(f"a file {path}", "none there", MEND)
        if path.is_dir():
            if not folder:
                raise SourceError(f"a file {path}", "a folder", "Name the file in it.")
            next(path.iterdir(), None)
        elif path.is_file():
            path.open("rb").close()
        else:
            raise SourceError(f"a file {path}", "neither a file nor a folder", "Give a regular file.")


def is_there(path: Path) -> bool:
    """Whether a path is a file.

    Raises
    ------
    SourceError
        If a folder above it may not be entered.
    """
    with accessible(path):
        return path.is_file()


def content_sha256(path: Path) -> str:
    """SHA-256 of the content of a file, or of the names and contents of all files in a folder.

    Raises
    ------
    SourceError
        If anything cannot be read, or a folder holds a link to a folder, or what is neither file nor folder.
    """
    with accessible(path):
        if not path.is_dir():
            return sha256_of(path)
        digest = hashlib.sha256()
        for file in files_in(path):
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n".encode())
        return digest.hexdigest()


def files_in(folder: Path) -> list[Path]:
    """All files in a folder and the folders in it, in the order of their paths.

    Raises
    ------
    SourceError
        If it holds a link to a folder or to nothing, or what is neither file nor folder.
    """
    files = []
    with accessible(folder):
        for path in sorted(folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            if not path.is_file():
                what = "a link to a folder, or to nothing" if path.is_symlink() else "neither a file nor a folder"
                raise SourceError(
                    f"a folder {folder} of files", f"{path.name}: {what}", "Put the files themselves there."
                )
            files.append(path)
    return files


def contents(files: dict[str, Path], reader: str) -> dict[str, str]:
    """Role -> SHA-256 of the content, of the files that are there and of those a reader finds beside them.

    Parameters
    ----------
    files : dict of str to Path
        Role -> file or folder.
    reader : str
        Format; for `tenx_mtx` barcodes and features lie beside the matrix.
    """
    there = beside(files) if reader == "tenx_mtx" else files
    with accessible(files["counts"]):
        return {role: content_sha256(path) for role, path in there.items() if path.exists()}


@contextmanager
def accessible(path: Path) -> Iterator[None]:
    """Turn what the system raises inside the block over files that may not be read into a SourceError."""
    try:
        yield
    except OSError as error:
        remedy = "Check its permissions, and those of the folders above it."
        raise SourceError(f"{path}, readable", error.strerror or str(error), remedy) from error
