"""Files of DVC's own that a kill leaves torn, so that no `dvc` runs any more.

DVC 3 writes dvc.lock and its table of readers and writers, .dvc/tmp/rwlock, in place: killed in that moment, it leaves
them cut. Nothing else is lost by that: the outs of every stage that ended are in its cache, by its record of runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import chain
from pathlib import Path

import yaml

from sclandmarks.errors import SchemaError
from sclandmarks.io.atomic import write_text
from sclandmarks.tracking.lineage import SAFE_LOADER, git

LOCKS = ("dvc.lock", "studies/dvc.lock", "tuning/dvc.lock")
RWLOCK = Path(".dvc/tmp/rwlock")

_HEAD = "schema: '2.0'\nstages:\n"
_STAGE = re.compile(r"^ {2}(?=\S)", re.MULTILINE)  # the line that names a stage; all of its own lines lie deeper


def mend(folder: Path) -> Iterator[str]:
    """Mend what a killed `dvc` left torn in a DVC repository; what is whole is not touched.

    A torn lock keeps its stages but the last one, which may be cut, and takes those it lacks from the commit.
    `dvc repro` then restores what was made since from its cache.

    Parameters
    ----------
    folder : Path
        Root of the repository.

    Yields
    ------
    str
        What was mended, a line each.

    Raises
    ------
    SchemaError
        If a lock is damaged in another way, or a `dvc` that is at work may be writing it.
    """
    for name in LOCKS:
        if not _is_whole(folder / name):
            with _alone(folder):
                _mend_lock(folder, name)
            yield f"{name} was torn by a killed dvc; `dvc repro` takes the stages it lacks from the cache"
    if not _is_json(folder / RWLOCK):
        with _alone(folder):
            _mend_rwlock(folder)
        yield f"{RWLOCK} was torn by a killed dvc: deleted"
    if _is_left(folder / RWLOCK):
        with _alone(folder):
            if _is_left(folder / RWLOCK):
                (folder / RWLOCK).unlink()
        yield f"{RWLOCK} named killed processes as at work: deleted"


def merged(torn: str, committed: str) -> str:
    """Complete a torn lock from a whole one.

    Parameters
    ----------
    torn : str
        The first characters of a lock as DVC writes it.
    committed : str
        A whole lock, or nothing.

    Returns
    -------
    str
        A lock of the stages of `torn` but its last, and of those of `committed` that are not among them; empty
        if there are none.
    """
    ended = dict(list(_stages(torn).items())[:-1])
    stages = ended | {name: text for name, text in _stages(committed).items() if name not in ended}
    return _HEAD + "".join(stages.values()) if stages else ""


def _stages(lock: str) -> dict[str, str]:
    """Text of every stage of a lock, by the line that names it."""
    texts = [f"  {text}" for text in _STAGE.split(lock)[1:]]
    return {text.partition("\n")[0]: text for text in texts}


def _mend_lock(folder: Path, name: str) -> None:
    """Mend a lock, unless it was another dvc that was writing it and has ended."""
    path = folder / name
    if _is_whole(path):
        return
    committed = git(folder, "show", f"HEAD:./{name}")
    text = merged(path.read_text(encoding="utf-8", errors="replace"), f"{committed}\n" if committed else "")
    if not text:
        path.unlink()
        return
    if not is_lock(text):
        remedy = f"Run `git checkout {name}`, then `dvc repro`: it takes what was made since from its cache."
        raise SchemaError(f"{name} as DVC writes it, or the first part of one", "one damaged within", remedy)
    write_text(path, text)


def _mend_rwlock(folder: Path) -> None:
    if not _is_json(folder / RWLOCK):
        (folder / RWLOCK).unlink(missing_ok=True)


def _is_left(path: Path) -> bool:
    """Whether a table of readers and writers names processes, and none of them is a `dvc` that lives.

    DVC itself asks only whether there is a process of that number, which after a restart may be any other.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        writers, readers = table.get("write", {}).values(), table.get("read", {}).values()
        named = {entry["pid"] for entry in (*writers, *chain.from_iterable(readers))}
    except (FileNotFoundError, ValueError, AttributeError, KeyError, TypeError):
        return False
    return bool(named) and not any(map(_is_dvc, named))


def _is_dvc(pid: int) -> bool:
    psutil = import_module("psutil")  # DVC's own, without types
    try:
        return any("dvc" in argument for argument in psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # of another user
        return True


def _is_whole(path: Path) -> bool:
    try:
        return is_lock(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    except ValueError:
        return False


def is_lock(text: str) -> bool:
    """Whether DVC takes a text as the whole of a dvc.lock."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, Loader=SAFE_LOADER))  # noqa: S506 (safe, both)
    except (yaml.YAMLError, Invalid):
        return False
    return text.endswith("\n")


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold DVC's own lock of the repository: while it does not run a stage, every `dvc` holds it."""
    from dvc.lock import LockError
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repo, repo.lock:
            yield
    except LockError as error:
        remedy = "Let it end, then run again."
        raise SchemaError("whole files of DVC", "a torn one, and a dvc at work that may write it", remedy) from error
