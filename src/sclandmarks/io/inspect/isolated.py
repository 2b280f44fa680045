"""Looking at foreign files in a process of its own, as `raw.isolated` reads them, and for the same reasons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sclandmarks.io.inspect import Inspection
from sclandmarks.io.inspect.genes import GeneIds
from sclandmarks.io.inspect.look import Column, Matrix, Problem
from sclandmarks.io.raw.isolated import Limits, ask

WORKER = "sclandmarks.io.inspect.worker"


def inspect_isolated(path: Path, files: Mapping[str, Path] | None = None, limits: Limits | None = None) -> Inspection:
    """Say what a file or folder is, as `inspect` does, in a process of its own.

    Parameters
    ----------
    path : Path
    files : mapping of str to Path, optional
        Role -> file that belongs to it.
    limits : Limits, optional
        By default those of `raw.isolated.machine_limits`.

    Returns
    -------
    Inspection

    Raises
    ------
    SclandmarksError
        As `inspect` raises it, with its notes.
    DataError
        If the look crashes or takes more than `limits`; a note names the file.
    """
    others = {role: str(file) for role, file in (files or {}).items()}
    told = ask(WORKER, {"path": str(path), "files": others}, {"counts": path}, limits, f"file {path}")
    return unpack_inspection(told)


def unpack_inspection(told: Mapping[str, Any]) -> Inspection:
    """The inspection whose fields were written as JSON, where a tuple is a list."""
    matrices = tuple(Matrix(*one) for one in told["matrices"])
    columns = tuple(Column(name, n, tuple(examples), role) for name, n, examples, role in told["columns"])
    problems = tuple(Problem(*one) for one in told["problems"])
    genes = GeneIds(*told["genes"])
    return Inspection(**{**told, "genes": genes, "matrices": matrices, "columns": columns, "problems": problems})
