"""Every table that touches the disk: its columns, types, units and meaning, checked on both sides."""

from __future__ import annotations

from sclandmarks.schema.base import Column, Table, check, frame, ordered
from sclandmarks.schema.cohorts import DROPPED, MEASURED, PROVENANCE
from sclandmarks.schema.comparison import (
    CLUSTERS,
    COMPARISON,
    DIFFERENCES,
    GENEWISE,
    LEVELS,
    PER_CELL,
    PER_TYPE,
    PROFILES,
    SEEDS,
)
from sclandmarks.schema.data import CELLS, EMBEDDING, GENES, LIBRARY_SIZES, SPLIT, SUMMARY, UNKNOWN
from sclandmarks.schema.genes import COVERAGE, INTERVALS, NEIGHBOURS, PER_GENE, TRUST
from sclandmarks.schema.noise import NOISE, NOISE_PER_GENE
from sclandmarks.schema.panels import HISTORY, OVERLAP, PANEL, PANEL_PATH, TARGETS
from sclandmarks.schema.studies import CURVES, EQUIVALENTS, FREQUENCY, GENERALISATION, GROUPS, REALISTIC, STABILITY
from sclandmarks.schema.tuning import TRIALS

VERSION = "2"

__all__ = [
    "CELLS",
    "CLUSTERS",
    "COMPARISON",
    "COVERAGE",
    "CURVES",
    "DIFFERENCES",
    "DROPPED",
    "EMBEDDING",
    "EQUIVALENTS",
    "FREQUENCY",
    "GENERALISATION",
    "GENES",
    "GENEWISE",
    "GROUPS",
    "HISTORY",
    "INTERVALS",
    "LEVELS",
    "LIBRARY_SIZES",
    "MEASURED",
    "NEIGHBOURS",
    "NOISE",
    "NOISE_PER_GENE",
    "OVERLAP",
    "PANEL",
    "PANEL_PATH",
    "PER_CELL",
    "PER_GENE",
    "PER_TYPE",
    "PROFILES",
    "PROVENANCE",
    "REALISTIC",
    "SEEDS",
    "SPLIT",
    "STABILITY",
    "SUMMARY",
    "TARGETS",
    "TRIALS",
    "TRUST",
    "UNKNOWN",
    "VERSION",
    "Column",
    "Table",
    "check",
    "frame",
    "ordered",
]
