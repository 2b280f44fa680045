"""Lists of genes in files of the user, which settings name by tokens such as `@mine.txt` or `@sets.gmt#NAME`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from sclandmarks import paths
from sclandmarks.errors import ParamsError
from sclandmarks.params import Section

NAMES = ("gene", "gene_id", "symbol")
Genes = dict[str, float]


def read_lists(settings: Section, folder: Path = paths.LISTS) -> dict[str, Genes]:
    """Genes and weights of every file that the settings name, by token.

    Raises
    ------
    ParamsError
        If a file is not in the folder, is of no known kind, is damaged or holds no gene, or a gene set is not in it.
    """
    return {token: _read(token, folder) for token in _tokens(settings.model_dump())}


def _tokens(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("@"):
        yield value
    elif isinstance(value, Mapping):
        for part in (*value.keys(), *value.values()):
            yield from _tokens(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tokens(part)


def _read(token: str, folder: Path) -> Genes:
    name, _, gene_set = token[1:].partition("#")
    path = folder / name
    if Path(name).name != name or not path.is_file():
        there = ", ".join(sorted(one.name for one in folder.glob("*.*") if one.name != "README.md")) or "none"
        raise ParamsError(f"a file {name} in {folder}", f"{token}; files there: {there}", "Put it there, or mend it.")
    try:
        genes = _read_set(path, gene_set) if path.suffix == ".gmt" else _read_file(path)
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError, ValueError) as error:
        raise ParamsError(f"a list of genes in {path}", str(error), "See lists/README.md.") from error
    if not genes:
        raise ParamsError(f"genes in {path}", "none", "See lists/README.md.")
    return genes


def _read_file(path: Path) -> Genes:
    match path.suffix:
        case ".txt":
            lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
            return dict.fromkeys((line for line in lines if line), 1.0)
        case ".csv" | ".tsv":
            return _columns(pl.read_csv(path, separator="," if path.suffix == ".csv" else "\t", infer_schema=False))
        case ".parquet":
            return _columns(pl.read_parquet(path))
    raise ValueError(f"a file of kind {path.suffix or 'none'}")


def _columns(table: pl.DataFrame) -> Genes:
    genes = next((table[name] for name in NAMES if name in table.columns), table.to_series(0)).cast(pl.String)
    weights = table["weight"].cast(pl.Float64).to_list() if "weight" in table.columns else [1.0] * table.height
    if any(weight is None or not 0 <= weight < float("inf") for weight in weights):
        raise ValueError("a weight that is no number of 0 or more")
    return {gene.strip(): weight for gene, weight in zip(genes, weights, strict=True) if gene and gene.strip()}


def _read_set(path: Path, name: str) -> Genes:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    sets = {row[0]: [gene.strip() for gene in row[2:] if gene.strip()] for row in rows}
    if name not in sets:
        few = ", ".join(list(sets)[:5])
        raise ValueError(f"no set {name or 'named'} (write {path.name}#SET); the first of {len(sets)}: {few}")
    return dict.fromkeys(sets[name], 1.0)
