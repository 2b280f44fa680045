"""Reading in a process of its own: what a crash, a hang, a glutton and a death become, and what is left over."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sclandmarks import errors
from sclandmarks.errors import DataError, ParamsError, SclandmarksError
from sclandmarks.io.raw import READERS, isolated
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.handover import pack_error, unpack_error
from sclandmarks.io.raw.isolated import Limits, machine_limits, read_isolated
from sclandmarks.io.raw.table import TableSettings
from sclandmarks.matrix import ExpressionMatrix

COUNTS = "gene,c1,c2,c3\nA1BG,1,0,2\nGAPDH,0,0,5\nCDK4,7,0,0\n"
SETTINGS = TableSettings(format="table", orientation="genes_by_cells")
ORIGIN = Origin("mine", "colon", "D1", condition="ill")
ROOM = Limits(10**10, 3600.0)

# A worker whose reader does what the file says.
MISBEHAVING = """
import ctypes, logging, os, sys, time, warnings
from pathlib import Path
from sclandmarks.io.raw import READERS, worker

class Panic(BaseException):
    pass

def read(files, settings, origin):
    Path(os.environ["SEEN"]).write_text(str(os.getpid()))
    exec(files["counts"].read_text())

READERS["table"] = read
worker.main(sys.argv[1:])
"""
READ = """
import signal, sys
from pathlib import Path
from sclandmarks.io.raw import isolated
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.table import TableSettings
isolated.WORKER = "misbehaving"
signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts tests in the background ignores it
isolated.read_isolated({"counts": Path(sys.argv[1])}, TableSettings(format="table"), Origin("mine", "colon"))
"""
Behave = Callable[[str], Path]


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    path = tmp_path / "counts.csv"
    path.write_text(COUNTS)
    return path


@pytest.fixture
def behave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Behave:
    """Make a file and a worker that does what is written in it."""
    (tmp_path / "misbehaving.py").write_text(MISBEHAVING)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(isolated, "WORKER", "misbehaving")

    def write(code: str) -> Path:
        path = tmp_path / "counts.csv"
        path.write_text(code)
        return path

    return write


def read(path: Path, limits: Limits = ROOM) -> ExpressionMatrix:
    return read_isolated({"counts": path}, SETTINGS, ORIGIN, limits)


def wait_for(found: Callable[[], object]) -> None:
    end = time.monotonic() + 300
    while not found():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_matrix_is_that_of_the_reader(counts: Path) -> None:
    ours, theirs = read(counts), READERS["table"]({"counts": counts}, SETTINGS, ORIGIN)
    assert ours.cells.equals(theirs.cells)
    assert ours.genes.equals(theirs.genes)
    assert ours.X_CG.dtype == np.int32
    assert ours.X_CG.has_canonical_format
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(ours.X_CG, part), getattr(theirs.X_CG, part))


def test_the_matrix_can_be_changed_and_outlives_its_files(counts: Path) -> None:
    one, other = read(counts), read(counts)
    one.X_CG.data[:] = 9
    assert other.X_CG.sum() == 15
    assert one.X_CG.sum() == 36


def test_an_error_comes_back_with_its_parts_and_notes(counts: Path) -> None:
    counts.write_text(COUNTS.replace("7", "7.5"))
    with pytest.raises(DataError) as caught:
        read(counts)
    with pytest.raises(DataError) as direct:
        READERS["table"]({"counts": counts}, SETTINGS, ORIGIN)
    assert (caught.value.expected, caught.value.got, caught.value.remedy) == (
        direct.value.expected, direct.value.got, direct.value.remedy
    )  # fmt: skip
    assert caught.value.__notes__ == direct.value.__notes__ == [f"data set mine, file {counts}"]


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)])
def test_every_error_of_the_project_can_be_packed(kind: type[SclandmarksError]) -> None:
    error = kind("one", "two", "Three.")
    error.add_note("four")
    back = unpack_error(pack_error(error))
    assert type(back) is kind
    assert (str(back), back.__notes__) == (str(error), ["four"])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ctypes.string_at(0)", r"crashed its reader \(SIGSEGV\)\. It is damaged: get it again"),
        ("os.abort()", r"crashed its reader \(SIGABRT\)"),
        ("os._exit(3)", r"crashed its reader \(exit code 3"),
        ("os.kill(os.getpid(), 9)", "SIGKILL.*SCLANDMARKS_READ_GB"),
        ("raise ValueError('deep inside')", "ValueError: deep inside"),
        ("raise Panic('range end index')", "Panic: range end index"),
        ("raise PermissionError(13, 'Permission denied', 'counts.csv')", "Permission denied.*Mend the path"),
        ("raise MemoryError('7 EiB')", "room in memory.*7 EiB"),
        ("sys.exit('enough')", "SystemExit: enough"),
        ("for fd in range(3, 99):\n try: os.write(fd, b'no JSON' + bytes([10]))\n except OSError: pass", "no sense"),
    ],
)
def test_whatever_a_reader_dies_of_is_an_error_that_names_the_file(behave: Behave, code: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"{message}(.|\n)*data set mine, file .*counts\.csv"):
        read(behave(code))


def test_a_reader_that_does_not_end_is_killed(behave: Behave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    clock = SimpleNamespace(monotonic=lambda: 3.5 if seen.exists() and seen.read_text() else 0.0)
    monkeypatch.setattr(isolated, "time", clock)
    path = behave("signal = __import__('signal'); signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass")
    with pytest.raises(DataError, match=r"within 0\.05 minutes; got no end(.|\n)*SCLANDMARKS_READ_HOURS"):
        read(path, Limits(10**10, 3.0))
    assert is_gone(int(seen.read_text()))


def test_a_reader_that_takes_too_much_memory_is_killed(behave: Behave, tmp_path: Path) -> None:
    path = behave("hold = [b'x' * 20_000_000 for _ in range(25)]\ntime.sleep(600)")
    with pytest.raises(DataError, match=r"at most 0\.4 GB of memory; got one that took 0\.(.|\n)*SCLANDMARKS_READ_GB"):
        read(path, Limits(4 * 10**8, 3600.0))
    assert is_gone(int((tmp_path / "seen").read_text()))


def test_warnings_and_log_of_the_reader_are_heard(behave: Behave, caplog: pytest.LogCaptureFixture) -> None:
    path = behave(
        "warnings.warn('an odd file')\nlogging.getLogger('far').info('50 %% %s', 'done')\n"
        "print('noise on stdout')\nraise ValueError"
    )
    caplog.set_level(logging.INFO)
    with pytest.raises(DataError), warnings.catch_warnings():
        read(path)
    assert ("far", logging.INFO, "50 % done") in caplog.record_tuples
    assert any(name == "py.warnings" and "an odd file" in text for name, _, text in caplog.record_tuples)
    assert "noise" not in caplog.text


def test_long_reading_says_that_it_goes_on(
    behave: Behave, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(isolated, "SAY_EVERY_S", 0.1)
    caplog.set_level(logging.INFO)
    with pytest.raises(DataError):
        read(behave("time.sleep(0.5)\nraise ValueError"))
    assert "reading for 0 minutes, with 0." in caplog.text


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_reader_and_no_file_outlives_its_parent(behave: Behave, tmp_path: Path, how: signal.Signals) -> None:
    path = behave("time.sleep(600)")
    before = sorted(tmp_path.iterdir())
    with subprocess.Popen([sys.executable, "-c", READ, str(path)], stderr=subprocess.DEVNULL) as parent:
        seen = tmp_path / "seen"
        wait_for(lambda: seen.exists() and seen.read_text())
        child = int(seen.read_text())
        assert not is_gone(child)
        parent.send_signal(how)
        assert parent.wait(300) != 0
    wait_for(lambda: is_gone(child))
    seen.unlink()
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "__pycache__"] == before


def test_a_full_disk_is_an_error_with_a_remedy(behave: Behave) -> None:
    """The reader gives a stand-in for a matrix whose writing fails as on a full disk."""
    path = behave("def full(matrix, parts):\n raise OSError(28, 'No space left on device')\nworker.save_matrix = full")
    with pytest.raises(DataError, match=r"room for the matrix.*No space left(.|\n)*TMPDIR"):
        read(path)


def test_no_room_for_temporary_files_is_an_error(counts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(counts.parent / "absent"))
    with pytest.raises(DataError, match="Set TMPDIR"):
        read(counts)


def test_limits_are_of_the_machine_or_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(isolated.MEMORY_GB, raising=False)
    monkeypatch.delenv(isolated.HOURS, raising=False)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    memory, seconds = machine_limits(10**8)
    assert 10**8 < memory < physical
    assert 1800 < seconds < 7200
    assert machine_limits(0).seconds < 300
    monkeypatch.setenv(isolated.MEMORY_GB, "1.5")
    monkeypatch.setenv(isolated.HOURS, "0.5")
    assert machine_limits(0) == Limits(1_500_000_000, 1800)


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "folder/deep/a").write_bytes(b"1" * 10**6)
    (tmp_path / "b").write_bytes(b"1" * 10**6)
    size = isolated._size({"counts": tmp_path / "folder", "labels": tmp_path / "b", "clusters": tmp_path / "absent"})
    assert 2 * 10**6 <= size < 2.1 * 10**6


def test_a_container_sets_the_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(isolated.MEMORY_GB, raising=False)
    monkeypatch.setattr(isolated, "CGROUP", tmp_path / "memory.max")
    (tmp_path / "memory.max").write_text("1000000\n")
    assert machine_limits(0).memory == 800_000
    (tmp_path / "memory.max").write_text("max\n")
    assert machine_limits(0).memory > 10**8


@pytest.mark.parametrize("text", ["", "much", "0", "-1", "inf", "nan"])
def test_limits_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(isolated.HOURS, text)
    with pytest.raises(ParamsError, match="SCLANDMARKS_READ_HOURS"):
        machine_limits(0)


def test_no_descriptor_is_left_open(counts: Path) -> None:
    read(counts)
    gc.collect()  # what earlier tests left open
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        read(counts)
    counts.write_text("")
    with pytest.raises(DataError):
        read(counts)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
