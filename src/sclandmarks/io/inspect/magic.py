"""What a file or folder is, by its content; its name decides nothing."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from sclandmarks.errors import DataError
from sclandmarks.io.own.files import accessible, check_readable
from sclandmarks.io.raw.tenx_mtx import beside
from sclandmarks.io.raw.text import BROKEN, GZIP, ZSTD, open_text

HEAD = 1 << 16
N_INNER = 3
TAR_AT = 257
TAKEN = (
    "Taken are h5ad, zarr, loom, 10x .h5 and .mtx, Parquet, tables of text (CSV, TSV; plain, gzip or zstd), and "
    "PanglaoDB's .RData."
)
EXPORT = "Save the counts as a CSV or TSV file, the first column and the first row names."
CUT = "Get the file again: it is cut or damaged."
UNPACK = "Unpack it, and inspect what is in it."
FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "a PDF document", TAKEN),
    (b"\x89PNG", "a PNG picture", TAKEN),
    (b"\xff\xd8\xff", "a JPEG picture", TAKEN),
    (b"GIF8", "a GIF picture", TAKEN),
    (b"\xd0\xcf\x11\xe0", "an old Office file (.xls, .doc)", EXPORT),
    (b"BZh", "a bzip2 file", "Unpack it (`bunzip2`); gzip and zstd are read as they are."),
    (b"\xfd7zXZ\x00", "an xz file", "Unpack it (`unxz`); gzip and zstd are read as they are."),
    (b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"\x93NUMPY", "a numpy array without names of cells and genes", EXPORT),
    (b"\x80\x02", "a Python pickle, which is never opened: it could run anything", "Save it with anndata.write_h5ad."),
    (b"\x80\x03", "a Python pickle, which is never opened: it could run anything", "Save it with anndata.write_h5ad."),
    (b"\x80\x04", "a Python pickle, which is never opened: it could run anything", "Save it with anndata.write_h5ad."),
    (b"\x80\x05", "a Python pickle, which is never opened: it could run anything", "Save it with anndata.write_h5ad."),
    (b"SQLite format 3", "an SQLite database", TAKEN),
    (b"BAM\x01", "reads aligned to a genome (BAM)", "Count them first, for example with CellRanger or STARsolo."),
    (b"X\n\x00\x00", "an R object (.rds)",
     "In R: Matrix::writeMM(counts, 'matrix.mtx'), and its column and row names as barcodes.tsv and genes.tsv."),
    (b"\xff\xfe", "text in UTF-16", "Save it as UTF-8."),
    (b"\xfe\xff", "text in UTF-16", "Save it as UTF-8."),
    (b"{\\rtf", "a rich text document", EXPORT),
    (b"{", "JSON", TAKEN),
)  # fmt: skip
HTML = re.compile(rb"^\s*<(!doctype html|html|head|\?xml)", re.IGNORECASE)
FASTQ = re.compile(rb"^@\S+[^\n]*\n[ACGTN]+\r?\n\+")
ZIPPED = {"xl/": "an Excel workbook (.xlsx)", "word/": "a Word document", "ppt/": "slides"}
ZARR = {".zgroup", "zarr.json", ".zattrs"}


class Kind(NamedTuple):
    """What a file is.

    Parameters
    ----------
    form : str
        `hdf5`, `zarr`, `mtx`, `rdata`, `parquet` or `text`.
    packing : str
        `gzip`, `zstd` or nothing.
    """

    form: str
    packing: str = ""


def sniff(path: Path) -> Kind:
    """Tell what a file or folder is.

    Raises
    ------
    SourceError
        If there is none, or it may not be read.
    DataError
        If it is empty, broken, or nothing that holds counts.
    """
    check_readable(path, folder=True)
    with accessible(path):
        if path.is_dir():
            return _folder(path)
        with path.open("rb") as file:
            raw = file.read(HEAD)
    if not raw:
        raise _foreign("an empty file", "Get it again.")
    if raw[:4] == b"PK\x03\x04":
        return _zip(path)
    packing = "gzip" if raw[:2] == GZIP else "zstd" if raw[:4] == ZSTD else ""
    return _content(_unpacked(path, packing) if packing else raw, packing)


def _folder(path: Path) -> Kind:
    names = {one.name for one in path.iterdir()}
    if names & ZARR:
        return Kind("zarr")
    if "counts" in beside({"counts": path}):
        return Kind("mtx")
    if any(name.endswith(".parquet") for name in names):
        return Kind("parquet")
    shown = ", ".join(sorted(names)[:8]) or "nothing"
    within = (one for depth in ("*", "*/*") for one in path.glob(f"{depth}/matrix.mtx*"))
    inner = list(dict.fromkeys(one.parent.relative_to(path).as_posix() for one in within))[:N_INNER]
    remedy = f"Inspect {' or '.join(inner)} in it." if inner else "Name the file in it that holds the counts."
    raise DataError("a folder of 10x (matrix.mtx), AnnData (zarr) or Parquet", f"one with {shown}", remedy)


def _zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError("a whole zip file", str(error), CUT) from error
    if ZARR & set(names):
        return Kind("zarr")
    what = next((what for folder, what in ZIPPED.items() if any(name.startswith(folder) for name in names)), "")
    shown = f"a zip archive with {', '.join(names[:3]) or 'nothing'}{' ...' if len(names) > 3 else ''}"
    raise _foreign(what or shown, EXPORT if what else UNPACK)


def _unpacked(path: Path, packing: str) -> bytes:
    content = b""
    try:
        with open_text(path) as file:
            while len(content) < HEAD and (chunk := file.read(1 << 12)):
                content += chunk
    except BROKEN as error:
        if not content:
            raise DataError(f"a whole {packing} file", str(error), CUT) from error
    if not content:
        raise _foreign(f"an empty file, packed with {packing}", "Get it again.")
    return content


def _content(head: bytes, packing: str) -> Kind:
    if head[:8] == b"\x89HDF\r\n\x1a\n":
        if packing:
            raise _foreign(
                f"an HDF5 file packed with {packing}", f"Unpack it ({'gunzip' if packing == 'gzip' else 'unzstd'})."
            )
        return Kind("hdf5")
    if head[:5] in (b"RDX2\n", b"RDX3\n"):
        return Kind("rdata", packing)
    if head[:4] == b"PAR1":
        if packing:
            raise _foreign(f"a Parquet file packed with {packing}", "Unpack it; Parquet is packed inside already.")
        return Kind("parquet")
    if head[:14].lower() == b"%%matrixmarket":
        return Kind("mtx", packing)
    _refuse_foreign(head)
    return Kind("text", packing)


def _refuse_foreign(head: bytes) -> None:
    for magic, what, remedy in FOREIGN:
        if head.startswith(magic):
            raise _foreign(what, remedy)
    if head[TAR_AT : TAR_AT + 5] == b"ustar":
        raise _foreign("a tar archive", f"{UNPACK} (`tar xf`)")
    if HTML.match(head):
        raise _foreign("a web page", "The server may have sent a message in place of the file: open it in a browser.")
    if FASTQ.match(head):
        raise _foreign("reads of a sequencer (FASTQ)", "Count them first, for example with CellRanger or STARsolo.")
    if b"\x00" in head:
        raise _foreign("bytes of no form that is known", TAKEN)


def _foreign(what: str, remedy: str) -> DataError:
    return DataError("a file of counts", what, remedy)
