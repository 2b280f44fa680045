"""A file of counts made a data set: copied, read and registered, all of it or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from sclandmarks import paths
from sclandmarks.errors import ParamsError, SourceError
from sclandmarks.io.atomic import write_text
from sclandmarks.io.ingest import ingest
from sclandmarks.io.inspect.entry import as_yaml
from sclandmarks.io.own.copies import aside, begin, copy_files, is_left, note_of, put_in_place
from sclandmarks.io.registry.datasets import Dataset, Recipe, choose, load_registry, parse_registry
from sclandmarks.io.registry.places import UrlSource
from sclandmarks.io.registry.text import names_in, with_datasets, with_entry
from sclandmarks.io.sources.archives import drop_pins, read_pins
from sclandmarks.io.sources.fetch import fetch_url
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import is_current
from sclandmarks.io.sources.store import Store, folder_of
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import Name, describe, load_params

OWN = Path("own")
_NAME: TypeAdapter[str] = TypeAdapter(Name)
How = Literal["copy", "link", "in-place"]


@dataclass(frozen=True)
class Wish:
    """What is to become a data set, and how.

    Parameters
    ----------
    name : str
        Of the data set.
    entry : dict
        For datasets.yaml; its source is replaced where files are copied.
    files : mapping of str to Path
        Role -> file of one's own; empty where the source is another.
    how : {"copy", "link", "in-place"}
        Whether the files are copied to own/, hard-linked there, or stay where they are.
    replace : bool
        Whether a data set of this name may be there.
    use : bool
        Whether params.yaml is to name this data set, and no other.
    fetched : Fetched
        Files of web servers that the source names, see `fetched_aside`.
    """

    name: str
    entry: dict[str, Any]
    files: Mapping[str, Path] = field(default_factory=dict)
    how: How = "copy"
    replace: bool = False
    use: bool = False
    fetched: Fetched = field(default_factory=Fetched)


@dataclass(frozen=True)
class Adopted:
    """What came of a wish: the entry as it is registered, and the matrix read."""

    dataset: Dataset
    matrix: ExpressionMatrix


def adopt(wish: Wish) -> Adopted:
    """Put the files into own/, read them into data/raw/<name>, and add the entry to datasets.yaml.

    On any failure, an interrupt included, everything is as it was before. What a killed process put into own/ and did
    not register is made anew.

    Raises
    ------
    ParamsError
        If the name is taken or impossible, or a file of settings is not as it should be.
    SourceError, DataError
        If a file cannot be copied or read.
    """
    check_free(wish)
    with only_one(wish.name), ExitStack() as done, ExitStack() as undo:
        check_free(wish)
        entry = wish.entry
        if wish.files and wish.how != "in-place":
            entry = entry | {"source": _copied(wish, undo, done)}
        parse_registry({wish.name: entry})  # its errors name the keys
        dataset = Dataset.model_validate(entry)
        with aside(paths.STATE / "ingest" / wish.name) as folder:
            matrix = ingest(_recipe(wish.name, dataset), folder / wish.name, wish.fetched)
            paths.RAW.mkdir(parents=True, exist_ok=True)
            put_in_place(folder / wish.name, paths.raw(wish.name), undo, done)
        _register(wish, entry)
        undo.pop_all()
    return Adopted(dataset, matrix)


def _recipe(name: str, dataset: Dataset) -> Recipe:
    return Recipe(name, dataset, {name: dataset})


@contextmanager
def fetched_aside(source: UrlSource) -> Iterator[Fetched]:
    """Fetch the files of web servers: kept in state/downloads, where stage `fetch` finds them, and shown to the block.

    If the block fails, what came is removed; a download that was cut is kept, to go on where it was.

    Raises
    ------
    SourceError
        As `fetch.fetch_url`.
    """
    paths.STATE.mkdir(exist_ok=True)
    with forgotten_on_failure(list(source.addresses.values())), TemporaryDirectory(dir=paths.STATE) as folder:
        store = Store(Path(folder))
        fetch_url(source, store)
        store.finish()
        yield Fetched(Path(folder))


def web_source(addresses: Mapping[str, str]) -> UrlSource:
    """Source of files on web servers, role -> address.

    Raises
    ------
    ParamsError
        If one is no http(s) address.
    """
    one = {"url": addresses["counts"]} if len(addresses) == 1 else {"files": dict(addresses)}
    try:
        return UrlSource.model_validate({"kind": "url"} | one)
    except ValidationError as error:
        raise ParamsError("addresses of http(s) for every file", describe(error), "Correct them.") from error


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Let one process at a time take up a data set of this name.

    Raises
    ------
    SourceError
        If another does.
    """
    (paths.STATE / "ingest").mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(paths.STATE / "ingest" / f"{name}.lock", timeout=0):
            yield
    except Timeout as error:
        raise SourceError(
            f"no other ingest of {name}", "one that runs", "Wait for it, or choose another name."
        ) from error


@contextmanager
def forgotten_on_failure(
    urls: list[str], downloads: Path = paths.DOWNLOADS, lock: Path = paths.DATASETS_LOCK
) -> Iterator[None]:
    """Remove what the block fetched from these addresses, and what it noted of them, if it fails.

    A download that was cut is kept, to go on where it was.
    """
    known = read_pins(lock)
    try:
        yield
    except BaseException:
        fresh = [url for url in urls if url in read_pins(lock) and url not in known]
        with FileLock(downloads / "pins.lock"):
            drop_pins(lock, fresh)
        for url in fresh:
            shutil.rmtree(folder_of(downloads, url), ignore_errors=True)
        raise


def check_free(wish: Wish) -> None:
    """Refuse a name that has an entry or a folder in own/, unless it is to be replaced.

    Raises
    ------
    ParamsError
    """
    try:
        _NAME.validate_python(wish.name)
    except ValidationError as error:
        raise ParamsError("a name of letters, digits, _ and -", repr(wish.name), "Choose another --name.") from error
    if wish.replace:
        return
    if wish.name in names_in(_text(paths.DATASETS)):
        with_entry(_text(paths.DATASETS), wish.name, "")
    home = OWN / wish.name
    if home.exists() and wish.files and wish.how != "in-place" and not is_left(home, note_of(wish.name)):
        remedy = "Choose another name, or replace it on purpose with --replace."
        raise ParamsError(f"no folder {home}", "one that is there", remedy)


def _copied(wish: Wish, undo: ExitStack, done: ExitStack) -> dict[str, Any]:
    """The source of the files once they are in own/."""
    home = OWN / wish.name
    with aside(home) as folder:
        names = copy_files(wish.files, folder, wish.entry["reader"]["format"], link=wish.how == "link")
        if is_left(home, note_of(wish.name)):
            shutil.rmtree(home)
        if not home.exists():
            begin(folder, note_of(wish.name), undo, done)
        put_in_place(folder, home, undo, done)
    files = {role: (home / name).as_posix() for role, name in names.items()}
    return {"kind": "file", "path": files.pop("counts")} | files


def _register(wish: Wish, entry: dict[str, Any]) -> None:
    """Write the entry, and the choice in params.yaml; both or none, one process at a time."""
    with FileLock(paths.STATE / "datasets.yaml.lock"):
        before = _text(paths.DATASETS)
        after = with_entry(before, wish.name, as_yaml({wish.name: entry}), replace=wish.replace)
        choice = with_datasets(_text(paths.PARAMS), [wish.name]) if wish.use else None
        write_text(paths.DATASETS, after)
        try:
            if not is_current(paths.raw(wish.name), choose(load_registry(), [wish.name])[wish.name], wish.fetched):
                raise SourceError(
                    f"{wish.name} as it was read", "another content", "Leave the files alone, and try again."
                )
            if choice is not None:
                _choose(choice)
        except BaseException:
            write_text(paths.DATASETS, before)
            raise


def _choose(after: str) -> None:
    before = _text(paths.PARAMS)
    write_text(paths.PARAMS, after)
    try:
        load_params()
    except BaseException:
        write_text(paths.PARAMS, before)
        raise


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"a readable file {path}", str(error), "Run from the root of the repository.") from error
