"""Files of one's own put into own/: copied or linked aside, then renamed, and taken back where what follows fails."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sclandmarks import paths
from sclandmarks.errors import SourceError
from sclandmarks.io.atomic import write_text
from sclandmarks.io.own.files import accessible, check_readable, files_in
from sclandmarks.io.raw.tenx_mtx import beside

PART = ".part"


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """Make a folder beside `target` to write to, which is removed at the end of the block unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*{PART}"):  # of a killed process; the name is locked by the caller
        shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=PART, dir=target.parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(folder: Path, target: Path, undo: ExitStack, done: ExitStack) -> None:
    """Rename a folder to `target`; what was there is kept until `done` is closed, and comes back by `undo`.

    Parameters
    ----------
    folder, target : Path
        On the same disk.
    undo, done : ExitStack
        Closed where what follows fails, and where it succeeded.
    """
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=PART, dir=target.parent)) / target.name
        target.rename(old)
        undo.callback(shutil.rmtree, old.parent)
        undo.callback(old.rename, target)
        done.callback(shutil.rmtree, old.parent, ignore_errors=True)
    folder.rename(target)
    undo.callback(shutil.rmtree, target)


def note_of(name: str) -> Path:
    """Where it is noted which files are about to be put into own/<name>, until that ended well or was undone."""
    return paths.STATE / "ingest" / f"{name}.begun"


def begin(folder: Path, note: Path, undo: ExitStack, done: ExitStack) -> None:
    """Note the files of a folder before it is put in place; the note goes where this is undone or done."""
    write_text(note, _listing(folder))
    for end in (undo, done):
        end.callback(note.unlink, missing_ok=True)


def is_left(home: Path, note: Path) -> bool:
    """Whether a killed process put these very files here, and nobody touched them since."""
    return home.is_dir() and note.is_file() and note.read_text() == _listing(home)


def _listing(folder: Path) -> str:
    """Every path below a folder with its size and time of change; a rename of the folder changes neither."""
    found = [(path.relative_to(folder).as_posix(), path.stat()) for path in sorted(folder.rglob("*"))]
    return "".join(f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in found)


def copy_files(files: Mapping[str, Path], folder: Path, reader: str, *, link: bool) -> dict[str, str]:
    """Copy the files of a data set into a folder, with what its reader finds beside them.

    Parameters
    ----------
    files : mapping of str to Path
        Role -> file or folder.
    folder : Path
    reader : str
        Format.
    link : bool
        Hard links instead of copies, which take no room.

    Returns
    -------
    dict of str to str
        Role -> path below `folder`; `.` where the counts are the folder itself.

    Raises
    ------
    SourceError
        If a file cannot be read, copied or linked, or the disk has too little room.
    """
    names, plan = {}, _Plan()
    for role, path in files.items():
        check_readable(path, folder=role == "counts")
        if role == "counts" and reader == "tenx_mtx":
            found = beside(files)
            plan.add({one: Path(one.name) for other, one in found.items() if other == "counts" or other not in files})
            names[role] = "." if path.is_dir() else path.name
        elif path.is_dir():
            plan.add({one: Path(path.name) / one.relative_to(path) for one in files_in(path)})
            names[role] = path.name
        else:
            names[role] = path.name if plan.is_free(path.name) else f"{role}-{path.name}"
            plan.add({path: Path(names[role])})
    if not link:
        _check_room(plan.sources, folder)
    for path, name in plan.pairs:
        _copy(path, folder / name, link=link)
    return names


class _Plan:
    """Which file goes where."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Path, Path]] = []

    def add(self, files: Mapping[Path, Path]) -> None:
        self.pairs += files.items()

    def is_free(self, name: str) -> bool:
        return all(target.parts[0] != name for _, target in self.pairs)

    @property
    def sources(self) -> list[Path]:
        return [source for source, _ in self.pairs]


def _check_room(sources: list[Path], folder: Path) -> None:
    need, free = sum(path.stat().st_size for path in sources), shutil.disk_usage(folder).free
    if need > free:
        remedy = "Free some, or leave the file where it is with --in-place."
        raise SourceError(f"{need:,} bytes of room on the disk of own/", f"{free:,}", remedy)


def _copy(path: Path, target: Path, *, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with accessible(path):
        if not link:
            shutil.copyfile(path, target)
            return
    try:
        os.link(path.resolve(), target)
    except OSError as error:
        remedy = "Leave out --link to copy it, or leave it where it is with --in-place."
        raise SourceError(f"a hard link to {path}", error.strerror or str(error), remedy) from error
