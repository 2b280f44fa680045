"""Counts as PanglaoDB publishes them: an R workspace, beside it clusters of the cells and cell types of these."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from sclandmarks.errors import DataError
from sclandmarks.io.raw.assemble import to_matrix
from sclandmarks.io.raw.common import MISSING, CellLabels, Origin, naming
from sclandmarks.io.raw.labels import Own, cell_labels
from sclandmarks.io.raw.names import GeneNames, named_genes
from sclandmarks.io.raw.settings import ReaderSettings
from sclandmarks.io.raw.text import read_lines
from sclandmarks.io.raw.workspace import Workspace, read_workspace
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.schema import UNKNOWN

OBJECTS = ("sm", "sm2")
SAMPLE = re.compile(r"^([SED]RA\d+)(?:_([SED]RS\d+))?\.sparse")
NO_SAMPLE = "notused"
NULL = r"\N"
HEADER = ["cluster", "cell_type"]
REMEDY = "Give PanglaoDB's own file."
N_SHOWN = 3
logger = logging.getLogger(__name__)


class PanglaodbSettings(ReaderSettings):
    """What becomes of cells without a cluster, and which sample the table of cell types is asked for.

    Parameters
    ----------
    unclustered : {"keep", "drop"}
        Cells that PanglaoDB put in no cluster are kept, as Unknown, or left out.
    sra, srs : str, optional
        Accession numbers; without them they are taken from the name of the counts' file.
    """

    optional_roles: ClassVar[tuple[str, ...]] = ("annotations", "clusters", "labels")

    format: Literal["panglaodb"]
    unclustered: Literal["keep", "drop"] = "keep"
    sra: str | None = None
    srs: str | None = None


class _Labelled(NamedTuple):
    """Cluster of each cell, None where it has none, and cell type of each cluster."""

    clusters: list[str | None]
    types: dict[str, str]


def read_panglaodb(files: Mapping[str, Path], settings: PanglaodbSettings, origin: Origin) -> ExpressionMatrix:
    """Read a sample of PanglaoDB.

    Parameters
    ----------
    files : mapping of str to Path
        `counts`: {SRA}_{SRS}.sparse.RData, genes x cells. `clusters`, optional: a barcode and a cluster in each
        line. `annotations`, optional: CSV, either with the header `cluster,cell_type`, or as PanglaoDB has it, SRA,
        SRS, cluster and cell type without a header, where lines of other samples are passed over. A cluster that is
        not there is Unknown. `labels`, optional, see `labels.cell_labels`: where it has cell types, they are taken
        instead.
    settings : PanglaodbSettings
    origin : Origin

    Returns
    -------
    ExpressionMatrix
        int32 counts, n_cells x n_genes. Genes are known by Ensembl id, copies on the Y chromosome's
        pseudo-autosomal region apart.

    Raises
    ------
    DataError
        If a file is broken or does not fit the others, names repeat, or the values are not counts; a note names
        the file.
    """
    with naming(files["counts"], origin):
        if "clusters" not in files and ("annotations" in files or settings.unclustered == "drop"):
            wanted = "a file of clusters, which cell types and `unclustered: drop` need"
            raise DataError(wanted, "none", "Add the role `clusters` to `source`.")
        workspace = read_workspace(files["counts"], OBJECTS)
        names = split_genes(workspace.rows)
    labelled = _labelled(files, settings, origin, workspace.columns)
    kept = [i for i, cluster in enumerate(labelled.clusters) if cluster or settings.unclustered == "keep"]
    types = [labelled.types.get(cluster or "", UNKNOWN) for cluster in labelled.clusters]
    _say(workspace, labelled, len(kept), [types[i] for i in kept])
    with naming(files["counts"], origin):
        labels = cell_labels(files, settings, workspace.columns, origin, Own(known=CellLabels(cell_type=types)))
        X_CG = workspace.X_CR if len(kept) == len(workspace.columns) else workspace.X_CR[np.array(kept, dtype=np.int64)]
        barcodes = [workspace.columns[i] for i in kept]
        del workspace
        return to_matrix(X_CG, barcodes, _of_cells(labels, kept), names, settings, origin)


def split_genes(names: list[str]) -> GeneNames:
    """Symbols and ids of PanglaoDB's row names, `SYMBOL_ENSG00000000000.V`, with `_PAR_Y` behind some.

    A name of another form stands for itself, as a symbol.
    """
    genes = named_genes(names)
    odd = [name for name, gene in zip(names, genes.ensembl, strict=True) if gene is None]
    if odd:
        logger.info("%d of %d genes have no Ensembl id in their name: %s ...", len(odd), len(names), odd[:N_SHOWN])
    return genes


def _of_cells(labels: CellLabels, kept: list[int]) -> CellLabels:
    return CellLabels(*(None if column is None else [column[i] for i in kept] for column in labels))


def _labelled(files: Mapping[str, Path], settings: PanglaodbSettings, origin: Origin, barcodes: list[str]) -> _Labelled:
    if "clusters" not in files:
        return _Labelled([None] * len(barcodes), {})
    with naming(files["clusters"], origin):
        clusters = _clusters(files["clusters"], barcodes)
    if "annotations" not in files:
        return _Labelled(clusters, {})
    with naming(files["annotations"], origin):
        return _Labelled(clusters, _types(files["annotations"], _sample(settings, files["counts"])))


def _clusters(path: Path, barcodes: list[str]) -> list[str | None]:
    rows = [line.split() for line in read_lines(path)]
    if faulty := [i for i, row in enumerate(rows, 1) if len(row) != 2]:
        raise DataError("a barcode and a cluster in each line", f"another form in line {faulty[0]}", REMEDY)
    cluster_of = {barcode: cluster for barcode, cluster in rows}
    if len(cluster_of) < len(rows):
        raise DataError("each barcode once", f"{len(rows)} lines of {len(cluster_of)} barcodes", REMEDY)
    strange = cluster_of.keys() - set(barcodes)
    if len(strange) == len(cluster_of):
        first = rows[0][0] if rows else "an empty file"
        wanted = f"clusters of these cells, the first of them {barcodes[0] if barcodes else 'none'}"
        raise DataError(wanted, f"none of them, first {first}", "Take counts and clusters of the same sample.")
    if strange:
        logger.warning("%d of %d barcodes with a cluster are not among the counts", len(strange), len(cluster_of))
    return [cluster_of.get(barcode) for barcode in barcodes]


def _sample(settings: PanglaodbSettings, counts: Path) -> tuple[str | None, str | None]:
    match = SAMPLE.match(counts.name)
    sra, srs = match.groups() if match else (None, None)
    return settings.sra or sra, settings.srs or srs or (NO_SAMPLE if match else None)


def _types(path: Path, sample: tuple[str | None, str | None]) -> dict[str, str]:
    """Cell type of each cluster, without those that are not known."""
    rows = [row for row in csv.reader(read_lines(path)) if row]
    of_sample = rows[1:] if rows[:1] == [HEADER] else _of_sample(rows, sample)
    if faulty := [row for row in of_sample if len(row) < len(HEADER)]:
        raise DataError("a cluster and a cell type in each line", f"{faulty[0]}", REMEDY)
    types = dict(row[:2] for row in of_sample)
    if len(types) < len(of_sample):
        raise DataError("each cluster once", f"{len(of_sample)} lines of {len(types)} clusters", REMEDY)
    return {cluster: kind for cluster, kind in types.items() if kind not in MISSING | {NULL, UNKNOWN}}


def _of_sample(rows: list[list[str]], sample: tuple[str | None, str | None]) -> list[list[str]]:
    """Clusters and cell types of a sample in PanglaoDB's table of all."""
    if faulty := [i for i, row in enumerate(rows, 1) if len(row) < 4]:
        wanted = "SRA, SRS, cluster and cell type in each line, or a header cluster,cell_type"
        raise DataError(wanted, f"fewer fields in row {faulty[0]}", REMEDY)
    there = {(row[0], row[1]) for row in rows}
    chosen = [one for one in there if _agree(one, sample)]
    if len(chosen) != 1:
        shown = " ".join(min(there)) if there else "none"
        raise DataError(
            f"cell types of one sample, {' '.join(part or '(any)' for part in sample)}",
            f"{len(chosen)} such of {len(there)}, first {shown}",
            "Set `reader.sra` and `reader.srs` of the entry in datasets.yaml.",
        )
    return [row[2:4] for row in rows if (row[0], row[1]) == chosen[0]]


def _agree(sample: tuple[str, str], asked: tuple[str | None, str | None]) -> bool:
    return all(want in (None, part) for part, want in zip(sample, asked, strict=True))


def _say(workspace: Workspace, labelled: _Labelled, n_kept: int, types: list[str]) -> None:
    n_clustered = sum(cluster is not None for cluster in labelled.clusters)
    logger.info(
        "%d cells, %d in a cluster; %d kept, %d of them of a known type",
        len(workspace.columns), n_clustered, n_kept, sum(kind != UNKNOWN for kind in types),
    )  # fmt: skip
