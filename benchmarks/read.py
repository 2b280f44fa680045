"""Readers of count files beside what one would use instead: seconds and peak memory, in separate processes of one run.

`python benchmarks/read.py` makes a matrix of 20,000 x 30,000 at 5 % in a temporary folder (some GB), writes it in
every format and reads it back; `--cells`, `--genes` and `--density` set another size, `--only` some of the formats.
Memory is the peak during the reading above what the process held before; a tiny file is read first, so that imports
count for neither. `--isolated` sets reading as the stage does, in a process of its own, beside reading in the same:
there the start of that process counts, and all its memory.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import runpy
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

ROOT = Path(__file__).resolve().parent.parent
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
LOOM_CHUNK = 64
TINY = (70, 60, 0.2)


class Counts(NamedTuple):
    """What is written: counts, and names of both sides."""

    X_CG: sparse.csr_matrix
    barcodes: list[str]
    genes: list[str]


def made_up(n_cells: int, n_genes: int, density: float) -> Counts:
    """Counts of geometric size at random places."""
    rng = np.random.default_rng(0)
    per_cell = rng.binomial(n_genes, density, n_cells)
    indices = np.concatenate([np.sort(rng.choice(n_genes, n, replace=False)) for n in per_cell]).astype(np.int32)
    starts = np.concatenate([[0], per_cell.cumsum()])
    values = rng.geometric(0.4, len(indices)).astype(np.int32)
    X_CG = sparse.csr_matrix((values, indices, starts), shape=(n_cells, n_genes))
    return Counts(X_CG, [f"CELL{i:08d}-1" for i in range(n_cells)], [f"ENSG{i:011d}" for i in range(n_genes)])


def write_tenx_h5(counts: Counts, folder: Path) -> None:
    """As CellRanger 3 does: int32 counts, int64 indices, gzip."""
    import h5py

    X, names = counts.X_CG, np.array(counts.genes, "S")
    arrays = {"data": X.data, "indices": X.indices.astype(np.int64), "indptr": X.indptr.astype(np.int64)}
    arrays |= {"barcodes": np.array(counts.barcodes, "S"), "features/id": names, "features/name": names}
    kinds = {
        "features/feature_type": np.full(len(names), b"Gene Expression"),
        "features/genome": np.full(len(names), b"h"),
    }
    with h5py.File(folder / "counts.h5", "w") as file:
        file["matrix/shape"] = np.array(X.T.shape, dtype=np.int32)
        for name, values in (arrays | kinds).items():
            file.create_dataset(f"matrix/{name}", data=values, chunks=True, compression="gzip")


def write_tenx_mtx(counts: Counts, folder: Path) -> None:
    """As CellRanger 3 does, in a folder, gzip; and plain in another."""
    import polars as pl

    X = counts.X_CG
    cells = np.repeat(np.arange(1, X.shape[0] + 1), np.diff(X.indptr))
    body = pl.DataFrame({"row": X.indices + 1, "column": cells, "value": X.data})
    text = f"%%MatrixMarket matrix coordinate integer general\n%\n{X.shape[1]} {X.shape[0]} {X.nnz}\n".encode()
    text += body.write_csv(include_header=False, separator=" ").encode()
    genes = "".join(f"{name}\t{name}\tGene Expression\n" for name in counts.genes).encode()
    barcodes = "".join(f"{name}\n" for name in counts.barcodes).encode()
    (folder / "packed").mkdir()
    (folder / "plain").mkdir()
    for name, data in {"matrix.mtx": text, "barcodes.tsv": barcodes, "features.tsv": genes}.items():
        (folder / "plain" / name.replace("features", "genes")).write_bytes(data)
        with gzip.open(folder / "packed" / f"{name}.gz", "wb", compresslevel=4) as file:
            file.write(data)


def write_anndata(counts: Counts, folder: Path) -> None:
    """X as float32 CSR, the commonest form; h5ad with gzip, zarr as its default."""
    import anndata
    import pandas as pd

    obs, var = pd.DataFrame(index=pd.Index(counts.barcodes)), pd.DataFrame(index=pd.Index(counts.genes))
    adata = anndata.AnnData(counts.X_CG.astype(np.float32), obs=obs, var=var)
    with anndata.settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(folder / "counts.h5ad", compression="gzip")
        adata.write_zarr(folder / "counts.zarr")


def write_loom(counts: Counts, folder: Path) -> None:
    """As loompy does: dense float32 in chunks of 64 x 64, gzip 2."""
    import h5py

    n_cells, n_genes = counts.X_CG.shape
    chunks = (min(LOOM_CHUNK, n_genes), min(LOOM_CHUNK, n_cells))
    with h5py.File(folder / "counts.loom", "w") as file:
        file["row_attrs/Gene"] = np.array(counts.genes, dtype=object)
        file["col_attrs/CellID"] = np.array(counts.barcodes, dtype=object)
        options: dict[str, Any] = {"dtype": "f4", "chunks": chunks, "compression": "gzip", "compression_opts": 2}
        matrix = file.create_dataset("matrix", (n_genes, n_cells), **options)
        for at in range(0, n_cells, 10 * LOOM_CHUNK):
            matrix[:, at : at + 10 * LOOM_CHUNK] = counts.X_CG[at : at + 10 * LOOM_CHUNK].toarray().T


def write_panglaodb(counts: Counts, folder: Path) -> None:
    """As R's `save` does: RDX3 in gzip."""
    made = runpy.run_path(str(ROOT / "tests/unit/io/raw/rdata_bytes.py"))
    slots = made["slots"](counts.X_CG.T, [f"S_{name}.1" for name in counts.genes], counts.barcodes)
    with gzip.open(folder / "counts.RData", "wb", compresslevel=4) as file:
        file.write(made["workspace"](slots))


def write_table(counts: Counts, folder: Path) -> None:
    """Dense text, a row a cell."""
    import polars as pl

    with gzip.open(folder / "counts.csv.gz", "wb", compresslevel=1) as file:
        file.write(",".join(["", *counts.genes]).encode() + b"\n")
        for at in range(0, counts.X_CG.shape[0], 500):
            block = pl.DataFrame(counts.X_CG[at : at + 500].toarray())
            named = block.insert_column(0, pl.Series("", counts.barcodes[at : at + 500]))
            file.write(named.write_csv(include_header=False).encode())


def write_long(counts: Counts, folder: Path) -> None:
    """A row for each count, names as dictionaries, as polars and pandas write categories."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    X = counts.X_CG
    cells = np.repeat(np.arange(X.shape[0], dtype=np.int32), np.diff(X.indptr))
    columns = {"cell": pa.DictionaryArray.from_arrays(cells, counts.barcodes), "count": pa.array(X.data)}
    columns |= {"gene": pa.DictionaryArray.from_arrays(X.indices, counts.genes)}
    pq.write_table(pa.table(columns), folder / "long.parquet", row_group_size=1 << 20)


def write_wide(counts: Counts, folder: Path) -> None:
    """A row a cell, a column a gene."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = [pa.array(column) for column in counts.X_CG.T.toarray()]
    pq.write_table(pa.table([pa.array(counts.barcodes), *numbers], ["cell", *counts.genes]), folder / "wide.parquet")


def ours(reader: str, file: str) -> Callable[[Path], object]:
    """Our reader of this format."""

    def read(folder: Path) -> object:
        from pydantic import TypeAdapter

        from sclandmarks.io.raw import READERS, Reader
        from sclandmarks.io.raw.common import Origin
        from sclandmarks.io.raw.isolated import read_isolated

        settings: Any = TypeAdapter(Reader).validate_python({"format": reader})
        reads = read_isolated if "isolated" in sys.argv else READERS[reader]
        return reads({"counts": folder / file}, settings, Origin("bench", "none"))

    return read


def theirs(module: str, name: str, file: str, **options: Any) -> Callable[[Path], object]:
    """A reader of another package."""

    def read(folder: Path) -> object:
        return getattr(__import__(module), name)(folder / file, **options)

    return read


def dense_loom(folder: Path) -> object:
    """What scanpy does through loompy, which is not among our dependencies: the whole matrix, then CSR."""
    import h5py

    with h5py.File(folder / "counts.loom") as file:
        return sparse.csr_matrix(file["matrix"][:].T)


def polars_long(folder: Path) -> object:
    """A long table through polars: names as categories, whose codes are the places."""
    import polars as pl

    table = pl.read_parquet(folder / "long.parquet")
    codes = [table[side].cast(pl.String).cast(pl.Categorical) for side in ("cell", "gene")]
    names = [side.unique(maintain_order=True) for side in codes]
    places = [side.cast(pl.Enum(known.cast(pl.String))).to_physical().to_numpy() for side, known in
              zip(codes, names, strict=True)]  # fmt: skip
    return sparse.coo_matrix((table["count"].to_numpy(), places), shape=tuple(map(len, names))).tocsr()


def pandas_wide(folder: Path) -> object:
    """A wide table through pandas: all of it, then CSR."""
    import pandas as pd

    return sparse.csr_matrix(pd.read_parquet(folder / "wide.parquet").set_index("cell").to_numpy())


def pandas_csv(folder: Path) -> object:
    """A table of text through pandas' parser in C: all of it, then CSR."""
    import pandas as pd

    return sparse.csr_matrix(pd.read_csv(folder / "counts.csv.gz", index_col=0, engine="c").to_numpy())


class Contest(NamedTuple):
    """A format: how it is written, our reader, and the other one."""

    write: Callable[[Counts, Path], None]
    ours: Callable[[Path], object]
    instead: str
    theirs: Callable[[Path], object]


CONTESTS = {
    "tenx_h5": Contest(
        write_tenx_h5, ours("tenx_h5", "counts.h5"), "scanpy.read_10x_h5", theirs("scanpy", "read_10x_h5", "counts.h5")
    ),
    "tenx_mtx, gzip": Contest(
        write_tenx_mtx, ours("tenx_mtx", "packed"), "scanpy.read_10x_mtx", theirs("scanpy", "read_10x_mtx", "packed")
    ),
    "tenx_mtx, plain": Contest(
        write_tenx_mtx, ours("tenx_mtx", "plain"), "scanpy.read_10x_mtx", theirs("scanpy", "read_10x_mtx", "plain")
    ),
    "h5ad": Contest(
        write_anndata, ours("h5ad", "counts.h5ad"), "scanpy.read_h5ad", theirs("scanpy", "read_h5ad", "counts.h5ad")
    ),
    "zarr": Contest(
        write_anndata, ours("zarr", "counts.zarr"), "anndata.read_zarr", theirs("anndata", "read_zarr", "counts.zarr")
    ),
    "loom": Contest(write_loom, ours("loom", "counts.loom"), "h5py, dense, to CSR", dense_loom),
    "panglaodb": Contest(
        write_panglaodb,
        ours("panglaodb", "counts.RData"),
        "rdata.read_rda",
        theirs("rdata", "read_rda", "counts.RData"),
    ),
    "table, gzip": Contest(
        write_table, ours("table", "counts.csv.gz"), "pandas.read_csv in C, dense, to CSR", pandas_csv
    ),
    "parquet, long": Contest(write_long, ours("parquet", "long.parquet"), "polars, to CSR", polars_long),
    "parquet, wide": Contest(write_wide, ours("parquet", "wide.parquet"), "pandas, dense, to CSR", pandas_wide),
}


def resident(key: str) -> float:
    """Memory of this process in MiB: VmRSS now, VmHWM at its peak (Linux)."""
    return next(int(line.split()[1]) / 1024 for line in STATUS.read_text().splitlines() if line.startswith(key))


def measure(name: str, side: str, folder: Path) -> None:
    """Read the tiny file, then the big one, and print seconds and MiB as JSON."""
    warnings.simplefilter("ignore")
    read = getattr(CONTESTS[name], "theirs" if side == "theirs" else "ours")
    read(folder / "tiny")
    before = resident("VmRSS")
    CLEAR.write_text("5")
    begin = time.perf_counter()
    result = read(folder / "big")
    seconds = time.perf_counter() - begin
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 if side == "isolated" else 0.0
    print(json.dumps([seconds, resident("VmHWM") - before + child]))
    del result


def run(name: str, side: str, folder: Path) -> tuple[float, float]:
    """Seconds and MiB of one reader, in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, side, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name}, {side}: {done.stderr}")
    seconds, mib = json.loads(done.stdout.splitlines()[-1])
    return seconds, mib


def compare(names: list[str], size: tuple[int, int, float], repeats: int, first: str) -> None:
    """Write and read every format, and print a line for each; of some repeats the best seconds and the least MiB."""
    counts, tiny = made_up(*size), made_up(*TINY)
    print(f"{size[0]:,} cells x {size[1]:,} genes at {size[2]:.0%}, {counts.X_CG.nnz:,} non-zeros\n")
    print("| reader | s | instead | its s | time ratio | MiB | its MiB | memory ratio |\n" + "| --- " * 8 + "|")
    for name in names:
        contest = CONTESTS[name]
        with tempfile.TemporaryDirectory() as folder:
            for part, values in (("tiny", tiny), ("big", counts)):
                (Path(folder) / part).mkdir()
                contest.write(values, Path(folder) / part)
            other = "ours" if first == "isolated" else "theirs"
            both = [(run(name, first, Path(folder)), run(name, other, Path(folder))) for _ in range(repeats)]
        (s, mib), (its_s, its_mib) = (np.min([pair[side] for pair in both], axis=0) for side in (0, 1))
        instead = "in this process" if first == "isolated" else contest.instead
        line = f"| {name} | {s:.2f} | {instead} | {its_s:.2f} | {s / its_s:.2f} "
        print(f"{line}| {mib:,.0f} | {its_mib:,.0f} | {mib / its_mib:.2f} |", flush=True)


def main() -> None:
    """Compare, or, in a process started for it, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--genes", type=int, default=30_000)
    parser.add_argument("--density", type=float, default=0.05)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--isolated", action="store_true", help="set reading in a process of its own beside without")
    parser.add_argument("--only", nargs="+", choices=CONTESTS, default=list(CONTESTS))
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        name, side, folder = given.measure
        measure(name, side, Path(folder))
    else:
        first = "isolated" if given.isolated else "ours"
        compare(given.only, (given.cells, given.genes, given.density), given.repeats, first)


if __name__ == "__main__":
    main()
