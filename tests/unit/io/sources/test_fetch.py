"""Fetching: archives from package indexes (nothing of them is run) and files of web servers, each asked for once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from sclandmarks.errors import SourceError
from sclandmarks.io.registry.datasets import choose, load_registry, parse_registry
from sclandmarks.io.registry.places import PypiSource, UrlSource
from sclandmarks.io.sources.archives import read_pins, sha256_of
from sclandmarks.io.sources.fetch import FETCHERS, fetch, fetch_pypi, fetch_url
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import fingerprint, unpack_pypi, url_files
from sclandmarks.io.sources.http import Patience
from sclandmarks.io.sources.store import Store
from sclandmarks.paths import DATASETS_LOCK as LOCK

REPOSITORY = Path(__file__).parents[4]
COUNTS = b"gene,c1\nA1BG,3\n"
SDIST, WHEEL = "tinycounts-1.0.tar.gz", "tinycounts-1.0-py3-none-any.whl"


def make_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def make_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)


def unpack(source: PypiSource, tmp_path: Path, name: str = "out") -> dict[str, Path]:
    """Fetch an archive as stage `fetch` does, and unpack it as stage `ingest` does."""
    store = Store(tmp_path / "fetched", tmp_path / "downloads", tmp_path / "lock.json")
    fetch_pypi(source, store)
    store.finish()
    return unpack_pypi(source, tmp_path / name, Fetched(tmp_path / "fetched"))


def source_of(archive: Path, **changes: object) -> PypiSource:
    inside = "tinycounts-1.0/data" if archive.name == SDIST else "tinycounts/data"
    values = {
        "kind": "pypi", "package": "tinycounts", "version": "1.0", "file": archive.name,
        "sha256": sha256_of(archive), "members": {"counts": f"{inside}/counts.csv"},
    }  # fmt: skip
    return PypiSource.model_validate(values | changes)


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A find-links folder with a source archive and a wheel; the index is an empty folder."""
    folder = tmp_path / "links"
    folder.mkdir()
    (tmp_path / "index").mkdir()
    trap = f"open({str(tmp_path / 'executed')!r}, 'w')\n".encode()
    backend = b'[build-system]\nrequires = []\nbuild-backend = "setup"\nbackend-path = ["."]\n'
    make_tar(folder / SDIST, {
        "tinycounts-1.0/setup.py": trap, "tinycounts-1.0/pyproject.toml": backend,
        "tinycounts-1.0/data/counts.csv": COUNTS, "tinycounts-1.0/../escaped": b"x",
    })  # fmt: skip
    make_zip(folder / WHEEL, {"tinycounts/__init__.py": trap, "tinycounts/data/counts.csv": COUNTS})
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path / 'absent'} {folder}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@pytest.mark.parametrize("name", [SDIST, WHEEL])
def test_an_archive_is_found_and_unpacked_and_nothing_is_executed(links: Path, tmp_path: Path, name: str) -> None:
    files = unpack(source_of(links / name), tmp_path)
    assert files == {"counts": tmp_path / "out" / "counts" / "counts.csv"}
    assert files["counts"].read_bytes() == COUNTS
    kept = tmp_path / "downloads" / sha256_of(links / name) / name
    assert kept.read_bytes() == (links / name).read_bytes()
    assert not (tmp_path / "executed").exists()
    assert not list(tmp_path.rglob("escaped"))


def test_a_kept_archive_is_not_downloaded_again(links: Path, tmp_path: Path) -> None:
    source = source_of(links / SDIST)
    unpack(source, tmp_path, "one")
    (links / SDIST).unlink()
    assert unpack(source, tmp_path, "two")["counts"].read_bytes() == COUNTS


def test_an_archive_put_there_by_hand_is_used(links: Path, tmp_path: Path) -> None:
    source = source_of(links / WHEEL)
    (tmp_path / "downloads" / source.sha256).mkdir(parents=True)
    (links / WHEEL).rename(tmp_path / "downloads" / source.sha256 / WHEEL)
    assert unpack(source, tmp_path)["counts"].read_bytes() == COUNTS


def test_a_corrupt_kept_archive_is_replaced(links: Path, tmp_path: Path) -> None:
    source = source_of(links / SDIST)
    kept = tmp_path / "downloads" / source.sha256 / SDIST
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"cut")
    assert unpack(source, tmp_path)["counts"].read_bytes() == COUNTS
    assert sha256_of(kept) == source.sha256


def test_another_hash_is_refused_and_the_file_removed(links: Path, tmp_path: Path) -> None:
    source = source_of(links / SDIST, sha256="1" * 64)
    with pytest.raises(SourceError) as caught:
        unpack(source, tmp_path)
    assert "1" * 64 in caught.value.expected
    assert f"sha256 {sha256_of(links / SDIST)} instead" in caught.value.got
    assert "correct `source` in datasets.yaml" in caught.value.remedy
    assert [path.name for path in (tmp_path / "downloads").rglob("*") if path.is_file()] == [".lock"]


def test_a_right_copy_is_found_behind_a_wrong_one(links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(links / SDIST)
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    make_tar(wrong / SDIST, {"tinycounts-1.0/data/counts.csv": b"other"})
    monkeypatch.setenv("PIP_FIND_LINKS", f"{wrong} {links}")
    assert unpack(source, tmp_path)["counts"].read_bytes() == COUNTS


@pytest.mark.parametrize("member", ["tinycounts-1.0/data/none.csv", "tinycounts-1.0/../escaped", "/etc/passwd"])
def test_a_member_that_is_missing_or_leaves_the_archive_is_refused(links: Path, tmp_path: Path, member: str) -> None:
    with pytest.raises(SourceError):
        unpack(source_of(links / SDIST, members={"counts": member}), tmp_path)


def test_another_version_is_not_there(links: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not there"):
        unpack(source_of(links / SDIST, version="2.0"), tmp_path)


def test_no_network_says_what_to_do(links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(links / SDIST)
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    with pytest.raises(SourceError, match="ConnectError") as caught:
        unpack(source, tmp_path)
    assert str(tmp_path / "downloads" / source.sha256) in caught.value.remedy
    assert "by hand" in caught.value.remedy
    assert "secret" not in str(caught.value)


class Index:
    """A package index over HTTP that counts downloads, and stalls in the middle of the first `n_stalls`."""

    def __init__(self, archive: Path, n_stalls: int) -> None:
        self.name, self.content, self.n_stalls, self.n_downloads = archive.name, archive.read_bytes(), n_stalls, 0

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        is_page = request.path == "/simple/tinycounts/"
        body = f'<a href="/files/{self.name}">{self.name}</a>'.encode() if is_page else self.content
        request.send_response(200)
        request.send_header("Content-Type", "text/html" if is_page else "application/octet-stream")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if not is_page:
            self.n_downloads += 1
            request.wfile.write(body[: len(body) // 2])
            request.wfile.flush()
            time.sleep(600 if self.n_downloads <= self.n_stalls else 0.3)
            body = body[len(body) // 2 :]
        request.wfile.write(body)


Start = Callable[..., Index]


@pytest.fixture
def serve(links: Path, monkeypatch: pytest.MonkeyPatch, loopback: Any) -> Start:
    """Start an index of an archive; pip is told of it."""
    monkeypatch.delenv("PIP_FIND_LINKS")

    def start(archive: Path, n_stalls: int = 0) -> Index:
        index = Index(archive, n_stalls)
        monkeypatch.setenv("PIP_INDEX_URL", f"{loopback(index.answer)}/simple")
        return index

    return start


def in_a_process(source: PypiSource, tmp_path: Path, name: str) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from pathlib import Path; from sclandmarks.io.sources.fetch import fetch_pypi;"
        "from sclandmarks.io.registry.places import PypiSource; from sclandmarks.io.sources.store import Store;"
        "fetch_pypi(PypiSource.model_validate_json(sys.argv[1]), Store(Path(sys.argv[2]), Path(sys.argv[3])))"
    )
    arguments = [source.model_dump_json(), str(tmp_path / name), str(tmp_path / "downloads")]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment)


def test_a_killed_download_leaves_nothing_that_matters(links: Path, tmp_path: Path, serve: Start) -> None:
    source = source_of(links / SDIST)
    serve(links / SDIST, n_stalls=1)
    process = in_a_process(source, tmp_path, "killed")
    folder = tmp_path / "downloads" / source.sha256
    deadline = time.monotonic() + 300
    while not list(folder.glob("*.part")) + list(folder.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert list(folder.glob(".*.part"))
    assert not (folder / SDIST).exists()
    assert unpack(source, tmp_path)["counts"].read_bytes() == COUNTS
    assert not list(folder.glob(".*.part"))


def test_two_processes_download_once_and_both_are_right(links: Path, tmp_path: Path, serve: Start) -> None:
    source, server = source_of(links / SDIST), serve(links / SDIST)
    processes = [in_a_process(source, tmp_path, name) for name in ("one", "two")]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    assert server.n_downloads == 1
    shown = [tmp_path / name / source.sha256 / SDIST for name in ("one", "two")]
    assert {sha256_of(path) for path in shown} == {source.sha256}


OTHER = b"gene,c1\nA1BG,4\n"
AT_ONCE = Patience(sleep=lambda _: None)


class Web:
    """A server that has some files, and knows which it was asked for."""

    def __init__(self, loopback: Any) -> None:
        self.files, self.asked, self.agents, self.delay = {"/counts.csv": COUNTS}, [], [], 0.0
        self.root = loopback(self.answer)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        self.agents.append(request.headers["User-Agent"])
        content = self.files.get(request.path)
        time.sleep(self.delay)
        request.send_response(404 if content is None else 200)
        request.send_header("Content-Length", str(len(content or b"")))
        request.end_headers()
        request.wfile.write(content or b"")

    def source(self, path: str = "/counts.csv", **values: Any) -> UrlSource:
        return UrlSource.model_validate({"kind": "url", "url": self.root + path} | values)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, loopback: Any) -> Web:
    """The server; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    return Web(loopback)


def get(source: UrlSource) -> dict[str, Path]:
    store = Store(Path("fetched"), Path("downloads"), LOCK, AT_ONCE)
    fetch_url(source, store)
    store.finish()
    return url_files(source, Path("out"), Fetched(Path("fetched")))


def remove_downloads() -> None:
    for folder in (Path("downloads"), Path("fetched")):
        for path in folder.rglob("counts*"):
            path.unlink()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_fetched_once_and_its_hash_kept_beside_the_registry(web: Web) -> None:
    files = get(web.source())
    assert files.keys() == {"counts"}
    assert files["counts"].name == "counts.csv"
    assert files["counts"].read_bytes() == COUNTS
    assert LOCK.read_text() == f'{{\n  "{web.root}/counts.csv": "{sha256(COUNTS)}",\n  "version": 1\n}}\n'
    assert get(web.source()) == files
    assert web.asked == ["/counts.csv"]
    assert web.agents == ["sclandmarks"]
    assert Path("datasets.lock.json") == LOCK


def test_files_by_role_and_who_asks(web: Web) -> None:
    web.files |= {"/a/%20x.csv?b=/c": COUNTS, "/": OTHER}
    urls = {"counts": f"{web.root}/a/%20x.csv?b=/c", "labels": f"{web.root}/"}
    files = get(web.source(url=None, files=urls, user_agent="Mozilla/5.0"))
    assert {role: (path.name, path.read_bytes()) for role, path in files.items()} == {
        "counts": ("_x.csv", COUNTS),
        "labels": ("file", OTHER),
    }
    assert read_pins(LOCK) == {urls["counts"]: sha256(COUNTS), urls["labels"]: sha256(OTHER)}
    assert web.agents == ["Mozilla/5.0"] * 2


def test_a_changed_file_is_refused_until_its_line_is_deleted(web: Web) -> None:
    web.files["/more.csv"] = COUNTS
    get(web.source("/more.csv"))
    get(web.source())
    remove_downloads()
    web.files["/counts.csv"] = OTHER
    for _ in range(2):
        with pytest.raises(SourceError, match=f"{sha256(COUNTS)}; got {sha256(OTHER)}") as caught:
            get(web.source())
    assert f"{web.root}/counts.csv" in caught.value.expected
    assert "delete the line of this address in datasets.lock.json" in caught.value.remedy
    assert not list(Path("downloads").rglob("counts*"))
    LOCK.write_text("".join(line for line in LOCK.open() if "/counts.csv" not in line))
    assert get(web.source())["counts"].read_bytes() == OTHER
    assert read_pins(LOCK) == {f"{web.root}/counts.csv": sha256(OTHER), f"{web.root}/more.csv": sha256(COUNTS)}


def test_without_its_line_a_kept_file_is_fetched_anew(web: Web) -> None:
    get(web.source())
    LOCK.unlink()
    web.files["/counts.csv"] = OTHER
    assert get(web.source())["counts"].read_bytes() == OTHER


@pytest.mark.parametrize("by_role", [True, False])
def test_a_hash_of_the_registry_is_compared_and_not_kept_again(web: Web, by_role: bool) -> None:
    right, url = sha256(COUNTS), f"{web.root}/counts.csv"
    by_roles = {"url": None, "files": {"counts": url}, "sha256": {"counts": right}}
    source = web.source(**by_roles) if by_role else web.source(sha256=right)
    assert get(source)["counts"].read_bytes() == COUNTS
    assert not LOCK.exists()
    web.files["/counts.csv"] = OTHER
    assert get(source)["counts"].read_bytes() == COUNTS
    with pytest.raises(SourceError, match=f"{'1' * 64}; got {sha256(OTHER)}.*sha256 under `source` in datasets.yaml"):
        get(web.source(sha256="1" * 64))


def test_a_spoilt_kept_file_is_fetched_again(web: Web) -> None:
    get(web.source())["counts"].write_bytes(b"cut")
    assert get(web.source())["counts"].read_bytes() == COUNTS


def test_a_file_that_is_not_there_pins_nothing(web: Web) -> None:
    with pytest.raises(SourceError, match=rf"{web.root}/none; got status 404"):
        get(web.source("/none"))
    assert not LOCK.exists()


def test_a_large_file_needs_a_larger_limit(web: Web) -> None:
    with pytest.raises(SourceError, match="at most 3 bytes"):
        get(web.source(size_limit=3))


@pytest.mark.parametrize("text", ["{", "[]", "<<<<<<< HEAD", '{"http://a/b": "abc"}', '{"http://a/b": null}'])
def test_a_broken_lock_is_named_and_left(web: Web, text: str) -> None:
    LOCK.write_text(text)
    with pytest.raises(SourceError, match=r"datasets\.lock\.json"):
        get(web.source())
    assert LOCK.read_text() == text
    assert web.asked == []


def test_the_record_of_a_matrix_says_what_was_fetched(web: Web) -> None:
    entry = {
        "title": "t", "organism": "Homo sapiens", "tissue": "colon", "citation": "c", "licence": "l",
        "source": {"kind": "url", "url": f"{web.root}/counts.csv"},
        "reader": {"format": "table", "orientation": "genes_by_cells"},
    }  # fmt: skip
    dataset = parse_registry({"mine": entry})["mine"]
    recipe = choose({"mine": dataset}, ["mine"])["mine"]
    assert fingerprint(recipe, Fetched()) == {"entry": dataset.digest()}
    store = Store()
    fetch(recipe.members, store)
    store.finish()
    assert fingerprint(recipe, Fetched()) == {"entry": dataset.digest(), "counts": sha256(COUNTS)}


def test_two_processes_fetch_once_and_keep_both_hashes(web: Web, tmp_path: Path) -> None:
    web.files["/more.csv"], web.delay = OTHER, 0.3
    code = (
        "import sys; from pathlib import Path; from sclandmarks.io.sources.fetch import fetch_url;"
        "from sclandmarks.io.registry.places import UrlSource; from sclandmarks.io.sources.store import Store;"
        "fetch_url(UrlSource.model_validate_json(sys.argv[1]), Store(Path('fetched'), Path('downloads')))"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    urls = {"counts": f"{web.root}/counts.csv", "labels": f"{web.root}/more.csv"}
    sources = [web.source(url=None, files=files) for files in (urls, dict(reversed(urls.items())))]
    processes = [
        subprocess.Popen([sys.executable, "-c", code, source.model_dump_json()], env=environment, cwd=tmp_path)
        for source in sources
    ]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    assert sorted(web.asked) == ["/counts.csv", "/more.csv"]
    assert read_pins(LOCK) == {urls["counts"]: sha256(COUNTS), urls["labels"]: sha256(OTHER)}
    assert list(json.loads(LOCK.read_text())) == [*sorted(urls.values()), "version"]
    assert get(sources[0])["labels"].read_bytes() == OTHER
    assert len(web.asked) == 2


@pytest.mark.skipif(not os.environ.get("SCLANDMARKS_NETWORK"), reason="set SCLANDMARKS_NETWORK=1: downloads 75 MB")
@pytest.mark.parametrize("name", ["pancreas", "lung", "marrow"])
def test_the_registered_archives_are_still_there(name: str, tmp_path: Path) -> None:
    recipe = choose(load_registry(REPOSITORY / "datasets.yaml"), [name])[name]
    assert recipe.members[name].source.kind in FETCHERS
    store = Store(tmp_path / "fetched", tmp_path / "downloads", tmp_path / "lock.json")
    fetch(recipe.members, store)
    assert len([path for path in (tmp_path / "fetched").rglob("*") if path.is_file()]) == 1
