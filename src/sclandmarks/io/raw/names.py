"""Genes as a file names them, of one genome."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import polars as pl

from sclandmarks.errors import DataError
from sclandmarks.genes import ENSEMBL, gene_table
from sclandmarks.io.raw.common import MISSING, Labels
from sclandmarks.matrix import IntArray

GENOMES = r"GRCh\d+|hg\d+|GRCm\d+|mm\d+"
"""Prefixes of the names in a file of several genomes, such as GRCh38_GAPDH or mm10___Gapdh."""
N_DIGITS = 11
MIN_SHARE = 0.05
"""Genes of another genome that make a file one of several."""
SYMBOL_AND_ID = re.compile(r"^(.+)_(ENS[A-Z]*G\d{11}(?:\.\d+)?(?:_PAR_Y)?)$")
ORGANISMS = {"Homo sapiens": "ENSG", "Mus musculus": "ENSMUSG"}
logger = logging.getLogger(__name__)


class GeneNames(NamedTuple):
    """Names of the genes in the file's order.

    Parameters
    ----------
    originals : list of str
        As they stand in the file.
    symbols : list of str
        Symbols; the original name stands in where there is none.
    ensembl : list of str or None
        Ensembl ids with or without version; before `of_one_genome`, whatever the file has in their place.
    """

    originals: list[str]
    symbols: list[str]
    ensembl: list[str | None]

    def take(self, places: IntArray) -> GeneNames:
        """Names of the genes at these places."""
        return GeneNames(*([column[i] for i in places] for column in self))


def named_genes(originals: Sequence[str], symbols: Labels | None = None, ensembl: Labels | None = None) -> GeneNames:
    """Names of the genes of a file.

    Parameters
    ----------
    originals : sequence of str, length n_genes
        Names in the file. Where the file has neither symbols nor ids, a name such as `TSPAN6_ENSG00000000003.14` is
        taken as both.
    symbols : sequence of str or None, optional
        Symbols; the original name stands in where one is missing.
    ensembl : sequence of str or None, optional
        Ensembl ids.
    """
    n = len(originals)
    if symbols is None and ensembl is None:
        parts = [None if _pattern(None).match(name) else SYMBOL_AND_ID.match(name.strip()) for name in originals]
        symbols = [part.group(1) if part else None for part in parts]
        ensembl = [part.group(2) if part else None for part in parts]
    filled = [
        original if symbol in MISSING else str(symbol)
        for original, symbol in zip(originals, symbols or [None] * n, strict=True)
    ]
    return GeneNames(list(originals), filled, list(ensembl or [None] * n))


def seen_genes(originals: Sequence[str], symbols: Labels | None = None, ensembl: Labels | None = None) -> pl.DataFrame:
    """Gene table of a file as it is, of one genome or several; parameters as `named_genes`.

    Returns
    -------
    polars.DataFrame
        As `genes.gene_table`.
    """
    names = named_genes(originals, symbols, ensembl)
    trios = zip(names.ensembl, names.originals, names.symbols, strict=True)
    ids = [_first(name for name in trio if name and ENSEMBL.match(name.strip())) for trio in trios]
    return gene_table(names.originals, names.symbols, ids)


def of_one_genome(names: GeneNames, genome: str | None) -> tuple[GeneNames, IntArray | None]:
    """Take genome prefixes off the names, keep the genes of one genome, and find their Ensembl ids.

    Parameters
    ----------
    names : GeneNames
    genome : str, optional
        Prefix or organism, required where the file is of several genomes.

    Returns
    -------
    names : GeneNames
        Ids are of the ids, the original names or the symbols the first that is one; None where none is.
    places : array of int64, or None
        Which genes these are; None for all.

    Raises
    ------
    DataError
        If the genes are of several genomes and none is chosen, or the chosen one is not there.
    """
    columns = [_without_prefix(column, _pattern(genome)) for column in (names.ensembl, names.originals, names.symbols)]
    prefixes = [_first(one.prefix for one in row) for row in zip(*columns, strict=True)]
    ids = [_first(one.name for one in row if ENSEMBL.match(one.name)) for row in zip(*columns, strict=True)]
    bare = GeneNames(names.originals, [one.name for one in columns[2]], ids)
    by_prefix = 2 * sum(prefix is not None for prefix in prefixes) > len(prefixes)
    places = _chosen(prefixes if by_prefix else [organism_of(gene) for gene in ids], genome, by_prefix)
    return (bare, None) if places is None else (bare.take(places), places)


def organism_of(ensembl_id: str | None) -> str | None:
    """Organism of an Ensembl gene id; for others than man and mouse the letters it begins with."""
    match = ENSEMBL.match(ensembl_id or "")
    start = match.group(1)[:-N_DIGITS] if match else None
    return next((organism for organism, letters in ORGANISMS.items() if letters == start), start)


def without_genome(name: str) -> str:
    """Take off the prefix of a genome, such as GRCh38_ or mm10___."""
    return _pattern(None).sub("", name)


class _Bare(NamedTuple):
    prefix: str | None
    name: str


@cache
def _pattern(genome: str | None) -> re.Pattern[str]:
    own = f"{re.escape(genome)}|" if genome and genome not in ORGANISMS else ""
    return re.compile(rf"^({own}{GENOMES})_+(?=.)")


def _without_prefix(names: Sequence[str | None], pattern: re.Pattern[str]) -> list[_Bare]:
    matches = [pattern.match(name or "") for name in names]
    return [
        _Bare(match.group(1), str(name)[match.end() :].strip()) if match else _Bare(None, (name or "").strip())
        for name, match in zip(names, matches, strict=True)
    ]


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value), None)


def _chosen(marks: Sequence[str | None], genome: str | None, by_prefix: bool) -> IntArray | None:
    """Places of the genes of the genome; None for all."""
    n_of = Counter(mark for mark in marks if mark)
    if genome in n_of:
        kept = np.flatnonzero([mark == genome for mark in marks])
        logger.info("%d of %d genes are of %s", len(kept), len(marks), genome)
        return None if len(kept) == len(marks) else kept
    several = sum(n >= MIN_SHARE * n_of.total() for n in n_of.values()) > 1
    if several or (genome and n_of and (by_prefix or genome in ORGANISMS)):
        raise DataError(
            f"genes of {genome or 'one organism'}",
            ", ".join(f"{n} of {mark}" for mark, n in n_of.most_common()),
            "Set `reader.genome` of the entry in datasets.yaml to one of these.",
        )
    return None
