"""PanglaoDB as it is published: its addresses, its page of cell types and its tables of samples.

Franzén et al., PanglaoDB: a web server for exploration of mouse and human single-cell RNA sequencing data,
Database 2019, doi:10.1093/database/baz046.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from sclandmarks.errors import SourceError
from sclandmarks.schema import UNKNOWN

SITE = "https://panglaodb.se"
METADATA = "https://raw.githubusercontent.com/oscar-franzen/PanglaoDB/master/data/metadata.txt"
PACKAGED = "packaged"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
NOT_USED = "notused"
NULL = r"\N"
WORKSPACE = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"RDX", b"RDA")
LIMITS = {"counts": 10 << 30, "clusters": 1 << 30, "annotations": 1 << 20}
CLUSTER_LINE = re.compile(rb"[A-Za-z0-9_.-]+ \S+\s*")
PAGE = "The server may have sent a message in its place: open the address in a browser."


def addresses(site: str, sra: str, srs: str) -> dict[str, str]:
    """Where the files of a sample are: role (`counts`, `clusters`, `annotations`) -> address."""
    root, sample = site.rstrip("/"), {"sra": sra, "srs": srs}
    counts = urlencode(sample | {"filetype": "R", "datatype": "readcounts"})
    clusters = urlencode(sample | {"datatype": "clusters", "filetype": "txt"})
    return {
        "counts": f"{root}/data_dl.php?{counts}",
        "clusters": f"{root}/data_dl.php?{clusters}",
        "annotations": f"{root}/list_clusters_and_cell_types.html?{urlencode(sample)}",
    }


def named(sra: str, srs: str) -> str:
    """What a sample is called: SRA_SRS, or SRA alone where it has no SRS."""
    return sra if srs == NOT_USED else f"{sra}_{srs}"


def file_names(sra: str, srs: str) -> dict[str, str]:
    """What the files of a sample are called: role -> name, that of the counts as PanglaoDB has it."""
    sample = named(sra, srs)
    return {
        "counts": f"{sample}.sparse.RData",
        "clusters": f"{sample}.clusters.txt",
        "annotations": f"{sample}.cell_types.html",
    }


def check_counts(path: Path) -> None:
    """Look at the first bytes of a counts file.

    Raises
    ------
    SourceError
        If no R workspace begins so; a message of the server does not.
    """
    with path.open("rb") as file:
        start = file.read(16)
    if not start.startswith(WORKSPACE):
        raise SourceError("an R workspace", f"a file that begins with {start!r}", PAGE)


def check_clusters(path: Path) -> None:
    """Look at the first line of a clusters file.

    Raises
    ------
    SourceError
        If it is not a barcode, a blank and a cluster.
    """
    with path.open("rb") as file:
        line = file.readline(200)
    if not CLUSTER_LINE.fullmatch(line):
        raise SourceError("lines of a barcode, a blank and a cluster", f"{line[:60]!r}", PAGE)


def read_cell_types(path: Path) -> dict[str, str]:
    """Read a page of cell types, see `parse_cell_types`.

    Raises
    ------
    SourceError
        If it cannot be read, is not UTF-8 or not such a page.
    """
    return parse_cell_types(_decoded(path, PAGE))


CHECKS: dict[str, Callable[[Path], object]] = {
    "counts": check_counts,
    "clusters": check_clusters,
    "annotations": read_cell_types,
}


def parse_cell_types(page: str) -> dict[str, str]:
    """Read the table `tbl` of a page of cell types.

    Parameters
    ----------
    page : str
        HTML.

    Returns
    -------
    dict of str to str
        Cluster -> cell type, `Unknown` where the page has none.

    Raises
    ------
    SourceError
        If there is no such table, it breaks off or lacks a column, or a cluster has two types.
    """
    parser = _TableParser("tbl")
    is_whole = page.count("<", page.rfind(">") + 1) <= 1  # html.parser takes minutes over many tags that never end
    try:
        if is_whole:
            parser.feed(page)
            parser.close()
    except AssertionError as error:  # html.parser's answer to `<![` with nothing sensible behind it
        raise SourceError("HTML", f"{error}", PAGE) from error
    if parser.depth or not is_whole:
        raise SourceError("a table `tbl` with an end", "a page that breaks off", PAGE)
    rows = [[" ".join(cell.split()) for cell in row] for row in parser.rows if row]
    header = [cell.lower() for cell in rows[0]] if rows else []
    if "cluster id" not in header or "inferred cell type" not in header:
        got = f"a table with {', '.join(header)}" if header else "no such table"
        raise SourceError("a table `tbl` with Cluster ID and Inferred cell type", got, PAGE)
    cluster, cell_type = header.index("cluster id"), header.index("inferred cell type")
    uneven = [row for row in rows if len(row) != len(header)]
    if uneven:
        raise SourceError(f"{len(header)} cells in each row of the table `tbl`", f"{uneven[0]}", PAGE)
    return _by_cluster((row[cluster], row[cell_type]) for row in rows[1:])


def write_annotations(path: Path, cell_types: Mapping[str, str]) -> None:
    """Write cluster and cell type as CSV, header `cluster,cell_type`; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("cluster", "cell_type"))
        writer.writerows(cell_types.items())


class Sample(NamedTuple):
    """A sample as PanglaoDB's metadata.txt describes it; None where that has no value.

    Genes are those expressed in the sample and, as a median, in a cell.
    """

    sra: str
    srs: str
    tissue: str | None
    protocol: str | None
    species: str | None
    instrument: str | None
    n_genes: int | None
    median_genes: int | None
    n_clusters: int | None
    is_tumour: bool | None
    is_primary_adult_tissue: bool | None
    is_cell_line: bool | None

    @property
    def name(self) -> str:
        """What the sample is called in a table of cells: SRA_SRS, or SRA alone where it has no SRS."""
        return named(self.sra, self.srs)


def read_metadata(path: Path) -> list[Sample]:
    """Read PanglaoDB's metadata.txt.

    Raises
    ------
    SourceError
        If it cannot be read, or a row has not 12 fields or text for a number.
    """
    return [_sample(number, row) for number, row in _rows(path, {len(Sample._fields)})]


def read_annotations(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Read PanglaoDB's cell_type_annotations.txt, or its first four columns alone.

    Returns
    -------
    dict
        (SRA, SRS) -> cluster -> cell type, `Unknown` where the table has none.

    Raises
    ------
    SourceError
        If it cannot be read, a row has another number of fields, or a cluster has two types.
    """
    samples: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for _, (sra, srs, cluster, cell_type, *_scores) in _rows(path, {4, 7}):
        samples.setdefault((sra, srs), []).append((cluster, "" if cell_type == NULL else cell_type))
    return {sample: _by_cluster(pairs) for sample, pairs in samples.items()}


def select_samples(samples: Iterable[Sample], species: str, tissues: Sequence[str]) -> list[Sample]:
    """Samples of a species whose tissue names one of `tissues`, in their order.

    Parameters
    ----------
    samples : iterable of Sample
    species : str
        As `Homo sapiens`, exactly.
    tissues : sequence of str
        Whole words in upper or lower case: `Colon` is also in `Inflamed area of colon`, not in `Colonoid`.

    Raises
    ------
    SourceError
        If one of the tissues is in no sample of that species.
    """
    of_species = [sample for sample in samples if sample.species == species]
    absent = [tissue for tissue in tissues if not any(tissue_asked(sample, [tissue]) for sample in of_species)]
    if absent:
        raise SourceError(
            f"samples of {species} for each of {', '.join(tissues)}",
            f"none for {', '.join(absent)}",
            "Write species and tissue as PanglaoDB's metadata.txt does.",
        )
    return [sample for sample in of_species if tissue_asked(sample, tissues)]


def tissue_asked(sample: Sample, tissues: Sequence[str]) -> str | None:
    """The first of `tissues` that the tissue of a sample names, as `select_samples` reads it; None where none is."""
    return next((tissue for tissue in tissues if _word(tissue).search(sample.tissue or "")), None)


@cache
def _word(tissue: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(tissue)}(?!\w)", re.IGNORECASE)


TABLES: dict[str, Callable[[Path], object]] = {"metadata": read_metadata, "annotations": read_annotations}


def packaged_samples() -> list[Sample]:
    """The 29 human colon and prostate samples of PanglaoDB, from its metadata; the table comes with this package."""
    place = files("sclandmarks.resources").joinpath("panglaodb_human_colon_prostate.tsv")
    columns = (
        "SRA", "SRS", "tissue", "protocol", "species", "instrument", "n_expressed_genes", "median_genes_per_cell",
        "n_clusters", "tumor", "primary_adult_tissue", "cell_line",
    )  # fmt: skip
    rows = csv.DictReader(io.StringIO(place.read_text(encoding="utf-8")), delimiter="\t")
    return [_sample(number, [row[column] for column in columns]) for number, row in enumerate(rows, 1)]


class _TableParser(HTMLParser):
    """Collects the cells of the rows of one table by its id; end tags of cells and rows may be left out."""

    def __init__(self, table_id: str) -> None:
        super().__init__()
        self.table_id, self.depth, self.is_cell = table_id, 0, False
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table" and (self.depth or ("id", self.table_id) in attrs):
            self.depth += 1
        elif self.depth == 1 and tag == "tr":
            self.rows.append([])
            self.is_cell = False
        elif self.depth == 1 and tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self.is_cell = True
        elif tag == "br":
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and self.depth:
            self.depth -= 1
        elif self.depth == 1 and tag in ("td", "th", "tr"):
            self.is_cell = False

    def handle_data(self, data: str) -> None:
        if self.depth == 1 and self.is_cell:
            self.rows[-1][-1] += data


def _by_cluster(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    cell_types: dict[str, str] = {}
    for cluster, cell_type in pairs:
        known = cell_types.setdefault(cluster, cell_type or UNKNOWN)
        if known != (cell_type or UNKNOWN):
            raise SourceError(f"one cell type for cluster {cluster}", f"{known} and {cell_type or UNKNOWN}", PAGE)
    return cell_types


def _rows(path: Path, widths: set[int]) -> list[tuple[int, list[str]]]:
    """Rows of a table of PanglaoDB, each with its number."""
    remedy = "Get the file from https://github.com/oscar-franzen/PanglaoDB again."
    reader = csv.reader(io.StringIO(_decoded(path, remedy), newline=""), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise SourceError(f"CSV in {path}", f"line {reader.line_num}: {error}", remedy) from error
    for number, row in rows:
        if len(row) not in widths:
            expected = f"{' or '.join(map(str, sorted(widths)))} fields in line {number} of {path}"
            raise SourceError(expected, f"{len(row)}", remedy)
    return rows


def _sample(number: int, row: list[str]) -> Sample:
    sra, srs, *values = row
    texts = [None if value == NULL else value for value in values]
    try:
        numbers = [None if text is None else int(text) for text in texts[4:]]
    except ValueError as error:
        raise SourceError(
            f"whole numbers in line {number} of metadata.txt", str(error), "Get the file again."
        ) from error
    flags = [None if number is None else bool(number) for number in numbers[3:]]
    tissue, protocol, species, instrument = texts[:4]
    return Sample(sra, srs, tissue, protocol, species, instrument, *numbers[:3], *flags)  # type: ignore[arg-type]


def _decoded(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"a readable file {path} in UTF-8", str(error), remedy) from error
