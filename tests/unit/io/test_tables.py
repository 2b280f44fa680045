"""Tables and JSON on disk: checked both ways, whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from sclandmarks import schema
from sclandmarks.errors import SchemaError
from sclandmarks.io.tables import read_json, read_table, write_json, write_table

HISTORY = pl.DataFrame(
    {"step": [1, 1, 2], "metric": ["train", "validation", "train"], "value": [0.5, None, 0.1 + 0.2]},
    schema=schema.HISTORY.dtypes,
)


def test_parquet_gives_back_what_was_written(tmp_path: Path) -> None:
    """Values, missing values and types are kept; no file is left beside it."""
    path = tmp_path / "made" / "history.parquet"
    write_table(path, HISTORY, schema.HISTORY)
    assert_frame_equal(read_table(path, schema.HISTORY), HISTORY, check_exact=True)
    assert os.listdir(path.parent) == ["history.parquet"]


def test_a_table_without_rows_is_a_table(tmp_path: Path) -> None:
    """Types survive without a single value."""
    write_table(tmp_path / "empty.parquet", schema.PANEL.empty(), schema.PANEL)
    assert_frame_equal(read_table(tmp_path / "empty.parquet", schema.PANEL), schema.PANEL.empty())


def test_csv_by_the_ending(tmp_path: Path) -> None:
    """People get text, with every digit."""
    write_table(tmp_path / "history.csv", HISTORY, schema.HISTORY)
    text = (tmp_path / "history.csv").read_text(encoding="utf-8")
    assert text == "step,metric,value\n1,train,0.5\n1,validation,\n2,train,0.30000000000000004\n"


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_writing_twice_gives_the_same_bytes(tmp_path: Path, ending: str) -> None:
    """DVC compares hashes: the same table is the same file."""
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    write_table(first, HISTORY, schema.HISTORY)
    write_table(second, HISTORY, schema.HISTORY)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("frame", [HISTORY.drop("value"), pl.concat([HISTORY, HISTORY])], ids=["column", "key"])
def test_a_violation_writes_nothing(tmp_path: Path, frame: pl.DataFrame) -> None:
    """The old file stands, and the error names the file."""
    path = tmp_path / "history.parquet"
    write_table(path, HISTORY, schema.HISTORY)
    before = path.read_bytes()
    with pytest.raises(SchemaError) as caught:
        write_table(path, frame, schema.HISTORY)
    assert caught.value.__notes__ == [f"file: {path}"]
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["history.parquet"]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_cut_file_says_what_to_do(tmp_path: Path, share: float) -> None:
    """A download that broke off is a SchemaError with remedy, not a parser's error."""
    path = tmp_path / "history.parquet"
    write_table(path, HISTORY, schema.HISTORY)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SchemaError, match="cannot be read") as caught:
        read_table(path, schema.HISTORY)
    assert caught.value.remedy == "Delete it and run `dvc repro`, or `dvc pull`."
    assert caught.value.__notes__ == [f"file: {path}"]


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path, names = tmp_path / "genes.parquet", list(schema.GENES.dtypes)
    broken = pa.array([b"CDK\xff"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 1, broken.buffers())
    pq.write_table(pa.table([text] * len(names), names), path)
    with pytest.raises(SchemaError, match=r"a file that cannot be read.*UTF8"):
        read_table(path, schema.GENES)


def test_a_missing_table_says_what_to_do(tmp_path: Path) -> None:
    """The text names the table, the file and the command."""
    with pytest.raises(SchemaError, match=r"a table history at .*x\.parquet; got no such file. Run `dvc repro`"):
        read_table(tmp_path / "x.parquet", schema.HISTORY)


def test_another_table_is_refused_on_reading(tmp_path: Path) -> None:
    """A panel where a history should be is named as such."""
    path = tmp_path / "table.parquet"
    write_table(path, schema.PANEL.empty(), schema.PANEL)
    with pytest.raises(SchemaError, match="table history with columns step: Int32"):
        read_table(path, schema.HISTORY)


@pytest.mark.parametrize("name", ["dataset=a", "part*"])
def test_a_path_is_a_path(tmp_path: Path, name: str) -> None:
    """Folders that look like Hive partitions or patterns add no column and no file."""
    path = tmp_path / name / "history.parquet"
    write_table(tmp_path / "part1" / "history.parquet", HISTORY[:1], schema.HISTORY)
    write_table(path, HISTORY, schema.HISTORY)
    assert_frame_equal(read_table(path, schema.HISTORY), HISTORY)


def test_json_is_sorted_and_comes_back(tmp_path: Path) -> None:
    """A stable file for people and for DVC."""
    path = tmp_path / "metrics.json"
    write_json(path, {"b": 0.1, "a": {"d": None, "c": "µ"}})
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["a", "b"]
    assert read_json(path) == {"a": {"c": "µ", "d": None}, "b": 0.1}


def test_json_has_no_nan(tmp_path: Path) -> None:
    """NaN is no JSON: refused before anything is written."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "metrics.json", {"mse": float("nan")})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [None, b"", b'{"a": 1', b"[1]", b"\xff"])
def test_broken_json_says_what_to_do(tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty, cut, no object, no text."""
    path = tmp_path / "metrics.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SchemaError, match=r"JSON.* at .*metrics\.json.*dvc pull"):
        read_json(path)
