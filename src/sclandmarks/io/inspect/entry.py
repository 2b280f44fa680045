"""The entry of datasets.yaml that takes a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sclandmarks.io.inspect.genes import GeneIds
from sclandmarks.io.inspect.look import Look

UNKNOWN = "unknown"
WIDTH = 110


def make_entry(look: Look, ids: GeneIds, path: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    """Make the entry of a file where it lies; what the file does not say is `unknown`.

    Parameters
    ----------
    look : Look
    ids : GeneIds
    path : Path
    files : mapping of str to Path
        Role -> file that was named; it goes before what lies beside the counts.
    """
    others = {role: file.as_posix() for role, file in {**look.files, **files}.items()}
    source = {"kind": "file", "path": path.as_posix()} | others
    return {
        "title": _plain(path).replace("_", " "), "organism": ids.organism or UNKNOWN, "tissue": UNKNOWN,
        "citation": "unpublished", "licence": "own data", "source": source, "reader": dict(look.reader),
    }  # fmt: skip


def name_of(path: Path) -> str:
    """A name for the data set of a file: letters, digits, `_` and `-`, the first no mark."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", _plain(path)).strip("_-").lower() or "mine"


def _plain(path: Path) -> str:
    """Name of a file without its endings; of a 10x matrix that of its folder."""
    name = re.sub(r"(\.sparse)?(\.(parquet|[A-Za-z0-9]{1,5})){1,2}$", "", path.name) if path.is_file() else path.name
    if name in ("matrix", "counts", "filtered_feature_bc_matrix", "raw_feature_bc_matrix", "outs"):
        return _plain(path.resolve().parent) if path.resolve().parent.name else name
    return name


def as_yaml(entries: Mapping[str, Any]) -> str:
    """Lines for datasets.yaml."""
    return yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=True, width=WIDTH)
