"""What a path in lambda leaves behind: which genes were in where, and the panel at its end."""

from __future__ import annotations

import math

import polars as pl
import torch
from torch import Tensor

from sclandmarks import schema
from sclandmarks.select.base import SelectionTask, rank_genes
from sclandmarks.select.gene_groups import GeneGroups


class PathRecord:
    """Genes that are in at each place of a path, with their norms.

    Parameters
    ----------
    n_genes : int
    """

    def __init__(self, n_genes: int) -> None:
        self.entered_G = torch.full((n_genes,), math.nan)
        self.places: list[tuple[int, float, Tensor, Tensor]] = []

    def note(self, step: int, ratio: float, size_G: Tensor) -> None:
        """Take down the place `step`, at `ratio` times lambda_max, with the norm of every gene."""
        size_G = size_G.detach().cpu()
        active = torch.nonzero(size_G > 0).squeeze(1)
        first = active[torch.isnan(self.entered_G[active])]
        self.entered_G[first] = ratio
        self.places.append((step, ratio, active, size_G[active].clone()))

    def table(self, genes: pl.DataFrame) -> pl.DataFrame:
        """All places as `schema.PANEL_PATH`, larger norms first."""
        frames = []
        for step, ratio, active, size_A in self.places:
            order = torch.argsort(size_A, descending=True, stable=True)
            frame = genes[active[order].tolist()].select("gene_id", "symbol")
            norm = pl.Series("norm", size_A[order].double().numpy())
            frames.append(frame.with_columns(norm, step=pl.lit(step), lambda_ratio=pl.lit(ratio)))
        return schema.ordered(pl.concat(frames), schema.PANEL_PATH) if frames else schema.PANEL_PATH.empty()

    def rank(
        self, task: SelectionTask, size_G: Tensor, nearness_G: Tensor, groups: GeneGroups | None = None
    ) -> pl.DataFrame:
        """Active genes by norm; should the path end early, the others follow by how near they are to entering.

        Parameters
        ----------
        task : SelectionTask
        size_G : torch.Tensor, shape (n_genes,)
            Norms at the end.
        nearness_G : torch.Tensor, shape (n_genes,)
            Norms of the gradients at the end.
        groups : GeneGroups, optional
            Each is taken whole or left out; both norms are then of its rows.
        """
        size_G, nearness_G = size_G.detach().cpu(), nearness_G.detach().cpu()
        key_G = torch.where(size_G > 0, size_G + nearness_G.max(), nearness_G)
        if groups is None:
            order = torch.argsort(key_G, descending=True, stable=True)[: task.n_landmarks].tolist()
        else:
            order, size_G = groups.whole(key_G, task.n_landmarks), groups.per_gene(size_G, task.genes.height)
        scores = [float(size_G[gene]) for gene in order]
        return rank_genes(task.genes, order, scores, [_reason(float(self.entered_G[gene])) for gene in order])


def _reason(entered: float) -> str:
    if math.isnan(entered):
        return "not on the path yet, nearest to entering"
    return f"entered the path at lambda = {entered:.3g} lambda_max"


def nearness(near_R: Tensor, scale_R: Tensor, first_R: Tensor) -> Tensor:
    """How near rows are to entering an adaptive second pass; behind all others those that the first left out.

    Parameters
    ----------
    near_R, first_R : torch.Tensor, shape (n_rows,)
        Norms of the gradients at the end of the second pass and of the first.
    scale_R : torch.Tensor, shape (n_rows,)
        Of the second pass, 0 for what the first left out.
    """
    return torch.where(scale_R > 0, near_R, first_R - first_R.max())


def adaptive_scale(size_G: Tensor) -> Tensor:
    """Scale of every gene in an adaptive second pass: its norm in the first, mean 1 over those in; 0 for the others.

    Genes scaled by s are penalised by 1 / s, the weights of the adaptive lasso.

    References
    ----------
    Zou, JASA 2006, doi:10.1198/016214506000000735; Wang and Leng, Comput. Stat. Data Anal. 2008,
    doi:10.1016/j.csda.2008.05.006 (groups).
    """
    inside_G = size_G > 0
    return size_G / size_G[inside_G].mean().clamp(min=1e-30) if bool(inside_G.any()) else torch.ones_like(size_G)
