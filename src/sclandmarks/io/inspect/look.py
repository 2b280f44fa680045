"""What a look at a file finds, the same for every format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sclandmarks.io.raw.anndata_group import FRACTIONS, fault
from sclandmarks.io.raw.common import RECOVER


class Matrix(NamedTuple):
    """A matrix in the file.

    Parameters
    ----------
    name : str
    fault : str or None
        Why its values are no counts; None if those looked at are.
    largest : float
        Of the values looked at; NaN where there are none.
    """

    name: str
    fault: str | None
    largest: float


class Column(NamedTuple):
    """A column that says something of every cell.

    Parameters
    ----------
    name : str
    n_levels : int
        Distinct values.
    examples : tuple of str
        The first few of them.
    role : str or None
        `cell_type`, `donor`, `sample`, `tissue` or `condition`, if it is taken for that.
    """

    name: str
    n_levels: int
    examples: tuple[str, ...]
    role: str | None = None


class Problem(NamedTuple):
    """What stands in the way, or is worth knowing.

    Parameters
    ----------
    what, remedy : str
    fatal : bool
        Whether the file cannot be read as it is.
    """

    what: str
    remedy: str
    fatal: bool = True


@dataclass(frozen=True)
class Look:
    """What the look of one format found.

    Parameters
    ----------
    about : str
        The format, for people.
    n_cells, n_genes : int
    genes : polars.DataFrame
        As `raw.names.seen_genes` makes it, of the genes seen.
    matrices : sequence of Matrix
    reader : mapping
        Settings of the reader that takes the file.
    exact : bool
        Whether the whole file was seen; else the number of rows is estimated.
    layout : str
        How cells and genes lie, for people.
    columns : sequence of Column
    files : mapping of str to Path
        Role -> file found beside the counts.
    problems : sequence of Problem
    """

    about: str
    n_cells: int
    n_genes: int
    genes: pl.DataFrame
    matrices: Sequence[Matrix]
    reader: Mapping[str, Any]
    exact: bool = True
    layout: str = "cells x genes"
    columns: Sequence[Column] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    problems: Sequence[Problem] = ()


def matrix_of(name: str, values: NDArray[Any]) -> Matrix:
    """Judge a matrix by some of its values."""
    if values.dtype.kind not in "biuf":
        return Matrix(name, f"values of type {values.dtype}", float("nan"))
    if not values.size:
        return Matrix(name, "no values", float("nan"))
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return Matrix(name, fault(values), float(finite.max()) if finite.size else float("nan"))


def repeated(kind: str, names: Sequence[str], remedy: str) -> list[Problem]:
    """Find names that are empty or there twice."""
    n_twice = len(names) - len(set(names))
    found = [Problem(f"repeated {kind}: {n_twice:,}", remedy)] if n_twice else []
    if "" in names:
        found.append(Problem(f"one of the {kind} has no name", remedy))
    return found


DISTINCT = "Make the barcodes distinct, for example by the sample's name before each, or keep one row of each cell."


def repeated_barcodes(barcodes: Sequence[str]) -> list[Problem]:
    """Find barcodes that are empty or there twice."""
    return repeated("barcodes", barcodes, DISTINCT)


COUNTS = "Take a file with the raw counts: ask for raw.X or a layer of counts, or use the publisher's raw matrix."


OPTION = "`sclandmarks ingest` takes it as `--reader normalised=recover`."


def count_problems(found: Sequence[Matrix]) -> list[Problem]:
    """Say that none of the matrices is of counts, if so, and why."""
    if any(one.fault is None for one in found):
        return []
    what = "; ".join(f"{one.name} has {one.fault}" for one in found) or "no matrix in the file"
    fractions = any((one.fault or "").startswith(FRACTIONS) for one in found)
    return [Problem(f"no raw counts: {what}", f"{COUNTS} {RECOVER} {OPTION}" if fractions else COUNTS)]
