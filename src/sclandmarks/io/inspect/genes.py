"""What kind of names the genes of a file have, and which landmarks are among them."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from sclandmarks.errors import DataError
from sclandmarks.genes import ENSEMBL, l1000_landmarks, measured_landmarks
from sclandmarks.io.inspect.look import Problem
from sclandmarks.io.raw.names import SYMBOL_AND_ID, GeneNames, of_one_genome
from sclandmarks.io.raw.organism import HUMAN, MOUSE, recognise
from sclandmarks.io.raw.orientation import known_symbols

MOST, FEW = 0.9, 0.1
SOME_SYMBOLS = 0.02
HALF = 0.5
ADDED_UP = "They are the same gene as another, and are added up to one; the file's Ensembl ids may tell them apart."
ORTHOLOGS = (
    "For human panels and cohorts set `reader.orthologs` to a table with the columns mouse and human; else leave "
    "`organism: Mus musculus`, and take the panels of L1000 out of params.yaml."
)


class GeneIds(NamedTuple):
    """Names of genes.

    Parameters
    ----------
    kind : str
        `Ensembl ids`, `symbols`, `symbols with Ensembl ids`, a mixture, or names that are neither.
    organism : str or None
        `Homo sapiens`, `Mus musculus`, both joined by `+`; None if the names do not say.
    versions : bool
        Whether ids carry versions.
    n_seen : int
        Genes looked at.
    n_repeated : int
        Of them, those that are the same gene as another.
    n_landmarks, n_l1000 : int
        Landmarks of L1000 among them, and all.
    """

    kind: str
    organism: str | None
    versions: bool
    n_seen: int
    n_repeated: int
    n_landmarks: int
    n_l1000: int


def describe_genes(genes: pl.DataFrame) -> GeneIds:
    """Say what the genes of a file are called, see `GeneIds`.

    Parameters
    ----------
    genes : polars.DataFrame
        As `raw.names.seen_genes` makes it.
    """
    originals, symbols = genes["original"].to_list(), genes["symbol"].to_list()
    n = max(len(originals), 1)
    bare = [bool(ENSEMBL.match(name)) for name in originals]
    joined = [bool(SYMBOL_AND_ID.match(name)) for name in originals]
    return GeneIds(
        _kind(sum(bare) / n, sum(joined) / n, _known(symbols) / n, _with_ids(genes)),
        _organism(genes),
        any("." in name and (ENSEMBL.match(name) or SYMBOL_AND_ID.match(name)) for name in originals),
        len(originals),
        len(originals) - genes["gene_id"].n_unique(),
        len(measured_landmarks(genes)),
        l1000_landmarks().height,
    )


def gene_problems(ids: GeneIds) -> list[Problem]:
    """What is to be known of these genes."""
    found = []
    if ids.n_repeated:
        found.append(Problem(f"repeated genes: {ids.n_repeated:,}", ADDED_UP, fatal=False))
    if ids.organism == MOUSE:
        found.append(Problem("genes of mouse, which are refused where the entry says Homo sapiens", ORTHOLOGS, False))
    elif ids.organism and MOUSE in ids.organism:
        found.append(Problem("genes of human and mouse", "Set `reader.genome` to read those of one.", fatal=False))
    elif not ids.n_landmarks and ids.n_seen:
        found.append(Problem("no landmark of L1000 is among the genes",
                             "Check that the genes have Ensembl ids or symbols.", fatal=False))  # fmt: skip
    return found


def unreadable_genes(genes: pl.DataFrame, genome: str | None) -> list[Problem]:
    """Why the readers refuse these genes, if they do: several genomes and none chosen, or several organisms.

    Parameters
    ----------
    genes : polars.DataFrame
        As `raw.names.seen_genes` makes it.
    genome : str, optional
        The one that the reader is to take.
    """
    names = GeneNames(*(genes[name].to_list() for name in ("original", "symbol", "ensembl_id")))
    if _with_ids(genes) < HALF:  # the ids are those that the table of L1000 added
        names = names._replace(ensembl=[None] * len(names.originals))
    try:
        recognise(of_one_genome(names, genome)[0])
    except DataError as error:
        return [Problem(f"not {error.expected}: {error.got}", error.remedy)]
    return []


def _kind(bare: float, joined: float, known: float, with_ids: float) -> str:
    if joined > MOST or (with_ids > MOST and bare < FEW):
        return "symbols with Ensembl ids"
    if bare > MOST:
        return "Ensembl ids"
    if bare < FEW:
        return "symbols" if known > SOME_SYMBOLS else "names that are neither symbols nor Ensembl ids"
    return "Ensembl ids and symbols, mixed"


def _known(symbols: list[str]) -> int:
    return sum(symbol.upper() in known_symbols() for symbol in symbols)


def _with_ids(genes: pl.DataFrame) -> float:
    """Part of the genes with an id, without landmarks, whose ids the table of L1000 may have added."""
    others = genes.filter(~pl.col("ensembl_id").is_in(l1000_landmarks()["ensembl_id"].implode()).fill_null(False))
    return 1 - others["ensembl_id"].null_count() / others.height if others.height else 0.0


def _organism(genes: pl.DataFrame) -> str | None:
    """By Ensembl ids; without them by the case of known symbols, GAPDH or Gapdh."""
    symbols, known = genes["symbol"].to_list(), known_symbols()
    ids = [gene for gene in genes["ensembl_id"].to_list() if gene]
    human = sum(gene.startswith("ENSG") for gene in ids) + sum(name in known for name in symbols)
    mouse = sum(gene.startswith("ENSMUSG") for gene in ids)
    mouse += sum(name[:1].isupper() and name[1:] == name[1:].lower() != name[1:].upper() and name.upper() in known
                 for name in symbols)  # fmt: skip
    there = [name for name, n in ((HUMAN, human), (MOUSE, mouse)) if n > FEW * max(human + mouse, 1)]
    return " + ".join(there) if max(human, mouse) > SOME_SYMBOLS * genes.height else None
