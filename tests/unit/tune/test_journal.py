"""The journal: whole lines only, whatever happens to its writers."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from optuna.storages import JournalStorage

from sclandmarks.errors import DataError
from sclandmarks.tune.journal import Journal
from sclandmarks.tune.locks import lock_file

LOG = {"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1]}


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_it_reads_what_it_wrote_from_any_number_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "journal.log")
    journal.append_logs([{**LOG, "n": n} for n in range(5)])
    assert [log["n"] for log in journal.read_logs(0)] == [0, 1, 2, 3, 4]
    assert list(journal.read_logs(5)) == []
    journal.append_logs([{**LOG, "n": 5}])
    assert [log["n"] for log in journal.read_logs(5)] == [5]
    assert [log["n"] for log in journal.read_logs(3)] == [3, 4, 5]


@pytest.mark.parametrize("torn", [b'{"op_code": 4, "tri', b"\0\0\0\0\0", b'{"op_code": 4}', b"nonsense\n", b"5\n"])
def test_a_torn_last_line_is_cut_off_and_kept_aside(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal.log"
    Journal(path).append_logs([LOG, LOG])
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    journal = Journal(path)
    assert path.read_bytes() == whole
    assert (tmp_path / "journal.log.torn").read_bytes() == torn + b"\n"
    assert len(list(journal.read_logs(0))) == 2


def test_a_journal_of_one_torn_line_is_empty_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.write_bytes(b'{"op_co')
    assert list(Journal(path).read_logs(0)) == []
    assert path.read_bytes() == b""


@pytest.mark.parametrize("text", [b"a: 1\nb: 2 # no end", b"a: 1\n", b"# one line without end"])
def test_another_file_is_refused_and_not_touched(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    with pytest.raises(DataError, match=r"params\.yaml, which begins with .*Nothing was changed"):
        Journal(path)
    assert path.read_bytes() == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    for path in (tmp_path, Path()):
        with pytest.raises(DataError, match="got a folder"):
            Journal(path)
    assert not list(tmp_path.iterdir())


def test_a_journal_that_cannot_be_made_says_what_was_tried(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file") as caught:
        Journal(tmp_path / "file" / "journal.log")
    assert any("while opening the journal" in note for note in caught.value.__notes__)


def test_a_line_torn_while_it_is_open_is_mended_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    journal = Journal(path)
    journal.append_logs([LOG])
    with path.open("ab") as file:
        file.write(b'{"op_code": 0, "half')
    assert len(list(journal.read_logs(0))) == 1  # a reader leaves it alone: it may still be written
    journal.append_logs([LOG])
    assert len(list(journal.read_logs(0))) == 2
    assert len(lines(path)) == 2


def test_a_long_torn_line_is_found_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    Journal(path).append_logs([LOG])
    whole = path.read_bytes()
    path.write_bytes(whole + b"x" * 200_000)
    Journal(path)
    assert path.read_bytes() == whole


def test_a_broken_line_in_the_middle_names_file_line_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    Journal(path).append_logs([LOG] * 3)
    text = lines(path)
    path.write_text("\n".join([text[0], text[1][:9], text[2]]) + "\n")
    with pytest.raises(DataError, match=r"journal\.log, line 2: .*head -n 1 journal\.log"):
        JournalStorage(Journal(path))


def test_a_write_that_fails_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.log"
    journal = Journal(path)
    journal.append_logs([LOG])
    whole, write = path.read_bytes(), os.write

    def full(handle: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(28, "No space left on device")
        return write(handle, data[:7])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        journal.append_logs([LOG])
    assert path.read_bytes() == whole
    assert "Free space" in caught.value.__notes__[0]


def test_states_are_flushed_to_the_disk_and_attributes_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, flushed = Journal(tmp_path / "journal.log"), []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(handle))
    journal.append_logs([{"op_code": 8, "trial_id": 0, "user_attr": {"a": 1}}])
    assert not flushed
    journal.append_logs([{"op_code": 6, "trial_id": 0, "state": 1}])
    assert len(flushed) == 1


def test_a_killed_holder_leaves_no_lock_behind(tmp_path: Path) -> None:
    path, ready = tmp_path / "lock", multiprocessing.get_context("fork").Event()
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(path, ready))
    holder.start()
    assert ready.wait(300)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with lock_file(path):
        pass


def _hold(path: Path, ready: object) -> None:
    with lock_file(path):
        ready.set()  # type: ignore[attr-defined]
        signal.pause()


def test_many_writers_lose_no_line(tmp_path: Path) -> None:
    path, context = tmp_path / "journal.log", multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    logs = [json.loads(line) for line in lines(path)]
    assert sorted((log["writer"], log["n"]) for log in logs) == [(w, n) for w in range(4) for n in range(30)]


def _write(path: Path, writer: int) -> None:
    journal = Journal(path)
    for n in range(30):
        journal.append_logs([{"op_code": 8, "trial_id": 0, "writer": writer, "n": n}])
