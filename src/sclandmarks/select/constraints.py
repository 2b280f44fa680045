"""What the user wishes of a panel: which genes must be in, may be in, and count how much as targets.

Genes are named by *tokens*: a gene id or a symbol, current or retired (`INS`); a group (`ribosomal`, `mitochondrial`);
a regular expression for the whole symbol between slashes (`/HLA-.*/`); or a file after an at sign (`@lists/mine.txt`,
`@lists/hallmark.gmt#HYPOXIA`), whose genes the task brings along.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclandmarks.errors import PanelError
from sclandmarks.genes import retired_symbols
from sclandmarks.moments import gene_means
from sclandmarks.params import Wishes
from sclandmarks.select.base import SelectionTask

log = logging.getLogger(__name__)

GROUPS = {"ribosomal": r"M?RP[SL]\d.*|RPLP\d.*|RPSA\d*", "mitochondrial": r"MT-.*"}


class Found(NamedTuple):
    """Columns of the genes that tokens name, each with a weight, and the names that are not among the genes."""

    weights: dict[int, float]
    missing: list[str]


@dataclass(frozen=True)
class Constraints:
    """Wishes, in positions.

    Parameters
    ----------
    keep : list of int
        Must be in, in the order given.
    allowed_G : torch.Tensor of bool, shape (n_genes,)
        May be chosen; the kept ones are.
    weight_G : torch.Tensor, shape (n_genes,), float64
        How much each gene counts as a target.
    """

    keep: list[int]
    allowed_G: Tensor
    weight_G: Tensor


class GeneFinder:
    """Finds genes by token.

    Parameters
    ----------
    genes : polars.DataFrame
        As `schema.GENES`.
    lists : mapping of str to mapping of str to float
        Genes and weights of every file token.
    """

    def __init__(self, genes: pl.DataFrame, lists: Mapping[str, Mapping[str, float]]) -> None:
        self._symbols, self._lists = genes["symbol"].to_list(), lists
        places = list(enumerate(genes.select("gene_id", "symbol", "ensembl_id", "original").iter_rows()))
        self._place: dict[str, int] = {}
        for column in (3, 2, 1, 0):  # an id goes before a symbol, a symbol before a source's name
            self._place.update({row[column]: place for place, row in places if row[column]})

    def find(self, tokens: Sequence[str]) -> Found:
        """Genes of all tokens, in their order.

        Raises
        ------
        PanelError
            If a token is a file that was not read, or no regular expression.
        """
        weights: dict[int, float] = {}
        missing: list[str] = []
        for token in tokens:
            for name, place, weight in self._named(token):
                if place is None:
                    missing.append(name)
                else:
                    weights.setdefault(place, weight)
        return Found(weights, missing)

    def _named(self, token: str) -> list[tuple[str, int | None, float]]:
        if token.startswith("@"):
            return [(name, self._one(name), weight) for name, weight in self._file(token).items()]
        pattern = GROUPS.get(token) or _pattern(token)
        if pattern is None:
            return [(token, self._one(token), 1.0)]
        match = _compiled(pattern, token)
        return [(symbol, place, 1.0) for place, symbol in enumerate(self._symbols) if match(symbol)]

    def _one(self, name: str) -> int | None:
        return self._place.get(name, self._place.get(retired_symbols().get(name, name)))

    def _file(self, token: str) -> Mapping[str, float]:
        if token not in self._lists:
            raise PanelError(
                f"the genes of {token} beside the task", f"those of {sorted(self._lists)}", "Read the file first."
            )
        return self._lists[token]


def _pattern(token: str) -> str | None:
    return token[1:-1] if len(token) > 2 and token[0] == token[-1] == "/" else None


def _compiled(pattern: str, token: str) -> Callable[[str], object]:
    try:
        return re.compile(pattern).fullmatch
    except re.error as error:
        raise PanelError("a regular expression between slashes", f"{token}: {error}", "Mend it.") from error


def constrain(task: SelectionTask, wishes: Wishes) -> Constraints:
    """Translate wishes into positions.

    Raises
    ------
    PanelError
        If a gene to keep is not measured or is to be avoided, more are to be kept than the panel holds, too few genes
        are left to choose from, or no target counts.
    """
    finder = GeneFinder(task.genes, task.lists)
    keep = _kept(task, finder.find(wishes.keep))
    avoid, unknown = finder.find(wishes.avoid)
    if unknown:
        log.warning("not measured, so not to be avoided: %s", ", ".join(unknown[:10]))
    both = [place for place in keep if place in avoid]
    if both:
        raise PanelError("no gene both in keep and in avoid", _names(task, both), "Take it out of one of them.")
    allowed_G = _within_bounds(task, wishes)
    allowed_G[list(avoid)] = False
    allowed_G[keep] = True
    if int(allowed_G.sum()) < task.n_landmarks:
        raise PanelError(
            f"at least {task.n_landmarks} genes to choose from",
            f"{int(allowed_G.sum())} within min_mean, max_mean and avoid",
            "Widen the bounds, avoid fewer genes, or lower n_landmarks.",
        )
    return Constraints(keep, allowed_G, _target_weights(task, wishes, finder))


def _kept(task: SelectionTask, found: Found) -> list[int]:
    if found.missing:
        raise PanelError(
            "genes to keep that are measured in these data",
            ", ".join(found.missing[:10]),
            "Mend the names in keep, take them out, or relax the gene filter of prepare.",
        )
    if len(found.weights) > task.n_landmarks:
        raise PanelError(
            f"at most {task.n_landmarks} genes to keep",
            f"{len(found.weights)}",
            "Keep fewer, or raise n_landmarks.",
        )
    return list(found.weights)


def _within_bounds(task: SelectionTask, wishes: Wishes) -> Tensor:
    """Which genes have a mean processed value over training cells within the bounds."""
    allowed_G = torch.ones(task.genes.height, dtype=torch.bool)
    if wishes.min_mean is not None or wishes.max_mean is not None:
        mean_G = gene_means(task.train.in_order())
        allowed_G &= (mean_G >= (wishes.min_mean or 0.0)) & (mean_G <= (wishes.max_mean or float("inf")))
    return allowed_G


def _target_weights(task: SelectionTask, wishes: Wishes, finder: GeneFinder) -> Tensor:
    """Product of the weights of all tokens that name a gene; 1 for the others."""
    weight_G = torch.ones(task.genes.height, dtype=torch.float64)
    for token, weight in wishes.gene_weights.items():
        found = finder.find([token])
        if not found.weights:
            raise PanelError("tokens in gene_weights that name measured genes", token, "Mend it or take it out.")
        for place, own in found.weights.items():
            weight_G[place] *= weight * own
    if not bool((weight_G > 0).any()):
        raise PanelError("a target gene of weight above 0", "none", "Raise a weight in gene_weights.")
    return weight_G


def cell_weights(task: SelectionTask, wishes: Wishes) -> Tensor | None:
    """Weights of the training cells, mean 1, shape (n_cells,), float64; None where all count alike.

    `equal` gives every cell type the same total; a mapping multiplies the cells of the types it names.

    Raises
    ------
    PanelError
        If the task does not know its cells, or a type is not among them.
    """
    if wishes.cell_type_weights is None:
        return None
    if task.cells is None or task.cells.height != task.train.n_cells:
        raise PanelError("the table of the training cells", "none of that length", "Give SelectionTask its cells.")
    types = task.cells["cell_type"].fill_null("").to_numpy()
    names, place_C, sizes = np.unique(types, return_inverse=True, return_counts=True)
    if wishes.cell_type_weights == "equal":
        weight_C = 1 / sizes[place_C]
    else:
        weight_C = _named_types(names.tolist(), wishes.cell_type_weights)[place_C]
    if not weight_C.any():
        raise PanelError("a cell of weight above 0", "none", "Raise a weight in cell_type_weights.")
    return torch.from_numpy(weight_C / weight_C.mean())


def _named_types(names: list[str], wanted: Mapping[str, float]) -> NDArray[np.float64]:
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise PanelError(
            f"cell types of the training cells: {', '.join(names)}", ", ".join(unknown), "Mend cell_type_weights."
        )
    return np.array([wanted.get(name, 1.0) for name in names])


def _names(task: SelectionTask, places: Sequence[int]) -> str:
    return ", ".join(task.genes["symbol"][list(places)].to_list()[:10])
