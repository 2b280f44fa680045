"""Groups of genes that enter a path whole: rows of a problem, one a gene and group it is in.

A gene in no group is a group of one. A gene in several has a row in each (the latent overlapping group lasso), so that
what enters is a union of groups. The penalty of a group of p genes is sqrt(p) times the norm of all its weights; with
n_r = |W_group(r)| / sqrt(p) for each row r it is sum_r n_r, a gradient is within reach where n_r <= strength, and the
proximal operator shrinks by 1 - threshold / n_r: the formulas of single genes.

References
----------
Yuan and Lin, JRSS B 2006, doi:10.1111/j.1467-9868.2005.00532.x; Jacob, Obozinski and Vert, ICML 2009,
doi:10.1145/1553374.1553431 (overlap).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sclandmarks.errors import PanelError
from sclandmarks.params import GroupLassoPanel
from sclandmarks.select.base import SelectionTask
from sclandmarks.select.constraints import GeneFinder


class GeneGroups(NamedTuple):
    """Gene and group of every row, shape (n_rows,), int64; rows of a group together, single genes last."""

    gene_R: Tensor
    group_R: Tensor

    def per_gene(self, value_R: Tensor, n_genes: int) -> Tensor:
        """Largest value of a gene's rows, none of them negative, shape (n_genes,)."""
        return value_R.new_zeros(n_genes).scatter_reduce(0, self.gene_R.to(value_R.device), value_R, "amax")

    def whole(self, key_R: Tensor, most: int) -> list[int]:
        """Genes of the groups of largest key, each whole or left out, at most so many."""
        chosen: dict[int, None] = {}
        members: dict[int, list[int]] = {}
        for gene, group in zip(self.gene_R.tolist(), self.group_R.tolist(), strict=True):
            members.setdefault(group, []).append(gene)
        for row in torch.argsort(key_R, descending=True, stable=True).tolist():
            fresh = [gene for gene in members.pop(int(self.group_R[row]), []) if gene not in chosen]
            if len(chosen) + len(fresh) <= most:
                chosen |= dict.fromkeys(fresh)
        return list(chosen)


def find_groups(task: SelectionTask, settings: GroupLassoPanel) -> GeneGroups | None:
    """Groups that the settings name, a token each, or None where they name none.

    Raises
    ------
    PanelError
        If a token names no measured gene, or more genes than the panel holds.
    """
    if not settings.groups:
        return None
    finder, genes, groups = GeneFinder(task.genes, task.lists), list[int](), list[int]()
    for group, token in enumerate(settings.groups):
        found = list(finder.find([token]).weights)
        if not 0 < len(found) <= task.n_landmarks:
            raise PanelError(
                f"groups of 1 to n_landmarks = {task.n_landmarks} measured genes",
                f"{token} with {len(found)}",
                "Mend the token, take it out of groups, or raise n_landmarks.",
            )
        genes += found
        groups += [group] * len(found)
    single = sorted(set(range(task.genes.height)) - set(genes))
    groups += range(len(settings.groups), len(settings.groups) + len(single))
    return GeneGroups(torch.tensor(genes + single), torch.tensor(groups))
