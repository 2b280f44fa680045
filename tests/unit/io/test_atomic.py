"""Whatever interrupts a write, the old file stands whole and nothing is left beside it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import sclandmarks
from sclandmarks.io.atomic import remove_left, write_aside, write_text

SOURCE = Path(sclandmarks.__file__).parents[1]
FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
import polars as pl
from scipy import sparse
from sclandmarks import schema
from sclandmarks.io.matrices import _write_groups
from sclandmarks.io.atomic import write_aside, write_text
from sclandmarks.io.tables import write_table
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
targets = pl.DataFrame({"gene_id": [f"{i * 7919 % 65521:x}" for i in range(9000)], "symbol": ["s"] * 9000})
counts = sparse.csr_matrix(np.random.default_rng(0).poisson(3, (2000, 50)))
path = Path(sys.argv[1])
try:
    if path.suffix == ".txt":
        write_text(path, "x" * 10_000)
    elif path.suffix == ".matrix":
        with write_aside(path) as aside:
            _write_groups(aside, counts, None, {})
    else:
        write_table(path, targets, schema.TARGETS)
except OSError as error:
    print("OSError", *error.__notes__)
"""
KILLED = """
import sys, time
from pathlib import Path
from sclandmarks.io.atomic import write_aside
with write_aside(Path(sys.argv[1])) as aside:
    aside.write_text("half of the n")
    print("half", flush=True)
    time.sleep(600)
"""


def python(script: str, path: Path) -> subprocess.Popen[str]:
    """Start a script in another process, with the package on its path."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", script, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def interrupted(path: Path, error: BaseException) -> None:
    """Raise in the middle of a write."""
    with write_aside(path) as aside:
        aside.write_text("half of the n", encoding="utf-8")
        raise error


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Make a file that was written before."""
    path = tmp_path / "table.txt"
    path.write_text("old", encoding="utf-8")
    return path


def test_text_is_written_into_a_new_folder(tmp_path: Path) -> None:
    """UTF-8, and as readable for others as any new file."""
    path = tmp_path / "a" / "b" / "note.txt"
    write_text(path, "µm\n")
    (tmp_path / "plain").touch()
    assert path.read_bytes() == "µm\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert os.listdir(path.parent) == ["note.txt"]


def test_the_old_file_stands_until_the_block_ends(old: Path) -> None:
    """A reader in between sees the old text; afterwards the new."""
    with write_aside(old) as aside:
        aside.write_text("new", encoding="utf-8")
        assert (aside.parent, old.read_text(encoding="utf-8")) == (old.parent, "old")
    assert old.read_text(encoding="utf-8") == "new"
    assert os.listdir(old.parent) == ["table.txt"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "disk full"), ValueError("a bug"), KeyboardInterrupt()])
def test_an_error_keeps_the_old_file(old: Path, error: BaseException) -> None:
    """A full disk, a bug and Ctrl-C alike: old text, no file aside, a note that names the file."""
    with pytest.raises(type(error)) as caught:
        interrupted(old, error)
    assert caught.value is error
    assert error.__notes__ == [f"while writing {old}; nothing half-written was left there"]
    assert old.read_text(encoding="utf-8") == "old"
    assert os.listdir(old.parent) == ["table.txt"]


def test_an_error_on_flushing_keeps_the_old_file(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some disks report that they are full only when flushed."""

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(old, "new")
    assert old.read_text(encoding="utf-8") == "old"
    assert os.listdir(old.parent) == ["table.txt"]


@pytest.mark.parametrize("name", ["table.txt", "table.csv", "table.parquet", "table.matrix"])
def test_a_disk_that_is_really_full(tmp_path: Path, name: str) -> None:
    """A process that may not write more than 4 kB: old file, no file aside, OSError with the file's name."""
    path = tmp_path / name
    path.write_text("old", encoding="utf-8")
    output, _ = python(FULL_DISK, path).communicate(timeout=600)
    assert output.strip() == f"OSError while writing {path}; nothing half-written was left there"
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == [name]


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_clears_up(old: Path) -> None:
    """SIGKILL in the middle of a write: the old text can be read, and written anew."""
    with python(KILLED, old) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        writer.kill()
    assert old.read_text(encoding="utf-8") == "old"
    assert len(os.listdir(old.parent)) == 2
    write_text(old, "new")
    assert old.read_text(encoding="utf-8") == "new"
    assert os.listdir(old.parent) == ["table.txt"]


def test_a_writer_at_work_is_left_alone(old: Path) -> None:
    """Two that write one file at once, in one process and in two: the last that ends has it."""
    with python(KILLED, old) as writer, write_aside(old) as aside:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        write_text(old, "between")
        aside.write_text("last", encoding="utf-8")
        assert len(os.listdir(old.parent)) == 3
        writer.kill()
    assert old.read_text(encoding="utf-8") == "last"
    remove_left(old)
    assert os.listdir(old.parent) == ["table.txt"]


def test_files_of_other_names_are_left_alone(old: Path) -> None:
    """Only what `write_aside` leaves beside this very file goes; a name is no pattern."""
    kept = [old.with_name(name) for name in (".other.txt.abc.part", "table.txt.part", ".table.txt.abc")]
    for path in [*kept, old.with_name(".table.txt.abc.part")]:
        path.touch()
    remove_left(old.with_name("*.txt"))
    assert len(os.listdir(old.parent)) == 5
    write_text(old, "new")
    assert sorted(os.listdir(old.parent)) == sorted(["table.txt", *(path.name for path in kept)])


def test_a_disk_without_locks_is_written_to(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cleared up there, as nobody can tell who is at work."""

    def refuse(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    left = old.with_name(".table.txt.abc.part")
    left.touch()
    write_text(old, "new")
    assert (old.read_text(encoding="utf-8"), left.exists()) == ("new", True)


def test_a_file_aside_that_another_writer_cleared_up_before_it_was_locked_is_made_again(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writers of one file, one of them between making its file aside and locking it."""
    lock, locked = fcntl.flock, []

    def late(handle: int, operation: int) -> None:
        first, _ = not locked, locked.append(handle)
        if first:
            remove_left(old)
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    write_text(old, "new")
    assert old.read_text(encoding="utf-8") == "new"
    assert os.listdir(old.parent) == ["table.txt"]
    assert len(locked) > 1
