"""Which side of a table is the genes: the one whose names look like genes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Literal

from sclandmarks.errors import DataError
from sclandmarks.genes import ENSEMBL, l1000_landmarks, retired_symbols
from sclandmarks.io.raw.names import SYMBOL_AND_ID, without_genome

Orientation = Literal["genes_by_cells", "cells_by_genes"]
MIN_SHARE = 0.02
MIN_RATIO = 4.0
logger = logging.getLogger(__name__)


def detect(columns: Sequence[str], rows: Sequence[str]) -> Orientation:
    """Tell whether rows or columns are the genes, and say so in the log.

    Parameters
    ----------
    columns, rows : sequence of str
        Names.

    Returns
    -------
    {"genes_by_cells", "cells_by_genes"}

    Raises
    ------
    DataError
        If neither side, or both alike, are Ensembl ids or symbols of human genes.
    """
    of_rows, of_columns = gene_share(rows), gene_share(columns)
    seen = f"{of_rows:.0%} of the rows and {of_columns:.0%} of the columns"
    if max(of_rows, of_columns) < MIN_SHARE or max(of_rows, of_columns) < MIN_RATIO * min(of_rows, of_columns):
        raise DataError(
            "rows or columns, not both, named by genes (Ensembl ids, or symbols of human genes)",
            f"{seen} with such names",
            "Set `reader.orientation` of the entry in datasets.yaml to genes_by_cells or cells_by_genes.",
        )
    found: Orientation = "genes_by_cells" if of_rows > of_columns else "cells_by_genes"
    logger.info("taken as %s: %s have names of genes", found, seen)
    return found


def gene_share(names: Sequence[str]) -> float:
    """Fraction of names that are Ensembl gene ids, or symbols, current or retired, of human genes in any case."""
    known = known_symbols()
    names = [without_genome(name) for name in names]
    return sum(name.upper() in known or bool(ENSEMBL.match(name) or SYMBOL_AND_ID.match(name)) for name in names) / max(
        len(names), 1
    )


@cache
def known_symbols() -> frozenset[str]:
    """Symbols of human genes, current and retired, in capitals."""
    retired = retired_symbols()
    landmarks = l1000_landmarks()
    symbols = {*retired, *retired.values(), *landmarks["symbol"], *landmarks["current_symbol"]}
    return frozenset(symbol.upper() for symbol in symbols)
