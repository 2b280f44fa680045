"""A factor model of the genes, and what chosen genes tell of its factors.

Genes are x = L f + e, with K factors f of unit variance and noise e of variance psi_g, independent between genes. The
chosen ones leave the factors with the posterior covariance P = (I + sum_j l_j l_j' / psi_j)^-1, and choosing another
gene lowers the variance of all other genes' signals by

    gain_j = sum_{g != j} u_g (l_g' P l_j)^2 / (l_j' P l_j + psi_j)

which is the gain of `residual` with the covariance L L' + psi in the place of that of the cells. What is estimated of
the covariance are K G numbers in the place of G^2 / 2, so that less of it is chance, and what few genes share is lost.
So `Blended` weighs both gains: it chooses the gene of largest residual gain^(1 - a) x factor gain^a. With
M = sum_g u_g l_g l_g' over the targets all factor gains cost 4 K^2 G flops.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sclandmarks.learn.layers import cuda_devices
from sclandmarks.select.forward import Trial
from sclandmarks.select.residual import Deflation, Residual

N_STARTS, N_STEPS = 6, 20
LEAST = 1e-4  # of a gene's variance: noise of no gene is below


class FactorModel(NamedTuple):
    """Loadings L_GK, shape (n_genes, n_factors), and noise psi_G, shape (n_genes,), float64."""

    L_GK: Tensor
    psi_G: Tensor


def factor_model(deflation: Deflation, n_factors: int) -> FactorModel:
    """Maximum likelihood by expectation and maximisation, from products with the covariance alone.

    Each step costs one product of n_factors vectors with the covariance. The start are the principal axes of genes
    divided by nine tenths of their variance's root.

    References
    ----------
    Rubin and Thayer, Psychometrika 1982, doi:10.1007/BF02293851.
    """
    variance_G = deflation.variance_G
    varies_G = variance_G > 1e-12 * variance_G.max()
    variance_G = torch.where(varies_G, variance_G, 1.0)
    psi_G = 0.9 * variance_G
    L_GK = _start(deflation, psi_G, varies_G, min(n_factors, len(psi_G)))
    for _ in range(N_STEPS):
        L_GK, psi_G = _improved(deflation, FactorModel(L_GK, psi_G), variance_G, varies_G)
    return FactorModel(L_GK, psi_G)


def _start(deflation: Deflation, psi_G: Tensor, varies_G: Tensor, n_factors: int) -> Tensor:
    """Leading axes of the whitened covariance, by subspace iteration, less the noise's share of one."""
    white_G = torch.where(varies_G, psi_G.rsqrt(), 0.0)
    with torch.random.fork_rng(devices=cuda_devices(psi_G.device)):
        torch.manual_seed(0)
        Q_GK = torch.randn(len(psi_G), n_factors, dtype=torch.float64).to(psi_G)
    for _ in range(N_STARTS):
        product_GK = (deflation.apply((Q_GK * white_G.unsqueeze(1)).T) * white_G).T
        Q_GK, length_KK = torch.linalg.qr(product_GK)
    size_K = length_KK.diagonal().abs()
    back_G = torch.where(varies_G, psi_G.sqrt(), 0.0)
    L_GK: Tensor = Q_GK * (size_K - 1).clamp(min=1e-3).sqrt() * back_G.unsqueeze(1)
    return L_GK


def _improved(deflation: Deflation, model: FactorModel, variance_G: Tensor, varies_G: Tensor) -> FactorModel:
    L_GK, psi_G = model
    scaled_GK = L_GK / psi_G.unsqueeze(1)
    unit_KK = torch.eye(L_GK.shape[1]).to(L_GK)
    P_KK = torch.linalg.inv(unit_KK + L_GK.T @ scaled_GK)
    reader_KG = P_KK @ scaled_GK.T
    shared_KG = deflation.apply(reader_KG)
    second_KK = shared_KG @ reader_KG.T + P_KK
    L_GK = torch.linalg.solve(second_KK, shared_KG).T * varies_G.unsqueeze(1)
    psi_G = torch.maximum(variance_G - (L_GK * shared_KG.T).sum(1), LEAST * variance_G)
    return FactorModel(L_GK, psi_G)


class Factored:
    """State of a selection under a factor model, see the module.

    Parameters
    ----------
    model : FactorModel
    weight_G : torch.Tensor, shape (n_genes,)
        Target weights.
    """

    def __init__(self, model: FactorModel, weight_G: Tensor) -> None:
        self.model, self.weight_G = model, weight_G
        self._all_KK = (model.L_GK * weight_G.unsqueeze(1)).T @ model.L_GK
        self.reset()

    def reset(self) -> None:
        """Go back to no gene chosen."""
        self.P_KK = torch.eye(self.model.L_GK.shape[1]).to(self._all_KK)
        self.M_KK = self._all_KK.clone()
        self.u_G = self.weight_G.clone()

    def gains(self) -> Tensor:
        """What choosing each gene would take from the variance of the others' signals, shape (n_genes,)."""
        L_GK, psi_G = self.model
        reach_GK = L_GK @ self.P_KK
        own_G = (reach_GK * L_GK).sum(1)
        size_G = ((reach_GK @ self.M_KK) * reach_GK).sum(1)
        return ((size_G - self.u_G * own_G.square()) / (own_G + psi_G)).clamp(min=0)

    def add(self, gene: int) -> None:
        """Choose a gene: it tells of the factors, and is no target any more."""
        self._move(gene, -1.0)

    def drop(self, gene: int) -> None:
        """Give a chosen gene back to the targets."""
        self._move(gene, 1.0)

    def _move(self, gene: int, sign: float) -> None:
        l_K = self.model.L_GK[gene]
        reach_K = self.P_KK @ l_K
        root = self.model.psi_G[gene] - sign * (reach_K @ l_K)
        self.P_KK = self.P_KK + sign * torch.outer(reach_K, reach_K) / root
        self.M_KK = self.M_KK + sign * self.weight_G[gene] * torch.outer(l_K, l_K)
        self.u_G[gene] = 0.0 if sign < 0 else self.weight_G[gene]


class Blended(Residual):
    """State of a selection by both gains, see the module.

    What exchanges are worth, and what is reported, are the gains of `Residual` alone.

    Parameters
    ----------
    deflation : Deflation
        Of the covariance, no change made yet.
    ridge : float
    n_factors : int
    share : float
        a, from 0 (the residual alone) to 1 (the factors alone).
    """

    def __init__(self, deflation: Deflation, ridge: float, n_factors: int, share: float) -> None:
        super().__init__(deflation, ridge)
        self.factored, self.share = Factored(factor_model(deflation, n_factors), self.weight_G), share

    def merits(self) -> Tensor:
        """Weighted geometric mean of both gains, shape (n_genes,)."""
        return self.gains().pow(1 - self.share) * self.factored.gains().pow(self.share)

    def reset(self) -> None:
        """Go back to no gene chosen."""
        super().reset()
        self.factored.reset()

    def keep_gene(self, trial: Trial) -> None:
        """Choose the gene of a trial again."""
        super().keep_gene(trial)
        self.factored.add(trial.gene)

    def _move(self, gene: int, sign: float) -> Tensor:
        (self.factored.add if sign < 0 else self.factored.drop)(gene)
        return super()._move(gene, sign)
