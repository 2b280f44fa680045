"""Text that may be compressed: opening it, whole lines in blocks, and where it is not UTF-8."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, cast

from sclandmarks.errors import DataError

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
NEWLINE = b"\n"
BROKEN = (OSError, EOFError, zlib.error)


def open_text(path: Path) -> IO[bytes]:
    """Open a file for reading bytes: gzip and Zstandard, known by their first bytes, are unpacked on the way.

    Raises
    ------
    OSError, EOFError, zlib.error
        Here or while reading, as listed in BROKEN.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == GZIP:
        return cast(IO[bytes], gzip.open(path, "rb"))
    if magic == ZSTD:
        return _open_zstd(path)
    return path.open("rb")


def _open_zstd(path: Path) -> IO[bytes]:
    import io

    import pyarrow as pa

    return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


def line_blocks(file: IO[bytes], first: bytes, block_bytes: int) -> Iterator[bytes]:
    """Yield whole lines, about `block_bytes` at a time, without blank lines at the end of the file.

    The next block is read and unpacked while the caller works on this one.

    Parameters
    ----------
    file : file of bytes
        Read to its end.
    first : bytes
        What was already read of the first block.
    block_bytes : int
    """
    rest = [first]
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(file.read, block_bytes)
        while chunk := coming.result():
            coming = ahead.submit(file.read, block_bytes)
            lines, newline, tail = chunk.rpartition(NEWLINE)
            if not newline:
                rest.append(chunk)
                continue
            block = b"".join([*rest, lines, newline])
            rest = [tail]
            if block.strip():
                yield block
    if (last := b"".join(rest)).strip():
        yield last


def check_utf8(lines: bytes, first_line: int) -> None:
    """Refuse bytes that are not UTF-8.

    Parameters
    ----------
    lines : bytes
    first_line : int
        Number of the first of them in the file.

    Raises
    ------
    DataError
        Naming the line.
    """
    try:
        lines.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = first_line + lines.count(NEWLINE, 0, error.start)
        raise DataError(
            "text in UTF-8",
            f"the byte 0x{lines[error.start]:02x} in line {line}, as in Latin-1 or a file that is no text",
            "Save the file as plain text in UTF-8, or compress it with gzip or zstd.",
        ) from error


def read_lines(path: Path) -> list[str]:
    """Lines of a small text file, compressed or not, without blank ones at its end.

    Raises
    ------
    DataError
        If it is broken, or not UTF-8.
    """
    try:
        with open_text(path) as file:
            content = file.read().rstrip()
    except BROKEN as error:
        raise DataError("a readable text file, plain, gzip or zstd", str(error), "Get the file again.") from error
    check_utf8(content, 1)
    return [line.rstrip("\r") for line in content.decode("utf-8-sig").split("\n")] if content else []
