"""What the readers share: whole numbers, compressed rows, blocks of lines."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sclandmarks.errors import DataError
from sclandmarks.io.raw import common
from sclandmarks.io.raw.common import compressed_rows, int32_of
from sclandmarks.io.raw.text import check_utf8, line_blocks, read_lines


@given(st.sampled_from(["i4", "u4", "f4", "i8", "f8"]), st.integers(1, 5), st.data())
def test_whole_numbers_become_int32_in_any_blocks(kind: str, block: int, data: st.DataObject) -> None:
    values = data.draw(arrays(kind, st.integers(0, 12), elements=st.integers(0, 2**24)))
    whole = np.rint(values).astype(kind)
    before, kept = common.BLOCK, whole.copy()
    common.BLOCK = block
    try:
        out = int32_of(whole)
    finally:
        common.BLOCK = before
    assert out is not None
    assert out.dtype == np.int32
    np.testing.assert_array_equal(out, kept)
    assert whole.itemsize != 4 or not len(whole) or np.shares_memory(out, whole)


@pytest.mark.parametrize("bad", [-1.0, 0.5, np.nan, np.inf, 2.0**31])
def test_what_is_no_count_leaves_the_values_as_they_were(bad: float) -> None:
    values = np.array([1, 2, bad], dtype=np.float32)
    assert int32_of(values) is None
    np.testing.assert_array_equal(values, np.array([1, 2, bad], dtype=np.float32))


def test_rows_are_taken_without_a_copy() -> None:
    values, indices, starts = np.array([1.0, 2.0]), np.array([0, 2], dtype=np.int32), np.array([0, 1, 2], np.int32)
    X = compressed_rows(values, indices, starts, (2, 3))
    assert np.shares_memory(X.data, values)
    assert X.toarray().tolist() == [[1, 0, 0], [0, 0, 2]]


@pytest.mark.parametrize(
    ("values", "indices", "starts", "message"),
    [
        ([1.0], [0], [0, 1], "3 starts of 2 rows.*got 2 starts"),
        ([1.0], [0, 1], [0, 1, 2], "2 indices and 1 values"),
        ([1.0], [0], [1, 1, 1], "sound"),
        ([1.0], [3], [0, 0, 1], "sound"),
        ([1.0], [-1], [0, 0, 1], "sound"),
        ([1j], [0], [0, 0, 1], "a matrix of numbers; got values of type complex"),
    ],
)
def test_rows_that_are_not_sound_are_refused(values: Any, indices: Any, starts: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compressed_rows(np.array(values), np.array(indices, np.int32), np.array(starts, np.int32), (2, 3))


@given(st.binary(max_size=60), st.integers(1, 20))
def test_blocks_of_lines_are_whole_and_in_order(content: bytes, block: int) -> None:
    blocks = list(line_blocks(io.BytesIO(content), b"", block))
    assert all(part.endswith(b"\n") for part in blocks[:-1])
    assert b"".join(blocks).split() == content.split()


def test_the_line_of_a_byte_that_is_not_utf8_is_named() -> None:
    check_utf8("é\n".encode(), 1)
    with pytest.raises(DataError, match="0xe9 in line 12"):
        check_utf8(b"a\nb\n\xe9\n", 10)


def test_lines_of_a_small_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfa\r\n\r\nb\n\n\n")
    assert read_lines(tmp_path / "x") == ["a", "", "b"]
    (tmp_path / "x").write_bytes(b"")
    assert read_lines(tmp_path / "x") == []
