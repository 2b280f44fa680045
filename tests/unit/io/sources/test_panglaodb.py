"""PanglaoDB: its addresses, page and tables as they are, and a server on loopback that has them."""

from __future__ import annotations

import csv
import os
import random
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from sclandmarks.errors import SourceError
from sclandmarks.io.raw import READERS
from sclandmarks.io.registry.datasets import choose, parse_registry
from sclandmarks.io.registry.places import PanglaodbSource
from sclandmarks.io.sources.archives import read_pins, sha256_of
from sclandmarks.io.sources.fetch import fetch_panglaodb
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import files_of, fingerprint, panglaodb_files
from sclandmarks.io.sources.http import Patience
from sclandmarks.io.sources.panglaodb import (
    BROWSER,
    addresses,
    check_clusters,
    check_counts,
    file_names,
    packaged_samples,
    parse_cell_types,
    read_annotations,
    read_cell_types,
    read_metadata,
    select_samples,
    write_annotations,
)
from sclandmarks.io.sources.store import Store
from sclandmarks.paths import DATASETS_LOCK as LOCK

SHARED = Path(__file__).parents[5] / "shared" / "data"
TABLES = SHARED / "panglaodb"
WORKSPACE = SHARED / "readers" / "panglaodb" / "SRA782908_SRS3815596.sparse.RData"
CLUSTERS = TABLES / "example_SRA692557_SRS4245406.clusters.txt"
PAGE = TABLES / "example_list_clusters_SRA692557_SRS4245406.html"
HEADER = "<tr><th>Cluster ID</th><th>Number of<br>cells</th><th>Inferred cell type</th></tr>"

shared = pytest.mark.skipif(not TABLES.is_dir(), reason=f"no PanglaoDB files at {TABLES}")


def page(rows: str, header: str = HEADER) -> str:
    return f'<html><table><tr><td>x</table><table class="a" id="tbl">{header}{rows}</table><table><tr><td>y</html>'


def test_addresses_are_those_of_panglaodb() -> None:
    assert addresses("https://panglaodb.se/", "SRA1", "SRS2") == {
        "counts": "https://panglaodb.se/data_dl.php?sra=SRA1&srs=SRS2&filetype=R&datatype=readcounts",
        "clusters": "https://panglaodb.se/data_dl.php?sra=SRA1&srs=SRS2&datatype=clusters&filetype=txt",
        "annotations": "https://panglaodb.se/list_clusters_and_cell_types.html?sra=SRA1&srs=SRS2",
    }


def test_counts_are_called_as_panglaodb_calls_them() -> None:
    assert file_names("SRA1", "SRS2")["counts"] == "SRA1_SRS2.sparse.RData"
    assert file_names("SRA1", "notused")["counts"] == "SRA1.sparse.RData"


@shared
def test_the_page_of_a_real_sample() -> None:
    cell_types = parse_cell_types(PAGE.read_text())
    assert list(cell_types) == [str(number) for number in range(20)]
    assert Counter(cell_types.values()) == {
        "Pulmonary alveolar type II cells": 13,
        "Unknown": 3,
        "Ependymal cells": 1,
        "Endothelial cells": 1,
        "Clara cells": 1,
        "Goblet cells": 1,
    }


@shared
def test_page_and_table_of_a_real_sample_agree() -> None:
    cell_types = read_annotations(TABLES / "cell_type_annotations.txt")["SRA692557", "SRS4245406"]
    assert cell_types == parse_cell_types(PAGE.read_text())


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("<tr><td>0</td><td>5</td><td> T \n cells </td></tr>", {"0": "T cells"}),
        ("<tr><td>0<td>5<td>T&nbsp;cells<tr><td>1<td>2<td>B &amp; C", {"0": "T cells", "1": "B & C"}),
        ("<tbody><tr><td>0</td><td>5</td><td><b>T</b> <a href='x'>cells</a></td></tr></tbody>", {"0": "T cells"}),
        ("<tr><td>0</td><td>5</td><td></td></tr><tr></tr>", {"0": "Unknown"}),
        ("<tr><td>0</td><td>5</td><td>T<table><tr><td>z</td></tr></table></td></tr>", {"0": "T"}),
        ("<tr><td>0</td><td>5</td><td>T</td></tr><tr><td>0</td><td>5</td><td>T</td></tr>", {"0": "T"}),
        ("", {}),
    ],
)
def test_pages_of_any_form(rows: str, expected: dict[str, str]) -> None:
    assert parse_cell_types(page(rows)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got no such table"),
        ("<html>Just a moment...</html>", "got no such table"),
        ("<![nothing>", "expected HTML"),
        ("<a " * 100_000, "a page that breaks off"),
        (page("<tr><td>0<td>5<td>T").partition("</table><table><tr><td>y")[0], "a page that breaks off"),
        (page("", header=""), "got no such table"),
        (page("", header="<tr><th>Cluster ID</th></tr>"), "got a table with cluster id"),
        (page("<tr><td>0</td><td>T</td></tr>"), r"3 cells in each row.*\['0', 'T'\]"),
        (page("<tr><td>0<td>1<td>T<tr><td>0<td>1<td>B"), "one cell type for cluster 0; got T and B"),
    ],
)
def test_something_else_than_a_page_of_cell_types(text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        parse_cell_types(text)


@shared
def test_a_spoilt_page_gives_cell_types_or_our_own_error() -> None:
    rng, text = random.Random(0), PAGE.read_text()
    pieces = ["<", "!", "[", "&", "/", ">", '"', "-", "?", "\0", "<![", "<!--", "</table>", "<td>", "&#xffffffff;"]
    n_refused = 0
    for _ in range(300):
        spoilt = list(text)
        for place in rng.sample(range(len(text)), rng.choice([1, 3, 20, 200])):
            spoilt[place] = rng.choice(pieces)
        try:
            parse_cell_types("".join(spoilt))
        except SourceError:
            n_refused += 1
    assert 50 < n_refused < 300


def test_annotations_are_csv(tmp_path: Path) -> None:
    write_annotations(tmp_path / "new" / "a.csv", {"0": 'B, "naive"', "1": "Unknown"})
    assert (tmp_path / "new" / "a.csv").read_bytes() == b'cluster,cell_type\n0,"B, ""naive"""\n1,Unknown\n'


def refuses(check: Callable[[Path], object], path: Path, content: bytes) -> bool:
    """Whether a check refuses a file of this content."""
    path.write_bytes(content)
    try:
        check(path)
    except SourceError:
        return True
    return False


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08", b"RDX3\n", b"RDX2\n", b"BZh9", b"\xfd7zXZ\x00"])
def test_workspaces_are_known_by_their_first_bytes(tmp_path: Path, start: bytes) -> None:
    assert not refuses(check_counts, tmp_path / "x", start)
    assert refuses(check_counts, tmp_path / "x", b"\n" + start)
    assert refuses(check_counts, tmp_path / "x", start[:1])


@pytest.mark.parametrize("content", [b"<html>", b"", b"File not found"])
def test_a_message_in_place_of_a_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    for check in (check_counts, check_clusters, read_cell_types):
        with pytest.raises(SourceError, match="open the address in a browser"):
            check(tmp_path / "x")


@pytest.mark.parametrize("line", [b"AAACCTGAGCAGGTCA 8\n", b"AAAC-1 12", b"cell_1.2 0\r\n"])
def test_lines_of_barcode_and_cluster(tmp_path: Path, line: bytes) -> None:
    assert not refuses(check_clusters, tmp_path / "x", line)
    assert refuses(check_clusters, tmp_path / "x", line.replace(b" ", b""))
    assert refuses(check_clusters, tmp_path / "x", line.replace(b" ", b" 1 "))


def test_a_page_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(SourceError, match="in UTF-8"):
        read_cell_types(tmp_path / "x")


@shared
def test_the_real_metadata() -> None:
    samples = read_metadata(TABLES / "metadata.txt")
    assert len(samples) == 1369
    assert Counter(sample.species for sample in samples) == {"Mus musculus": 1061, "Homo sapiens": 305, None: 3}
    first, second = samples[:2]
    assert first[:6] == ("SRA599311", "SRS2431649", "Mesenteric", "10x chromium", "Mus musculus", "Illumina HiSeq 2500")
    assert first[6:] == (21948, 1249, 12, False, True, False)
    assert second[9:] == (None, None, None)


@shared
def test_the_human_colon_and_prostate_samples_are_the_29_listed() -> None:
    with (TABLES / "human_colon_prostate_samples.tsv").open() as file:
        listed = list(csv.DictReader(file, delimiter="\t"))
    chosen = select_samples(read_metadata(TABLES / "metadata.txt"), "Homo sapiens", ["Colon", "Prostate"])
    assert len(chosen) == 29
    assert sorted(packaged_samples()) == sorted(chosen)  # the table of the package has them
    assert {(s.sra, s.srs, s.tissue, s.n_genes, s.median_genes, s.n_clusters) for s in chosen} == {
        (
            row["SRA"], row["SRS"], row["tissue"], int(row["n_expressed_genes"]), int(row["median_genes_per_cell"]),
            int(row["n_clusters"]),
        )
        for row in listed
    }  # fmt: skip
    cell_types = read_annotations(TABLES / "cell_type_annotations.txt")
    for row in listed:
        named = {part.rsplit(":", 1)[0] for part in row["cell_type_composition"].split("; ")}
        assert named - {"Unknown"} <= set(cell_types[row["SRA"], row["SRS"]].values()), row["SRS"]


@shared
def test_tissues_are_whole_words_in_any_case() -> None:
    samples = read_metadata(TABLES / "metadata.txt")
    colon = select_samples(samples, "Homo sapiens", ["colon"])
    assert Counter(s.tissue for s in colon) == {
        "Colon": 10,
        "Colon (Ulcerative Colitis)": 2,
        "Inflamed area of colon": 1,
    }
    ill = [s for s in colon if s.tissue == "Colon (Ulcerative Colitis)"]
    assert select_samples(samples, "Homo sapiens", ["Colon (Ulcerative Colitis)"]) == ill
    assert select_samples(samples, "Homo sapiens", []) == []
    with pytest.raises(SourceError, match="each of Colon, Colo; got none for Colo"):
        select_samples(samples, "Homo sapiens", ["Colon", "Colo"])
    with pytest.raises(SourceError, match="samples of Danio rerio"):
        select_samples(samples, "Danio rerio", ["Colon"])


ROW = '"SRA1","SRS1","Colon","10x","Homo sapiens","I","1","2","3",\\N,"0","1"\n'


def test_values_that_are_null_or_hold_commas(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text(ROW.replace("Colon", 'Colon, ""left"" 1').replace('"10x"', "\\N"))
    (sample,) = read_metadata(tmp_path / "m.txt")
    assert sample[2:4] == ('Colon, "left" 1', None)
    assert sample[6:] == (1, 2, 3, None, False, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW.replace('"1","2"', '"1"'), "12 fields in line 1 of .*m.txt; got 11"),
        (ROW + "\n", "line 2"),
        (ROW.replace('"3"', '"three"'), "whole numbers in line 1.*three"),
        (ROW.replace('"Colon"', '"Col"on"'), "CSV in .*m.txt; got line 1"),
        (ROW[:-8], "12 fields|CSV"),
        (ROW.replace("Colon", "\udcff"), "UTF-8"),
    ],
)
def test_broken_metadata_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SourceError, match=message):
        read_metadata(tmp_path / "m.txt")


def test_tables_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a readable file .*none\.txt"):
        read_annotations(tmp_path / "none.txt")


def test_annotations_of_seven_columns_or_four(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text('"A","S","0","T cells"\n"A","S","1",\\N,"1","1",\\N\n"B","S","0","B cells"\n')
    assert read_annotations(tmp_path / "a.txt") == {
        ("A", "S"): {"0": "T cells", "1": "Unknown"},
        ("B", "S"): {"0": "B cells"},
    }
    (tmp_path / "a.txt").write_text('"A","S","0","T cells"\n"A","S","0","B cells"\n')
    with pytest.raises(SourceError, match="one cell type for cluster 0"):
        read_annotations(tmp_path / "a.txt")


class Site:
    """A server of PanglaoDB's form: it has one sample, and turns away what is no browser."""

    def __init__(self, loopback: Any) -> None:
        self.files = {"counts": WORKSPACE, "clusters": CLUSTERS, "annotations": PAGE}
        self.content = {role: path.read_bytes() for role, path in self.files.items()}
        self.n_requests, self.root = 0, loopback(self.answer)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.n_requests += 1
        known = {url: role for role, url in addresses("", "SRA692557", "SRS4245406").items()}
        is_browser = request.headers["User-Agent"].startswith("Mozilla/5.0")
        found = is_browser and request.path in known
        request.send_response(200 if found else 403)
        request.end_headers()
        request.wfile.write(self.content[known[request.path]] if found else b"not for you")

    def get(self, **changes: str) -> dict[str, Path]:
        values = {"kind": "panglaodb", "sra": "SRA692557", "srs": "SRS4245406", "base_url": self.root} | changes
        source = PanglaodbSource.model_validate(values)
        store = Store(Path("fetched"), Path("downloads"), LOCK, Patience(attempts=1))
        fetch_panglaodb(source, store)
        store.finish()
        return panglaodb_files(source, Path("out"), Fetched(Path("fetched")))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, loopback: Any) -> Site:
    monkeypatch.chdir(tmp_path)
    return Site(loopback)


@shared
def test_a_sample_is_fetched_once_and_pinned(site: Site) -> None:
    for _ in range(2):
        files = site.get()
        assert files.keys() == {"counts", "clusters", "annotations"}
        assert files["counts"].name == "SRA692557_SRS4245406.sparse.RData"
        for role in ("counts", "clusters"):
            assert files[role].read_bytes() == site.content[role]
        with files["annotations"].open() as file:
            rows = list(csv.DictReader(file))
        assert {row["cluster"]: row["cell_type"] for row in rows} == parse_cell_types(PAGE.read_text())
    assert site.n_requests == 3
    urls = addresses(site.root, "SRA692557", "SRS4245406")
    assert read_pins(LOCK) == {urls[role]: sha256_of(path) for role, path in site.files.items()}


@shared
def test_panglaodb_is_asked_as_a_browser_asks(site: Site) -> None:
    assert PanglaodbSource(kind="panglaodb", sra="SRA1", srs="SRS2").user_agent == BROWSER
    with pytest.raises(SourceError, match="status 403"):
        site.get(user_agent="curl/8")


@shared
@pytest.mark.parametrize("role", ["counts", "clusters", "annotations"])
def test_a_message_of_the_server_is_neither_kept_nor_pinned(site: Site, role: str) -> None:
    right, site.content[role] = site.content[role], b"<html>Sorry</html>"
    url = addresses(site.root, "SRA692557", "SRS4245406")[role]
    with pytest.raises(SourceError, match="open the address in a browser") as caught:
        site.get()
    assert url in caught.value.__notes__[0]
    assert url not in (read_pins(LOCK) if LOCK.exists() else {})
    site.content[role] = right
    assert os.path.getsize(site.get()[role]) > 0


@shared
def test_a_sample_that_is_not_there_is_named(site: Site) -> None:
    with pytest.raises(SourceError, match=r"data_dl\.php\?sra=SRA1&srs=SRS4245406.*status 403"):
        site.get(sra="SRA1")


@shared
def test_what_is_fetched_is_what_the_reader_takes(site: Site) -> None:
    like = SHARED / "readers" / "panglaodb" / "panglao_like"
    cell_types = read_annotations(like.with_name("panglao_like.cell_type_annotations.txt"))["SRA000000", "SRS0000000"]
    rows = "".join(f"<tr><td>{cluster}</td><td>1</td><td>{name}</td></tr>" for cluster, name in cell_types.items())
    site.content = {
        "counts": like.with_name("panglao_like.sparse.RData").read_bytes(),
        "clusters": like.with_name("panglao_like.clusters.txt").read_bytes(),
        "annotations": page(rows).encode(),
    }
    entry = {
        "title": "t", "organism": "Homo sapiens", "tissue": "gut", "citation": "c", "licence": "l",
        "source": {"kind": "panglaodb", "sra": "SRA692557", "srs": "SRS4245406", "base_url": site.root},
        "reader": {"format": "panglaodb"},
    }  # fmt: skip
    dataset = parse_registry({"gut": entry})["gut"]
    recipe, store = choose({"gut": dataset}, ["gut"])["gut"], Store()
    fetch_panglaodb(dataset.source, store)
    store.finish()
    files = files_of(dataset, Path("out"), Fetched())
    matrix = READERS["panglaodb"](files, dataset.reader, dataset.origin("gut"))
    assert (matrix.n_cells, matrix.n_genes) == (1020, 15277)
    cluster_of = dict(line.split() for line in site.content["clusters"].decode().splitlines())
    for cell_id, cell_type in matrix.cells.select("cell_id", "cell_type").iter_rows():
        assert cell_type == cell_types.get(cluster_of.get(cell_id.removeprefix("gut/"), ""), "Unknown")
    assert set(fingerprint(recipe, Fetched())) == {"entry", "counts", "clusters", "annotations"}
