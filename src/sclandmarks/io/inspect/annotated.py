"""A look at AnnData, in HDF5 or zarr alike: names, columns and some values; no matrix is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from sclandmarks.errors import DataError
from sclandmarks.genes import ENSEMBL
from sclandmarks.io.inspect.columns import column, is_annotation, with_roles
from sclandmarks.io.inspect.look import Column, Look, count_problems, matrix_of, repeated_barcodes
from sclandmarks.io.raw.anndata_group import matrices, sample
from sclandmarks.io.raw.common import texts
from sclandmarks.io.raw.names import seen_genes
from sclandmarks.io.raw.orientation import gene_share

SEEN = 200_000
"""Values of a column without categories that are looked at."""
MOSTLY = 0.5


def look_at_anndata(group: Any, form: str, roles: Sequence[str]) -> Look:
    """Look at an open AnnData file.

    Parameters
    ----------
    group : h5py.File or zarr.Group
    form : {"h5ad", "zarr"}
    roles : sequence of str
        Of the cells' columns, those the reader has a setting for.

    Raises
    ------
    DataError
        If it has no table of cells or of genes, or is of anndata before 0.7.
    """
    there = matrices(group)
    found = [matrix_of(name, sample(group[key])) for name, key in there.items()]
    taken = next((one.name for one in found if one.fault is None), None)
    var = _table(group, "raw/var" if taken == "raw.X" and "raw/var" in group else "var")
    barcodes, names = index(_table(group, "obs")), index(var)
    columns = with_roles(cell_columns(group["obs"]), len(barcodes), roles)
    symbol, ensembl = _naming(var, names)
    genes = seen_genes(names, _values(var, symbol), _values(var, ensembl))
    reader = {"format": form} | ({"matrix": taken} if taken else {})
    reader |= {one.role: one.name for one in columns if one.role}
    reader |= {key: name for key, name in (("symbol", symbol), ("ensembl", ensembl)) if name}
    about = "AnnData in HDF5" if form == "h5ad" else "AnnData in zarr"
    return Look(about, len(barcodes), len(names), genes, found, reader, columns=columns,
                problems=[*count_problems(found), *repeated_barcodes(barcodes)])  # fmt: skip


def _table(group: Any, key: str) -> Any:
    if key not in group:
        raise DataError(f"a table {key}", f"a file with {', '.join(group) or 'nothing'}", "Give a file of anndata.")
    if not hasattr(group[key], "keys"):
        raise DataError(f"a table {key} of columns", "one of records, of anndata before 0.7",
                        "Read it with anndata.read_h5ad and write it again with write_h5ad.")  # fmt: skip
    return group[key]


def index(table: Any) -> list[str]:
    """Names of the rows of a table."""
    name = str(table.attrs.get("_index", "index"))
    if name not in table:
        raise DataError(f"an index {name}", f"a table with {', '.join(table) or 'nothing'}", "Get the file again.")
    return _texts(table[name])


def _texts(element: Any) -> list[str]:
    """Values of a column, whether stored plainly, with a mask, or as codes of categories."""
    if not hasattr(element, "keys"):
        return texts(element[()])
    if "categories" not in element:
        return texts(element["values"][()])
    names = _texts(element["categories"])
    return [names[code] if 0 <= code < len(names) else "" for code in element["codes"][()]]


def cell_columns(table: Any) -> Iterator[Column]:
    """Columns of `obs` that may name groups of cells."""
    for name in table:
        if name not in (table.attrs.get("_index", "index"), "__categories"):
            levels = _levels(table, name)
            if levels is not None:
                yield column(name, levels)


def _levels(table: Any, name: str) -> Sequence[Any] | None:
    """Distinct values of a column; None where these are fractions."""
    element, legacy = table[name], f"__categories/{name}"
    if (hasattr(element, "keys") and "categories" in element) or legacy in table:
        codes, named = (element, table[legacy]) if legacy in table else (element["codes"], element["categories"])
        names = _texts(named)
        return [names[code] for code in np.unique(codes[()]) if 0 <= code < len(names)]
    values = element.get("values") if hasattr(element, "keys") else element
    if values is None or values.ndim != 1 or not is_annotation(np.dtype(values.dtype)):
        return None
    return texts(set(values[:SEEN].tolist()))


def _values(table: Any, name: str | None) -> list[str] | None:
    """A column of names; `index`, and no name at all, stand for the index."""
    if name is None:
        return None
    if name == "index":
        return index(table)
    return _texts(table[name])


def _naming(var: Any, names: list[str]) -> tuple[str | None, str | None]:
    """Columns of symbols and of Ensembl ids."""
    others = {name: _values(var, name) or [] for name in var if _is_text(var, name)}
    has_ids = _share(names, _is_id) > MOSTLY
    symbol = None
    if has_ids:
        symbol = max(others, key=lambda name: gene_share(_no_ids(others[name])), default=None)
        symbol = symbol if symbol and gene_share(_no_ids(others[symbol])) > MOSTLY / 10 else None
        return symbol, "index"
    ensembl = next((name for name, values in others.items() if _share(values, _is_id) > MOSTLY), None)
    return symbol, ensembl


def _is_text(table: Any, name: str) -> bool:
    element = table[name]
    if name in (table.attrs.get("_index", "index"), "__categories"):
        return False
    if hasattr(element, "keys"):
        inner = element.get("categories", element.get("values"))
        return inner is not None and not hasattr(inner, "keys") and np.dtype(inner.dtype).kind in "OSUT"
    return element.ndim == 1 and np.dtype(element.dtype).kind in "OSUT"


def _is_id(name: str) -> bool:
    return bool(ENSEMBL.match(name))


def _no_ids(names: list[str]) -> list[str]:
    return ["" if _is_id(name) else name for name in names]


def _share(names: Sequence[str], test: Callable[[str], bool]) -> float:
    return sum(map(test, names)) / max(len(names), 1)
