"""datasets.yaml: what is accepted, and what is refused in the user's terms."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from sclandmarks.errors import ParamsError
from sclandmarks.io.raw import READERS
from sclandmarks.io.registry import PanglaodbSource, UrlSource, choose, load_registry, parse_registry
from sclandmarks.io.sources import SOURCES

REPOSITORY = Path(__file__).parents[3]
ENTRY: dict[str, Any] = {
    "title": "t", "organism": "Homo sapiens", "tissue": "colon", "citation": "c", "licence": "l",
    "source": {"kind": "file", "path": "counts.csv"},
    "reader": {"format": "table", "orientation": "genes_by_cells"},
}  # fmt: skip
PYPI = {
    "kind": "pypi", "package": "tiny", "version": "1.0", "file": "tiny-1.0.tar.gz", "sha256": "0" * 64,
    "members": {"counts": "a/b.csv"},
}  # fmt: skip
URL = {"kind": "url", "url": "https://a.example/c.csv"}
PANGLAODB = {"kind": "panglaodb", "sra": "SRA703206", "srs": "SRS3296611"}


def entry(**changes: Any) -> dict[str, Any]:
    return {"mine": copy.deepcopy(ENTRY) | changes}


def test_the_registry_of_the_repository_is_valid() -> None:
    registry = load_registry(REPOSITORY / "datasets.yaml")
    assert {"pancreas", "lung", "marrow"} <= set(registry)
    for dataset in registry.values():
        assert dataset.source.kind in SOURCES
        assert dataset.reader.format in READERS
        assert "doi:" in dataset.citation


def test_origin_carries_name_tissue_and_donor() -> None:
    assert parse_registry(entry(donor="D1"))["mine"].origin("mine") == ("mine", "colon", "D1", None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "mine.colour"),
        ({"title": ""}, "mine.title"),
        ({"source": {"kind": "ftp"}}, "mine.source.*'ftp'.*'pypi', 'file', 'url', 'panglaodb'"),
        ({"source": URL | {"url": "file:///etc/passwd"}}, "mine.source.url.url: expected an http:// or https://"),
        ({"source": URL | {"url": "ftp://a.example/c.csv"}}, "mine.source.url.url"),
        ({"source": URL | {"url": "https://user:secret@a.example/c"}}, "without user and password"),
        ({"source": URL | {"url": "https:///c.csv"}}, "mine.source.url.url"),
        ({"source": URL | {"url": "https://a.example:port/c"}}, "mine.source.url.url"),
        ({"source": URL | {"url": "https://[a.example/c"}}, "mine.source.url.url"),
        ({"source": URL | {"url": "https://a.example/c\n"}}, "mine.source.url.url"),
        ({"source": {"kind": "url"}}, "either url, of the counts, or files"),
        ({"source": URL | {"files": {"counts": URL["url"]}}}, "either url, of the counts, or files"),
        ({"source": URL | {"sha256": "abc"}}, "mine.source.url.sha256"),
        ({"source": URL | {"sha256": {"labels": "0" * 64}}}, "sha256 for the files counts"),
        (
            {"source": {"kind": "url", "files": {"counts": URL["url"]}, "sha256": "0" * 64}},
            "sha256 for the files counts, as role: sha256",
        ),
        ({"source": URL | {"size_limit": 0}}, "mine.source.url.size_limit"),
        ({"source": URL | {"user_agent": "a\r\nX: b"}}, "mine.source.url.user_agent"),
        ({"source": {"kind": "url", "files": {"labels": URL["url"]}}}, "takes the files counts.*got labels"),
        ({"source": PANGLAODB | {"srs": "../x"}}, "mine.source.panglaodb.srs"),
        ({"source": PANGLAODB | {"base_url": "file:///x"}}, "mine.source.panglaodb.base_url"),
        ({"source": PYPI | {"sha256": "abc"}}, "mine.source.pypi.sha256"),
        ({"source": PYPI | {"file": "../x.tar.gz"}}, "mine.source.pypi.file"),
        ({"source": PYPI | {"file": "x.exe"}}, "mine.source.pypi.file"),
        ({"source": PYPI | {"members": {"labels": "a"}}}, "table reader takes the files counts.*got labels"),
        ({"source": PYPI | {"members": {"counts": "a", "lables": "b"}}}, "got counts, lables"),
        ({"reader": {"format": "xls"}}, "mine.reader.*'xls'"),
        ({"reader": {"format": "table", "orientation": "sideways"}}, "mine.reader.table.orientation.*'sideways'"),
        ({"reader": {"format": "h5ad", "matrix": "raw"}}, "mine.reader.h5ad.matrix"),
        (
            {"source": ENTRY["source"] | {"labels": "l.csv"}, "reader": {"format": "h5ad"}},
            "h5ad reader takes the files counts; got counts, labels",
        ),
    ],
)
def test_a_wrong_entry_is_refused_by_its_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        parse_registry(entry(**change))


@pytest.mark.parametrize("values", [None, [], "text", {"bad name!": ENTRY}])
def test_something_else_than_entries_is_refused(values: Any) -> None:
    with pytest.raises(ParamsError, match=r"datasets\.yaml"):
        parse_registry(values)


def test_missing_file_and_broken_yaml(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="readable file"):
        load_registry(tmp_path / "datasets.yaml")
    (tmp_path / "datasets.yaml").write_text("a: [")
    with pytest.raises(ParamsError, match="YAML"):
        load_registry(tmp_path / "datasets.yaml")


def test_an_unknown_data_set_lists_the_known_ones() -> None:
    with pytest.raises(ParamsError, match=r"mine; got his, hers\. Correct the name"):
        choose(parse_registry(entry()), ["mine", "his", "hers"])


def test_choose_keeps_the_order_asked_for() -> None:
    registry = parse_registry(entry() | {"other": ENTRY})
    assert list(choose(registry, ["other", "mine"])) == ["other", "mine"]


def test_digest_changes_with_what_decides_the_data_alone() -> None:
    digest = parse_registry(entry())["mine"].digest()
    assert digest == parse_registry(entry(citation="reworded", licence="other"))["mine"].digest()
    assert digest != parse_registry(entry(donor="D1"))["mine"].digest()
    assert digest != parse_registry(entry(source={"kind": "file", "path": "other.csv"}))["mine"].digest()
    assert digest != parse_registry(entry(reader=ENTRY["reader"] | {"separator": ";"}))["mine"].digest()


def test_a_source_says_its_addresses_and_hashes() -> None:
    one = parse_registry(entry(source=URL | {"sha256": "0" * 64}))["mine"].source
    assert isinstance(one, UrlSource)
    assert (one.addresses, one.hashes) == ({"counts": URL["url"]}, {"counts": "0" * 64})
    files = {"counts": URL["url"], "labels": "http://127.0.0.1:80/l.csv"}
    two = UrlSource.model_validate({"kind": "url", "files": files, "sha256": {"labels": "1" * 64}})
    assert (two.addresses, two.hashes, two.roles) == (files, {"labels": "1" * 64}, {"counts", "labels"})
    assert two.size_limit == 10 << 30
    assert PanglaodbSource.model_validate(PANGLAODB).roles == {"counts", "clusters", "annotations"}
