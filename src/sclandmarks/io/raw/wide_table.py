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

BLOCK_VALUES = 1 << 22
MIN_ROWS = 16
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
    """Read a wide table, in blocks of rows.

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
    places = _places(first, names, labels, ignore)
    blocks: list[sparse.csr_matrix] = []
    rows: list[str] = []
    values: dict[str, list[str | None]] = {name: [] for name in places.labels}
    for part in parts:
        with pq.ParquetFile(part) as file:
            if file.schema_arrow.names != first.names:
                raise DataError(f"the columns of {parts[0].name} in {part.name}", "others", "Give files of one table.")
            for batch in file.iter_batches(batch_size=max(BLOCK_VALUES // len(places.numbers), MIN_ROWS)):
                rows += texts_of(batch.column(places.names), first.names[places.names])
                blocks.append(_block(batch, places.numbers))
                for name, place in places.labels.items():
                    values[name] += labels_of(batch.column(place))
    X = sparse.vstack(blocks, format="csr") if blocks else sparse.csr_matrix((0, len(places.numbers)))
    return Wide(X, rows, [first.names[place] for place in places.numbers], dict(values))


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
    if others := [there[i] for i in range(len(there)) if i not in apart and i not in numbers]:
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


def _block(batch: Any, places: Sequence[int]) -> sparse.csr_matrix:
    columns = [batch.column(place) for place in places]
    if empty := [place for place, column in zip(places, columns, strict=True) if column.null_count]:
        name = batch.schema.names[empty[0]]
        raise DataError("a value in every field", f"none in one of column {name}", "Write 0 where nothing was counted.")
    block = np.stack([column.to_numpy(zero_copy_only=False) for column in columns], axis=1)
    return sparse.csr_matrix(block.astype(np.float32) if block.dtype == np.float16 else block)
