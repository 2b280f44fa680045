"""Which of a 10x matrix's features are read: gene expression, of one genome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from sclandmarks.io.inspect.look import Problem
from sclandmarks.io.raw.features import EXPRESSION, Features
from sclandmarks.io.raw.names import seen_genes

HUMAN_GENOMES = ("grch38", "hg38", "grch37", "hg19")


class Kept(NamedTuple):
    """What is read of the features; the genome is None where there is only one."""

    genes: pl.DataFrame
    genome: str | None
    problems: list[Problem]


def kept_features(features: Features) -> Kept:
    """Choose among the features as the readers do; of several genomes, the human one."""
    kinds = features.kinds or [EXPRESSION] * len(features.ids)
    expressed = [i for i, kind in enumerate(kinds) if kind == EXPRESSION]
    genomes = features.genomes or [""] * len(features.ids)
    there = choose_human(list(dict.fromkeys(genomes[i] for i in expressed)))
    if there.genome:
        expressed = [i for i in expressed if genomes[i] == there.genome]
    prefix = f"{there.genome}_" if there.genome else ""
    symbols = [features.symbols[i].removeprefix(prefix) for i in expressed]
    ids = [features.ids[i].removeprefix(prefix) for i in expressed]
    return Kept(seen_genes(ids, symbols, ids), there.genome, [*_set_aside(kinds), *there.problems])


class Chosen(NamedTuple):
    """A genome, None where there is only one, and what is to be known of that."""

    genome: str | None
    problems: list[Problem]


def choose_human(genomes: Sequence[str]) -> Chosen:
    """Choose the first of several genomes that is named as the human one is, or else the first."""
    if len(genomes) < 2:
        return Chosen(None, [])
    chosen = next((one for one in genomes if any(name in one.lower() for name in HUMAN_GENOMES)), genomes[0])
    others = " or ".join(one for one in genomes if one != chosen)
    return Chosen(chosen, [Problem(f"several genomes: {chosen} is taken", f"For {others} change `genome`.", False)])


def _set_aside(kinds: Sequence[str]) -> list[Problem]:
    aside = Counter(kind for kind in kinds if kind != EXPRESSION)
    if aside and sum(aside.values()) == len(kinds):
        return [Problem(f"no {EXPRESSION} among the features, only {', '.join(aside)}", "Give the file that has it.")]
    return [Problem(f"{n:,} features of type {kind}", "They are set aside.", fatal=False) for kind, n in aside.items()]
