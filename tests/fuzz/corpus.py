"""Bad files by name: a sound sample, what is done to it, and what is said of it; or the right matrix."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_samples import CONTRACT, Sample

R = CONTRACT["R"]
RIGHT = ""
TEXT, GZ, ZST, LABELS = "table, genes x cells", "table, cells x genes, gzip", "table, zstd, orientation found", "labels"
PLAIN, PACKED = "tenx_mtx, version 1", "tenx_mtx, version 3"
H5, H5_V1, H5AD, LOOM, ZARR, ZIP = (
    "tenx_h5, version 3", "tenx_h5, version 1", "h5ad, X, CSR", "loom", "zarr, X, CSR", "zarr, version 2, zip"
)  # fmt: skip
RDATA = "panglaodb, RDX3, sm2"
WIDE, WIDE_FOLDER, LONG, OURS = "parquet, wide", "parquet, wide, folder", "parquet, long", "parquet, ours"
Edit = Callable[[Sample], object]


class Bad(NamedTuple):
    """A case: of which sample, what is done, a regular expression of the message; RIGHT for the sound matrix."""

    sample: str
    edit: Edit
    says: str


def file_of(sample: Sample, name: str = "counts") -> Path:
    """The file of a role, or the one whose name has this beginning."""
    found = sample.files.get(name)
    return found or next(path for path in sample.paths if path.name.startswith(name))


def packed_again(path: Path, edit: Callable[[bytes], bytes]) -> None:
    """Edit the content of a file that may be gzip."""
    whole = path.read_bytes()
    zipped = whole[:2] == b"\x1f\x8b"
    content = edit(gzip.decompress(whole) if zipped else whole)
    path.write_bytes(gzip.compress(content) if zipped else content)


def whole(edit: Callable[[bytes], bytes], name: str = "counts") -> Edit:
    """Edit the bytes of a file as they are stored."""
    return lambda sample: file_of(sample, name).write_bytes(edit(file_of(sample, name).read_bytes()))


def inside(edit: Callable[[bytes], bytes], name: str = "counts") -> Edit:
    """Edit what is in a file, packed or not."""
    return lambda sample: packed_again(file_of(sample, name), edit)


def content(data: bytes, name: str = "counts") -> Edit:
    """Put other bytes in the place of a file, or of a folder."""

    def edit(sample: Sample) -> None:
        path = file_of(sample, name)
        if path.is_dir():
            shutil.rmtree(path)
        path.write_bytes(data)

    return edit


def parquet(edit: Callable[[pa.Table], pa.Table]) -> Edit:
    """Edit the table in a Parquet file."""
    return lambda sample: pq.write_table(edit(pq.read_table(file_of(sample))), file_of(sample))


def cut_file(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(folder: Path) -> None:
    """Remove every file of a folder."""
    for path in folder.iterdir():
        path.unlink()


def half(name: str = "counts") -> Edit:
    """Cut a file in half."""
    return whole(lambda data: data[: len(data) // 2], name)


def lines(edit: Callable[[list[bytes]], list[bytes]], name: str = "counts") -> Edit:
    """Edit the lines of a text, packed or not."""
    return inside(lambda data: b"".join(line + b"\n" for line in edit(data.splitlines())), name)


def value(text: bytes) -> Edit:
    """Put a value into the last field of the last line: a count."""

    def edit(rows: list[bytes]) -> list[bytes]:
        separator = b"," if b"," in rows[-1] else b" "
        return [*rows[:-1], rows[-1].rpartition(separator)[0] + separator + text]

    return lines(edit)


def without(name: str) -> Edit:
    """Remove a file."""
    return lambda sample: file_of(sample, name).unlink()


def h5(edit: Callable[[Any], object]) -> Edit:
    """Edit an HDF5 file."""

    def apply(sample: Sample) -> None:
        with h5py.File(file_of(sample), "r+") as file:
            edit(file)

    return apply


def put(name: str, change: Callable[[np.ndarray], Any]) -> Edit:
    """Put a changed array in the place of one of an HDF5 file; its attributes stay."""

    def edit(file: Any) -> None:
        old, attributes = file[name][()], dict(file[name].attrs)
        del file[name]
        file[name] = change(old)
        file[name].attrs.update(attributes)

    return h5(edit)


def at(place: int, new: Any, dtype: Any = None) -> Callable[[np.ndarray], np.ndarray]:
    """Change one number of an array."""

    def change(values: np.ndarray) -> np.ndarray:
        changed = values.astype(dtype or values.dtype)
        changed.flat[place] = new
        return changed

    return change


def removed(name: str) -> Edit:
    """Remove a part of an HDF5 file."""
    return h5(lambda file: file.__delitem__(name))


def written_in_part(name: str) -> Edit:
    """Make chunks of an array of which only the first is ever stored."""

    def edit(file: Any) -> None:
        old = file[name][()]
        del file[name]
        array = file.create_dataset(name, old.shape, old.dtype, chunks=(8,))
        array[:8] = old[:8]

    return h5(edit)


def linked(target: str) -> Edit:
    """Put a symbolic link in the place of the file."""

    def edit(sample: Sample) -> None:
        path = file_of(sample)
        path.rename(path.with_name("real"))
        path.symlink_to(target)

    return edit


def folder(sample: Sample) -> None:
    """Put a folder in the place of the file."""
    file_of(sample).unlink()
    file_of(sample).mkdir()


def slot(name: str, data: bytes) -> Edit:
    """Put another slot into an R workspace."""

    def edit(sample: Sample) -> None:
        X, barcodes, genes = CONTRACT["X_CG"], CONTRACT["BARCODES"], CONTRACT["GENES"]
        made = R["workspace"](R["slots"](X.T, genes, barcodes) | {name: data}, "sm")
        file_of(sample).write_bytes(gzip.compress(made))

    return edit


def metadata(name: str, edit: Callable[[dict[str, Any]], object]) -> Edit:
    """Edit the metadata of an array in zarr of version 2, which are all in one file too, the one that is read."""

    def apply(sample: Sample) -> None:
        path = file_of(sample) / ".zmetadata"
        values = json.loads(path.read_text())
        edit(values["metadata"][f"{name}/.zarray"])
        path.write_text(json.dumps(values))

    return apply


def chunk(name: str, edit: Callable[[Path], object]) -> Edit:
    """Edit the chunks of an array in zarr."""

    def apply(sample: Sample) -> None:
        for path in (file_of(sample) / name).rglob("*"):
            if path.is_file() and not path.name.startswith((".", "zarr")):
                edit(path)

    return apply


def renamed(sample: Sample) -> None:
    """Members of a zipped zarr that climb out of it, beside those of before."""
    with zipfile.ZipFile(file_of(sample), "a") as file:
        file.writestr("../../escaped.txt", "out")
        file.writestr("/escaped.txt", "out")


PICKLE = b"\x80\x04cposix\nsystem\n(S'touch executed'\ntR."
NPZ = b"PK\x03\x04" + b"\x00" * 26 + PICKLE

CASES: dict[str, Bad] = {
    # Text tables.
    "table: gz cut": Bad(GZ, half(), "readable text table|ended before|plain, gzip"),
    "table: gz with another checksum": Bad(GZ, whole(lambda d: d[:-8] + b"abcd" + d[-4:]), "CRC"),
    "table: gz header alone": Bad(GZ, content(b"\x1f\x8b\x08"), "."),
    "table: zstd cut": Bad(ZST, half(), "."),
    "table: zip for a table": Bad(TEXT, content(b"PK\x03\x04\x14\x00\x00\x00\x08\x00\xff\xfe"), "UTF-8|name"),
    "table: PNG for a table": Bad(TEXT, content(b"\x89PNG\r\n\x1a\n" + bytes(range(256))), "."),
    "table: pickled npz for a table": Bad(TEXT, content(NPZ), "."),
    "table: nothing in it": Bad(TEXT, content(b""), "0 in the first row"),
    "table: blank lines alone": Bad(TEXT, content(b"\n\n \n"), "."),
    "table: header alone": Bad(TEXT, lines(lambda r: r[:1]), "0 in the first row|no rows|shape"),
    "table: no cells": Bad(TEXT, lines(lambda r: [row.split(b",")[0] for row in r]), "and 1 in the first"),
    "table: text in numbers": Bad(TEXT, value(b"many"), "many"),
    "table: a row too short": Bad(TEXT, lines(lambda r: [*r, b"EXTRA,1"]), "."),
    "table: a row too long": Bad(TEXT, lines(lambda r: [*r[:-1], r[-1] + b",1"]), "."),
    "table: NaN": Bad(TEXT, value(b"NaN"), "NaN"),
    "table: inf": Bad(TEXT, value(b"inf"), "infinite"),
    "table: negative": Bad(TEXT, value(b"-3"), "negative values, smallest -3"),
    "table: fraction": Bad(TEXT, value(b"2.5"), "fractions, first 2.5"),
    "table: beyond int32": Bad(TEXT, value(b"2147483648"), "a value of 2.147"),
    "table: beyond double": Bad(TEXT, value(b"1e400"), "infinite"),
    "table: empty field": Bad(TEXT, value(b""), "none in line"),
    "table: zeros only": Bad(TEXT, content(b"g,a,b\nA,0,0\nB,0,0\n"), "zeros only"),
    "table: barcode twice": Bad(TEXT, inside(lambda d: d.replace(b"AAC1-1", b"AAC2-1")), "each barcode once"),
    "table: empty barcode": Bad(TEXT, inside(lambda d: d.replace(b"AAC1-1", b"")), "a name for every barcode"),
    "table: BOM": Bad(TEXT, whole(lambda d: b"\xef\xbb\xbf" + d), RIGHT),
    "table: CRLF": Bad(TEXT, whole(lambda d: d.replace(b"\n", b"\r\n")), RIGHT),
    "table: BOM and CRLF in gz": Bad(GZ, inside(lambda d: b"\xef\xbb\xbf" + d.replace(b"\n", b"\r\n")), RIGHT),
    "table: no newline at the end": Bad(TEXT, whole(lambda d: d.rstrip()), RIGHT),
    "table: Latin-1": Bad(TEXT, whole(lambda d: d.replace(b"zebra", b"z\xe9bra")), "0xe9 in line 13"),
    "table: UTF-16": Bad(TEXT, whole(lambda d: d.decode().encode("utf-16")), "0xff in line 1"),
    "table: a NUL in a number": Bad(TEXT, value(b"1\x002"), "."),
    "table: a quote not closed": Bad(TEXT, whole(lambda d: d.replace(b"CDK4", b'"CDK4')), "."),
    "table: another separator": Bad(TEXT, whole(lambda d: d.replace(b",", b";")), "1 fields"),
    "table: a folder": Bad(TEXT, folder, "directory|folder"),
    "table: a link to itself": Bad(TEXT, linked("counts.csv"), "symbolic links|Too many"),
    "table: a link to nothing": Bad(TEXT, linked("absent"), "No such file"),
    "table: a link to the file": Bad(TEXT, linked("real"), RIGHT),
    "table: labels too few": Bad("table, labels", lines(lambda r: r[:-1], LABELS), "one label for each cell"),
    "table: labels in another order": Bad("table, labels", lines(lambda r: [r[0], *r[:0:-1]], LABELS), RIGHT),
    "table: labels in Latin-1": Bad("table, labels", whole(lambda d: d + b"\xe9", LABELS), "UTF-8"),
    # MatrixMarket.
    "mtx: gz cut": Bad(PACKED, half(), r"counts\.mtx\.gz"),
    "mtx: gz of barcodes cut": Bad(PACKED, half("barcodes"), r"barcodes\.tsv"),
    "mtx: fewer entries than the header says": Bad(PLAIN, lines(lambda r: r[:-1]), "entries, as the header says"),
    "mtx: more entries than the header says": Bad(PLAIN, lines(lambda r: [*r, r[-1]]), "more, at least"),
    "mtx: a row beyond the last": Bad(PLAIN, lines(lambda r: [*r[:-1], b"13 1 1"]), "rows from 1 to 12"),
    "mtx: row 0": Bad(PLAIN, lines(lambda r: [*r[:-1], b"0 1 1"]), "a row 0"),
    "mtx: a column beyond the last": Bad(PLAIN, lines(lambda r: [*r[:-1], b"1 10 1"]), "columns from 1 to 9"),
    "mtx: a negative column": Bad(PLAIN, lines(lambda r: [*r[:-1], b"1 -1 1"]), "a column -1"),
    "mtx: a place beyond int32": Bad(PLAIN, lines(lambda r: [*r[:-1], b"1 4294967297 1"]), "."),
    "mtx: symmetric": Bad(PLAIN, inside(lambda d: d.replace(b"general", b"symmetric")), "general; got"),
    "mtx: array": Bad(PLAIN, inside(lambda d: d.replace(b"coordinate", b"array")), "coordinate"),
    "mtx: no header": Bad(PLAIN, lines(lambda r: r[1:]), "%%MatrixMarket"),
    "mtx: no sizes": Bad(PLAIN, lines(lambda r: r[:1]), "the end of the file"),
    "mtx: a trillion entries": Bad(PLAIN, lines(lambda r: [r[0], b"12 9 1000000000000"]), "too short for them"),
    "mtx: text in numbers": Bad(PLAIN, value(b"two"), "two|could not parse"),
    "mtx: two numbers in a line": Bad(PLAIN, lines(lambda r: [*r[:-1], b"1 1"]), "."),
    "mtx: NaN": Bad(PLAIN, value(b"NaN"), "NaN"),
    "mtx: negative": Bad(PLAIN, value(b"-1"), "negative"),
    "mtx: beyond int32": Bad(PLAIN, value(b"3000000000"), "a value of 3e"),
    "mtx: no cells": Bad(PLAIN, content(b"%%MatrixMarket matrix coordinate integer general\n12 0 0\n"), "barcodes"),
    "mtx: no genes": Bad(PLAIN, content(b"%%MatrixMarket matrix coordinate integer general\n0 9 0\n"), "features"),
    "mtx: barcodes too few": Bad(PLAIN, lines(lambda r: r[:-1], "barcodes"), "8 barcodes"),
    "mtx: barcodes too many": Bad(PLAIN, lines(lambda r: [*r, b"MORE"], "barcodes"), "10 barcodes"),
    "mtx: a barcode twice": Bad(PLAIN, lines(lambda r: [r[0], *r[:-1]], "barcodes"), "each barcode once"),
    "mtx: features too few": Bad(PACKED, lines(lambda r: r[:-1], "features"), "11 features"),
    "mtx: ragged features": Bad(PACKED, lines(lambda r: [r[0] + b"\tmore", *r[1:]], "features"), "as many fields"),
    "mtx: Latin-1 features": Bad(PACKED, inside(lambda d: d.replace(b"zebra", b"z\xe9"), "features"), "0xe9"),
    "mtx: CRLF": Bad(PLAIN, whole(lambda d: d.replace(b"\n", b"\r\n")), RIGHT),
    "mtx: BOM before the barcodes": Bad(PLAIN, whole(lambda d: b"\xef\xbb\xbf" + d, "barcodes"), RIGHT),
    "mtx: lines of blanks": Bad(PLAIN, inside(lambda d: d.replace(b" ", b"  ") + b"\n\n"), RIGHT),
    # CellRanger's HDF5.
    "tenx_h5: cut": Bad(H5, half(), r"OSError|truncated"),
    "tenx_h5: first bytes alone": Bad(H5, whole(lambda d: d[:8]), "."),
    "tenx_h5: wrong magic": Bad(H5, whole(lambda d: b"\x88" + d[1:]), "signature"),
    "tenx_h5: no groups": Bad(H5, removed("matrix"), "a group `matrix`"),
    "tenx_h5: no barcodes": Bad(H5, removed("matrix/barcodes"), "without barcodes"),
    "tenx_h5: barcodes too few": Bad(H5, put("matrix/barcodes", lambda v: v[:-1]), "."),
    "tenx_h5: an index too large": Bad(H5, put("matrix/indices", at(0, 12)), "."),
    "tenx_h5: a negative index": Bad(H5, put("matrix/indices", at(0, -1)), "indices from 0"),
    "tenx_h5: an index beyond int32": Bad(H5, put("matrix/indices", at(0, 2**32)), "indices from 0"),
    "tenx_h5: starts that fall": Bad(H5, put("matrix/indptr", at(1, 10**6)), "."),
    "tenx_h5: no starts": Bad(H5, put("matrix/indptr", lambda v: v[:0]), "starts"),
    "tenx_h5: shape of another matrix": Bad(H5, put("matrix/shape", lambda v: v[::-1]), "features x"),
    "tenx_h5: counts as text": Bad(H5, put("matrix/data", lambda v: v.astype("S8")), "."),
    "tenx_h5: counts beyond int32": Bad(H5, put("matrix/data", at(0, 2**31, np.int64)), "a value of"),
    "tenx_h5: negative counts": Bad(H5, put("matrix/data", at(0, -1, np.int64)), "negative"),
    "tenx_h5: antibodies alone": Bad(
        H5, put("matrix/features/feature_type", lambda v: np.full(len(v), b"Antibody")), "only Antibody"
    ),
    "tenx_h5: two genomes": Bad(H5_V1, h5(lambda f: f.copy("hg19", "mm10")), "reader.genome"),
    "tenx_h5: a group that is its own": Bad(
        H5, h5(lambda f: (f.__delitem__("matrix"), f.__setitem__("matrix", h5py.SoftLink("/matrix")))), "."
    ),
    "tenx_h5: counts in a file elsewhere": Bad(
        H5, h5(lambda f: (f.__delitem__("matrix"), f.__setitem__("matrix", h5py.ExternalLink("no.h5", "/")))), "."
    ),
    # AnnData.
    "h5ad: cut": Bad(H5AD, half(), "."),
    "h5ad: no X": Bad(H5AD, removed("X"), "a matrix X"),
    "h5ad: no obs": Bad(H5AD, removed("obs"), "a table obs"),
    "h5ad: obs of another length": Bad(H5AD, put("obs/_index/values", lambda v: v[:-1]), "wrong length|8 cells x 12"),
    "h5ad: no cells": Bad(H5AD, h5(lambda f: f["X"].attrs.__setitem__("shape", [0, 12])), "."),
    "h5ad: a negative shape": Bad(H5AD, h5(lambda f: f["X"].attrs.__setitem__("shape", [-9, 12])), "."),
    "h5ad: stored in no known way": Bad(
        H5AD, h5(lambda f: f["X"].attrs.__setitem__("encoding-type", "coo_matrix")), "stored as coo_matrix"
    ),
    "h5ad: log-normalised": Bad(H5AD, put("X/data", lambda v: np.log1p(v)), "fractions"),
    "h5ad: chunks of counts never written": Bad(H5AD, written_in_part("X/data"), "chunks of"),
    "h5ad: chunks of indices never written": Bad(H5AD, written_in_part("X/indices"), "chunks of"),
    "h5ad: NaN": Bad(H5AD, put("X/data", at(0, np.nan, np.float32)), "NaN"),
    "h5ad: an index too large": Bad(H5AD, put("X/indices", at(3, 99)), "."),
    "h5ad: barcode twice": Bad(H5AD, put("obs/_index/values", lambda v: v[[0, *range(8)]]), "barcode once"),
    "h5ad: a pickle in it": Bad(H5AD, h5(lambda f: f.__setitem__("uns/evil", np.void(PICKLE))), RIGHT),
    "h5ad: a pickle for the cells": Bad(
        H5AD, h5(lambda f: (f.__delitem__("obs/_index"), f["obs"].__setitem__("_index", np.void(PICKLE)))), "."
    ),
    # loom.
    "loom: cut": Bad(LOOM, half(), "."),
    "loom: no matrix": Bad(LOOM, removed("matrix"), "a matrix matrix"),
    "loom: no groups": Bad(LOOM, removed("col_attrs"), "a group col_attrs"),
    "loom: no barcodes": Bad(LOOM, removed("col_attrs/CellID"), "an attribute CellID"),
    "loom: barcodes too few": Bad(LOOM, put("col_attrs/CellID", lambda v: v[:-1]), "9 values in col_attrs"),
    "loom: one row of numbers": Bad(LOOM, put("matrix", np.ravel), "genes x cells"),
    "loom: inf": Bad(LOOM, put("matrix", at(0, np.inf, np.float64)), "infinite"),
    "loom: no genes": Bad(LOOM, put("matrix", lambda v: v[:0]), "."),
    # zarr.
    "zarr: a file of text": Bad(ZARR, content(b"no zarr"), "."),
    "zarr: an empty folder": Bad(ZARR, lambda s: [shutil.rmtree(file_of(s)), file_of(s).mkdir()], "."),
    "zarr: zip cut": Bad(ZIP, half(), "zip"),
    "zarr: zip that climbs out": Bad(ZIP, renamed, RIGHT),
    "zarr: metadata cut": Bad(ZARR, lambda s: (file_of(s) / ".zmetadata").write_text("{"), "."),
    "zarr: counts of no known type": Bad(ZARR, metadata("X/data", lambda m: m.update(dtype="|O9")), "."),
    "zarr: counts of no known codec": Bad(
        ZARR, metadata("X/data", lambda m: m.update(compressor={"id": "rot13"})), "."
    ),
    "zarr: a trillion counts": Bad(ZARR, metadata("X/data", lambda m: m.update(shape=[10**12])), "chunks of|Memory"),
    "zarr: indices longer than counts": Bad(ZARR, metadata("X/indices", lambda m: m.update(shape=[60])), "."),
    "zarr: chunks of counts gone": Bad(ZARR, chunk("X/data", Path.unlink), "chunks"),
    "zarr: chunks of indices gone": Bad(ZARR, chunk("X/indices", Path.unlink), "chunks"),
    "zarr: chunks cut": Bad(ZARR, chunk("X/data", lambda p: p.write_bytes(p.read_bytes()[:-3])), "."),
    # Parquet.
    "parquet: cut": Bad(WIDE, half(), "."),
    "parquet: wrong magic": Bad(WIDE, whole(lambda d: b"PARQ" + d[4:-4] + b"PARQ"), "."),
    "parquet: CSV for it": Bad(WIDE, content(b"cell,gene,count\na,b,1\n"), "."),
    "parquet: nothing in it": Bad(WIDE, content(b""), "."),
    "parquet: a folder of nothing": Bad(WIDE_FOLDER, lambda s: emptied(s.files["counts"]), "."),
    "parquet: a part cut": Bad(WIDE_FOLDER, lambda s: cut_file(s.files["counts"] / "part-1.parquet"), "."),
    "parquet: no rows": Bad(WIDE, parquet(lambda t: t[:0]), "."),
    "parquet: barcode twice": Bad(WIDE, parquet(lambda t: pa.concat_tables([t, t[:1]])), "barcode once"),
    "parquet: fractions": Bad(
        WIDE, parquet(lambda t: t.set_column(1, t.column_names[1], [[0.5] * len(t)])), "fractions"
    ),
    "parquet: negative": Bad(WIDE, parquet(lambda t: t.set_column(1, t.column_names[1], [[-1] * len(t)])), "negative"),
    "parquet: long without counts": Bad(LONG, parquet(lambda t: t.drop_columns(["count"])), "."),
    "parquet: long with a gap": Bad(LONG, parquet(lambda t: t.set_column(0, "cell", [[None] * len(t)])), "."),
    "parquet: ours without cells": Bad(OURS, lambda s: (s.files["counts"] / "cells.parquet").unlink(), "cells"),
    "parquet: ours, matrix cut": Bad(OURS, lambda s: cut_file(s.files["counts"] / "matrix.parquet"), "."),
    # PanglaoDB.
    "RData: gz cut": Bad(RDATA, half(), "R workspace"),
    "RData: cut inside": Bad(RDATA, inside(lambda d: d[: len(d) // 2]), "R workspace"),
    "RData: wrong magic": Bad(RDATA, inside(lambda d: b"RDA2\n" + d[5:]), "RDX2 or RDX3"),
    "RData: another object": Bad(RDATA, inside(lambda d: d.replace(b"sm2", b"abc")), "an object sm or sm2"),
    "RData: an index too large": Bad(RDATA, slot("i", R["int_vector"]([0, 9, 1, 2, 0, 1])), "."),
    "RData: NA for a start": Bad(RDATA, slot("p", R["int_vector"]([0, -(2**31), 3, 6])), "."),
    "RData: sizes of another matrix": Bad(RDATA, slot("Dim", R["int_vector"]([3, 4])), "names of"),
    "RData: text for counts": Bad(RDATA, slot("x", R["char_vector"](["a"] * 6)), "."),
    "RData: NaN": Bad(RDATA, slot("x", R["real_vector"]([float("nan")] * 6)), "."),
    "RData: no names": Bad(RDATA, slot("Dimnames", R["ints"](19, 2, 254, 254)), "."),
    "RData: no cells": Bad(RDATA, slot("Dim", R["int_vector"]([4, 0])), "names of"),
    "RData: clusters of others": Bad("panglaodb, labels", content(b"XXX 1\n", "clusters"), "clusters of these cells"),
    "RData: clusters with a field more": Bad("panglaodb, labels", lines(lambda r: [*r, b"A 1 2"], "clusters"), "."),
    "RData: cell types in Latin-1": Bad("panglaodb, labels", whole(lambda d: d + b"\xe9", "annotations"), "UTF-8"),
}


def forbidden(sample: Sample) -> None:
    """Take everybody's permission away."""
    os.chmod(file_of(sample), 0)
