"""Binomial thinning of counts into two independent halves, the same whatever the blocks of cells.

The random bits of an entry are a hash of (seed, repeat, level, cell, gene), as in a counter-based generator, so that no
order of cells, genes or blocks changes them. As many of k fair bits are one as a Binomial(k, 1/2) draw says.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from sclandmarks.params import LogBase

FloatArray = NDArray[np.float64]
KeyArray = NDArray[np.uint64]

WORD = 64
WORDS = 2**20  # looked at in one go
LARGEST = 2**20  # above, a normal draw: its distribution differs from the binomial one by less than 0.0005
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class Thinning:
    """Which draw it is.

    Parameters
    ----------
    seed, repeat : int
    level : int
        0 halves the counts, 1 a half of them, and so on.
    """

    seed: int
    repeat: int
    level: int = 0

    def key(self) -> KeyArray:
        """Hash of all three, shape (1,)."""
        key = np.zeros(1, dtype=np.uint64)
        for part in (self.seed, self.repeat, self.level):
            key = _mix(key + np.uint64(part))
        return key


def thin(
    counts: sparse.csr_matrix, thinning: Thinning, cells_B: NDArray[np.int64], genes_G: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Draw one half of every count, Binomial(count, 1/2); the other half is the rest.

    Memory is bounded and time linear in the reads of an entry up to 2**20, beyond which it no longer grows.

    Parameters
    ----------
    counts : scipy.sparse.csr_matrix of int, shape (n_cells, n_genes)
    thinning : Thinning
    cells_B : numpy.ndarray of int64, shape (n_cells,)
        Numbers of the cells, for example their positions in the file.
    genes_G : numpy.ndarray of int64, shape (n_genes,)
        Numbers of the genes.

    Returns
    -------
    numpy.ndarray of int64, shape (n_nonzero,)
        In the order of `counts.data`.
    """
    row_keys_B = _mix(thinning.key() + _mix(cells_B.astype(np.uint64)))
    gene_keys_G = _mix(~genes_G.astype(np.uint64))
    keys = _mix(np.repeat(row_keys_B, np.diff(counts.indptr)) + gene_keys_G[counts.indices])
    return _fair_bits(counts.data.astype(np.int64), keys)


def _fair_bits(counts: NDArray[np.int64], keys: KeyArray) -> NDArray[np.int64]:
    """How many of so many fair bits are one; the bits come in words of 64, each a hash of the key and its number."""
    ones = _ones_in_words(keys, np.minimum(counts, WORD))
    large, huge = np.flatnonzero((counts > WORD) & (counts <= LARGEST)), np.flatnonzero(counts > LARGEST)
    n_words = np.cumsum((counts[large] - 1) // WORD)
    for part in np.split(large, np.flatnonzero(np.diff(n_words // WORDS)) + 1):
        ones[part] += _further_ones(counts[part], keys[part])
    ones[huge] = _normal_draws(counts[huge], keys[huge])
    return ones


def _further_ones(counts: NDArray[np.int64], keys: KeyArray) -> NDArray[np.int64]:
    """How many of the bits behind the first word are one, for counts above 64."""
    n_words = (counts - 1) // WORD
    entry = np.repeat(np.arange(len(counts)), n_words)
    number = np.arange(1, len(entry) + 1) - np.repeat(np.cumsum(n_words) - n_words, n_words)
    n_bits = np.minimum(counts[entry] - WORD * number, WORD)
    more = _ones_in_words(keys[entry] + number.astype(np.uint64) * _GOLDEN, n_bits)
    return np.bincount(entry, more, minlength=len(counts)).astype(np.int64)


def _normal_draws(counts: NDArray[np.int64], keys: KeyArray) -> NDArray[np.int64]:
    """Draws as of Binomial(count, 1/2) for counts whose bits would be too many to look at."""
    uniform = ((_mix(keys) >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    draws = np.rint(counts / 2 + np.sqrt(counts) / 2 * special.ndtri(uniform)).astype(np.int64)
    return np.asarray(np.clip(draws, 0, counts), dtype=np.int64)


def _ones_in_words(keys: KeyArray, n_bits: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the first bits of the hash of each key are one."""
    mask = np.where(n_bits > 0, _ONES >> (np.uint64(WORD) - np.maximum(n_bits, 1).astype(np.uint64)), 0)
    return np.asarray(np.bitwise_count(_mix(keys) & mask.astype(np.uint64)), dtype=np.int64)


def _mix(x: KeyArray) -> KeyArray:
    """Finaliser of SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2714064.2660195)."""
    x = x + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))


def log_values(counts: NDArray[np.int64], indptr: NDArray[np.int32], scale: float, base: LogBase) -> FloatArray:
    """Scale every cell to `scale` reads, then log(x + 1), as `prep.scprep_adapter.log_normalise` does.

    Parameters
    ----------
    counts : numpy.ndarray of int64, shape (n_nonzero,)
        Counts at the places of a CSR matrix; zeros are allowed.
    indptr : numpy.ndarray, shape (n_cells + 1,)
        Its row pointers.
    scale : float
    base : {2, 10, "e"}

    Returns
    -------
    numpy.ndarray, shape (n_nonzero,)
        A cell without reads stays zero.
    """
    sums = np.concatenate([[0], np.cumsum(counts)])
    total_B = sums[indptr[1:]] - sums[indptr[:-1]]
    factor_B = scale / np.maximum(total_B, 1)
    values = np.log1p(counts * np.repeat(factor_B, np.diff(indptr)))
    return np.asarray(values if base == "e" else values / log(base), dtype=np.float64)
