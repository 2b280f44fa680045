"""Files and folders of one's own: what cannot be read, and what counts as changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sclandmarks.errors import SourceError
from sclandmarks.io.own.files import accessible, check_readable, content_sha256, contents
from sclandmarks.io.registry.datasets import Recipe, parse_registry
from sclandmarks.io.registry.places import FileSource
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import files_of
from sclandmarks.io.sources.files import fingerprint as fingerprint_of


def dataset(path: Path, reader: str, **source: str) -> Any:
    entry = {"title": "t", "organism": "Homo sapiens", "tissue": "colon", "citation": "c", "licence": "l"}
    files = {"kind": "file", "path": str(path)} | source
    return parse_registry({"mine": entry | {"source": files, "reader": {"format": reader}}})["mine"]


def fetch(one: Any, folder: Path) -> dict[str, Path]:
    return files_of(one, folder, Fetched())


def fingerprint(one: Any) -> dict[str, str]:
    return fingerprint_of(Recipe("mine", one, {"mine": one}), Fetched())


@pytest.fixture
def tenx(tmp_path: Path) -> Path:
    folder = tmp_path / "tenx"
    folder.mkdir()
    for name in ("matrix.mtx", "barcodes.tsv", "features.tsv"):
        (folder / name).write_text(name)
    return folder


def missing(path: Path) -> None:
    path.unlink()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


FAULTS: dict[Callable[[Path], None], str] = {
    missing: "none there", dangling: "a link to nowhere, where nothing is", loop: "where nothing is",
    folder: "got a folder", pipe: "neither a file nor a folder",
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_file_is_refused(fault: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.touch()
    check_readable(path)
    fault(path)
    with pytest.raises(SourceError, match=FAULTS[fault]) as caught:
        fetch(dataset(path, "table"), tmp_path)
    assert str(path) in str(caught.value)


def test_a_link_to_a_file_is_as_good_as_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("a")
    (tmp_path / "link").symlink_to("c.csv")
    check_readable(tmp_path / "link")
    assert content_sha256(tmp_path / "link") == content_sha256(tmp_path / "c.csv")


def test_a_file_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.touch()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match=r"c.csv, readable; got Permission denied.*permissions"):
        check_readable(path)
    with pytest.raises(SourceError, match=r"c.csv, readable"), accessible(path):
        path.open()


def test_only_the_counts_may_be_a_folder_and_only_in_some_formats(tenx: Path, tmp_path: Path) -> None:
    assert fetch(dataset(tenx, "tenx_mtx"), tmp_path) == {"counts": tenx}
    with pytest.raises(SourceError, match="got a folder"):
        fetch(dataset(tenx, "h5ad"), tmp_path)
    with pytest.raises(SourceError, match="got a folder"):
        fetch(dataset(tenx, "tenx_mtx", barcodes=str(tenx)), tmp_path)


def test_every_role_is_a_key_of_the_entry() -> None:
    paths = {"path": Path("a.RData"), "clusters": Path("c.txt"), "annotations": Path("t.csv")}
    source = FileSource(kind="file", **paths)
    assert source.files == {"counts": Path("a.RData"), "clusters": Path("c.txt"), "annotations": Path("t.csv")}
    assert dataset(Path("a.RData"), "panglaodb", clusters="c.txt").source.roles == {"counts", "clusters"}
    assert dataset(Path("m.mtx"), "tenx_mtx", barcodes="b", features="f").source.roles == {
        "counts", "barcodes", "features",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["matrix.mtx", "barcodes.tsv", "features.tsv"])
@pytest.mark.parametrize("is_folder", [True, False])
def test_a_changed_sibling_changes_the_fingerprint(tenx: Path, name: str, is_folder: bool) -> None:
    one = dataset(tenx if is_folder else tenx / "matrix.mtx", "tenx_mtx")
    before = fingerprint(one)
    assert set(before) == {"entry", "counts", "barcodes", "features"}
    (tenx / "notes.txt").write_text("beside the point")
    assert fingerprint(one) == before
    (tenx / name).write_text("changed")
    changed = {role for role, sha256 in fingerprint(one).items() if sha256 != before[role]}
    assert changed == {{"matrix.mtx": "counts"}.get(name, name.partition(".")[0])}


def test_a_sibling_named_in_the_entry_goes_before_the_one_beside(tenx: Path, tmp_path: Path) -> None:
    (tmp_path / "other.tsv").write_text("other")
    found = contents({"counts": tenx, "barcodes": tmp_path / "other.tsv"}, "tenx_mtx")
    assert found["barcodes"] == content_sha256(tmp_path / "other.tsv")


def test_siblings_of_a_prefixed_matrix_are_found(tmp_path: Path) -> None:
    for name in ("GSM1_matrix.mtx", "GSM1_barcodes.tsv", "GSM1_genes.tsv", "GSM2_barcodes.tsv"):
        (tmp_path / name).write_text(name)
    found = contents({"counts": tmp_path / "GSM1_matrix.mtx"}, "tenx_mtx")
    assert found["features"] == content_sha256(tmp_path / "GSM1_genes.tsv")
    assert found["barcodes"] == content_sha256(tmp_path / "GSM1_barcodes.tsv")


def test_the_hash_of_a_folder_sees_content_names_and_depth(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    (store / "X").mkdir(parents=True)
    (store / "X" / "0").write_text("1")
    hashes = [content_sha256(store)]
    (store / "X" / "0").write_text("2")
    hashes.append(content_sha256(store))
    (store / "X" / "0").rename(store / "X" / "1")
    hashes.append(content_sha256(store))
    (store / "X" / "1").rename(store / "1")
    hashes.append(content_sha256(store))
    assert len(set(hashes)) == len(hashes)
    assert fingerprint(dataset(store, "zarr"))["counts"] == hashes[-1]


def test_the_hash_promised_for_a_folder_is_checked(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    store.mkdir()
    (store / "0").write_text("1")
    good = content_sha256(store)
    assert fetch(dataset(store, "zarr", sha256=good), tmp_path) == {"counts": store}
    with pytest.raises(SourceError, match=good):
        fetch(dataset(store, "zarr", sha256="0" * 64), tmp_path)


@pytest.mark.parametrize("target", ["..", "nowhere"])
def test_links_to_folders_inside_a_folder_are_refused(tmp_path: Path, target: str) -> None:
    store = tmp_path / "a.zarr"
    store.mkdir()
    (store / "link").symlink_to(target)
    with pytest.raises(SourceError, match="link: a link to a folder, or to nothing"):
        content_sha256(store)


def test_what_has_gone_has_no_fingerprint(tmp_path: Path) -> None:
    assert set(fingerprint(dataset(tmp_path / "none.h5ad", "h5ad"))) == {"entry"}
    assert set(fingerprint(dataset(tmp_path / "none", "tenx_mtx"))) <= {"entry", "counts"}


def test_a_table_that_may_not_be_read_is_named_by_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "metadata.txt"
    table.touch()
    entry = {"title": "t", "organism": "Homo sapiens", "tissue": "colon", "citation": "c", "licence": "l"}
    source = {"kind": "panglaodb", "species": "Homo sapiens", "tissue": ["Colon"], "metadata": str(table)}
    one = parse_registry({"mine": entry | {"source": source, "reader": {"format": "panglaodb"}}})["mine"]

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("open", "is_file"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, refuse)
            with pytest.raises(SourceError, match=r"metadata.txt, readable; got Permission denied"):
                fingerprint(one)
