"""datasets.yaml: what is accepted, and what is refused in the user's terms."""

from __future__ import annotations

import copy
import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sclandmarks.errors import ParamsError
from sclandmarks.io.raw import READERS
from sclandmarks.io.registry.datasets import CohortEntry, choose, load_registry, parse_registry
from sclandmarks.io.registry.places import PanglaodbSource, UrlSource
from sclandmarks.io.sources.fetch import FETCHERS
from sclandmarks.io.sources.files import SOURCES

REPOSITORY = Path(__file__).parents[4]
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
    assert {"pancreas", "lung", "marrow", "panglaodb-colon-prostate", "tissues"} <= set(registry)
    assert all("doi:" in entry.citation for entry in registry.values())
    for recipe in choose(registry, list(registry)).values():
        for dataset in recipe.members.values():
            assert dataset.source.kind in SOURCES.keys() & FETCHERS.keys()
            assert dataset.reader.format in READERS


def test_origin_carries_name_tissue_and_donor() -> None:
    assert parse_registry(entry(donor="D1"))["mine"].origin("mine") == (
        "mine",
        "colon",
        "D1",
        None,
        None,
        "Homo sapiens",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "mine.colour"),
        ({"title": ""}, "mine.title"),
        ({"source": {"kind": "ftp"}}, "mine.source.*'ftp'.*'pypi', 'file', 'url', 'panglaodb'"),
        ({"source": URL | {"url": "file:///etc/passwd"}}, "mine.source.url: expected an http:// or https://"),
        ({"source": URL | {"url": "ftp://a.example/c.csv"}}, "mine.source.url"),
        ({"source": URL | {"url": "https://user:secret@a.example/c"}}, "without user and password"),
        ({"source": URL | {"url": "https:///c.csv"}}, "mine.source.url"),
        ({"source": URL | {"url": "https://a.example:port/c"}}, "mine.source.url"),
        ({"source": URL | {"url": "https://[a.example/c"}}, "mine.source.url"),
        ({"source": URL | {"url": "https://a.example/c\n"}}, "mine.source.url"),
        ({"source": {"kind": "url"}}, "either url, of the counts, or files"),
        ({"source": URL | {"files": {"counts": URL["url"]}}}, "either url, of the counts, or files"),
        ({"source": URL | {"sha256": "abc"}}, "mine.source.sha256"),
        ({"source": URL | {"sha256": {"labels": "0" * 64}}}, "sha256 for the files counts"),
        (
            {"source": {"kind": "url", "files": {"counts": URL["url"]}, "sha256": "0" * 64}},
            "sha256 for the files counts, as role: sha256",
        ),
        ({"source": URL | {"size_limit": 0}}, "mine.source.size_limit"),
        ({"source": URL | {"user_agent": "a\r\nX: b"}}, "mine.source.user_agent"),
        ({"source": {"kind": "url", "files": {"labels": URL["url"]}}}, "takes the files counts.*got labels"),
        ({"source": PANGLAODB | {"srs": "../x"}}, "mine.source.srs"),
        ({"source": PANGLAODB | {"base_url": "file:///x"}}, "mine.source.base_url"),
        ({"source": PYPI | {"sha256": "abc"}}, "mine.source.sha256"),
        ({"source": PYPI | {"file": "../x.tar.gz"}}, "mine.source.file"),
        ({"source": PYPI | {"file": "x.exe"}}, "mine.source.file"),
        ({"source": PYPI | {"members": {"labels": "a"}}}, "table reader takes the files counts.*got labels"),
        ({"source": PYPI | {"members": {"counts": "a", "lables": "b"}}}, "got counts, lables"),
        ({"reader": {"format": "xls"}}, "mine.reader.*'xls'"),
        ({"reader": {"format": "table", "orientation": "sideways"}}, "mine.reader.orientation.*'sideways'"),
        ({"reader": {"format": "h5ad", "matrix": "raw"}}, "mine.reader.matrix"),
        (
            {"source": PYPI | {"members": {"counts": "a", "clusters": "b"}}, "reader": {"format": "h5ad"}},
            "h5ad reader takes the files counts and, if wanted, labels; got clusters, counts",
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
    panglaodb = PanglaodbSource.model_validate(PANGLAODB)
    assert panglaodb.roles == panglaodb.addresses("SRA1", "SRS1").keys() == {"counts", "clusters", "annotations"}
    table = PanglaodbSource.model_validate(PANGLAODB | {"annotations": "own/a.txt"})
    assert table.addresses("SRA1", "SRS1").keys() == {"counts", "clusters"}
    assert (panglaodb.tables, table.tables) == ({}, {"annotations": "own/a.txt"})


def test_a_query_asks_the_projects_own_table_where_no_other_is_named() -> None:
    query = {"kind": "panglaodb", "species": "Homo sapiens", "tissue": ["Colon"]}
    assert PanglaodbSource.model_validate(query).table == (
        "https://raw.githubusercontent.com/oscar-franzen/PanglaoDB/master/data/metadata.txt"
    )
    assert PanglaodbSource.model_validate(query | {"metadata": "own/m.txt"}).table == "own/m.txt"
    assert PanglaodbSource.model_validate(PANGLAODB).table is None


def test_the_study_is_a_recipe_of_29_samples_and_12_types() -> None:
    """Of the cells that PanglaoDB lists for these samples, the recipe keeps 15,935; the study had 15,933."""
    entry = load_registry(REPOSITORY / "datasets.yaml")["panglaodb-colon-prostate"]
    assert isinstance(entry, CohortEntry)
    assert len(entry.cohort.cell_types) == 12
    path = REPOSITORY / "src/sclandmarks/resources/panglaodb_human_colon_prostate.tsv"
    sizes: Counter[str] = Counter()
    with path.open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            for part in row["cell_type_composition"].split("; "):
                kind, n_cells = part.rsplit(":", 1)
                sizes[entry.cohort.rename.get(kind, kind)] += int(n_cells)
    balance = entry.cohort.balance
    assert balance is not None
    kept = {kind: min(sizes[kind], balance.bound) for kind in entry.cohort.cell_types}
    assert min(kept.values()) >= balance.floor
    assert sum(kept.values()) == 15_935


COHORT: dict[str, Any] = {key: ENTRY[key] for key in ("title", "organism", "tissue", "citation", "licence")}


def cohort(**changes: Any) -> dict[str, Any]:
    return entry() | {"all": COHORT | {"cohort": {"members": ["mine"]} | changes}}


QUERY = {"kind": "panglaodb", "species": "Homo sapiens", "tissue": ["Colon"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": []}, r"all\.cohort\.members"),
        ({"members": ["none"]}, r"all\.cohort\.members: none is no entry; expected one of mine"),
        ({"members": ["all"]}, "all is a cohort itself; name its members"),
        ({"members": ["mine", "mine"]}, "each member once"),
        ({"members": [QUERY | {"tissue": []}]}, r"all\.cohort\.members\.0\.panglaodb: one of: sra and srs; samples"),
        ({"members": [QUERY | {"unclustered": "hide"}]}, r"members\.0\.panglaodb\.unclustered.*'hide'"),
        ({"genes": "all"}, r"all\.cohort\.genes.*'all'"),
        ({"colour": "red"}, r"all\.cohort\.colour"),
        ({"cell_types": ["T", "T"]}, "each of cell_types once"),
        ({"cell_types": ["T"], "rename": {"B cells": "B"}}, "rename to types among cell_types; got B"),
        ({"balance": {"per_type": "few"}}, r"all\.cohort\.balance\.per_type"),
        ({"balance": {"per_type": 0}}, r"all\.cohort\.balance\.per_type"),
        ({"balance": {"per_type": 5, "floor": 6}}, "floor 6 is above the most cells of a type, 5"),
        ({"balance": {"cap": 5, "floor": 6}}, "floor 6 is above the most cells of a type, 5"),
        ({"min_library_size": -1}, r"all\.cohort\.min_library_size"),
    ],
)
def test_a_wrong_cohort_is_refused_by_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        parse_registry(cohort(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": ["SRA1/SRS1"]}, "one of: sra and srs; samples; species and tissue; got sra and srs, samples"),
        ({"srs": None}, "got sra and srs, whole or in part"),
        ({"sra": None, "srs": None}, "got none"),
        ({"sra": None, "srs": None, "samples": ["SRA1-SRS1"]}, r"samples\.0"),
        ({"sra": None, "srs": None, "samples": ["A/B", "A/B"]}, "each sample once, got A/B twice"),
        ({"exclude": ["SRA1/SRS1"]}, "exclude belongs to samples"),
        ({"annotations": "packaged"}, "only metadata is packaged"),
        ({"metadata": "ftp://a.example/m.txt"}, r"mine\.source\.metadata: expected an http"),
    ],
)
def test_samples_of_panglaodb_are_named_in_one_way(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        parse_registry(entry(source=PANGLAODB | changes, reader={"format": "panglaodb"}))


def test_a_mouse_is_no_member_of_a_human_cohort() -> None:
    with pytest.raises(ParamsError, match="mine is of Mus musculus, the cohort of Homo sapiens"):
        parse_registry(cohort() | entry(organism="Mus musculus"))


def test_a_mouse_with_orthologs_is_a_member_of_a_human_cohort() -> None:
    mouse = entry(organism="Mus musculus")
    mouse["mine"]["reader"]["orthologs"] = "own/pairs.tsv"
    registry = parse_registry(cohort() | mouse)
    assert "mine" in choose(registry, ["all"])["all"].members
    with pytest.raises(ParamsError, match=r"set its reader\.orthologs"):
        parse_registry(cohort() | entry(organism="Mus musculus"))
    other = entry(organism="Danio rerio")
    other["mine"]["reader"]["orthologs"] = "own/pairs.tsv"
    with pytest.raises(ParamsError, match="mine is of Danio rerio, the cohort of Homo sapiens"):
        parse_registry(cohort() | other)


def test_all_faults_of_all_entries_are_listed() -> None:
    with pytest.raises(ParamsError) as caught:
        parse_registry(cohort(genes="all") | entry(colour="red"))
    assert "mine.colour" in caught.value.got
    assert "all.cohort.genes" in caught.value.got


def test_members_are_resolved_and_decide_the_digest() -> None:
    other = COHORT | {"cohort": {"members": [QUERY, "mine", QUERY | {"tissue": ["Prostate"]}]}}
    recipe = choose(parse_registry(cohort() | {"other": other}), ["other"])["other"]
    assert list(recipe.members) == ["panglaodb", "mine", "panglaodb-2"]
    assert [dataset.reader.format for dataset in recipe.members.values()] == ["panglaodb", "table", "panglaodb"]

    def digest(values: dict[str, Any]) -> str:
        return choose(parse_registry(values), ["all"])["all"].digest()

    plain = digest(cohort())
    assert plain == digest(cohort() | entry(title="reworded"))
    assert plain != digest(cohort() | entry(donor="D1"))
    assert plain != digest(cohort(balance={"seed": 1}))
    assert digest(cohort(members=["mine", QUERY])) != digest(cohort(members=[QUERY, "mine"]))


def test_a_data_set_is_its_own_member_and_one_file_no_cohort() -> None:
    recipe = choose(parse_registry(entry()), ["mine"])["mine"]
    assert recipe.members == {"mine": recipe.entry}
    assert recipe.cohort is None
    assert recipe.digest() == recipe.members["mine"].digest()
    several = entry(source=QUERY, reader={"format": "panglaodb"})
    assert choose(parse_registry(several), ["mine"])["mine"].cohort is not None


def test_a_password_is_refused_and_not_repeated() -> None:
    """Errors end in logs that people share."""
    with pytest.raises(ParamsError) as caught:
        parse_registry(entry(source=URL | {"url": "https://me:secret@a.example/c.csv"}))
    assert "secret" not in str(caught.value)
    assert "***@a.example" in str(caught.value)
