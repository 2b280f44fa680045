"""Single files out of archives, and what archives must not do."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from sclandmarks.errors import SourceError
from sclandmarks.io.sources.archives import extract, sha256_of


def make_tar(path: Path, files: dict[str, bytes], links: dict[str, tuple[bytes, str]] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, (kind, target) in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return path


def make_zip(path: Path, files: dict[str, bytes], mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            file.writestr(info, content)
    return path


@pytest.fixture(params=["a.tar.gz", "a.whl", "a.zip"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make = make_tar if request.param.endswith("gz") else make_zip
    return make(tmp_path / request.param, {"p/counts.csv": b"a,1\n", "../up.csv": b"x", "/abs.csv": b"x"})


def test_extract_copies_the_member_alone(archive: Path, tmp_path: Path) -> None:
    target = extract(archive, "p/counts.csv", tmp_path / "out" / "counts.csv")
    assert target.read_bytes() == b"a,1\n"
    assert list((tmp_path / "out").iterdir()) == [target]


@pytest.mark.parametrize("member", ["../up.csv", "/abs.csv", "p/../../up.csv", "p\\..\\up.csv"])
def test_a_path_that_leaves_the_archive_is_refused(archive: Path, tmp_path: Path, member: str) -> None:
    with pytest.raises(SourceError, match=r"path inside the archive(.|\n)*archive: "):
        extract(archive, member, tmp_path / "out" / "x")
    assert not (tmp_path / "out").exists()


def test_a_missing_member_is_named(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"member p/labels\.csv.*source\.members"):
        extract(archive, "p/labels.csv", tmp_path / "x")


def test_a_member_above_the_limit_is_refused_and_removed(archive: Path, tmp_path: Path) -> None:
    assert extract(archive, "p/counts.csv", tmp_path / "x", max_bytes=4).stat().st_size == 4
    with pytest.raises(SourceError, match="at most 3 bytes"):
        extract(archive, "p/counts.csv", tmp_path / "y", max_bytes=3)
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_folders_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = make_tar(tmp_path / "a.tar.gz", {"real": b"x"}, {"m": (kind, "real")})
    with pytest.raises(SourceError, match="regular file m"):
        extract(path, "m", tmp_path / "x")


@pytest.mark.parametrize(("name", "mode"), [("m", stat.S_IFLNK | 0o777), ("m/", stat.S_IFDIR | 0o755)])
def test_links_and_folders_in_a_zip_are_refused(tmp_path: Path, name: str, mode: int) -> None:
    with pytest.raises(SourceError, match="regular file m"):
        extract(make_zip(tmp_path / "a.zip", {name: b""}, mode), name, tmp_path / "x")


@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz"])
def test_a_broken_archive_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"neither zip nor tar")
    with pytest.raises(SourceError, match="readable archive"):
        extract(tmp_path / name, "m", tmp_path / "x")


def test_a_cut_tar_is_refused(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar.gz", {"m": bytes(range(256)) * 400})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SourceError):
        extract(path, "m", tmp_path / "x")


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_inside_an_archive_is_our_error_whatever_packed_it(tmp_path: Path, method: int) -> None:
    path, content = tmp_path / "a.zip", bytes(range(256)) * 40
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("p/counts.csv", content)
    whole = bytearray(path.read_bytes())
    n_refused = 0
    for place in range(45, len(whole) - 100, max(1, len(whole) // 40)):
        spoilt = whole.copy()
        spoilt[place] ^= 0xFF
        path.write_bytes(spoilt)
        try:
            extract(path, "p/counts.csv", tmp_path / "out")
        except SourceError as error:
            assert error.__notes__ == [f"archive: {path}"]
            n_refused += 1
    assert n_refused > 10
