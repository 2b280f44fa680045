"""Adding and exchanging genes, whatever the objective that says what they are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sclandmarks.learn.task import Hooks

N_REPORTS = 100
LEAST = 1e-9  # of the total variance: an exchange worth less is rounding


class Trial(NamedTuple):
    """A gene taken out for a trial: what each other would be worth in its place, and the state before."""

    gene: int
    worth_G: Tensor
    before: tuple[Tensor, ...]


class State(Protocol):
    """Which genes are chosen, and what every other one would gain."""

    chosen_G: Tensor
    total: float

    def gains(self) -> Tensor:
        """What choosing each gene would add, shape (n_genes,)."""

    def merits(self) -> Tensor:
        """By what the next gene is chosen, shape (n_genes,)."""

    def explained_fraction(self) -> float:
        """Explained part of the variance of the targets."""

    def add(self, gene: int) -> None:
        """Choose a gene."""

    def try_without(self, gene: int) -> Trial:
        """Take a chosen gene out, and compare every other in its place."""

    def keep_gene(self, trial: Trial) -> None:
        """Take the trial made last back."""

    def reset(self) -> None:
        """Go back to no gene chosen."""


class Entry(NamedTuple):
    """A chosen gene, what it added as a part of the total variance, and the explained fraction with it."""

    gene: int
    gain: float
    explained: float


class Swap(NamedTuple):
    """A gene that went out, the one in its place, and what that was worth as a part of the total variance."""

    out: int
    into: int
    worth: float


def choose(state: State, groups: Sequence[Tensor], n_landmarks: int, hooks: Hooks) -> list[Entry]:
    """Choose the gene of largest merit, again and again, of equals the first; one group after the other.

    Parameters
    ----------
    state : State
        With no gene chosen.
    groups : sequence of torch.Tensor of bool, shape (n_genes,)
        A group is used up before the next is looked at.
    n_landmarks : int
    hooks : Hooks
        Told about every hundredth part of the way.
    """
    entries: list[Entry] = []
    every = math.ceil(n_landmarks / N_REPORTS)
    for group_G in groups:
        left = int((group_G & ~state.chosen_G).sum())
        for _ in range(min(left, n_landmarks - len(entries))):
            gene = int(state.merits().masked_fill(state.chosen_G | ~group_G, -1.0).argmax())
            gain = float(state.gains()[gene]) / state.total
            state.add(gene)
            entries.append(Entry(gene, gain, state.explained_fraction()))
            if len(entries) % every == 0:
                hooks.on_epoch({"explained": entries[-1].explained, "gain": entries[-1].gain}, len(entries))
    return entries


def exchange(
    state: State, genes: Sequence[int], allowed_G: Tensor, sweeps: int, max_swaps: int | None = None
) -> tuple[list[Swap], bool]:
    """Try every gene against all others in its place, and again until no exchange helps.

    Parameters
    ----------
    state : State
    genes : sequence of int
        Chosen genes that may go, in the order of their entry: the last is tried first.
    allowed_G : torch.Tensor of bool, shape (n_genes,)
        Genes that may come.
    sweeps : int
        At most so many rounds.
    max_swaps : int, optional
        At most so many exchanges; the genes are then tried in the order of what their exchange was worth before any.

    Returns
    -------
    list of Swap
    bool
        Whether a whole round found no exchange that helps.
    """
    genes, swaps = list(genes), list[Swap]()
    for _ in range(sweeps):
        n_before = len(swaps)
        for place in _visits(state, genes, allowed_G, max_swaps):
            if max_swaps is not None and len(swaps) >= max_swaps:
                return swaps, False
            swap = _try(state, genes[place], allowed_G)
            if swap:
                genes[place] = swap.into
                swaps.append(swap)
        if len(swaps) == n_before:
            return swaps, True
    return swaps, False


def _visits(state: State, genes: Sequence[int], allowed_G: Tensor, max_swaps: int | None) -> list[int]:
    places = list(range(len(genes)))[::-1]
    if max_swaps is None:
        return places
    worth = []
    for gene in genes:
        trial = state.try_without(gene)
        worth.append(_best(state, trial, allowed_G)[0])
        state.keep_gene(trial)
    return sorted(places, key=lambda place: -worth[place])


def _try(state: State, gene: int, allowed_G: Tensor) -> Swap | None:
    trial = state.try_without(gene)
    worth, into = _best(state, trial, allowed_G)
    if worth <= LEAST * state.total:
        state.keep_gene(trial)
        return None
    state.add(into)
    return Swap(gene, into, worth / state.total)


def _best(state: State, trial: Trial, allowed_G: Tensor) -> tuple[float, int]:
    barred_G = state.chosen_G | ~allowed_G
    barred_G[trial.gene] = True
    worth, into = trial.worth_G.masked_fill(barred_G, -torch.inf).max(0)
    return float(worth), int(into)
