"""A cohort of several samples: about equally many cells of each type, and one list of genes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.matrix import ExpressionMatrix, IntArray
from sclandmarks.params import Balance, CohortParams
from sclandmarks.prep.cohort_genes import ABSENT, unite_genes

SAMPLE = ["member", "sample"]
STRATUM = [*SAMPLE, "cell_type"]


class Cohort(NamedTuple):
    """A cohort, and what the join left out."""

    matrix: ExpressionMatrix
    dropped: pl.DataFrame
    """As `schema.DROPPED`."""
    measured: pl.DataFrame
    """As `schema.MEASURED`."""
    sizes: pl.DataFrame
    """member, sample, cells_read, cells_kept; samples in the order in which they were added."""


class _Part(NamedTuple):
    """What is kept of a file; `counts` (STRATUM, n) are the cells it had to choose from, `ranks_C` their order."""

    member: str
    matrix: ExpressionMatrix
    ranks_C: IntArray
    counts: pl.DataFrame

    def cut(self, quotas: pl.DataFrame) -> _Part:
        """Keep the first cells of each sample and type, as many as its quota; none where it has no quota."""
        cells = self.matrix.cells.select("sample", "cell_type", member=pl.lit(self.member))
        quota = cells.join(quotas, on=STRATUM, how="left", maintain_order="left")["quota"].fill_null(0)
        kept = np.flatnonzero(self.ranks_C < quota.to_numpy())
        if len(kept) == len(self.ranks_C):
            return self
        return self._replace(matrix=self.matrix.take(kept), ranks_C=self.ranks_C[kept])


@dataclass
class Gatherer:
    """Takes files one by one, and keeps no more cells of them than the cohort could need.

    The rank of a cell among those of its sample and type is drawn from the seed, the names of these and its id: neither
    the order of the files nor that of the cells decides which are kept.

    Parameters
    ----------
    name : str
        Of the cohort; it becomes the data set of every cell.
    settings : CohortParams
    """

    name: str
    settings: CohortParams
    _parts: list[_Part] = field(default_factory=list)
    _read: list[pl.DataFrame] = field(default_factory=list)
    _dropped: list[pl.DataFrame] = field(default_factory=list)

    def add(self, member: str, matrix: ExpressionMatrix) -> None:
        """Add the cells of a file.

        Parameters
        ----------
        member : str
            What the file belongs to; no two files of a member share a sample.
        matrix : ExpressionMatrix
            Counts; its cells name their samples.
        """
        balance = self.settings.balance
        cells = matrix.cells.with_columns(pl.col("cell_type").replace(self.settings.rename))
        reasons = _reasons(cells, self.settings)
        named = cells.with_columns(reasons, member=pl.lit(member))
        self._read.append(named.group_by(SAMPLE, maintain_order=True).agg(cells_read=pl.len().cast(pl.Int64)))
        self._dropped.append(_sizes(named.filter(pl.col("reason").is_not_null()), [*STRATUM, "reason"], "n_cells"))
        kept = np.flatnonzero(reasons.is_null().to_numpy())
        chosen = replace(matrix, cells=cells).take(kept)
        ranks_C = ranked(chosen.cells, balance.seed if balance else 0)
        counts = _sizes(named[kept], STRATUM, "n")
        self._parts.append(_Part(member, chosen, ranks_C, counts))
        if balance and balance.bound is not None:
            self._cut(shared_out(self._counts, balance.bound))

    def finish(self) -> Cohort:
        """Balance what was added, and join its genes; samples of which no cell is kept do not count.

        Raises
        ------
        DataError
            If no cell or no gene is left.
        """
        read = pl.concat(self._read) if self._read else pl.DataFrame({"cells_read": [0]})
        if self._parts and self.settings.balance:
            self._balance(self.settings.balance)
        matrices = [part.matrix for part in self._parts if part.matrix.n_cells]
        if not matrices:
            raise DataError(
                f"cells for the cohort {self.name}",
                f"none left of {read['cells_read'].sum()}",
                "Compare cell_types, rename, min_library_size and balance.floor with what is in the files.",
            )
        n_samples = [matrix.cells["sample"].n_unique() for matrix in matrices]
        genes = unite_genes([matrix.genes for matrix in matrices], n_samples, self.settings.genes)
        kept = pl.concat([part.matrix.cells.select("sample", member=pl.lit(part.member)) for part in self._parts])
        sizes = read.join(_sizes(kept, SAMPLE, "cells_kept"), on=SAMPLE, how="left", maintain_order="left")
        matrix = _stack(self.name, matrices, genes.genes, genes.places)
        dropped = pl.concat(self._dropped).sort([*STRATUM, "reason"]).select(list(schema.DROPPED.dtypes))
        return Cohort(matrix, dropped, genes.measured, sizes.with_columns(pl.col("cells_kept").fill_null(0)))

    @property
    def _counts(self) -> pl.DataFrame:
        return pl.concat([part.counts for part in self._parts])

    def _cut(self, quotas: pl.DataFrame) -> None:
        self._parts = [part.cut(quotas) for part in self._parts]

    def _balance(self, balance: Balance) -> None:
        """Drop rare types and cut the others to their number, and note both."""
        counts = self._counts.with_columns(size=pl.col("n").sum().over("cell_type"))
        is_rare = pl.col("size") < balance.floor
        rare, common = counts.filter(is_rare), counts.filter(~is_rare)
        smallest = common["size"].min()
        wanted = [balance.bound, smallest if balance.per_type == "auto" else None]
        target = min((number for number in wanted if isinstance(number, int)), default=0)
        quotas = shared_out(common.drop("size"), target)
        self._cut(quotas)
        few = f"balance: fewer than {balance.floor} cells of this type in all samples"
        self._note(rare, pl.col("n"), few)
        self._note(quotas, pl.col("n") - pl.col("quota"), f"balance: {target} cells of a type are kept")

    def _note(self, counts: pl.DataFrame, lost: pl.Expr, reason: str) -> None:
        noted = counts.select(*STRATUM, reason=pl.lit(reason), n_cells=lost)
        self._dropped.append(noted.filter(pl.col("n_cells") > 0))


def ranked(cells: pl.DataFrame, seed: int) -> IntArray:
    """Rank every cell among those of its sample and type, in a seeded order.

    Parameters
    ----------
    cells : polars.DataFrame
        As `schema.CELLS`; the order of its rows decides nothing.
    seed : int

    Returns
    -------
    array of int, shape (n_cells,)
        From 0 on in each sample and type.
    """
    ranks_C = np.zeros(cells.height, dtype=np.int64)
    strata = cells.with_row_index("place").sort("cell_id").group_by("sample", "cell_type").agg("place")
    for sample, cell_type, places in strata.iter_rows():
        rng = np.random.default_rng([seed, zlib.crc32(sample.encode()), zlib.crc32(cell_type.encode())])
        ranks_C[places] = rng.permutation(len(places))
    return ranks_C


def shared_out(counts: pl.DataFrame, target: int) -> pl.DataFrame:
    """Quota of each sample for each type: `target` cells a type, from all samples alike as far as they go.

    Parameters
    ----------
    counts : polars.DataFrame
        member, sample, cell_type, n: the cells there are.
    target : int
        Most cells of a type.

    Returns
    -------
    polars.DataFrame
        `counts` in the order of its names, with a column quota.
    """
    types = counts.sort(STRATUM).partition_by("cell_type", maintain_order=True)
    shares = [one.with_columns(quota=pl.Series(divide(one["n"].to_numpy(), target))) for one in types]
    return pl.concat(shares) if shares else counts.with_columns(quota=pl.lit(0, pl.Int64))


def divide(available_S: IntArray, total: int) -> IntArray:
    """Take `total` from samples alike: each gives as many as the others, or all it has; what is over, the first.

    Parameters
    ----------
    available_S : array of int, shape (n_samples,)
    total : int

    Returns
    -------
    array of int, shape (n_samples,)
        At most `available_S`; its sum is `total`, or that of `available_S` where that is less.

    Examples
    --------
    >>> divide(np.array([5, 1, 9]), 8).tolist()
    [4, 1, 3]
    """
    if available_S.sum() <= total:
        return available_S.astype(np.int64)
    low, high = 0, int(available_S.max())
    while high - low > 1:  # largest level at which all together give no more than `total`
        level = (low + high) // 2
        low, high = (level, high) if np.minimum(available_S, level).sum() <= total else (low, level)
    quota_S = np.minimum(available_S, low).astype(np.int64)
    over = np.flatnonzero(available_S > low)[: total - int(quota_S.sum())]
    quota_S[over] += 1
    return quota_S


def _reasons(cells: pl.DataFrame, settings: CohortParams) -> pl.Series:
    """Why each cell is dropped before types are balanced; null for those that stay."""
    is_other = ~pl.col("cell_type").is_in(list(settings.cell_types)) if settings.cell_types else pl.lit(False)
    is_small = pl.col("library_size") < settings.min_library_size
    few = pl.lit(f"min_library_size: fewer than {settings.min_library_size} reads")
    reason = pl.when(is_other).then(pl.lit("not among cell_types")).when(is_small).then(few)
    return cells.select(reason=reason.otherwise(pl.lit(None, pl.String))).to_series()


def _sizes(cells: pl.DataFrame, keys: list[str], name: str) -> pl.DataFrame:
    return cells.group_by(keys, maintain_order=True).agg(pl.len().cast(pl.Int64).alias(name))


def _stack(
    name: str, matrices: Sequence[ExpressionMatrix], genes: pl.DataFrame, places: Sequence[IntArray]
) -> ExpressionMatrix:
    blocks = [_moved(matrix.X_CG, place_G, genes.height) for matrix, place_G in zip(matrices, places, strict=True)]
    cells = pl.concat([matrix.cells for matrix in matrices]).with_columns(
        cell_id=pl.concat_str(pl.lit(f"{name}/"), "cell_id"), dataset=pl.lit(name)
    )
    return ExpressionMatrix(sparse.csr_matrix(sparse.vstack(blocks, format="csr")), cells, genes)


def _moved(X_CG: sparse.csr_matrix, place_G: IntArray, n_genes: int) -> sparse.csr_matrix:
    """Put columns where `place_G` says, among `n_genes`; those that are ABSENT are left out."""
    column = place_G[X_CG.indices]
    is_kept = column != ABSENT
    starts = np.concatenate([[0], np.cumsum(is_kept)])[X_CG.indptr]
    moved = sparse.csr_matrix((X_CG.data[is_kept], column[is_kept].astype(np.int32), starts), (X_CG.shape[0], n_genes))
    moved.sort_indices()
    return moved
