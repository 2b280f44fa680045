"""Files of a data set on this machine: where they lie, or as they were fetched; never the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from sclandmarks.errors import SourceError
from sclandmarks.io.registry.places import FileSource, PypiSource, UrlSource
from sclandmarks.io.sources.archives import sha256_of
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import files_in_place, unpack_pypi, url_files

COUNTS = b"gene,c1\nA1BG,3\n"
NOTHING = Fetched(Path("/nowhere"))


def test_a_file_is_used_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(COUNTS)
    (tmp_path / "l.csv").write_bytes(b"i,type\n1,B\n")
    source = FileSource(
        kind="file", path=tmp_path / "c.csv", sha256=sha256_of(tmp_path / "c.csv"), labels=tmp_path / "l.csv"
    )
    assert files_in_place(source, tmp_path, NOTHING) == {"counts": tmp_path / "c.csv", "labels": tmp_path / "l.csv"}


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(COUNTS)
    with pytest.raises(SourceError, match=r"a file .*none\.csv.*datasets\.yaml"):
        files_in_place(FileSource(kind="file", path=tmp_path / "none.csv"), tmp_path, NOTHING)
    with pytest.raises(SourceError, match=r"a file .*none\.csv"):
        files_in_place(
            FileSource(kind="file", path=tmp_path / "c.csv", labels=tmp_path / "none.csv"), tmp_path, NOTHING
        )


def test_a_file_with_another_hash_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(COUNTS)
    with pytest.raises(SourceError, match=f"{'2' * 64}; got {sha256_of(tmp_path / 'c.csv')}"):
        files_in_place(FileSource(kind="file", path=tmp_path / "c.csv", sha256="2" * 64), tmp_path, NOTHING)
    assert (tmp_path / "c.csv").exists()


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FileSource(kind="file", path=Path("~/c.csv")).files == {"counts": tmp_path / "c.csv"}


def test_what_was_not_fetched_is_said_with_the_remedy(tmp_path: Path) -> None:
    url = UrlSource(kind="url", url="https://a.example/c.csv")
    archive = PypiSource(
        kind="pypi", package="a", version="1", file="a-1.tar.gz", sha256="0" * 64, members={"counts": "c.csv"}
    )
    with pytest.raises(SourceError, match=r"file of https://a\.example/c\.csv in .*none.*dvc repro fetch.*dvc pull"):
        url_files(url, tmp_path, Fetched(tmp_path))
    with pytest.raises(SourceError, match=r"file of pypi:a==1/a-1\.tar\.gz#sha256=000"):
        unpack_pypi(archive, tmp_path, Fetched(tmp_path))


def test_a_listed_file_that_has_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "fetched.json").write_text('{"https://a.example/c.csv": {"file": "url/c.csv", "sha256": "00"}}')
    with pytest.raises(SourceError, match="not fetched"):
        Fetched(tmp_path).path("https://a.example/c.csv")
    assert Fetched(tmp_path).sha256("https://a.example/c.csv") == "00"
    assert Fetched(tmp_path).sha256("https://a.example/d.csv") is None
