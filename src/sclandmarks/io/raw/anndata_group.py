"""AnnData on disk, in HDF5 or zarr alike: only the tables and the one matrix that are asked for are read."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import RECOVER, as_csr, compressed_rows

if TYPE_CHECKING:
    import pandas as pd

AUTO = "auto"
DENSE_CELLS = 1024
SAMPLE = 1 << 17
"""Values looked at, at each of N_SAMPLES places, to tell whether they are whole."""
N_SAMPLES = 5
LARGEST_LOG = 40
FRACTIONS = "fractions"
logger = logging.getLogger(__name__)


def pick(group: Any, name: str, recover: bool = False) -> str:
    """Name the matrix to read.

    Parameters
    ----------
    group : h5py.File or zarr.Group
    name : str
        `X`, `raw.X`, `layers/NAME`; or `auto`, the first of these that holds whole numbers, or the only one.
    recover : bool
        For `auto`, take the only one of fractions where none is of whole numbers.

    Returns
    -------
    str

    Raises
    ------
    DataError
        If there is none of this name, or, for `auto`, none of several is of whole numbers.
    """
    there = matrices(group)
    if name in there:
        return name
    if name != AUTO or not there:
        wanted = "a matrix X, raw.X or a layer" if name == AUTO else f"a matrix {name}"
        raise DataError(wanted, f"a file with {', '.join(there) or 'none'}", remedy("matrix"))
    if len(there) == 1:
        return next(iter(there))
    faults = {one: fault(sample(group[key])) for one, key in there.items()}
    whole = [one for one, why in faults.items() if why is None]
    if whole:
        others = "; ".join(f"{one}: {why or 'whole numbers too'}" for one, why in faults.items() if one != whole[0])
        logger.info("counts are taken from %s%s", whole[0], f" (not from {others})" if others else "")
        return whole[0]
    fractions = [one for one, why in faults.items() if why and why.startswith(FRACTIONS)]
    if recover and len(fractions) == 1:
        logger.info("counts are to be recovered from %s", fractions[0])
        return fractions[0]
    raise no_counts(faults)


def no_counts(faults: Mapping[str, str | None]) -> DataError:
    """Say that none of these matrices is of counts, and why."""
    return DataError(
        "raw counts (whole numbers from 0 to 2147483647) in X, raw.X or a layer",
        "; ".join(f"{one} with {why}" for one, why in faults.items()),
        "Give the unnormalised counts: ask for the file with `raw.X` or a layer of counts, or use the publisher's raw "
        f"matrix. Set `reader.matrix` in datasets.yaml if you know which it is. {RECOVER}",
    )


def matrices(group: Any) -> dict[str, str]:
    """Name -> key of every matrix of cells x genes in the file."""
    keys = {"X": "X", "raw.X": "raw/X"} if "raw" in group else {"X": "X", "raw.X": "raw.X"}
    layers = list(group["layers"]) if "layers" in group else []
    keys |= {f"layers/{layer}": f"layers/{layer}" for layer in layers}
    return {name: key for name, key in keys.items() if key in group}


def sample(element: Any) -> NDArray[Any]:
    """Some of the stored values of a matrix, from its beginning to its end."""
    values = element["data"] if hasattr(element, "keys") else element
    step = SAMPLE if values.ndim == 1 else max(SAMPLE // max(values.shape[1], 1), 1)
    starts = np.unique(np.linspace(0, max(values.shape[0] - step, 0), N_SAMPLES).astype(int))
    return np.concatenate([np.ravel(values[start : start + step]) for start in starts])


def fault(values: NDArray[Any]) -> str | None:
    """Say why values are no counts; None if they may be."""
    if not np.isfinite(values).all():
        return "values that are NaN or infinite"
    if values.size and values.min() < 0:
        return f"negative values, smallest {values.min():g}: scaled or regressed"
    broken = values[values != np.rint(values)]
    if broken.size:
        looks = "log-normalised" if values.max() < LARGEST_LOG else "normalised"
        return f"{FRACTIONS}, first {broken[0]:g}, largest {values.max():g}: looks {looks}"
    return None


def csr(element: Any) -> sparse.csr_matrix:
    """Read a matrix, cells x genes; a dense one in blocks of cells, so that memory holds the non-zeros and one block.

    Raises
    ------
    DataError
        If a sparse one is not sound.
    """
    if hasattr(element, "keys"):
        return _sparse(element)
    rows = range(0, max(element.shape[0], 1), DENSE_CELLS)
    return sparse.vstack([sparse.csr_matrix(element[row : row + DENSE_CELLS]) for row in rows], format="csr")


def _sparse(element: Any) -> sparse.csr_matrix:
    kind = element.attrs.get("encoding-type", element.attrs.get("h5sparse_format", ""))
    shape = element.attrs["shape"] if "shape" in element.attrs else element.attrs["h5sparse_shape"]
    n_cells, n_genes = (int(n) for n in shape)
    n_rows = element["indptr"].shape[0] - 1
    parts = (_all_of(element["data"], 0), _all_of(element["indices"], n_rows), element["indptr"][()])
    if str(kind).startswith("csc"):
        return as_csr(compressed_rows(*parts, (n_genes, n_cells)).T)
    if str(kind).startswith("csr"):
        return compressed_rows(*parts, (n_cells, n_genes))
    raise DataError("a matrix stored dense, csr or csc", f"one stored as {kind or 'nothing known'}", "Write it again.")


def _all_of(array: Any, most: int) -> NDArray[Any]:
    """Read one part of a sparse matrix; a chunk that is not stored would come as zeros.

    Zarr stores no chunk of zeros alone: none of counts is such, and of indices only where all entries are of the
    first gene, at `most` one in each row.
    """
    there, wanted = _chunks(array)
    if there < wanted and array.shape[0] > most:
        raise DataError(f"{wanted} chunks of {array.name}", f"{there}", "The file is not whole: get it again.")
    return cast("NDArray[Any]", array[()])


def _chunks(array: Any) -> tuple[int, int]:
    """How many chunks of an array are stored, and how many there should be."""
    if hasattr(array, "nchunks"):
        return array.nchunks_initialized, array.nchunks
    if array.chunks is None:
        return 1, 1
    return array.id.get_num_chunks(), math.prod(
        -(-n // step) for n, step in zip(array.shape, array.chunks, strict=True)
    )


def table(group: Any, key: str) -> pd.DataFrame:
    """Read `obs`, `var` or `raw/var`.

    Raises
    ------
    DataError
        If it is not there, or as anndata before 0.7 wrote it.
    """
    from anndata.io import read_elem

    if key not in group:
        raise DataError(f"a table {key}", f"a file with {', '.join(group) or 'nothing'}", "Give a file of anndata.")
    if not hasattr(group[key], "keys"):
        raise DataError(f"a table {key} of columns", "one of records, of anndata before 0.7",
                        "Read it with anndata.read_h5ad and write it again with write_h5ad.")  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # repeated names are refused later, in the user's terms
        frame = cast("pd.DataFrame", read_elem(group[key]))
    frame.index = frame.index.astype(object)  # of Arrow's strings each would be unpacked by itself
    return frame


def remedy(key: str) -> str:
    """What to do about a setting that names what is not there."""
    return f"Set `reader.{key}` of the entry in datasets.yaml to one of these."
