"""The features of a 10x matrix: which of them are genes whose expression was counted, of one genome."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.names import GeneNames, named_genes
from sclandmarks.matrix import IntArray

EXPRESSION = "Gene Expression"
logger = logging.getLogger(__name__)


class Features(NamedTuple):
    """Features in the file's order.

    Parameters
    ----------
    ids, symbols : list of str
        Ensembl ids, as a rule, and symbols.
    kinds : list of str, optional
        Feature types, from CellRanger 3 on.
    genomes : list of str, optional
        Genome of each, where the file says.
    """

    ids: list[str]
    symbols: list[str]
    kinds: list[str] | None = None
    genomes: list[str] | None = None


def expressed(
    X_CF: sparse.csr_matrix, features: Features, genome: str | None = None
) -> tuple[sparse.csr_matrix, GeneNames]:
    """Keep the genes whose expression was counted, of one genome.

    Parameters
    ----------
    X_CF : scipy.sparse.csr_matrix, shape (n_cells, n_features)
    features : Features
    genome : str, optional
        Required where the features are of several genomes.

    Returns
    -------
    X_CG : scipy.sparse.csr_matrix, shape (n_cells, n_genes)
    names : GeneNames
        Prefixes of genomes are still on them.

    Raises
    ------
    DataError
        If no feature is gene expression, or the genome is not in the file, or not given where there are several.
    """
    places = _of_genome(features, _of_expression(features), genome)
    ids = [features.ids[i] for i in places]
    names = named_genes(ids, [features.symbols[i] for i in places], ids)
    return (X_CF if len(places) == X_CF.shape[1] else X_CF[:, places].tocsr()), names


def _of_expression(features: Features) -> IntArray:
    if features.kinds is None:
        return np.arange(len(features.ids))
    aside = Counter(kind for kind in features.kinds if kind != EXPRESSION)
    if aside:
        shown = ", ".join(f"{n} {kind}" for kind, n in aside.items())
        logger.info("features that are not %s are set aside: %s", EXPRESSION, shown)
    if features.kinds and sum(aside.values()) == len(features.kinds):
        raise DataError(f"features of type {EXPRESSION}", f"only {', '.join(aside)}", "Give the gene expression file.")
    return np.array([i for i, kind in enumerate(features.kinds) if kind == EXPRESSION], dtype=np.int64)


def _of_genome(features: Features, places: IntArray, genome: str | None) -> IntArray:
    if features.genomes is None:
        return places
    there = list(dict.fromkeys(features.genomes[i] for i in places))
    chosen = choose_genome(there, genome) if there else None
    return np.array([i for i in places if features.genomes[i] == chosen], dtype=np.int64)


def choose_genome(there: Sequence[str], genome: str | None) -> str:
    """Name the one genome to read: the one asked for, or the only one there.

    Raises
    ------
    DataError
        If it is not there, or none was asked for and there are several.
    """
    if genome is None and len(there) == 1:
        return there[0]
    if genome is None or genome not in there:
        raise DataError(
            f"the genome {genome}" if genome else "one genome, or `reader.genome` in the entry of datasets.yaml",
            f"a file with {', '.join(there)}",
            "Set `reader.genome` of the entry in datasets.yaml to one of these.",
        )
    return genome
