"""Commit, stage and input hashes; whatever is missing or broken is left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sclandmarks.tracking import lineage

LOCK = """\
schema: '2.0'
stages:
  ingest@a:
    cmd: python pipelines/ingest.py a
    deps: [{path: datasets.yaml, hash: md5, md5: aaa, size: 1}]
    outs: [{path: data/raw/a, hash: md5, md5: bbb.dir, size: 1, nfiles: 3}]
  split:
    cmd: python pipelines/split.py
    outs: [{path: data/split.parquet, hash: md5, md5: ccc, size: 1}]
"""


@pytest.fixture
def checkout(tmp_path: Path, git: Callable[..., None]) -> Path:
    """A repository with one commit of code.py and dvc.lock."""
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("1")
    (tmp_path / "dvc.lock").write_text(LOCK)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_commit_and_dirty_flag(checkout: Path) -> None:
    assert lineage.git_tags(checkout)["git.dirty"] == "false"
    assert len(lineage.git_tags(checkout)["git.commit"]) == 40
    (checkout / "dvc.lock").write_text("changed by dvc repro")
    assert lineage.git_tags(checkout)["git.dirty"] == "false"
    (checkout / "code.py").write_text("2")
    assert lineage.git_tags(checkout)["git.dirty"] == "true"


def test_no_commit_gives_no_tags(tmp_path: Path, git: Callable[..., None]) -> None:
    git(tmp_path, "init")
    assert lineage.git_tags(tmp_path) == {}


def test_no_git_gives_no_tags(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert lineage.git_tags(checkout) == {}


def test_stage_and_root_come_from_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "fit@l1000-ridge")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert lineage.stage_tags() == {"dvc.stage": "fit@l1000-ridge"}
    assert lineage.root() == tmp_path
    monkeypatch.delenv("DVC_STAGE")
    monkeypatch.delenv("DVC_ROOT")
    monkeypatch.chdir(tmp_path.parent)
    assert lineage.stage_tags() == {}
    assert lineage.root() == tmp_path.parent


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data/split.parquet", {"data/split.parquet": "ccc"}),
        ("data/raw/a", {"data/raw/a": "bbb.dir"}),
        ("data/raw/a/counts.parquet", {"data/raw/a": "bbb.dir"}),
        ("data", {"data/raw/a": "bbb.dir", "data/split.parquet": "ccc"}),
        ("data/raw/ab", {}),
        ("datasets.yaml", {}),
        ("../outside", {}),
    ],
)
def test_hashes_come_from_the_outs(
    path: str, expected: dict[str, str], checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    assert lineage.input_hashes([Path(path)], checkout) == expected
    assert lineage.input_hashes([checkout / path], checkout) == expected


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "- 1",
        "stages: 3",
        "stages: {a: 1, b: {outs: x}, c: {outs: [1, {path: p}]}}",
        "\x00",
        "!!python/object/apply:os.system [exit]",
    ],
)
def test_a_broken_lock_gives_no_hashes(content: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(content)
    assert lineage.input_hashes([Path("p")], tmp_path) == {}


def test_a_lock_that_is_no_text_gives_no_hashes(tmp_path: Path) -> None:
    assert lineage.input_hashes([Path("p")], tmp_path) == {}
    (tmp_path / "dvc.lock").write_bytes(b"\xff\xfe\x00")
    assert lineage.input_hashes([Path("p")], tmp_path) == {}
