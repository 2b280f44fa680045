"""What a set of chosen genes leaves unexplained of all others, kept up to date without a residual matrix.

With S the covariance of the genes (n_genes x n_genes) and A the chosen ones, ridge regression on A leaves

    R(A) = S - S_:A (S_AA + lambda I)^-1 S_A:

Choosing j takes a rank-one term from it, dropping i gives one back:

    R(A + j) = R - r r',  r = R_:j / sqrt(lambda + R_jj)
    R(A - i) = R + r r',  r = R_:i / sqrt(lambda - R_ii)

so R = S - sum_k s_k f_k f_k' of the vectors used (signs s_k). A gene is chosen by what it adds to the explained
variance of the targets (weights u_g, zero for the chosen), its own variance left out:

    gain_j = (sum_g u_g R_gj^2 - u_j R_jj^2) / (R_jj + lambda)

Only n_j = sum_g u_g R_gj^2 and the diagonal of R are kept. After a change of sign s (-1 chosen, +1 dropped)

    n_j  <-  n_j + 2 s r_j q_j + r_j^2 sum_g u_g r_g^2 + s w_k (r_j lambda)^2 / (lambda - s R_kk),  q = R (u o r)
    R_jj <-  R_jj + s r_j^2

where the last term of n takes the changed gene k, of weight w_k, out of the targets or puts it back. So a change
needs r and q alone. From S (`GramDeflation`) they cost 2 G^2 + 6 k G flops and 8 G^2 + 24 k G bytes read, k vectors
in use. From the centred cells X (`CellDeflation`), S = X'X and R = X' M X with M = I - sum_k s_k z_k z_k': r = X' z
with z = M x_j / sqrt(.), and X (u o r) = (X u X') z = K z, so that q = X' M K z waits for nothing that r gives: both
come from one pass over X, 4 C G + 2 C^2 + 12 k C flops and 8 (C G + C^2 + 5 k C) bytes read. Memory is 8 C G or
8 G^2 bytes for the data and 8 k C (twice) or 8 k G for the vectors.

References
----------
Farahat, Ghodsi and Kamel, ICDM 2011, doi:10.1109/ICDM.2011.22 (greedy column subset selection by such updates).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import torch
from scipy import sparse
from torch import Tensor

from sclandmarks.matrix import to_torch
from sclandmarks.select.forward import Trial

BLOCK = 1024
ROUNDING = 1e-24  # of a gene's squared mean: a variance below is rounding


class Pull(NamedTuple):
    """Vectors of one change: r = R_:j / root, and q = R (u o r), shape (n_genes,) each."""

    r_G: Tensor
    q_G: Tensor


class Deflation(Protocol):
    """Products with the residual matrix of some changes made to a covariance."""

    variance_G: Tensor
    u_G: Tensor

    def sizes(self) -> Tensor:
        """sum_g u_g S_gj^2 of every gene j, before any change."""

    def apply(self, V_TG: Tensor) -> Tensor:
        """V S, before any change."""

    def pull(self, gene: int, root: float) -> Pull:
        """Return R_:gene / root, and R (u o that)."""

    def push(self, sign: float) -> None:
        """Change the residual by the vector pulled last."""

    def pop(self) -> None:
        """Take the last change back."""

    def weigh(self, gene: int, weight: float) -> None:
        """Set the target weight of a gene."""

    def reset(self) -> None:
        """Forget all changes and weights set."""


class Rows:
    """Rows of one length, appended without copying those before each time."""

    def __init__(self, length: int, like: Tensor) -> None:
        self._rows = like.new_empty((64, length))
        self.n = 0

    def append(self, row: Tensor) -> None:
        """Put a row behind the others."""
        if self.n == len(self._rows):
            self._rows = torch.cat([self._rows, torch.empty_like(self._rows)])
        self._rows[self.n] = row
        self.n += 1

    @property
    def values(self) -> Tensor:
        """All rows, shape (n, length)."""
        return self._rows[: self.n]


class GramDeflation:
    """Deflation of a covariance that is held: for as many cells as genes, or more.

    Parameters
    ----------
    S_GG : torch.Tensor, shape (n_genes, n_genes), float64
    weight_G : torch.Tensor, shape (n_genes,)
        Target weights.
    """

    def __init__(self, S_GG: Tensor, weight_G: Tensor) -> None:
        self.S_GG, self.u_G, self._weight_G = S_GG, weight_G.clone(), weight_G.clone()
        self.variance_G = S_GG.diagonal().clone()
        self._F, self._signs = Rows(len(S_GG), S_GG), Rows(1, S_GG)
        self._last = S_GG[0]

    def sizes(self) -> Tensor:
        """See `Deflation`; in blocks of rows."""
        return torch.cat([self.S_GG[genes].square() @ self.u_G for genes in _blocks(len(self.S_GG))])

    def apply(self, V_TG: Tensor) -> Tensor:
        """See `Deflation`."""
        return V_TG @ self.S_GG

    def pull(self, gene: int, root: float) -> Pull:
        """See `Deflation`."""
        F_KG, signs_K = self._F.values, self._signs.values.squeeze(1)
        r_G = (self.S_GG[gene] + (signs_K * F_KG[:, gene]) @ F_KG) / root
        t_G = self.u_G * r_G
        self._last = r_G
        return Pull(r_G, self.S_GG @ t_G + (signs_K * (F_KG @ t_G)) @ F_KG)

    def push(self, sign: float) -> None:
        """See `Deflation`."""
        self._F.append(self._last)
        self._signs.append(self._last.new_tensor([sign]))

    def pop(self) -> None:
        """See `Deflation`."""
        self._F.n -= 1
        self._signs.n -= 1

    def weigh(self, gene: int, weight: float) -> None:
        """See `Deflation`."""
        self.u_G[gene] = weight

    def reset(self) -> None:
        """See `Deflation`."""
        self._F.n = self._signs.n = 0
        self.u_G.copy_(self._weight_G)


class CellDeflation:
    """Deflation of X'X that never forms it: for fewer cells than genes.

    Parameters
    ----------
    X_CG : torch.Tensor, shape (n_cells, n_genes), float64
        Centred cells, scaled so that X'X is the covariance.
    weight_G : torch.Tensor, shape (n_genes,)
        Target weights.
    """

    def __init__(self, X_CG: Tensor, weight_G: Tensor) -> None:
        self.X_CG, self.u_G, self._weight_G = X_CG, weight_G.clone(), weight_G.clone()
        self.variance_G = _column_squares(X_CG)
        n_cells = len(X_CG)
        self.K_CC = X_CG.new_zeros((n_cells, n_cells))
        for genes in _blocks(X_CG.shape[1]):
            self.K_CC += (X_CG[:, genes] * weight_G[genes]) @ X_CG[:, genes].T
        self._Z, self._signs = Rows(n_cells, X_CG), Rows(1, X_CG)
        self._moved, self._deltas, self._place = Rows(n_cells, X_CG), Rows(1, X_CG), dict[int, int]()
        self._last = X_CG[:, 0]

    def sizes(self) -> Tensor:
        """See `Deflation`; x_j' K x_j in blocks of genes."""
        blocks = (self.X_CG[:, genes] for genes in _blocks(self.X_CG.shape[1]))
        return torch.cat([(X_CB * (self.K_CC @ X_CB)).sum(0) for X_CB in blocks])

    def apply(self, V_TG: Tensor) -> Tensor:
        """See `Deflation`."""
        return (V_TG @ self.X_CG.T) @ self.X_CG

    def pull(self, gene: int, root: float) -> Pull:
        """See `Deflation`; one pass over the cells gives both."""
        z_C = self._residual(self.X_CG[:, gene]) / root
        moved_MC, deltas_M = self._moved.values, self._deltas.values.squeeze(1)
        y_C = self._residual(self.K_CC @ z_C + (deltas_M * (moved_MC @ z_C)) @ moved_MC)
        self._last = z_C
        return Pull(*(torch.stack([z_C, y_C]) @ self.X_CG))

    def _residual(self, v_C: Tensor) -> Tensor:
        Z_KC = self._Z.values
        return v_C + (self._signs.values.squeeze(1) * (Z_KC @ v_C)) @ Z_KC

    def push(self, sign: float) -> None:
        """See `Deflation`."""
        self._Z.append(self._last)
        self._signs.append(self._last.new_tensor([sign]))

    def pop(self) -> None:
        """See `Deflation`."""
        self._Z.n -= 1
        self._signs.n -= 1

    def weigh(self, gene: int, weight: float) -> None:
        """See `Deflation`; kept as a rank-one change of K."""
        if gene not in self._place:
            self._place[gene] = self._moved.n
            self._moved.append(self.X_CG[:, gene])
            self._deltas.append(self.u_G.new_zeros(1))
        self.u_G[gene] = weight
        self._deltas.values[self._place[gene]] = weight - self._weight_G[gene]

    def reset(self) -> None:
        """See `Deflation`."""
        self._Z.n = self._signs.n = self._moved.n = self._deltas.n = 0
        self._place.clear()
        self.u_G.copy_(self._weight_G)


def _blocks(n_genes: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, n_genes, BLOCK))


def _column_squares(X_CG: Tensor) -> Tensor:
    return torch.cat([X_CG[:, genes].square().sum(0) for genes in _blocks(X_CG.shape[1])])


def centred(
    blocks: Iterable[sparse.csr_matrix],
    n_cells: int,
    n_genes: int,
    device: torch.device,
    weight_C: Tensor | None = None,
) -> Tensor:
    """All cells, centred by gene and divided by sqrt(n_cells), shape (n_cells, n_genes), float64.

    With weights of the cells (mean 1) the mean is weighted, and every cell is multiplied by the root of its weight.
    Genes that are constant up to rounding become 0.
    """
    X_CG = torch.empty((n_cells, n_genes), dtype=torch.float64, device=device)
    start = 0
    for block in blocks:
        X_CG[start : start + block.shape[0]] = to_torch(block, device)
        start += block.shape[0]
    if weight_C is None:
        mean_G = X_CG.mean(0)
        X_CG.sub_(mean_G).div_(math.sqrt(n_cells))
    else:
        weight_C = weight_C.to(X_CG)
        mean_G = weight_C @ X_CG / n_cells
        X_CG.sub_(mean_G).mul_((weight_C / n_cells).sqrt().unsqueeze(1))
    X_CG[:, _column_squares(X_CG) <= ROUNDING * mean_G.square()] = 0
    return X_CG


class Residual:
    """State of a selection: which genes are chosen, what every other one would gain, what is explained.

    Parameters
    ----------
    deflation : Deflation
        Of the covariance, no change made yet.
    ridge : float
        lambda, in the unit of the variances; above 0.
    """

    def __init__(self, deflation: Deflation, ridge: float) -> None:
        self.deflation, self.ridge = deflation, ridge
        self.weight_G = deflation.u_G.clone()
        self.left_G = deflation.variance_G.clone()
        self.size_G = self._sizes_G = deflation.sizes()
        self.total = max(float(self.weight_G @ deflation.variance_G), 1e-30)
        self.chosen_G = torch.zeros_like(self.weight_G, dtype=torch.bool)

    def gains(self) -> Tensor:
        """What choosing each gene would add to the explained variance of the others, shape (n_genes,).

        For a chosen gene the figure means nothing.
        """
        own_G = self.deflation.u_G * self.left_G.square()
        return ((self.size_G - own_G) / (self.left_G + self.ridge)).clamp(min=0)

    def merits(self) -> Tensor:
        """By what the next gene is chosen: the gains."""
        return self.gains()

    def explained(self) -> float:
        """Explained variance of the targets (the genes not chosen), weighted."""
        return float(self.deflation.u_G @ (self.deflation.variance_G - self.left_G))

    def explained_fraction(self) -> float:
        """Explained part of the variance of the targets."""
        return self.explained() / max(float(self.deflation.u_G @ self.deflation.variance_G), 1e-30)

    def reset(self) -> None:
        """Go back to no gene chosen."""
        self.deflation.reset()
        self.left_G, self.size_G = self.deflation.variance_G.clone(), self._sizes_G
        self.chosen_G.zero_()

    def add(self, gene: int) -> None:
        """Choose a gene: it explains, and is no target any more."""
        self._move(gene, -1.0)

    def drop(self, gene: int) -> None:
        """Give a chosen gene back to the targets."""
        self._move(gene, 1.0)

    def try_without(self, gene: int) -> Trial:
        """Drop a gene and say what every other one would be worth in its place; `keep_gene` takes it back.

        The worth of j in the place of i is the difference of what the two panels explain of their common targets:
        the genes in neither.
        """
        before = self.size_G, self.left_G
        column_G = self._move(gene, 1.0)
        between_G = column_G.square()  # what i and j share, a target of one panel alone
        gain_G, left_G = self.gains(), self.left_G + self.ridge
        theirs_G = gain_G - self.weight_G[gene] * between_G / left_G
        ours_G = gain_G[gene] - self.deflation.u_G * between_G / left_G[gene]
        return Trial(gene, theirs_G - ours_G, before)

    def keep_gene(self, trial: Trial) -> None:
        """Choose the gene of a trial again, as if it had not been dropped."""
        self.size_G, self.left_G = trial.before
        self.deflation.pop()
        self.deflation.weigh(trial.gene, 0.0)
        self.chosen_G[trial.gene] = True

    def _move(self, gene: int, sign: float) -> Tensor:
        """Change the state; returns the gene's column of the residual after the change."""
        root = math.sqrt(self.ridge - sign * float(self.left_G[gene]))
        r_G, q_G = self.deflation.pull(gene, root)
        spread = float(self.deflation.u_G @ r_G.square())
        self.deflation.push(sign)
        weight, after = float(self.weight_G[gene]), self.ridge / root
        self.size_G = self.size_G + 2 * sign * r_G * q_G + r_G.square() * (spread + sign * weight * after**2)
        self.left_G = (self.left_G + sign * r_G.square()).clamp(min=0)
        self.deflation.weigh(gene, 0.0 if sign < 0 else weight)
        self.chosen_G[gene] = sign < 0
        return after * r_G
