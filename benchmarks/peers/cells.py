"""What every peer is given: the training cells, as files that need no sclandmarks to read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

UNKNOWN = "Unknown"
LEAST = 10  # training cells of a type; smaller types are left out of what needs labels


@dataclass(frozen=True)
class Cells:
    """Training cells.

    Parameters
    ----------
    log_CG : scipy.sparse.csr_matrix of float32, shape (n_cells, n_genes)
        Natural log(x + 1) of counts scaled to 10,000 a cell, as scanpy's tools expect it.
    counts_CG : scipy.sparse.csr_matrix of int32, shape (n_cells, n_genes)
    genes : numpy.ndarray of str, shape (n_genes,)
    labels : numpy.ndarray of str, shape (n_cells,)
        Cell types; `Unknown` where there is none.
    """

    log_CG: sparse.csr_matrix
    counts_CG: sparse.csr_matrix
    genes: NDArray[np.str_]
    labels: NDArray[np.str_]

    def dense(self) -> NDArray[np.float32]:
        """The log values, dense, shape (n_cells, n_genes)."""
        return np.asarray(self.log_CG.toarray(), dtype=np.float32)


def save_cells(folder: Path, cells: Cells) -> None:
    """Write the files of `load_cells`."""
    folder.mkdir(parents=True, exist_ok=True)
    sparse.save_npz(folder / "log.npz", cells.log_CG)
    sparse.save_npz(folder / "counts.npz", cells.counts_CG)
    for name in ("genes", "labels"):
        (folder / f"{name}.txt").write_text("\n".join(getattr(cells, name)) + "\n")


def load_cells(folder: Path) -> Cells:
    """Read what `save_cells` wrote."""
    matrices = (sparse.csr_matrix(sparse.load_npz(folder / f"{name}.npz")) for name in ("log", "counts"))
    texts = (np.array((folder / f"{name}.txt").read_text().splitlines()) for name in ("genes", "labels"))
    return Cells(*matrices, *texts)


def labelled(cells: Cells) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Rows and labels of the cells for a peer that needs labels.

    Known types with at least `LEAST` cells; Leiden clusters by scanpy's defaults where no two such types are known.
    """
    labels = cells.labels
    names, sizes = np.unique(labels, return_counts=True)
    kept = [name for name, size in zip(names, sizes, strict=True) if size >= LEAST and name != UNKNOWN]
    if len(kept) < 2:
        labels = clusters(cells)
        names, sizes = np.unique(labels, return_counts=True)
        kept = [name for name, size in zip(names, sizes, strict=True) if size >= LEAST]
    rows = np.flatnonzero(np.isin(labels, kept))
    return rows, labels[rows]


def clusters(cells: Cells) -> NDArray[np.str_]:
    """Leiden clusters, shape (n_cells,): what a user without labels would take."""
    import scanpy

    data = annotated(cells)
    scanpy.pp.highly_variable_genes(data, n_top_genes=min(2000, data.n_vars))
    scanpy.pp.pca(data, random_state=0)
    scanpy.pp.neighbors(data, random_state=0)
    scanpy.tl.leiden(data, random_state=0, flavor="igraph", n_iterations=2, directed=False)
    return np.asarray(data.obs["leiden"].astype(str))


def annotated(cells: Cells, rows: NDArray[np.int64] | None = None, labels: NDArray[np.str_] | None = None) -> Any:
    """AnnData of the cells: X the log values, layer `counts`, `cell_type` of obs the labels."""
    import anndata
    import pandas

    some = np.arange(cells.log_CG.shape[0]) if rows is None else rows
    obs = pandas.DataFrame({"cell_type": pandas.Categorical(cells.labels[some] if labels is None else labels)})
    obs.index = pandas.Index([f"c{i}" for i in some])
    var = pandas.DataFrame(index=pandas.Index([f"g{i}" for i in range(len(cells.genes))]))
    layers = {"counts": cells.counts_CG[some].astype(np.float32)}
    return anndata.AnnData(cells.log_CG[some].copy(), obs, var, uns={"log1p": {"base": None}}, layers=layers)


def columns(names: Any) -> list[int]:
    """Columns of genes named as `annotated` names them."""
    return [int(name[1:]) for name in names]


def axes(X_CG: NDArray[np.float32], n: int = 50) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Centred values, and their scores on the n leading principal axes: what an unsupervised peer is to predict.

    The scores keep the variance of their axes, so that predicting them is predicting all genes on those axes.
    """
    centred_CG = X_CG - X_CG.mean(axis=0)
    U_CN, s_N, _ = np.linalg.svd(centred_CG, full_matrices=False)
    return centred_CG, np.asarray(U_CN[:, :n] * s_N[:n], dtype=np.float32)
