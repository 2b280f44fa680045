"""Which column of a file's annotations says a cell's type, donor, sample, tissue or condition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sclandmarks.io.inspect.look import Column

NAMES = {
    "cell_type": (
        "celltype", "celltypes", "celltypename", "celltypelabel", "authorcelltype", "celltypeannotation", "annotation",
        "freeannotation", "cellontologyclass", "celltypeontologylabel", "celltype1", "celltypefine", "majorcelltype",
        "celltypemajor", "annotations", "cellannotation", "label", "labels", "assignedcluster", "ident",
        "seuratclusters", "leiden", "louvain", "cluster", "clusters", "clusterid",
    ),
    "donor": ("donor", "donorid", "patient", "patientid", "individual", "subject", "subjectid", "donorname", "mouseid"),
    "sample": (
        "sample", "sampleid", "samplename", "biosampleid", "origident", "library", "libraryid", "channel", "run",
        "srs", "gsm", "batch",
    ),
    "tissue": (
        "tissue", "organ", "tissuetype", "organtissue", "tissuename", "organontologylabel", "anatomicalregion",
        "bodysite", "site", "region",
    ),
    "condition": (
        "condition", "disease", "diseaseontologylabel", "treatment", "diagnosis", "stimulation", "stim", "perturbation",
        "healthstatus", "status", "group",
    ),
}  # fmt: skip
"""Role -> usual names without case and marks, the likeliest first."""
MOST_LEVELS = {"cell_type": 500, "donor": 2000, "sample": 5000, "tissue": 200, "condition": 200}
N_EXAMPLES = 3
CL_ID = re.compile(r"^[A-Z]+:\d+$")


def column(name: str, values: Sequence[Any]) -> Column:
    """Describe a column by its values."""
    levels = sorted({str(value) for value in values if value is not None})
    return Column(name, len(levels), tuple(levels[:N_EXAMPLES]))


def with_roles(columns: Iterable[Column], n_cells: int, roles: Iterable[str] = NAMES) -> list[Column]:
    """Give each role to the likeliest column; one that differs from cell to cell, or has ontology ids, has none.

    Parameters
    ----------
    columns : iterable of Column
    n_cells : int
    roles : iterable of str
        Those the reader has a setting for.

    Returns
    -------
    list of Column
        Those with a role first.
    """
    columns = list(columns)
    role_of: dict[str, str] = {}
    for role in (role for role in NAMES if role in set(roles)):
        fit = [one for one in columns if _rank(one, role) is not None and _fits(one, role, n_cells)]
        if fit:
            role_of.setdefault(min(fit, key=lambda one: _rank(one, role) or 0).name, role)
    given = [one._replace(role=role_of.get(one.name)) for one in columns]
    return sorted(given, key=lambda one: (one.role is None, list(NAMES).index(one.role) if one.role else 0))


def is_named_as(name: str, role: str) -> bool:
    """Whether a column of this name usually has this role."""
    return _rank(column(name, ()), role) is not None


def _rank(one: Column, role: str) -> int | None:
    plain = re.sub(r"[^a-z0-9]", "", one.name.lower())
    return NAMES[role].index(plain) if plain in NAMES[role] else None


def _fits(one: Column, role: str, n_cells: int) -> bool:
    few = one.n_levels <= min(MOST_LEVELS[role], max(n_cells // 2, 2))
    return few and one.n_levels > 0 and not all(CL_ID.match(level) for level in one.examples)


def is_annotation(kind: np.dtype[Any]) -> bool:
    """Whether values of this type may name groups of cells: texts and whole numbers, not fractions."""
    return kind.kind in "OSUTbiu"
