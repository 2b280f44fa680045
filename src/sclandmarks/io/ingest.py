"""An entry of datasets.yaml from its files to its raw matrix on disk."""

from __future__ import annotations

import logging
from pathlib import Path

from sclandmarks.io.cohorts import make, write
from sclandmarks.io.registry.datasets import Recipe
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import recorded
from sclandmarks.matrix import ExpressionMatrix

logger = logging.getLogger(__name__)


def ingest(recipe: Recipe, folder: Path, fetched: Fetched) -> ExpressionMatrix:
    """Read the files of an entry, and write the raw matrix with a record of what it is made of; no network.

    Parameters
    ----------
    recipe : Recipe
    folder : Path
        What is there is replaced once all files are read.
    fetched : Fetched
        What came from the network.

    Raises
    ------
    SourceError, DataError
        As `cohorts.make`.
    """
    made = make(recipe, fetched)
    with recorded(folder, recipe, fetched):
        write(folder, made)
    logger.info("%s: %d cells x %d genes", recipe.name, made.matrix.n_cells, made.matrix.n_genes)
    return made.matrix
