"""Ranks of the measured values, which are the same for all fits: computed once and kept while they fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclandmarks.evaluate.ranks import average_ranks

LIMIT = 1 << 29  # bytes, of each of the two


class Kept:
    """Tensors by key; those that were not asked for longest make room for others.

    Parameters
    ----------
    limit : int
        Bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._found: dict[Hashable, Tensor] = {}

    @property
    def n_bytes(self) -> int:
        """Bytes that are kept."""
        return sum(found.nbytes for found in self._found.values())

    def get(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """Return what is kept under a key, or make it and keep it if it fits."""
        found = self._found.pop(key) if key in self._found else make()
        if found.nbytes <= self.limit:
            self._found[key] = found
        while self.n_bytes > self.limit:
            self._found.pop(next(iter(self._found)))
        return found


class GeneRanks:
    """Ranks of the measured values of every gene over all cells.

    Parameters
    ----------
    n_genes : int
    limit : int
        Bytes; where all ranks of all genes take more, none is kept.
    """

    def __init__(self, n_genes: int, limit: int = LIMIT) -> None:
        self.limit = limit
        self.known_G = np.zeros(n_genes, dtype=np.bool_)
        self._rank_GC: Tensor | None = None

    def get(self, genes: NDArray[np.int64], y_TC: Tensor) -> Tensor:
        """Return the ranks of these genes, shape (n_genes, n_cells); `y_TC` are their values, in the same order."""
        shape = (len(self.known_G), y_TC.shape[1])
        if 4 * shape[0] * shape[1] > self.limit:
            return average_ranks(y_TC)
        if self._rank_GC is None:
            self._rank_GC = torch.empty(shape)
        absent = np.flatnonzero(~self.known_G[genes])
        if len(absent):
            self._rank_GC[torch.from_numpy(genes[absent])] = average_ranks(y_TC[torch.from_numpy(absent)])
            self.known_G[genes] = True
        return self._rank_GC[torch.from_numpy(genes)]
