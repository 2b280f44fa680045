"""What a file of counts is, without reading all of it, and the entry of datasets.yaml that takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

from sclandmarks.errors import SclandmarksError
from sclandmarks.io.inspect.columns import NAMES
from sclandmarks.io.inspect.entry import as_yaml, make_entry, name_of
from sclandmarks.io.inspect.genes import GeneIds, describe_genes, gene_problems, unreadable_genes
from sclandmarks.io.inspect.look import Column, Look, Matrix, Problem
from sclandmarks.io.inspect.magic import CUT, Kind, sniff
from sclandmarks.io.own.files import accessible, files_in
from sclandmarks.io.raw import Reader
from sclandmarks.io.raw.common import reading


@dataclass(frozen=True)
class Inspection:
    """What a file is.

    Parameters
    ----------
    path : str
    format : str
        Of the reader that takes it.
    about : str
        The same, for people.
    packing : str
        `gzip`, `zstd` or nothing.
    n_bytes : int
    n_cells, n_genes : int
    exact : bool
        Whether the whole file was seen; else the rows are estimated, and genes and values are those of its beginning.
    layout : str
        How cells and genes lie.
    genes : GeneIds
    matrices : tuple of Matrix
    taken : str or None
        Name of the matrix that is read, None if none is of counts.
    columns : tuple of Column
        Of the cells.
    problems : tuple of Problem
    name : str
        For the data set.
    entry : dict
        For datasets.yaml.
    """

    path: str
    format: str
    about: str
    packing: str
    n_bytes: int
    n_cells: int
    n_genes: int
    exact: bool
    layout: str
    genes: GeneIds
    matrices: tuple[Matrix, ...]
    taken: str | None
    columns: tuple[Column, ...]
    problems: tuple[Problem, ...]
    name: str
    entry: dict[str, Any]

    @property
    def is_fit(self) -> bool:
        """Whether nothing seen stands in the way of reading it."""
        return not any(problem.fatal for problem in self.problems)

    @property
    def yaml(self) -> str:
        """Lines for datasets.yaml."""
        return as_yaml({self.name: self.entry})

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON; numbers that are none become None."""
        tuples = ("matrices", "columns", "problems")
        lists = {key: [_plain(one) for one in getattr(self, key)] for key in tuples}
        return vars(self) | lists | {"genes": self.genes._asdict(), "fit": self.is_fit, "yaml": self.yaml}


def inspect(path: Path, files: Mapping[str, Path] | None = None) -> Inspection:
    """Say what a file or folder is.

    Parameters
    ----------
    path : Path
    files : mapping of str to Path, optional
        Role -> file that belongs to it.

    Returns
    -------
    Inspection

    Raises
    ------
    SourceError
        If it is not there, or may not be read.
    DataError
        If it is broken, or no file of counts; a note names the file.
    """
    try:
        kind = sniff(path)
        with accessible(path), reading("a whole file of counts", CUT):
            look = _look(path, kind, dict(files or {}))
    except SclandmarksError as error:
        error.add_note(f"file {path}")
        raise
    ids = describe_genes(look.genes)
    return Inspection(
        path.as_posix(), look.reader["format"], look.about, kind.packing, _n_bytes(path), look.n_cells, look.n_genes,
        look.exact, look.layout, ids, tuple(look.matrices),
        next((one.name for one in look.matrices if one.fault is None), None),
        tuple(look.columns), (*_emptiness(look), *look.problems, *_about_genes(look, ids)),
        name_of(path), make_entry(look, ids, path, files or {}),
    )  # fmt: skip


def column_roles() -> dict[str, Sequence[str]]:
    """Format -> columns of cells that its reader has a setting for."""
    settings = get_args(get_args(Reader)[0])
    return {
        get_args(one.model_fields["format"].annotation)[0]: [role for role in NAMES if role in one.model_fields]
        for one in settings
    }


def _look(path: Path, kind: Kind, files: dict[str, Path]) -> Look:
    if kind.form == "text":
        from sclandmarks.io.inspect.text import look_at_table

        return look_at_table(path, kind.packing)
    if kind.form == "mtx":
        from sclandmarks.io.inspect.market import look_at_market

        return look_at_market(path, files)
    if kind.form == "rdata":
        from sclandmarks.io.inspect.workspace import look_at_workspace

        return look_at_workspace(path)
    if kind.form == "parquet":
        from sclandmarks.io.inspect.parquet import look_at_parquet

        return look_at_parquet(path, column_roles()["parquet"])
    if kind.form == "zarr":
        from sclandmarks.io.inspect.zarr_store import look_at_zarr

        return look_at_zarr(path, column_roles())
    from sclandmarks.io.inspect.hdf5 import look_at_hdf5

    return look_at_hdf5(path, column_roles())


def _about_genes(look: Look, ids: GeneIds) -> list[Problem]:
    return unreadable_genes(look.genes, look.reader.get("genome")) or gene_problems(ids)


def _emptiness(look: Look) -> list[Problem]:
    return [Problem(f"no {what} in the file", "Get the file again, or choose another.")
            for what, n in (("cells", look.n_cells), ("genes", look.n_genes)) if not n]  # fmt: skip


def _n_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in files_in(path)) if path.is_dir() else path.stat().st_size


def _plain(one: NamedTuple) -> dict[str, Any]:
    return {key: None if value != value else value for key, value in one._asdict().items()}
