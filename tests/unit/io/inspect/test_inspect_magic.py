"""What a file is by its first bytes, and what is said of files that hold no counts."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import h5py
import pyarrow as pa
import pytest

from sclandmarks.errors import DataError, SourceError
from sclandmarks.io.inspect.magic import Kind, sniff

FOREIGN = {
    b"%PDF-1.7\n": "a PDF document",
    b"\x89PNG\r\n\x1a\n0000": "a PNG picture",
    b"\xff\xd8\xff\xe0": "a JPEG picture",
    b"\xd0\xcf\x11\xe0\xa1\xb1": "an old Office file",
    b"BZh91AY": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x80\x04\x95abc": "a Python pickle, which is never opened",
    b"X\n\x00\x00\x00\x03": "an R object",
    b"\x93NUMPY\x01": "a numpy array",
    b"\xff\xfeg\x00": "text in UTF-16",
    b'{"a": 1}': "JSON",
    b"<!DOCTYPE html><html>": "a web page",
    b"  <html>": "a web page",
    b"@read1\nACGT\n+\nIIII\n": "FASTQ",
    bytes(range(256)): "bytes of no form that is known",
    b"": "an empty file",
    bytes(257) + b"ustar" + bytes(200): "a tar archive",
}


@pytest.mark.parametrize("content", FOREIGN, ids=lambda content: FOREIGN[content])
@pytest.mark.parametrize("suffix", ["csv", "h5ad"])
def test_foreign_files_are_named_whatever_their_suffix(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"counts.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        sniff(path)
    assert FOREIGN[content] in caught.value.got
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("inside", "kind"),
    [(b"a,b\n", "text"), (b"%%MatrixMarket matrix", "mtx"), (b"RDX3\nX", "rdata"), (b"RDX2\nX", "rdata")],
)
@pytest.mark.parametrize("packing", ["", "gzip", "zstd"])
def test_packed_files_are_looked_into(inside: bytes, kind: str, packing: str, tmp_path: Path) -> None:
    path = tmp_path / "counts"
    content = {"": inside, "gzip": gzip.compress(inside), "zstd": pa.Codec("zstd").compress(inside, asbytes=True)}
    path.write_bytes(content[packing])
    assert sniff(path) == Kind(kind, packing)


def test_a_packed_picture_and_a_packed_hdf5_file_are_no_counts(tmp_path: Path) -> None:
    path = tmp_path / "counts.h5ad.gz"
    path.write_bytes(gzip.compress(b"\x89HDF\r\n\x1a\n" + bytes(100)))
    with pytest.raises(DataError, match=r"HDF5 file packed with gzip.*gunzip"):
        sniff(path)
    path.write_bytes(gzip.compress(b"%PDF-1.4"))
    with pytest.raises(DataError, match="PDF"):
        sniff(path)
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(DataError, match="an empty file, packed with gzip"):
        sniff(path)


def test_a_gzip_file_without_any_content_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n")[:9])
    with pytest.raises(DataError, match=r"a whole gzip file.*cut or damaged"):
        sniff(path)


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return path


def test_zip_files_are_told_apart(tmp_path: Path) -> None:
    assert sniff(zipped(tmp_path / "a.zip", ".zgroup")) == Kind("zarr")
    with pytest.raises(DataError, match="Excel workbook"):
        sniff(zipped(tmp_path / "b.csv", "xl/workbook.xml"))
    with pytest.raises(DataError, match=r"zip archive with counts.csv"):
        sniff(zipped(tmp_path / "c.zip", "counts.csv"))
    whole = zipped(tmp_path / "d.zip", "counts.csv").read_bytes()
    (tmp_path / "d.zip").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"a whole zip file.*cut or damaged"):
        sniff(tmp_path / "d.zip")


def test_folders_are_told_apart(tmp_path: Path) -> None:
    inner = tmp_path / "outs" / "filtered_feature_bc_matrix"
    inner.mkdir(parents=True)
    (inner / "matrix.mtx.gz").touch()
    assert sniff(inner) == Kind("mtx")
    with pytest.raises(DataError, match="Inspect outs/filtered_feature_bc_matrix in it"):
        sniff(tmp_path)
    with pytest.raises(DataError, match="Inspect filtered_feature_bc_matrix in it"):
        sniff(tmp_path / "outs")
    (tmp_path / "store").mkdir()
    with pytest.raises(DataError, match="one with nothing"):
        sniff(tmp_path / "store")
    (tmp_path / "store" / "zarr.json").touch()
    assert sniff(tmp_path / "store") == Kind("zarr")


def test_hdf5_is_known_by_its_signature(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "counts.csv", "w"):
        pass
    assert sniff(tmp_path / "counts.csv") == Kind("hdf5")


def test_what_is_not_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none there"):
        sniff(tmp_path / "none")
