"""The store of fetched files: what is shown to DVC depends on what was asked for alone, and nothing comes twice."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from sclandmarks.errors import SourceError
from sclandmarks.io.sources.archives import read_pins
from sclandmarks.io.sources.fetched import LIST, Fetched
from sclandmarks.io.sources.store import Store, place_of


class Place:
    """A store in a folder, and a network that counts what it is asked."""

    def __init__(self, root: Path) -> None:
        self.root, self.asked, self.content = root, [], {"a": b"A", "b": b"B"}

    def run(self, *addresses: str, sha256: str | None = None) -> dict[str, bytes]:
        """Ask for addresses as one run of the stage does; the content of the folder afterwards."""
        store = Store(self.root / "fetched", self.root / "downloads", self.root / "lock.json")
        for address in addresses:

            def get(target: Path, promised: str | None, address: str = address) -> None:
                self.asked.append((address, promised))
                target.write_bytes(self.content[address])

            path = store.keep(address, f"url/{address}/file", sha256, get)
            assert path.read_bytes() == self.content[address]
        store.finish()
        return self.shown()

    def shown(self) -> dict[str, bytes]:
        folder = self.root / "fetched"
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_what_is_shown_is_listed_and_pinned(place: Place) -> None:
    shown = place.run("a", "b")
    assert shown.keys() == {"url/a/file", "url/b/file", LIST}
    listed = {"a": {"file": "url/a/file", "sha256": sha(b"A")}, "b": {"file": "url/b/file", "sha256": sha(b"B")}}
    assert json.loads(shown[LIST]) == listed
    assert read_pins(place.root / "lock.json") == {"a": sha(b"A"), "b": sha(b"B")}
    fetched = Fetched(place.root / "fetched")
    assert fetched.path("b").read_bytes() == b"B"
    assert fetched.sha256("a") == sha(b"A")


def test_history_leaves_no_trace(place: Place) -> None:
    first = place.run("a")
    place.run("b")
    place.run("a", "b")
    assert place.run("a") == first
    assert [address for address, _ in place.asked] == ["a", "b"]
    assert not list((place.root / "fetched" / "url").glob("b*"))


def test_nothing_asked_for_is_an_empty_list(place: Place) -> None:
    assert place.run() == {LIST: b"{}\n"}


def test_one_file_in_two_places_is_one_on_the_disk(place: Place) -> None:
    place.run("a")
    assert os.path.samefile(place.root / "fetched/url/a/file", place.root / "downloads/url/a/file")


def test_where_the_disk_has_no_links_files_are_copied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(os, "link", no_links)
    first = place.run("a")
    place.run("b")
    assert place.run("a") == first
    assert len(place.asked) == 2
    assert not os.path.samefile(place.root / "fetched/url/a/file", place.root / "downloads/url/a/file")


@pytest.mark.parametrize("gone", ["fetched", "downloads"])
def test_either_place_is_enough(place: Place, gone: str) -> None:
    first = place.run("a")
    (place.root / gone / "url/a/file").unlink()
    assert place.run("a") == first
    assert (place.root / "downloads/url/a/file").read_bytes() == b"A"
    assert len(place.asked) == 1


def test_a_spoilt_file_is_mended_from_the_other_place(place: Place) -> None:
    first = place.run("a")
    path = place.root / "fetched/url/a/file"
    path.unlink()
    path.write_bytes(b"spoilt")
    assert place.run("a") == first
    assert len(place.asked) == 1


def test_a_file_dvc_brought_outlives_being_chosen(place: Place) -> None:
    """It came by `dvc pull`: state/downloads never had it, until it was no longer needed."""
    place.run("a")
    for path in (place.root / "downloads").rglob("file"):
        path.unlink()
    place.run("b")
    place.run("a")
    assert [address for address, _ in place.asked] == ["a", "b"]


def test_without_a_promise_a_kept_file_is_not_trusted(place: Place) -> None:
    place.run("a")
    (place.root / "lock.json").write_text("{}")
    place.content["a"] = b"NEW"
    assert place.run("a")["url/a/file"] == b"NEW"
    assert place.asked == [("a", None), ("a", None)]


def test_the_promise_of_the_registry_comes_before_that_of_the_lock(place: Place) -> None:
    place.run("a", sha256=sha(b"A"))
    assert place.asked == [("a", sha(b"A"))]
    assert not (place.root / "lock.json").exists()


def test_what_a_killed_run_left_is_cleared_away(place: Place) -> None:
    part = place.root / "fetched/url/a/.file.share.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    assert place.run("a").keys() == {"url/a/file", LIST}
    assert not list(place.root.rglob("*.part"))


def test_a_failed_download_leaves_the_list_as_it_was(place: Place) -> None:
    before = place.run("a")
    store = Store(place.root / "fetched", place.root / "downloads", place.root / "lock.json")

    def fail(target: Path, promised: str | None) -> None:
        raise SourceError("a", "b", "c")

    with pytest.raises(SourceError):
        store.keep("b", "url/b/file", None, fail)
    assert place.shown() == before


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/c.csv.gz", "c.csv.gz"),
        ("http://h/", "file"),
        ("http://h/%2e%2e", "file"),
        ("http://h/a%2Fb", "a_b"),
    ],
)
def test_a_place_is_a_safe_name_of_its_own(url: str, name: str) -> None:
    assert place_of(url).split("/")[2:] == [name]
    assert place_of(url) != place_of(url + "?b=1")
    assert place_of(url, "x.txt").endswith("/x.txt")


@pytest.mark.parametrize("gone", ["downloads", "fetched"])
def test_a_wrong_promise_costs_no_file_that_came(place: Place, gone: str) -> None:
    place.run("a")
    lock = place.root / "lock.json"
    before = lock.read_text()
    (place.root / gone / "url/a/file").unlink()
    lock.write_text(before.replace(sha(b"A"), "0" * 64))

    def refuse(target: Path, promised: str | None) -> None:
        raise SourceError("the file promised", "another", "None.")

    with pytest.raises(SourceError):
        Store(place.root / "fetched", place.root / "downloads", lock).keep("a", "url/a/file", None, refuse)
    lock.write_text(before)
    place.run("a")
    assert len(place.asked) == 1
