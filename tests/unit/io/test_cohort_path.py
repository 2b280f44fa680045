"""PanglaoDB's table -> addresses -> files -> cohort: stages fetch and ingest against a server on loopback."""

from __future__ import annotations

import csv
import importlib.util
import logging
import re
import runpy
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from sclandmarks import paths, schema
from sclandmarks.errors import DataError, SourceError
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.own.files import content_sha256
from sclandmarks.io.raw import READERS
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.sources.archives import read_pins, sha256_of
from sclandmarks.io.sources.panglaodb import addresses, file_names
from sclandmarks.io.tables import read_table
from sclandmarks.matrix import ExpressionMatrix

SERVER = runpy.run_path(str(Path(__file__).parent / "panglaodb_site.py"))
Made, Site = SERVER["Made"], SERVER["Site"]
REPOSITORY = Path(__file__).parents[3]
LIKE = REPOSITORY.parent / "shared" / "data" / "readers" / "panglaodb" / "panglao_like"
SAMPLES = [
    Made("SRA1/SRS1", 30, 36, ("T cells", "Basal cells")),
    Made("SRA1/SRS2", 60, 40, ("T cells", "Goblet cells")),
    Made("SRA2/SRS3", 45, 30, ("B cells",)),
]
QUERY: dict[str, Any] = {"kind": "panglaodb", "species": "Homo sapiens", "tissue": ["Colon", "Prostate"]}
ABOUT = {"title": "t", "organism": "Homo sapiens", "tissue": "several", "citation": "c", "licence": "l"}
READER = {"format": "panglaodb"}


@pytest.fixture(autouse=True)
def reads_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read without a process of its own, which takes half a second; tests/fuzz/test_corpus.py starts it."""

    def read(files: dict[str, Path], settings: Any, origin: Origin) -> ExpressionMatrix:
        return READERS[settings.format](files, settings, origin)

    monkeypatch.setattr("sclandmarks.io.cohorts.read_isolated", read)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """Two colon samples, one of prostate, and two that no query here wants. The working directory is empty."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    made = Site()
    for sample, tissue in zip(SAMPLES, ("Colon", "Inflamed area of colon", "Prostate"), strict=True):
        made.has(sample, tissue)
    made.has(Made("SRA9/SRS9"), "Colonoid")
    made.has(Made("SRA8/SRS8"), "Colon", "Mus musculus")
    yield made
    made.close()


def stage(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "pipelines" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def choose(site: Site, names: str = "gut", **entries: Any) -> None:
    """Write settings and entries; where an entry is a source alone, the rest is added; the site is this one."""
    text = (REPOSITORY / "params.yaml").read_text()
    paths.PARAMS.write_text(re.sub(r"datasets: \[.*?\]", f"datasets: [{names}]", text))
    full = {}
    for name, entry in entries.items():
        whole = ABOUT | ({"cohort": entry} if "members" in entry else {"source": entry, "reader": READER})
        for source in [whole.get("source"), *whole.get("cohort", {}).get("members", [])]:
            if isinstance(source, dict) and source.get("kind") == "panglaodb":
                source["base_url"] = site.root
                source |= {"metadata": site.table} if "species" in source else {}
        full[name] = whole
    paths.DATASETS.write_text(yaml.safe_dump(full))


def fetch(attempts: int = 3) -> None:
    """Run the stage with little patience."""
    module = stage("fetch")
    patience = module.Store().patience.__class__(attempts=attempts, sleep=lambda _: None)
    module.Store = lambda: STORE(patience=patience)
    module.main()


STORE = stage("fetch").Store


def ingest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the stage where any connection is an error."""

    def refuse(*_: object) -> None:
        raise AssertionError("ingest asked the network")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "create_connection", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        stage("ingest").main()


def read(name: str, folder: str = "gut") -> pl.DataFrame:
    """A table beside the raw matrix."""
    return read_table(paths.raw(folder) / f"{name}.parquet", getattr(schema, name.upper()))


def test_a_query_becomes_one_data_set_of_all_its_samples(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(site, gut=dict(QUERY))
    fetch()
    ingest(monkeypatch)
    matrix = read_matrix(paths.raw("gut"), "count")
    assert matrix.n_cells == 135
    assert dict(matrix.cells.group_by("sample").len().iter_rows()) == {
        "SRA1_SRS1": 30,
        "SRA1_SRS2": 60,
        "SRA2_SRS3": 45,
    }
    assert dict(matrix.cells.group_by("tissue").len().iter_rows()) == {"Colon": 90, "Prostate": 45}
    assert set(matrix.cells["dataset"]) == {"gut"}
    place = {gene: i for i, gene in enumerate(matrix.genes["gene_id"])}
    values = matrix.X_CG.toarray()
    rows = {cell: i for i, cell in enumerate(matrix.cells["cell_id"])}
    types = dict(matrix.cells.select("cell_id", "cell_type").iter_rows())
    for sample in SAMPLES:  # every count of every cell and gene, and zeros where a sample has no such gene
        columns = [place[gene.split("_")[1].split(".")[0]] for gene in sample.genes]
        ids = [f"gut/{sample.sra}_{sample.srs}/{barcode}" for barcode in sample.barcodes]
        of_sample = values[[rows[cell] for cell in ids]]
        assert np.array_equal(of_sample[:, columns], sample.X_GC.T)
        assert of_sample.sum() == sample.X_GC.sum()
        assert [types[cell] for cell in ids] == [sample.types.get(c, "Unknown") for c in sample.clusters]
    measured = read("measured")
    assert measured["is_kept"].all()
    assert measured["n_samples"].sum() == sum(len(sample.genes) for sample in SAMPLES)
    assert read("dropped").is_empty()


def test_provenance_has_a_row_for_each_sample(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(site, gut=dict(QUERY))
    fetch()
    ingest(monkeypatch)
    table = read("provenance")
    assert table["sample"].to_list() == ["SRA1_SRS1", "SRA1_SRS2", "SRA2_SRS3"]
    assert table["tissue"].to_list() == ["Colon", "Inflamed area of colon", "Prostate"]
    assert set(table["protocol"]) == {"10x chromium"}
    assert table["cells_read"].to_list() == table["cells_kept"].to_list() == [30, 60, 45]
    for sample, address, sha256 in zip(SAMPLES, table["address"], table["sha256"], strict=True):
        assert address == addresses(site.root, sample.sra, sample.srs)["counts"]
        (kept,) = paths.FETCHED.rglob(file_names(sample.sra, sample.srs)["counts"])
        assert sha256 == sha256_of(kept) == read_pins(paths.DATASETS_LOCK)[address]


def test_the_second_run_asks_the_server_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(site, gut=dict(QUERY))
    fetch()
    before = {path: path.read_bytes() for path in paths.FETCHED.rglob("*") if path.is_file()}
    assert site.n_asked == 1 + 3 * len(SAMPLES) == len(before) - 1  # beside them their list
    fetch()
    ingest(monkeypatch)
    assert site.n_asked == 10
    assert {path: path.read_bytes() for path in paths.FETCHED.rglob("*") if path.is_file()} == before


def test_what_was_fetched_once_comes_back_without_the_server(site: Site) -> None:
    choose(site, one={"kind": "panglaodb", "sra": "SRA1", "srs": "SRS1"}, two=dict(QUERY), names="one")
    fetch()
    fetched = {path: path.read_bytes() for path in paths.FETCHED.rglob("*") if path.is_file()}
    choose(site, one={"kind": "panglaodb", "sra": "SRA1", "srs": "SRS1"}, two=dict(QUERY), names="two")
    fetch()
    n_asked = site.n_asked
    assert n_asked == 10
    choose(site, one={"kind": "panglaodb", "sra": "SRA1", "srs": "SRS1"}, two=dict(QUERY), names="one")
    fetch()
    # the folder is that of the first time, to the byte: what was chosen in between left no trace
    assert {path: path.read_bytes() for path in paths.FETCHED.rglob("*") if path.is_file()} == fetched
    for path in fetched:
        path.unlink()
    fetch()
    assert site.n_asked == n_asked
    assert {path: path.read_bytes() for path in paths.FETCHED.rglob("*") if path.is_file()} == fetched


def test_files_that_dvc_brought_are_not_asked_for_either(site: Site) -> None:
    choose(site, gut=dict(QUERY))
    fetch()
    for path in sorted(paths.DOWNLOADS.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    fetch()
    assert site.n_asked == 10


def test_a_sample_that_is_not_there_is_named_and_others_are_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = addresses("", "SRA1", "SRS2")["counts"]
    site.missing.add(gone)
    choose(site, gut=dict(QUERY))
    with pytest.raises(SourceError, match=r"3 samples of PanglaoDB; got 1 that.*\n  SRA1_SRS2: status 404") as caught:
        fetch()
    assert "exclude: [SRA1/SRS2]" in caught.value.remedy
    assert caught.value.__notes__ == ["data set gut"]
    n_asked = site.n_asked
    choose(site, gut=QUERY | {"exclude": ["SRA1/SRS2"]})
    fetch()
    ingest(monkeypatch)
    assert site.n_asked == n_asked
    assert read("provenance")["sample"].to_list() == ["SRA1_SRS1", "SRA2_SRS3"]
    assert read("dropped").rows() == [("gut", "SRA1_SRS2", "all", "exclude in datasets.yaml", 0)]


def test_a_connection_that_is_cut_goes_on_where_it_was(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = addresses("", "SRA1", "SRS2")["counts"]
    site.cut.add(cut)
    choose(site, gut=dict(QUERY))
    fetch()
    assert site.asked[cut] == 2
    assert site.ranges == [f"bytes={len(site.files[cut]) // 2}-"]
    ingest(monkeypatch)
    assert read_matrix(paths.raw("gut"), "count").X_CG.sum() == sum(int(sample.X_GC.sum()) for sample in SAMPLES)


def test_a_fetch_that_ended_in_the_middle_goes_on_at_the_next_run(site: Site) -> None:
    cut = addresses("", "SRA1", "SRS2")["counts"]
    site.cut.add(cut)
    choose(site, gut=dict(QUERY))
    with pytest.raises(SourceError, match="SRA1_SRS2: 1 failures in a row"):
        fetch(attempts=1)
    assert [path.name for path in paths.FETCHED.rglob("*SRS2*RData*")] == []
    before = site.asked.copy()
    fetch()
    assert site.asked - before == dict.fromkeys(addresses("", "SRA1", "SRS2").values(), 1)
    assert site.ranges == [f"bytes={len(site.files[cut]) // 2}-"]


def test_ingest_says_what_was_not_fetched(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(site, gut=dict(QUERY))
    with pytest.raises(SourceError, match=r"metadata\.txt in data/fetched; got none, it was not fetched\. Run `dvc"):
        ingest(monkeypatch)


def test_the_table_of_annotations_stands_in_for_the_pages(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f'"{s.sra}","{s.srs}","{c}","{t}"\n' for s in SAMPLES for c, t in s.types.items()]
    site.files["/annotations.txt"] = "".join(lines).encode()
    choose(site, pages=dict(QUERY), table=QUERY | {"annotations": f"{site.root}/annotations.txt"}, names="pages, table")
    fetch()
    ingest(monkeypatch)
    pages, table = (read_matrix(paths.raw(name), "count").cells for name in ("pages", "table"))
    assert table["cell_type"].to_list() == pages["cell_type"].to_list()
    assert set(table["cell_type"]) == {"T cells", "Basal cells", "Goblet cells", "B cells", "Unknown"}
    Path("own").mkdir()
    Path("own/annotations.txt").write_text("".join(lines).replace("T cells", "Thy cells"))
    choose(site, table=QUERY | {"annotations": "own/annotations.txt"}, names="table")
    fetch()
    ingest(monkeypatch)
    assert "Thy cells" in set(read_matrix(paths.raw("table"), "count").cells["cell_type"])
    Path("own/annotations.txt").write_text("".join(lines))  # a table of one's own that changes is read again
    ingest(monkeypatch)
    assert read_matrix(paths.raw("table"), "count").cells["cell_type"].to_list() == pages["cell_type"].to_list()


@pytest.mark.parametrize("table", ["metadata", "annotations"])
def test_a_message_in_place_of_a_table_is_neither_kept_nor_pinned(site: Site, table: str) -> None:
    site.files["/message.txt"] = b"<html>Come back later</html>"
    url = f"{site.root}/message.txt"
    choose(site, gut=dict(QUERY))
    entries = yaml.safe_load(paths.DATASETS.read_text())
    entries["gut"]["source"][table] = url
    paths.DATASETS.write_text(yaml.safe_dump(entries))
    with pytest.raises(SourceError, match="fields in line 1"):
        fetch()
    assert not paths.DATASETS_LOCK.exists() or url not in read_pins(paths.DATASETS_LOCK)
    assert not list(paths.FETCHED.rglob("message*"))


def test_a_table_of_ones_own_is_used_where_it_lies(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("own").mkdir()
    Path("own/metadata.txt").write_text(site.metadata)
    choose(site, gut=dict(QUERY))
    paths.DATASETS.write_text(paths.DATASETS.read_text().replace(site.table, "own/metadata.txt"))
    fetch()
    assert site.n_asked == 3 * len(SAMPLES)
    ingest(monkeypatch)
    assert read("provenance").height == len(SAMPLES)
    Path("own/metadata.txt").write_text(site.metadata.replace("Prostate", "Testis").replace("Colonoid", "Prostate"))
    fetch()
    ingest(monkeypatch)
    assert read("provenance")["sample"].to_list() == ["SRA1_SRS1", "SRA1_SRS2", "SRA9_SRS9"]


def test_a_list_of_samples_in_its_own_order(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(site, gut={"kind": "panglaodb", "samples": ["SRA2/SRS3", "SRA1/SRS1"]})
    fetch()
    assert site.asked["/metadata.txt"] == 0
    ingest(monkeypatch)
    table = read("provenance")
    assert table.select("sample", "protocol", "tissue").rows() == [
        ("SRA2_SRS3", None, "several"),
        ("SRA1_SRS1", None, "several"),
    ]


def test_one_sample_is_read_as_it_is_and_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(site, gut={"kind": "panglaodb", "sra": "SRA1", "srs": "SRS1"})
    fetch()
    ingest(monkeypatch)
    cells = read_matrix(paths.raw("gut"), "count").cells
    assert set(cells["sample"]) == {"SRA1_SRS1"}
    assert cells["cell_id"][0] == "gut/0000AAAC"
    assert sorted(path.name for path in paths.raw("gut").iterdir()) == [
        "cells.parquet", "genes.parquet", "matrix.parquet", "source.json",
    ]  # fmt: skip


def cohort(*members: Any, **settings: Any) -> dict[str, Any]:
    return {"members": [dict(m) if isinstance(m, dict) else m for m in members], **settings}


def test_a_cohort_of_a_query_and_a_file_of_ones_own(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    Path("own.csv").write_text("gene,c1,c2,c3\nXG1,5,0,3\nXG2,0,7,1\nMINE,4,4,0\n")
    Path("labels.csv").write_text("i,type\nc1,T\nc2,T\nc3,Odd\n")
    own = ABOUT | {
        "source": {"kind": "file", "path": "own.csv", "labels": "labels.csv"},
        "reader": {"format": "table", "orientation": "genes_by_cells"},
    }
    settings = {
        "genes": "union",
        "rename": {"T cells": "T", "B cells": "B", "Goblet cells": "Goblet"},
        "cell_types": ["T", "B", "Goblet", "Unknown"],
        "balance": {"per_type": 12, "floor": 3, "seed": 1},
    }
    choose(site, all=cohort("own", QUERY, **settings), names="all")
    entries = yaml.safe_load(paths.DATASETS.read_text())
    paths.DATASETS.write_text(yaml.safe_dump(entries | {"own": own}))
    fetch()
    ingest(monkeypatch)
    matrix = read_matrix(paths.raw("all"), "count")
    by_type = matrix.cells.group_by("cell_type", "sample").len()
    assert dict(by_type.group_by("cell_type").agg(pl.col("len").sum()).iter_rows()) == {
        "T": 12, "B": 12, "Goblet": 12, "Unknown": 12,
    }  # fmt: skip
    assert dict(by_type.filter(pl.col("cell_type") == "T").select("sample", "len").iter_rows()) == {
        "own": 2, "SRA1_SRS1": 5, "SRA1_SRS2": 5,
    }  # fmt: skip
    genes = set(matrix.genes["symbol"])
    assert "MINE" in genes
    measured = dict(read("measured", "all").select("symbol", "n_samples").iter_rows())
    assert measured["XG1"] == 1 + sum("XG1_ENSG00000000001.2" in sample.genes for sample in SAMPLES)
    assert len(genes) == len(measured) == len({gene for sample in SAMPLES for gene in sample.genes}) + 1
    row = matrix.cells["cell_id"].to_list().index("all/own/c1")
    values = dict(zip(matrix.genes["symbol"], matrix.X_CG[row].toarray()[0], strict=True))
    assert {name: value for name, value in values.items() if value} == {"XG1": 5, "MINE": 4}
    provenance = read("provenance", "all")
    assert provenance["source"].to_list() == ["file", "panglaodb", "panglaodb", "panglaodb"]
    dropped = read("dropped", "all")
    for sample, n_read, n_kept in provenance.select("sample", "cells_read", "cells_kept").iter_rows():
        assert n_read - n_kept == dropped.filter(pl.col("sample") == sample)["n_cells"].sum()
    assert ("own", "own", "Odd", "not among cell_types", 1) in dropped.rows()
    assert "all: 48 cells of 4 samples, B: 12; Goblet: 12; T: 12; Unknown: 12" in caplog.text
    assert "11 cells dropped: not among cell_types" in caplog.text


def test_an_intersection_says_which_genes_it_drops(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(site, all=cohort(QUERY, genes="intersection"), names="all")
    fetch()
    ingest(monkeypatch)
    shared = set.intersection(*({gene.split("_")[0] for gene in sample.genes} for sample in SAMPLES))
    assert set(read_matrix(paths.raw("all"), "count").genes["symbol"]) == shared
    measured = read("measured", "all")
    lost = measured.filter(~pl.col("is_kept"))
    assert set(measured.filter("is_kept")["symbol"]) == shared
    assert lost.height == 40 - len(shared)
    assert all(reason == f"in {n} of 3 samples" for n, reason in lost.select("n_samples", "reason").iter_rows())


def test_a_cohort_that_is_changed_is_made_again_and_one_that_is_not_stays(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    choose(site, all=cohort(QUERY, balance={"per_type": 5}), names="all")
    fetch()
    ingest(monkeypatch)
    before = {path.name: path.read_bytes() for path in paths.raw("all").iterdir()}
    caplog.clear()
    ingest(monkeypatch)
    assert "all is there already" in caplog.text
    choose(site, all=cohort(QUERY, balance={"per_type": 5, "seed": 1}), names="all")
    ingest(monkeypatch)
    assert read_matrix(paths.raw("all"), "count").n_cells == 25
    assert (paths.raw("all") / "matrix.parquet").read_bytes() != before["matrix.parquet"]
    choose(site, all=cohort(QUERY, balance={"per_type": 5}), names="all")
    ingest(monkeypatch)
    assert {path.name: path.read_bytes() for path in paths.raw("all").iterdir()} == before


@pytest.mark.parametrize("name", ["provenance", "dropped", "measured", "matrix"])
@pytest.mark.parametrize("damage", ["removed", "cut"])
def test_a_cohort_that_is_not_whole_is_made_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, name: str, damage: str
) -> None:
    choose(site, all=cohort(QUERY, balance={"per_type": 5}), names="all")
    fetch()
    ingest(monkeypatch)
    path = paths.raw("all") / f"{name}.parquet"
    whole = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    ingest(monkeypatch)
    assert path.read_bytes() == whole


def test_what_a_cohort_left_goes_when_the_entry_is_one_sample(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(site, gut=dict(QUERY))
    fetch()
    ingest(monkeypatch)
    choose(site, gut={"kind": "panglaodb", "sra": "SRA1", "srs": "SRS1"})
    ingest(monkeypatch)
    assert not (paths.raw("gut") / "provenance.parquet").exists()


def test_a_cohort_of_nothing_is_an_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(site, all=cohort(QUERY, cell_types=["Neurons"]), names="all")
    fetch()
    with pytest.raises(DataError, match=r"cells for the cohort all; got none left of 135\. Compare cell_types, rename"):
        ingest(monkeypatch)
    assert not (paths.raw("all") / "source.json").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (QUERY | {"tissue": ["Colon", "Moon"]}, "samples of Homo sapiens for each of Colon, Moon; got none for Moon"),
        (QUERY | {"species": "Danio rerio"}, "none for Colon, Prostate"),
        (QUERY | {"exclude": ["SRA7/SRS7"]}, "exclude among the 3 samples; got SRA7/SRS7"),
        (QUERY | {"exclude": ["SRA1/SRS1", "SRA1/SRS2", "SRA2/SRS3"]}, "all 3 excluded"),
    ],
)
def test_a_query_that_finds_nothing_says_so(site: Site, source: dict[str, Any], message: str) -> None:
    choose(site, gut=source)
    with pytest.raises(SourceError, match=message):
        fetch()


def test_the_study_as_it_ships(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe of datasets.yaml: 29 samples whose clusters have the types that PanglaoDB lists for them."""
    table = REPOSITORY / "src/sclandmarks/resources/panglaodb_human_colon_prostate.tsv"
    for row in csv.DictReader(table.open(), delimiter="\t"):
        types = [part.rpartition(":")[0] for part in row["cell_type_composition"].split("; ")]
        made = Made(f"{row['SRA']}/{row['SRS']}", 4 * len(types), 35, tuple(types))
        made.clusters = made.clusters[: len(made.barcodes) - 2]  # two cells in no cluster, which are dropped
        site.has(made, row["tissue"])
    recipe = yaml.safe_load((REPOSITORY / "datasets.yaml").read_text())["panglaodb-colon-prostate"]["cohort"]
    recipe["balance"] = recipe["balance"] | {"per_type": 20, "floor": 3}
    choose(site, study=recipe, names="study")
    entries = yaml.safe_load(paths.DATASETS.read_text())
    entries["study"]["cohort"]["members"][0]["metadata"] = "packaged"
    paths.DATASETS.write_text(yaml.safe_dump(entries))
    fetch()
    assert site.asked["/metadata.txt"] == 0
    assert site.n_asked == 3 * 29
    ingest(monkeypatch)
    cells = read_matrix(paths.raw("study"), "count").cells
    sizes = dict(cells.group_by("cell_type").len().iter_rows())
    assert set(sizes) == set(recipe["cell_types"])
    assert max(sizes.values()) == 20
    assert set(cells["tissue"]) == {"Colon", "Prostate"}
    provenance = read("provenance", "study")
    assert provenance.height == 29
    assert set(provenance["protocol"]) == {"10x chromium"}
    dropped = read("dropped", "study")
    assert provenance["cells_read"].sum() - cells.height == dropped["n_cells"].sum()
    lost = set(dropped.filter(pl.col("reason") == "not among cell_types")["cell_type"])
    assert {"Fibroblasts", "Mast cells", "Endothelial cells"} <= lost
    assert not lost & set(recipe["cell_types"])


@pytest.mark.skipif(not LIKE.parent.is_dir(), reason=f"no PanglaoDB files at {LIKE.parent}")
def test_real_counts_in_panglaodbs_form(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,020 human gut cells in both containers: each cell's counts from either, balanced over both."""
    types = [line.split('"')[5:8:2] for line in LIKE.with_name(f"{LIKE.name}.cell_type_annotations.txt").open()]
    rows = "".join(f"<tr><td>{cluster}</td><td>1</td><td>{name}</td></tr>" for cluster, name in types)
    header = "<tr><th>Cluster ID</th><th>Inferred cell type</th></tr>".replace("ID</th>", "ID</th><th>Cells</th>")
    clusters = LIKE.with_name(f"{LIKE.name}.clusters.txt").read_bytes()
    for srs, suffix in (("SRS70", ""), ("SRS71", "_v2")):
        counts = LIKE.with_name(f"{LIKE.name}{suffix}.sparse.RData").read_bytes()
        page = f'<table id="tbl">{header}{rows}</table>'.encode()
        site.publish("SRA7", srs, "Ileum", {"counts": counts, "clusters": clusters, "annotations": page})
    query = {"kind": "panglaodb", "species": "Homo sapiens", "tissue": ["ileum"]}
    choose(site, all=cohort(query, balance={"per_type": 20, "floor": 20}), whole=dict(query), names="all, whole")
    fetch()
    ingest(monkeypatch)
    whole = read_matrix(paths.raw("whole"), "count")
    assert (whole.n_cells, whole.n_genes) == (2040, 15277)
    assert (whole.X_CG[:1020] != whole.X_CG[1020:]).nnz == 0  # the same counts in two containers
    matrix = read_matrix(paths.raw("all"), "count")
    sizes = matrix.cells.group_by("cell_type").agg(n=pl.len(), first=(pl.col("sample") == "SRA7_SRS70").sum())
    assert set(sizes["n"]) == {20}
    assert set(sizes["first"]) == {10}
    place = {cell.partition("/")[2]: i for i, cell in enumerate(whole.cells["cell_id"])}
    chosen = [place[cell.partition("/")[2]] for cell in matrix.cells["cell_id"]]
    assert (whole.X_CG[chosen] != matrix.X_CG).nnz == 0


def test_a_folder_of_ones_own_is_a_member(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("tenx")
    folder.mkdir()
    (folder / "barcodes.tsv").write_text("AAAC\nAAAG\n")
    (folder / "genes.tsv").write_text("ENSG00000000001\tXG1\nENSG00000000002\tXG2\n")
    (folder / "matrix.mtx").write_text("%%MatrixMarket matrix coordinate integer general\n2 2 2\n1 1 3\n2 2 4\n")
    choose(site, all=cohort("own"), names="all")
    own = ABOUT | {"source": {"kind": "file", "path": "tenx"}, "reader": {"format": "tenx_mtx"}}
    paths.DATASETS.write_text(yaml.safe_dump(yaml.safe_load(paths.DATASETS.read_text()) | {"own": own}))
    fetch()
    ingest(monkeypatch)
    assert read("provenance", "all").select("address", "sha256").rows() == [("tenx", content_sha256(folder))]


def test_an_excluded_sample_without_srs_has_the_name_its_cells_would_have(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [Made("SRA3/notused", 20), Made("SRA4/SRS4", 20)]
    for sample in samples:
        site.has(sample, "Colon")
    source = {"kind": "panglaodb", "samples": ["SRA3/notused", "SRA4/SRS4"], "exclude": ["SRA3/notused"]}
    choose(site, gut=source)
    fetch()
    ingest(monkeypatch)
    assert read("dropped")["sample"].to_list() == ["SRA3"]
