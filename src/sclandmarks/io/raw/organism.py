"""Whether genes are of man or mouse, and mouse genes as their human orthologs."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from sclandmarks.errors import DataError
from sclandmarks.genes import l1000_landmarks, retired_symbols, strip_version
from sclandmarks.io.raw.common import Origin, naming
from sclandmarks.io.raw.names import GeneNames, organism_of
from sclandmarks.io.raw.records import read_records
from sclandmarks.matrix import IntArray

HUMAN, MOUSE = "Homo sapiens", "Mus musculus"
SAID = {"homo sapiens": HUMAN, "human": HUMAN, "mus musculus": MOUSE, "mouse": MOUSE}
MOUSE_FORM = re.compile(r"^(mt-[A-Z][a-z]|Gm\d+$|\d+[A-Z]\d+Rik$|[A-Z][A-Za-z0-9]*[a-z][a-z0-9]*(-[A-Za-z0-9]+)*$)")
MIN_KNOWN = 3
MIN_SHARE = 0.1
logger = logging.getLogger(__name__)


def human_genes(names: GeneNames, orthologs: Path | None, origin: Origin) -> tuple[GeneNames, IntArray | None]:
    """See that the genes are of the organism that the entry names, or make them human by their orthologs.

    Parameters
    ----------
    names : GeneNames
        As `of_one_genome` makes them.
    orthologs : Path, optional
        See `read_orthologs`.
    origin : Origin

    Returns
    -------
    names : GeneNames
    places : array of int64, or None
        Which genes these are; None for all.

    Raises
    ------
    DataError
        If the genes are of another organism than the entry says, of man and mouse mixed, or no mouse gene has an
        ortholog.
    """
    found, sign = recognise(names)
    if orthologs and found == MOUSE:
        with naming(orthologs, origin):
            return _as_human(names, read_orthologs(orthologs.expanduser()))
    if orthologs:
        logger.warning("the genes are not of %s; the orthologs are not used", MOUSE)
    said = SAID.get((origin.organism or "").strip().lower())
    if found and said and found != said:
        raise DataError(
            f"genes of {said}, as `organism` of the entry in datasets.yaml says",
            f"genes of {found}: {sign}",
            "Correct `organism`, or set `reader.orthologs` to a table with the columns mouse and human."
            if found == MOUSE else "Correct `organism` of the entry, or give the file of that organism.",
        )  # fmt: skip
    return names, None


def recognise(names: GeneNames) -> tuple[str | None, str]:
    """Organism of the genes and what shows it; None where nothing does.

    Ensembl ids decide where half of the genes have one. Else the genes are of mouse where most symbols are written
    as its symbols are (Gapdh, mt-Co1), and a tenth of them, three at least, are human symbols but for the case.
    Symbols alone never make a file human: other organisms share them.

    Raises
    ------
    DataError
        If symbols of both man and mouse are common.
    """
    n_of = Counter(organism_of(gene) for gene in names.ensembl if gene)
    if n_of and 2 * n_of.total() >= len(names.ensembl):
        return n_of.most_common(1)[0][0], f"{n_of.most_common(1)[0][1]} of {n_of.total()} Ensembl ids"
    known = _human_symbols()
    human = [symbol for symbol in names.symbols if symbol in known]
    mouse = [symbol for symbol in names.symbols if symbol not in known and MOUSE_FORM.match(symbol)]
    alike = [symbol for symbol in mouse if symbol.upper() in known or symbol[:3] == "mt-"]
    n, enough = len(names.symbols), max(MIN_KNOWN, MIN_SHARE * len(names.symbols))
    if len(alike) >= enough and len(human) >= enough:
        got = f"{len(human)} human symbols such as {human[0]} and {len(alike)} of mouse such as {alike[0]}"
        remedy = "Give the genes of one, or names with a prefix for each and `reader.genome`."
        raise DataError("genes of one organism", got, remedy)
    if len(alike) >= enough and 2 * len(mouse) > n:
        return MOUSE, f"{len(mouse)} of {n} symbols are written as {', '.join(alike[:3])}"
    return None, ""


@cache
def _human_symbols() -> frozenset[str]:
    landmarks, retired = l1000_landmarks(), retired_symbols()
    return frozenset([*retired, *retired.values(), *landmarks["symbol"], *landmarks["current_symbol"]])


def read_orthologs(path: Path) -> dict[str, str]:
    """Mouse gene -> human gene, of the pairs that are one to one.

    Parameters
    ----------
    path : Path
        CSV or TSV, plain, gzip or zstd, with columns `mouse` and `human`: Ensembl ids or symbols. A gene with
        several counterparts, of either organism, is left out: to add up or divide its reads would be a guess.

    Returns
    -------
    dict of str to str
        Ids without version, human symbols current.

    Raises
    ------
    DataError
        If it is no such table, or has no such pair.
    """
    records = read_records(path)
    mouse, human = (records.column(records.place(name)) for name in ("mouse", "human"))
    pairs = {(strip_version(a) or a, _human(b)) for a, b in zip(mouse, human, strict=True) if a and b}
    of_mouse, of_human = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    single = {a: b for a, b in sorted(pairs) if of_mouse[a] == of_human[b] == 1}
    logger.info("%d of %d pairs of orthologs are one to one", len(single), len(pairs))
    if not single:
        raise DataError("pairs of one mouse gene and one human gene", f"{len(pairs)} pairs of other kinds", _REMEDY)
    return single


_REMEDY = "Give a table of orthologs with the columns mouse and human, such as Ensembl's BioMart exports."


def _human(name: str) -> str:
    return strip_version(name) or retired_symbols().get(name, name)


def _as_human(names: GeneNames, orthologs: Mapping[str, str]) -> tuple[GeneNames, IntArray]:
    keys = [strip_version(gene or "") or "" for gene in names.ensembl]
    found = [orthologs.get(key) or orthologs.get(symbol) for key, symbol in zip(keys, names.symbols, strict=True)]
    places = np.flatnonzero([gene is not None for gene in found])
    logger.warning("%d of %d mouse genes have one human ortholog; the others are left out", len(places), len(found))
    if not len(places):
        raise DataError("orthologs of these genes", f"none, the first gene is {names.symbols[0]}", _REMEDY)
    human = [gene for gene in found if gene is not None]
    originals = [names.originals[i] for i in places]
    return GeneNames(originals, human, [gene if strip_version(gene) else None for gene in human]), places
