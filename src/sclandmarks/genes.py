"""Gene identity: the L1000 landmarks, retired symbols, Ensembl ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

ENSEMBL = re.compile(r"^(ENS[A-Z]*G\d{11})(\.\d+)?(_PAR_Y)?$")


def _resource(name: str) -> pl.DataFrame:
    with files("sclandmarks.resources").joinpath(name).open("rb") as file:
        return pl.read_csv(file.read(), separator="\t", infer_schema=False)


@cache
def l1000_landmarks() -> pl.DataFrame:
    """The 978 landmark genes of L1000.

    Returns
    -------
    polars.DataFrame
        entrez_id, symbol (as published), ensembl_id, current_symbol. Source: GEO GSE92742, Subramanian et al.,
        Cell 2017, doi:10.1016/j.cell.2017.10.049.
    """
    return _resource("l1000_landmarks.tsv")


@cache
def retired_symbols() -> Mapping[str, str]:
    """Unambiguous retired symbol -> current symbol (HGNC; org.Hs.eg.db 3.16 for the landmarks' aliases)."""
    hgnc = dict(_resource("hgnc_previous_to_current.tsv").iter_rows())
    return hgnc | dict(_resource("l1000_alias_to_current.tsv").iter_rows())


def strip_version(ensembl_id: str) -> str | None:
    """Ensembl gene id without its version, or None when `ensembl_id` is none. PAR_Y copies stay apart."""
    match = ENSEMBL.match(ensembl_id)
    return match.group(1) + (match.group(3) or "") if match else None


def current_symbols(symbols: Sequence[str]) -> list[str]:
    """Replace retired symbols by current ones, wherever that names no two genes of the list alike.

    A symbol that is itself current for another gene of the list, or to which two of the list would change, is left
    as it is.
    """
    present = set(symbols)
    retired = retired_symbols()
    changed = [retired.get(symbol, symbol) for symbol in symbols]
    times = Counter(changed)
    return [
        new if new == old or (new not in present and times[new] == 1) else old
        for old, new in zip(symbols, changed, strict=True)
    ]


def gene_table(originals: Sequence[str], symbols: Sequence[str], ensembl_ids: Sequence[str | None]) -> pl.DataFrame:
    """Make the gene table of a data set.

    Parameters
    ----------
    originals : sequence of str
        Names in the source file.
    symbols : sequence of str
        Symbols of any age; an Ensembl id where the file gives none.
    ensembl_ids : sequence of str or None
        Ensembl ids with or without version.

    Returns
    -------
    polars.DataFrame
        As `schema.GENES`, in the order given, but a gene_id may be there several times: two versions of an id, or,
        among genes known by symbol alone, a symbol twice or a retired symbol beside the current one. See
        `merge_duplicates`. Genes of different Ensembl ids stay apart even under one symbol, and so does a gene
        known by symbol alone from one known by id. A landmark of L1000 that is known by symbol alone gets its
        Ensembl id from the L1000 table, and is then named by it, unless another gene of the list has that id.
    """
    names = [symbol.strip() for symbol in symbols]
    names = [strip_version(name) or name for name in names]
    stripped = [strip_version(gene.strip()) if gene else None for gene in ensembl_ids]
    retired = retired_symbols()
    current = [
        careful if gene else retired.get(name, name)
        for name, gene, careful in zip(names, stripped, current_symbols(names), strict=True)
    ]
    landmarks = dict(l1000_landmarks().select("current_symbol", "ensembl_id").iter_rows())
    taken = {gene for gene in stripped if gene}
    known = [
        gene if gene or landmarks.get(symbol) in taken else landmarks.get(symbol)
        for gene, symbol in zip(stripped, current, strict=True)
    ]
    return pl.DataFrame(
        {
            "gene_id": [gene or symbol for gene, symbol in zip(known, current, strict=True)],
            "symbol": current,
            "ensembl_id": known,
            "original": list(originals),
        },
        schema={"gene_id": pl.String, "symbol": pl.String, "ensembl_id": pl.String, "original": pl.String},
    )


class Merged(NamedTuple):
    """Genes of one identity as one row each.

    Parameters
    ----------
    genes : polars.DataFrame
        As `schema.GENES`; `original` of a merged gene names all that went into it, joined by `|`.
    places : array of int32
        Row of `genes` for each gene that was there before.
    names : list of str
        Names of the merged genes, several to each: `original` of these rows.
    """

    genes: pl.DataFrame
    places: NDArray[np.int32]
    names: list[str]


def merge_duplicates(genes: pl.DataFrame) -> Merged:
    """Make one row of all rows with the same gene_id, at the place of the first.

    Parameters
    ----------
    genes : polars.DataFrame
        As `gene_table` makes it.
    """
    groups = genes.group_by("gene_id", maintain_order=True).agg(
        pl.col("symbol", "ensembl_id").first(), pl.col("original").str.join("|"), pl.len().alias("n")
    )
    row_of = {gene: row for row, gene in enumerate(groups["gene_id"])}
    places = np.array([row_of[gene] for gene in genes["gene_id"]], dtype=np.int32)
    names = groups.filter(pl.col("n") > 1)["original"].to_list()
    return Merged(groups.drop("n"), places, names)


def measured_landmarks(genes: pl.DataFrame) -> list[str]:
    """Ids of the L1000 landmarks in a gene table, by Ensembl id first and current symbol second, in L1000's order."""
    by_ensembl = {gene: i for gene, i in genes.select("ensembl_id", "gene_id").iter_rows() if gene}
    by_symbol = dict(genes.select("symbol", "gene_id").iter_rows())
    rows = list(l1000_landmarks().select("ensembl_id", "current_symbol").iter_rows())
    taken = {by_ensembl[ensembl] for ensembl, _ in rows if ensembl in by_ensembl}
    by_symbol = {symbol: gene for symbol, gene in by_symbol.items() if gene not in taken}
    found = [by_ensembl.get(ensembl) or by_symbol.get(symbol) for ensembl, symbol in rows]
    return [gene for gene in found if gene]
