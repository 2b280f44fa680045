"""Torn files of DVC's own are mended; whole ones stay as they are, and others' damage is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sclandmarks.errors import SchemaError
from sclandmarks.tracking import mend as mending
from sclandmarks.tracking.mend import LOCKS, RWLOCK, is_lock, mend, merged

REPOSITORY = Path(__file__).parents[3]
FIRST = """\
  ingest@a:
    cmd: python pipelines/ingest.py a
    deps:
    - path: datasets.yaml
      hash: md5
      md5: 1b2b9b66231da5528f73a1bd33da4628
      size: 1
    outs:
    - path: data/raw/a
      hash: md5
      md5: 1b2b9b66231da5528f73a1bd33da4628.dir
      size: 23
      nfiles: 3
"""
SECOND = """\
  split:
    cmd: python pipelines/split.py
    params:
      params.yaml:
        split:
          seed: 1
    outs:
    - path: data/split.parquet
      hash: md5
      md5: 2abfaa04776a881d9701324701030af0
      size: 45
"""
HEAD = "schema: '2.0'\nstages:\n"
LOCK = HEAD + FIRST + SECOND
NEWER = LOCK.replace("2abfaa04", "ffffffff").replace("1b2b9b66", "eeeeeeee")


@pytest.fixture
def repository(tmp_path: Path, git: Callable[..., None]) -> Path:
    """A DVC repository with a committed lock."""
    git(tmp_path, "init")
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "config").touch()
    (tmp_path / "dvc.lock").write_text(LOCK)
    git(tmp_path, "add", "dvc.lock")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_the_locks_are_those_of_every_pipeline_of_the_repository() -> None:
    found = {path.relative_to(REPOSITORY) for folder in (".", "*") for path in REPOSITORY.glob(f"{folder}/dvc.yaml")}
    assert {Path(lock).with_suffix(".yaml") for lock in LOCKS} == found


def test_whole_files_are_not_touched(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / RWLOCK).write_text("{}")
    before = (repository / "dvc.lock").stat()
    monkeypatch.setattr(mending, "_alone", lambda folder: pytest.fail("dvc was kept from its work for nothing"))
    assert list(mend(repository)) == []
    assert (repository / "dvc.lock").stat() == before
    assert (repository / RWLOCK).read_text() == "{}"


@given(st.integers(0, len(NEWER) - 1))
def test_any_first_part_of_a_lock_is_completed(length: int) -> None:
    torn = NEWER[:length]
    lock = merged(torn, LOCK)
    assert is_lock(lock)
    stages, old, new = (yaml.safe_load(text)["stages"] for text in (lock, LOCK, NEWER))
    assert list(stages) == list(old)
    for name, stage in stages.items():
        assert stage in (old[name], new[name])
    assert (stages["ingest@a"] == new["ingest@a"]) == ("  split:"[:3] in torn.partition(FIRST[-12:])[2])


@given(st.integers(0, len(LOCK) - 1))
def test_without_a_commit_the_whole_stages_are_left(length: int) -> None:
    lock = merged(LOCK[:length], "")
    assert lock in ("", HEAD + FIRST)


@pytest.mark.parametrize("length", [0, 3, len(HEAD), len(HEAD) + 40, len(HEAD + FIRST) + 5, len(LOCK) - 1])
def test_a_torn_lock_is_mended_on_disk(repository: Path, length: int) -> None:
    (repository / "dvc.lock").write_text(LOCK[:length])
    assert [line.partition(" ")[0] for line in mend(repository)] == ["dvc.lock"]
    assert (repository / "dvc.lock").read_text() == LOCK
    assert list(mend(repository)) == []


def test_a_lock_of_nothing_whole_that_no_commit_has_is_deleted(repository: Path) -> None:
    (repository / "tuning").mkdir()
    (repository / "tuning" / "dvc.lock").write_text(LOCK[:50])
    assert len(list(mend(repository))) == 1
    assert not (repository / "tuning" / "dvc.lock").exists()


def test_a_lock_cut_within_a_letter_is_mended(repository: Path) -> None:
    torn = NEWER.replace("split.py", "split_ä.py").encode()
    (repository / "dvc.lock").write_bytes(torn[: torn.index("ä".encode()) + 1])
    assert list(mend(repository))
    assert is_lock((repository / "dvc.lock").read_text())


def test_a_torn_table_of_readers_is_deleted(repository: Path) -> None:
    (repository / RWLOCK).write_text('{"write": {"/a')
    assert [line.partition(" ")[0] for line in mend(repository)] == [str(RWLOCK)]
    assert not (repository / RWLOCK).exists()


def table_of(pid: int) -> str:
    entry = {"pid": pid, "cmd": "/venv/bin/dvc repro"}
    return json.dumps({"write": {"/a/models": entry}, "read": {"/a/data": [entry]}})


@pytest.mark.parametrize("pid", [os.getpid(), 2**22 + 1], ids=["of this test", "of nobody"])
def test_processes_that_are_no_dvc_any_more_hold_nobody_up(repository: Path, pid: int) -> None:
    """One whose number this test has, as after a restart, and one that is gone."""
    (repository / RWLOCK).write_text(table_of(pid))
    assert [line.partition(" ")[0] for line in mend(repository)] == [str(RWLOCK)]
    assert not (repository / RWLOCK).exists()


def test_a_dvc_at_work_keeps_what_it_holds(repository: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()", "dvc", "repro"], stdin=subprocess.PIPE) as dvc:
        (repository / RWLOCK).write_text(table_of(dvc.pid))
        try:
            assert list(mend(repository)) == []
        finally:
            dvc.kill()
    assert (repository / RWLOCK).read_text() == table_of(dvc.pid)


@pytest.mark.parametrize("table", ["[]", "{}", '{"write": {"/a": 3}}', '{"read": {"/a": [{}]}, "write": {}}'])
def test_a_table_that_names_nobody_is_left_to_dvc(repository: Path, table: str) -> None:
    (repository / RWLOCK).write_text(table)
    assert list(mend(repository)) == []
    assert (repository / RWLOCK).read_text() == table


@pytest.mark.parametrize("damage", ["<<<<<<< HEAD\n", "\0\0\0\0", "    - ["])
def test_a_lock_damaged_within_is_refused_and_left(repository: Path, damage: str) -> None:
    text = LOCK.replace("    deps:\n", f"    deps:\n{damage}")
    (repository / "dvc.lock").write_text(text)
    with pytest.raises(SchemaError, match="git checkout"):
        list(mend(repository))
    assert (repository / "dvc.lock").read_text() == text


def test_nothing_is_mended_while_a_dvc_is_at_work(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc import lock
    from dvc.repo import Repo

    monkeypatch.setattr(lock, "DEFAULT_TIMEOUT", 0.01)
    (repository / "dvc.lock").write_text("")
    with Repo(str(repository)) as repo, repo.lock, pytest.raises(SchemaError, match="at work"):
        list(mend(repository))
    assert (repository / "dvc.lock").read_text() == ""


def test_what_another_dvc_has_ended_writing_is_left(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "dvc.lock").write_text("")
    monkeypatch.setattr(mending, "_alone", Ends(repository / "dvc.lock"))
    list(mend(repository))
    assert (repository / "dvc.lock").read_text() == NEWER


class Ends:
    """Waits until another dvc has written a whole lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, folder: Path) -> Ends:
        return self

    def __enter__(self) -> None:
        self.path.write_text(NEWER)

    def __exit__(self, *error: object) -> None:
        pass
