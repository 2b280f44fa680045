"""Text that may be packed and may be large: as many whole lines as a budget allows, and how much is left."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from sclandmarks.io.inspect.look import Problem
from sclandmarks.io.raw.text import BROKEN, NEWLINE

CHUNK = 1 << 22
TRAILER = 4
WRAP = 1 << 32
TOLERANCE = 1.5


class Packed:
    """Whole lines of a file, unpacked, up to a budget.

    Parameters
    ----------
    path : Path
    packing : {"", "gzip", "zstd"}
    budget : int
        Bytes, unpacked, after which the reading ends; the first line is read whole in any case.

    Attributes
    ----------
    exact : bool
        Whether the end of the file was reached; known after `blocks`.
    fault : str or None
        What the unpacking ended with, where the file is cut or damaged.
    """

    def __init__(self, path: Path, packing: str, budget: int) -> None:
        self.packing, self.budget, self.size = packing, budget, path.stat().st_size
        self.raw: IO[bytes] = path.open("rb")
        self.file = _unpacking(self.raw, packing)
        self.exact, self.n_read, self.n_given, self._at = False, 0, 0, 0
        self.fault: str | None = None
        self._path = path

    def __enter__(self) -> Packed:
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()

    def first_line(self) -> bytes:
        """Read the next line, however long."""
        try:
            line = cast(bytes, self.file.readline())
        except BROKEN as error:
            self.fault, self.exact = str(error), True
            return b""
        self.n_read += len(line)
        self.n_given += len(line)
        return line

    def blocks(self) -> Iterator[bytes]:
        """Yield blocks of whole lines until the budget is spent; a last line without an end counts as one."""
        rest = b""
        while self.n_read < self.budget and (chunk := self._read()):
            lines, newline, tail = chunk.rpartition(NEWLINE)
            if newline:
                self.n_given += len(rest) + len(lines) + 1
                yield rest + lines + newline
                rest = tail
            else:
                rest += chunk
        self._at, n_read = self.raw.tell(), self.n_read
        self.exact = self.exact or not self._read()
        self.n_read = n_read
        if rest.strip() and self.exact and not self.fault:
            yield rest

    def _read(self) -> bytes:
        try:
            chunk = cast(bytes, self.file.read(CHUNK))
        except BROKEN as error:
            self.fault, self.exact = str(error), True
            return b""
        self.n_read += len(chunk)
        return chunk

    def times(self) -> float:
        """How many times as long the whole file is as the lines that were given, about; known after `blocks`."""
        if self.exact:
            return 1.0
        return max(self.size / max(self._at, 1) * self.n_read / max(self.n_given, 1), 1.0)

    def is_cut(self) -> bool:
        """Whether a gzip file of which the end was not read seems to lack it.

        Its last four bytes are the unpacked length modulo 2^32; a length far from the expected says that they are
        something else. A file of several members, such as bgzip's, is not judged.
        """
        if self.exact or self.packing != "gzip":
            return False
        with self._path.open("rb") as file:
            has_members = file.read(4)[3] & 4
            file.seek(-TRAILER, 2)
            length = int.from_bytes(file.read(TRAILER), "little")
        expected = self.n_given * self.times()
        ratios = [(length + n * WRAP) / expected for n in range(int(expected // WRAP) + 2)]
        return not has_members and length > 0 and not any(1 / TOLERANCE < one < TOLERANCE for one in ratios)


def cut_problems(packed: Packed) -> list[Problem]:
    """Say that a file ended too early, or that one whose end was not read may."""
    if packed.fault:
        return [Problem(f"the file is cut or damaged: {packed.fault}", "Get the file again.")]
    if packed.is_cut():
        what = "the file may be cut: its end, which was not read, looks wrong"
        return [Problem(what, "Compare its size with the publisher's.", fatal=False)]
    return []


def _unpacking(raw: IO[bytes], packing: str) -> Any:
    if packing == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if packing == "zstd":
        import io

        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(raw, "zstd"))
    return raw
