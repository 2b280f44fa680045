"""Small sound files of every format: those of the readers' contract, and some more that are packed otherwise."""

from __future__ import annotations

import runpy
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

TESTS = Path(__file__).resolve().parents[1]
CONTRACT = runpy.run_path(str(TESTS / "contract/test_readers.py"))
GENES = ["A1BG", "GAPDH", "CDK4", "TP53", "ACTB", "MYC", "EGFR", "KRAS", "BRAF", "CD4", "CD8A", "zebra"]
N_CELLS = 9
SEALED = (b"\x1f\x8b",)
"""Beginnings of files whose content has a checksum: gzip."""


class Sample(NamedTuple):
    """Files of one data set.

    Parameters
    ----------
    folder : Path
        Where they are, and nothing else.
    files : dict of str to Path
    settings : dict
        Of the reader, as JSON.
    """

    folder: Path
    files: dict[str, Path]
    settings: dict[str, Any]

    def copy(self, folder: Path) -> Sample:
        """The same in another folder, which is emptied first."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        files = {role: folder / path.relative_to(self.folder) for role, path in self.files.items()}
        return Sample(folder, files, self.settings)

    @property
    def paths(self) -> list[Path]:
        """Every file, sorted."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def counts() -> np.ndarray:
    """Counts of N_CELLS x len(GENES), some of them large."""
    rng = np.random.default_rng(3)
    X_CG = rng.poisson(0.8, (N_CELLS, len(GENES))).astype(np.float64)
    X_CG[1, 2], X_CG[4, 0] = 70_000, 300
    return X_CG


def samples(folder: Path) -> dict[str, Sample]:
    """Write all samples, each in a folder of its own."""
    barcodes = [f"AAC{i}-1" for i in range(N_CELLS)]
    made = {}
    for number, (name, write) in enumerate({**CONTRACT["WRITERS"], **PACKED}.items()):
        place = folder / str(number)
        place.mkdir(parents=True)
        written = write(place, counts(), barcodes, GENES)
        made[name] = Sample(place, written.files, written.settings.model_dump(mode="json"))
    return made


def _repacked(writer: str, ending: str) -> Callable[..., Any]:
    """Write an HDF5 file again, every data set of numbers in chunks with gzip."""

    def write(folder: Path, *content: Any) -> Any:
        written = CONTRACT["WRITERS"][writer](folder, *content)
        path, plain = folder / f"counts.{ending}", folder / "plain"
        path.rename(plain)
        with h5py.File(plain) as source, h5py.File(path, "w") as target:
            target.attrs.update(source.attrs)
            source.visititems(lambda name, item: _pack(name, item, target))
        plain.unlink()
        return written

    return write


def _pack(name: str, item: Any, target: Any) -> None:
    if isinstance(item, h5py.Group):
        target.require_group(name).attrs.update(item.attrs)
        return
    packed = {"chunks": True, "compression": "gzip", "shuffle": True} if item.ndim else {}
    target.create_dataset(name, data=item[()], dtype=item.dtype, **packed).attrs.update(item.attrs)


def _zarr(format_: int, packed: bool) -> Callable[..., Any]:
    def write(folder: Path, *content: Any) -> Any:
        import anndata

        with anndata.settings.override(zarr_write_format=format_), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = CONTRACT["WRITERS"]["zarr, X, CSR"](folder, *content)
        if packed:
            whole = folder / "counts.zarr"
            archive = Path(shutil.make_archive(str(folder / "counts"), "zip", whole))
            shutil.rmtree(whole)
            archive.rename(whole)
        return written

    return write


def _labelled_panglaodb(folder: Path, X_CG: np.ndarray, barcodes: list[str], genes: list[str]) -> Any:
    written = CONTRACT["WRITERS"]["panglaodb, RDX3, sm2"](folder, X_CG, barcodes, genes)
    clusters, types = folder / "clusters.txt", folder / "annotations.csv"
    clusters.write_text("".join(f"{name} {i % 3}\n" for i, name in enumerate(barcodes)))
    types.write_text("cluster,cell_type\n0,T cells\n1,Unknown\n")
    return written._replace(files=written.files | {"clusters": clusters, "annotations": types})


def _labelled_table(folder: Path, X_CG: np.ndarray, barcodes: list[str], genes: list[str]) -> Any:
    written = CONTRACT["WRITERS"]["table, genes x cells"](folder, X_CG, barcodes, genes)
    labels = folder / "labels.csv"
    labels.write_text("cell,type\n" + "".join(f"{name},t{i % 2}\n" for i, name in enumerate(barcodes)))
    return written._replace(files=written.files | {"labels": labels})


PACKED: dict[str, Callable[..., Any]] = {
    "tenx_h5, chunks": _repacked("tenx_h5, version 3", "h5"),
    "h5ad, chunks": _repacked("h5ad, X, found", "h5ad"),
    "loom, chunks": _repacked("loom", "loom"),
    "zarr, version 3": _zarr(3, packed=False),
    "zarr, version 2, zip": _zarr(2, packed=True),
    "tenx_mtx, zstd": CONTRACT["write_tenx_mtx"](".zst", "features"),
    "panglaodb, labels": _labelled_panglaodb,
    "table, labels": _labelled_table,
}
