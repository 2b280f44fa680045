"""Wide tables in Parquet: a column of names, and columns of numbers."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import Labels

BLOCK_VALUES = 1 << 24
N_SHOWN = 5
logger = logging.getLogger(__name__)


class Wide(NamedTuple):
    """A wide table.

    Parameters
    ----------
    X : scipy.sparse.csr_matrix, shape (n_rows, n_columns)
    rows, columns : list of str
    labels : dict of str to list of str or None
        Columns of annotations that were asked for, one value a row.
    """

    X: sparse.csr_matrix
    rows: list[str]
    columns: list[str]
    labels: dict[str, Labels]


class _Places(NamedTuple):
    names: int
    numbers: list[int]
    labels: dict[str, int]


def read_wide(parts: Sequence[Path], names: str | None, labels: Collection[str], ignore: Collection[str]) -> Wide:
    """Read a wide table by row groups, each in blocks of columns, as Parquet stores it.

    Parameters
    ----------
    parts : sequence of Path
        Files with the same columns.
    names : str, optional
        Column of the rows' names; without it, the first column of text.
    labels, ignore : collection of str
        Columns that are no counts: the first are kept as text, the second are passed over.

    Raises
    ------
    DataError
        If there is no column of names or of numbers, parts differ in their columns, or a field is empty.
    """
    import pyarrow.parquet as pq

    first = pq.read_schema(parts[0])
    places, there = _places(first, names, labels, ignore), list(first.names)
    blocks: list[sparse.csr_matrix] = []
    rows: list[str] = []
    values: dict[str, list[str | None]] = {name: [] for name in places.labels}
    for part in parts:
        with pq.ParquetFile(part) as file:
            if file.schema_arrow.names != there:
                raise DataError(f"the columns of {parts[0].name} in {part.name}", "others", "Give files of one table.")
            for at in range(file.num_row_groups):
                rows += texts_of(_columns(file, at, [places.names])[0], there[places.names])
                blocks.append(_row_group(file, at, places.numbers))
                for name, place in places.labels.items():
                    values[name] += labels_of(_columns(file, at, [place])[0])
    X = sparse.vstack(blocks, format="csr") if blocks else sparse.csr_matrix((0, len(places.numbers)))
    return Wide(X, rows, [there[place] for place in places.numbers], dict(values))


def texts_of(column: Any, name: str) -> list[str]:
    """Names in a column, as text; every field has one.

    Raises
    ------
    DataError
        If one has none.
    """
    if column.null_count:
        raise DataError(f"a name in every field of {name}", f"{column.null_count} empty ones", "Name every row.")
    return [str(value) for value in labels_of(column)]


def labels_of(column: Any) -> list[str | None]:
    """Fields of a column as text, None where they are empty."""
    import pyarrow as pa

    return list(column.cast(pa.string()).to_pylist())


def _places(schema: Any, names: str | None, labels: Collection[str], ignore: Collection[str]) -> _Places:
    there = list(schema.names)
    texts = [is_text(field.type) for field in schema]
    own = [i for i, name in enumerate(there) if name in labels]
    at = there.index(names) if names else next((i for i, text in enumerate(texts) if text and i not in own), None)
    apart = {at, *own, *(i for i, name in enumerate(there) if name in ignore)}
    numbers = [i for i, field in enumerate(schema) if i not in apart and is_number(field.type)]
    if at is None or not numbers:
        shown = ", ".join(f"{field.name} ({field.type})" for field in list(schema)[:N_SHOWN])
        raise DataError("a column of names, of text, and columns of numbers", f"columns {shown}",
                        "Set `reader.cell`, or `reader.gene`, to the column of names.")  # fmt: skip
    if others := [there[i] for i in sorted(set(range(len(there))) - apart - set(numbers))]:
        logger.warning("%d columns are no numbers and are passed over: %s", len(others), ", ".join(others[:N_SHOWN]))
    return _Places(at, numbers, {there[i]: i for i in own})


def is_text(kind: Any) -> bool:
    """Whether a column of this Arrow type holds text, as it is or as categories."""
    import pyarrow.types as types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_number(kind: Any) -> bool:
    """Whether a column of this Arrow type holds numbers."""
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def _row_group(file: Any, at: int, places: Sequence[int]) -> sparse.csr_matrix:
    step = max(BLOCK_VALUES // max(file.metadata.row_group(at).num_rows, 1), 1)
    blocks = [_block(file, at, places[start : start + step]) for start in range(0, len(places), step)]
    return sparse.vstack(blocks, format="csr").T.tocsr()


def _block(file: Any, at: int, places: Sequence[int]) -> sparse.csr_matrix:
    """Some columns of a row group, each a row of the result."""
    columns, names = _columns(file, at, places), file.schema_arrow.names
    if empty := [place for place, column in zip(places, columns, strict=True) if column.null_count]:
        got = f"none in one of column {names[empty[0]]}"
        raise DataError("a value in every field", got, "Write 0 where nothing was counted.")
    block = np.stack([column.to_numpy() for column in columns])
    return sparse.csr_matrix(block.astype(np.float32) if block.dtype == np.float16 else block)


def _columns(file: Any, at: int, places: Sequence[int]) -> list[Any]:
    """Columns of a row group by their places; several may have one name."""
    names = file.schema_arrow.names
    table = file.read_row_group(at, columns=list(dict.fromkeys(names[place] for place in places)))
    if table.column_names == [names[place] for place in places]:
        return list(table.columns)
    of_name = file.schema_arrow.get_all_field_indices
    return [table.column(table.schema.get_all_field_indices(names[place])[of_name(names[place]).index(place)])
            for place in places]  # fmt: skip
