"""What chosen genes explain of a few fixed targets, combinations of all genes.

With R(A) as in `residual` and targets y_t = v_t' x, weighted in v_t, choosing j adds

    gain_j = sum_t B_tj^2 / (R_jj + lambda),  B = V' R

to the explained variance: a set function, chosen genes are part of the targets as any other. A change of sign s costs
one column r of R and B <- B + s b r' with b = B_:k / root: 2 T G flops for T targets.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sclandmarks.select.forward import Trial
from sclandmarks.select.residual import Deflation


class Projected:
    """State of a selection for fixed targets, see the module.

    Parameters
    ----------
    deflation : Deflation
        Of the covariance, no change made yet.
    targets_TG : torch.Tensor, shape (n_targets, n_genes)
        Targets as combinations of genes, scaled by the root of what they count.
    ridge : float
    """

    def __init__(self, deflation: Deflation, targets_TG: Tensor, ridge: float) -> None:
        self.deflation, self.ridge = deflation, ridge
        self.left_G = deflation.variance_G.clone()
        self.B_TG = self._start_TG = deflation.apply(targets_TG)
        self.total = max(float((self.B_TG * targets_TG).sum()), 1e-30)
        self.explained = 0.0
        self.chosen_G = torch.zeros(len(self.left_G), dtype=torch.bool, device=self.left_G.device)

    def gains(self) -> Tensor:
        """What choosing each gene would add to the explained variance, shape (n_genes,)."""
        return self.B_TG.square().sum(0) / (self.left_G + self.ridge)

    def merits(self) -> Tensor:
        """By what the next gene is chosen: the gains."""
        return self.gains()

    def explained_fraction(self) -> float:
        """Explained part of the reproducible variance."""
        return self.explained / self.total

    def add(self, gene: int) -> None:
        """Choose a gene."""
        self._move(gene, -1.0)

    def try_without(self, gene: int) -> Trial:
        """Take a gene out; the worth of another in its place is the difference of their gains."""
        before = self.B_TG, self.left_G, torch.tensor(self.explained, dtype=torch.float64)
        self._move(gene, 1.0)
        gain_G = self.gains()
        return Trial(gene, gain_G - gain_G[gene], before)

    def keep_gene(self, trial: Trial) -> None:
        """Take a trial back."""
        self.B_TG, self.left_G, explained = trial.before
        self.explained = float(explained)
        self.deflation.pop()
        self.chosen_G[trial.gene] = True

    def reset(self) -> None:
        """Go back to no gene chosen."""
        self.deflation.reset()
        self.B_TG, self.left_G, self.explained = self._start_TG, self.deflation.variance_G.clone(), 0.0
        self.chosen_G.zero_()

    def _move(self, gene: int, sign: float) -> None:
        root = math.sqrt(self.ridge - sign * float(self.left_G[gene]))
        r_G = self.deflation.pull(gene, root).r_G
        self.deflation.push(sign)
        b_T = self.B_TG[:, gene] / root
        self.explained -= sign * float(b_T.square().sum())
        self.B_TG = self.B_TG + sign * torch.outer(b_T, r_G)
        self.left_G = (self.left_G + sign * r_G.square()).clamp(min=0)
        self.chosen_G[gene] = sign < 0
