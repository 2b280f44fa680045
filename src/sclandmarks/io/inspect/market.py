"""A look at 10x's three files: matrix.mtx, barcodes and features."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sclandmarks.errors import DataError
from sclandmarks.io.inspect.features import kept_features
from sclandmarks.io.inspect.look import Look, Problem, count_problems, matrix_of, repeated_barcodes
from sclandmarks.io.inspect.packed import Packed, cut_problems
from sclandmarks.io.raw.features import Features
from sclandmarks.io.raw.market import Size, read_size
from sclandmarks.io.raw.tenx_mtx import beside, read_features
from sclandmarks.io.raw.text import GZIP, NEWLINE, ZSTD, read_lines

BUDGET = 1 << 25
PLACE = "Put it beside the matrix, or name it: the roles `barcodes` and `features`."


def look_at_market(path: Path, given: dict[str, Path]) -> Look:
    """Look at a 10x folder, or its matrix, and at the files beside it.

    Parameters
    ----------
    path : Path
    given : dict of str to Path
        Role (`barcodes`, `features`) -> file, where it does not lie beside the matrix.

    Raises
    ------
    DataError
        If the header is no such matrix's, or a file beside it is broken.
    """
    files = beside({"counts": path} | given)
    size, values, problems = _matrix(files["counts"])
    found = matrix_of("counts", values)
    barcodes = [line.partition("\t")[0] for line in read_lines(files["barcodes"])] if "barcodes" in files else []
    features = read_features(files["features"]) if "features" in files else Features([], [])
    kept = kept_features(features)
    problems += [Problem(f"no file of {role}", PLACE) for role in ("barcodes", "features") if role not in files]
    problems += [*kept.problems, *count_problems([found]), *repeated_barcodes(barcodes)]
    if barcodes and features.ids:
        problems += _shape_problems((size.n_rows, size.n_columns), (len(features.ids), len(barcodes)))
    n_genes = kept.genes.height if features.ids else size.n_rows
    version = " of CellRanger 3 or later" if features.kinds else " of CellRanger 1 or 2" if features.ids else ""
    return Look(f"10x MatrixMarket{version}", size.n_columns, n_genes, kept.genes, [found], {"format": "tenx_mtx"},
                layout="features x barcodes", problems=problems)  # fmt: skip


def _matrix(path: Path) -> tuple[Size, NDArray[np.float64], list[Problem]]:
    """Header, values at the beginning, and what is wrong; small files are read to their end."""
    with path.open("rb") as file:
        magic = file.read(4)
    packing = "gzip" if magic[:2] == GZIP else "zstd" if magic == ZSTD else ""
    with Packed(path, packing, BUDGET) as packed:
        size = read_size(packed.file)
        n_entries = 0
        parts: list[NDArray[np.float64]] = []
        for block in packed.blocks():
            n_entries += block.count(NEWLINE) + (not block.endswith(NEWLINE))
            parts.append(_values(block) if not parts else np.empty(0))
        problems = cut_problems(packed)
        if packed.exact and not packed.fault and n_entries != size.n_entries:
            what = f"{n_entries:,} entries where the header says {size.n_entries:,}"
            problems.append(Problem(f"the file is cut or damaged: {what}", "Get the file again."))
    return size, np.concatenate(parts) if parts else np.empty(0), problems


def _values(block: bytes) -> NDArray[np.float64]:
    """Third numbers of the lines of a block."""
    words = block.split()
    try:
        frame = pl.read_csv(io.BytesIO(b"\n".join(words[2::3])), has_header=False, schema={"value": pl.Float64()})
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError("a row, a column and a value in each line", reason, "Get the file again.") from error
    return frame["value"].drop_nulls().to_numpy()


def _shape_problems(shape: tuple[int, int], named: tuple[int, int]) -> list[Problem]:
    if shape == named:
        return []
    what = "a matrix of {:,} x {:,} for {:,} features and {:,} barcodes".format(*shape, *named)
    turned = "Write the matrix turned over: features x barcodes."
    return [Problem(what, turned if shape == named[::-1] else "Take the three files from the same folder.")]
