"""One list of genes for several samples: by Ensembl id where any of them knows it, else by symbol."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.genes import l1000_landmarks, strip_version
from sclandmarks.matrix import IntArray

PAR_Y = "_PAR_Y"
ABSENT = -1


class CohortGenes(NamedTuple):
    """Genes of a cohort, and where those of each sample are among them."""

    genes: pl.DataFrame
    """As `schema.GENES`, those kept."""
    places: list[IntArray]
    """For each table given: position in `genes` of each of its rows, `ABSENT` where it is not kept."""
    measured: pl.DataFrame
    """As `schema.MEASURED`, every gene of any sample, in the order of their first sample."""


def unite_genes(
    tables: Sequence[pl.DataFrame], n_samples: Sequence[int], how: Literal["union", "intersection"]
) -> CohortGenes:
    """Match the genes of several tables.

    A gene is known by its Ensembl id. One that a table knows by symbol alone takes the id that other tables, or
    L1000, give that symbol, if that is one id and no other gene of its table has it; else it is known by symbol.

    Parameters
    ----------
    tables : sequence of polars.DataFrame
        As `schema.GENES`.
    n_samples : sequence of int
        Samples that each table stands for.
    how : {"union", "intersection"}

    Returns
    -------
    CohortGenes

    Raises
    ------
    DataError
        If no gene is kept.
    """
    ids = _ids_of_symbols(tables)
    keys = [_keys(table, ids) for table in tables]
    n_measured: Counter[str] = Counter()
    for names, times in zip(keys, n_samples, strict=True):
        n_measured.update(dict.fromkeys(names, times))
    total = sum(n_samples)
    kept = [key for key in n_measured if how == "union" or n_measured[key] == total]
    if not kept:
        first = [names[:3] for names in keys]
        raise DataError(
            "samples that share genes",
            f"none in common among {len(tables)}; they begin with {first}",
            "Give samples of one organism; or set `genes: union`.",
        )
    place = {key: i for i, key in enumerate(kept)}
    places = [np.array([place.get(key, ABSENT) for key in names], dtype=np.int64) for names in keys]
    rows = _first_rows(tables, keys)
    return CohortGenes(_gene_table(kept, rows), places, _measured(n_measured, rows, set(kept), total))


def _ids_of_symbols(tables: Sequence[pl.DataFrame]) -> dict[str, str]:
    """Symbol -> Ensembl id, where tables and L1000 agree on one; copies on the Y chromosome do not count."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for table in tables:
        for symbol, ensembl in table.select("symbol", "ensembl_id").iter_rows():
            if ensembl and not ensembl.endswith(PAR_Y):
                ids[symbol].add(ensembl)
    landmarks = dict(l1000_landmarks().select("current_symbol", "ensembl_id").iter_rows())
    return landmarks | {symbol: found.pop() for symbol, found in ids.items() if len(found) == 1}


def _keys(table: pl.DataFrame, ids: Mapping[str, str]) -> list[str]:
    """What each gene of a table is known by; no two alike."""
    rows = list(table.select("symbol", "ensembl_id", "gene_id").iter_rows())
    guesses = [ensembl or ids.get(symbol, gene_id) for symbol, ensembl, gene_id in rows]
    times = Counter(guesses)
    return [
        ensembl or (guess if times[guess] == 1 else gene_id)
        for guess, (_, ensembl, gene_id) in zip(guesses, rows, strict=True)
    ]


def _first_rows(tables: Sequence[pl.DataFrame], keys: Sequence[list[str]]) -> dict[str, tuple[str, str]]:
    """Key -> symbol and original name, of the first table that has it."""
    rows: dict[str, tuple[str, str]] = {}
    for table, names in zip(tables, keys, strict=True):
        for key, row in zip(names, table.select("symbol", "original").iter_rows(), strict=True):
            rows.setdefault(key, row)
    return rows


def _gene_table(keys: Sequence[str], rows: Mapping[str, tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "gene_id": keys,
            "symbol": [rows[key][0] for key in keys],
            "ensembl_id": [strip_version(key) for key in keys],
            "original": [rows[key][1] for key in keys],
        },
        schema=schema.GENES.dtypes,
    )


def _measured(
    n_measured: Mapping[str, int], rows: Mapping[str, tuple[str, str]], kept: set[str], total: int
) -> pl.DataFrame:
    reasons = [None if key in kept else f"in {n} of {total} samples" for key, n in n_measured.items()]
    columns = {
        "gene_id": list(n_measured),
        "symbol": [rows[key][0] for key in n_measured],
        "n_samples": list(n_measured.values()),
        "is_kept": [reason is None for reason in reasons],
        "reason": reasons,
    }
    return pl.DataFrame(columns, schema=schema.MEASURED.dtypes)
