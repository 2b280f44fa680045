"""Several data sets as one: joined on their common genes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.genes import l1000_landmarks
from sclandmarks.matrix import ExpressionMatrix


class Joined(NamedTuple):
    """A joined matrix and what the join left out."""

    matrix: ExpressionMatrix
    ambiguous: dict[str, int]
    """Data set -> symbols left out because they name several of its genes."""


def join_datasets(matrices: Sequence[ExpressionMatrix]) -> Joined:
    """Join cells of several data sets on the genes they share.

    Genes are matched by Ensembl id where every data set has one for every gene, else by current symbol (landmarks
    of L1000 by either). A symbol that names several genes of one data set is left out. One data set is returned as
    it is. Genes come in the order of the first data set; a gene is named by Ensembl id when any data set knows it.

    Raises
    ------
    DataError
        If the data sets share no gene.
    SchemaError
        If a cell is named twice.
    """
    if len(matrices) == 1:
        return Joined(matrices[0], {})
    keys = _keys(matrices)
    unique = [{key for key, times in Counter(names).items() if times == 1} for names in keys]
    common = reduce(set.__and__, unique)
    if not common:
        raise DataError(
            "data sets that share genes",
            f"none in common among {len(matrices)}; they begin with {[names[:3] for names in keys]}",
            "Give data sets of one organism, with gene symbols or Ensembl ids.",
        )
    order = [key for key in keys[0] if key in common]
    parts = [_arrange(matrix, names, order) for matrix, names in zip(matrices, keys, strict=True)]
    joined = ExpressionMatrix(
        sparse.csr_matrix(sparse.vstack([part.X_CG for part in parts], format="csr")),
        pl.concat([part.cells for part in parts]),
        _merge_genes([part.genes for part in parts]),
    )
    lost = {
        m.cells["dataset"][0]: len(set(names)) - len(kept)
        for m, names, kept in zip(matrices, keys, unique, strict=True)
    }
    return Joined(joined, lost)


def _keys(matrices: Sequence[ExpressionMatrix]) -> list[list[str]]:
    if all(matrix.genes["ensembl_id"].null_count() == 0 for matrix in matrices):
        return [matrix.genes["ensembl_id"].to_list() for matrix in matrices]
    symbol_of = dict(l1000_landmarks().select("ensembl_id", "current_symbol").iter_rows())
    return [
        [symbol_of.get(ensembl, symbol) for symbol, ensembl in matrix.genes.select("symbol", "ensembl_id").iter_rows()]
        for matrix in matrices
    ]


def _arrange(matrix: ExpressionMatrix, keys: list[str], order: list[str]) -> ExpressionMatrix:
    place = {key: i for i, key in enumerate(keys)}
    return matrix.take_genes(np.array([place[key] for key in order], dtype=np.int64))


def _merge_genes(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    ensembl = pl.select(pl.coalesce([table["ensembl_id"] for table in tables])).to_series()
    ensembl = pl.select(pl.when(ensembl.is_unique() | ensembl.is_null()).then(ensembl)).to_series()
    return tables[0].with_columns(
        pl.coalesce(ensembl, tables[0]["gene_id"]).alias("gene_id"), ensembl.alias("ensembl_id")
    )
