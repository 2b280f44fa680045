"""Ranks of measured values are made once, kept within a limit, and change no number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sclandmarks.evaluate.kept import GeneRanks, Kept
from sclandmarks.evaluate.ranks import average_ranks

VALUES_GC = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (9, 20)).astype(np.float32))


def test_a_kept_tensor_is_made_once() -> None:
    """The second time nothing is computed."""
    kept, calls = Kept(), []

    def make() -> torch.Tensor:
        calls.append(1)
        return torch.ones(3)

    assert kept.get("a", make) is kept.get("a", make)
    assert len(calls) == 1


def test_what_was_not_asked_for_longest_makes_room() -> None:
    """Three of 40 bytes do not fit in 100."""
    kept = Kept(limit=100)
    first = kept.get("a", lambda: torch.zeros(10))
    kept.get("b", lambda: torch.zeros(10))
    assert kept.get("a", lambda: torch.ones(10)) is first
    kept.get("c", lambda: torch.zeros(10))
    assert kept.n_bytes == 80
    assert kept.get("a", lambda: torch.ones(10)) is first
    assert kept.get("b", lambda: torch.ones(10)).sum() == 10


def test_what_is_too_large_is_not_kept() -> None:
    """And drops nothing else."""
    kept = Kept(limit=50)
    kept.get("a", lambda: torch.zeros(10))
    assert len(kept.get("b", lambda: torch.zeros(100))) == 100
    assert kept.n_bytes == 40


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 8), unique=True, max_size=9), max_size=5), st.sampled_from([0, 1 << 20]))
def test_ranks_of_genes_are_those_of_their_values(blocks: list[list[int]], limit: int) -> None:
    """Whatever was asked for before, in any order, kept or not."""
    found = GeneRanks(9, limit)
    for block in blocks:
        genes = np.array(block, dtype=np.int64)
        y_TC = VALUES_GC[torch.from_numpy(genes)]
        torch.testing.assert_close(found.get(genes, y_TC), average_ranks(y_TC), atol=0, rtol=0)


def test_ranks_of_genes_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those of genes that were not asked for before; above the limit all."""
    ranked: list[int] = []

    def count(values_RX: torch.Tensor) -> torch.Tensor:
        ranked.append(len(values_RX))
        return average_ranks(values_RX)

    monkeypatch.setattr("sclandmarks.evaluate.kept.average_ranks", count)
    kept, none = GeneRanks(9), GeneRanks(9, limit=9 * 20 * 4 - 1)
    for found in (kept, none):
        for genes in ([0, 1, 2], [2, 1, 5], [5, 0]):
            found.get(np.array(genes), VALUES_GC[genes])
    assert ranked == [3, 1, 3, 3, 2]


def test_what_is_returned_can_be_changed_without_harm() -> None:
    """It is a copy."""
    found, genes = GeneRanks(9), np.arange(9)
    first = found.get(genes, VALUES_GC).clone()
    found.get(genes, VALUES_GC).zero_()
    torch.testing.assert_close(found.get(genes, VALUES_GC), first)
