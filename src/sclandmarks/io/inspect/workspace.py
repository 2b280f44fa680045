"""A look at an R workspace as PanglaoDB publishes it, and at the files that belong to it."""

from __future__ import annotations

from pathlib import Path

from sclandmarks.io.inspect.look import Look, Problem, count_problems, matrix_of, repeated_barcodes
from sclandmarks.io.raw.names import seen_genes
from sclandmarks.io.raw.panglaodb import OBJECTS
from sclandmarks.io.raw.workspace import read_workspace

BESIDE = {
    "clusters": (".clusters.txt",),
    "annotations": (".annotations.csv", ".cell_type_annotations.txt", ".cell_types.csv"),
}
ENDING = ".sparse.RData"


def look_at_workspace(path: Path) -> Look:
    """Look at an R workspace; it can only be parsed whole.

    Raises
    ------
    DataError
        If it is broken, or has no such sparse matrix as PanglaoDB's.
    """
    workspace = read_workspace(path, OBJECTS)
    found = matrix_of("counts", workspace.X_CR.data)
    genes = seen_genes(workspace.rows)
    problems = [*count_problems([found]), *repeated_barcodes(workspace.columns)]
    files = belonging(path)
    if "clusters" not in files:
        problems.append(Problem("no file of clusters beside it, so no cell types",
                                "Name it: the role `clusters`, and `annotations` with it.", fatal=False))  # fmt: skip
    n_cells, n_genes = workspace.X_CR.shape
    return Look("R workspace of PanglaoDB", n_cells, n_genes, genes, [found], {"format": "panglaodb"},
                layout="genes x cells", files=files, problems=problems)  # fmt: skip


def belonging(path: Path) -> dict[str, Path]:
    """Role -> file of clusters and annotations beside the counts, by PanglaoDB's names; none without clusters."""
    prefix = path.name.removesuffix(ENDING) if path.name.endswith(ENDING) else path.stem
    there = {role: path.with_name(f"{prefix}{ending}") for role, endings in BESIDE.items() for ending in endings
             if path.with_name(f"{prefix}{ending}").is_file()}  # fmt: skip
    return there if "clusters" in there else {}
