"""Tables: what `check` lets through, and what it names when it does not."""

from __future__ import annotations

import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.errors import SchemaError

TABLES = [value for value in vars(schema).values() if isinstance(value, schema.Table)]
TOY = schema.Table(
    "toy",
    (
        schema.Column("name", pl.String, "name of the thing"),
        schema.Column("size", pl.Int64, "size in mm"),
        schema.Column("note", pl.String, "remark", nullable=True),
    ),
    key=("name", "size"),
)
GOOD = pl.DataFrame({"name": ["a", "a", "b"], "size": [1, 2, 1], "note": ["x", None, "y"]})
FAULTS = {
    "column absent": (GOOD.drop("note"), "note: String"),
    "column too many": (GOOD.with_columns(more=pl.lit(1)), "more"),
    "other order": (GOOD.select("size", "name", "note"), "name: String, size: Int64"),
    "other type": (GOOD.cast({"size": pl.Int32}), "size: Int32"),
    "missing value": (GOOD.with_columns(size=pl.Series([1, None, 1])), "toy.size (size in mm); got 1 missing"),
    "key twice": (pl.concat([GOOD, GOOD[1:2]]), "('a', 2) more than once"),
}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_are_well_declared(table: schema.Table) -> None:
    """Columns differ, the key is made of columns that are never missing, each meaning is one line."""
    required = [column.name for column in table.columns if not column.nullable]
    assert len(table.dtypes) == len(table.columns)
    assert set(table.key) <= set(required)
    assert all(column.meaning and "\n" not in column.meaning for column in table.columns)


def test_no_two_tables_share_a_name() -> None:
    """An error that names a table names one."""
    assert len({table.name for table in TABLES}) == len(TABLES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_an_empty_table_follows_its_schema(table: schema.Table) -> None:
    """A stage without rows writes a valid table."""
    assert schema.check(table.empty(), table).columns == list(table.dtypes)


def test_check_returns_the_frame_itself() -> None:
    """Nothing is cast or sorted on the way."""
    assert schema.check(GOOD, TOY) is GOOD


@pytest.mark.parametrize("fault", FAULTS)
def test_check_names_the_fault(fault: str) -> None:
    """Each fault is refused in words that name the table and the place."""
    frame, words = FAULTS[fault]
    with pytest.raises(SchemaError, match="toy") as caught:
        schema.check(frame, TOY)
    assert words in str(caught.value)


def test_a_table_without_key_may_repeat_rows() -> None:
    """Only a key makes rows unique."""
    twice = pl.concat([GOOD, GOOD])
    assert schema.check(twice, schema.Table("toy", TOY.columns)) is twice


def test_rows_become_a_frame_of_the_tables_types() -> None:
    """Whole numbers among decimals, columns in order, what is not finite or not there missing, others left out."""
    rows = [
        {"value": 1, "metric": "a", "step": 1, "other": "x"},
        {"value": 0.5, "metric": "b", "step": 2},
        {"value": float("nan"), "metric": "c", "step": 3},
        {"value": float("inf"), "metric": "d", "step": 4},
        {"value": None, "metric": "e", "step": 5},
    ]
    made = schema.frame(schema.HISTORY, iter(rows))
    assert schema.check(made, schema.HISTORY)["value"].to_list() == [1.0, 0.5, None, None, None]
    assert schema.frame(schema.HISTORY, []).equals(schema.HISTORY.empty())
