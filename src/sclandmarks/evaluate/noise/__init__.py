"""How well any predictor could do: the sampling noise of counts, and what of the rest is captured."""

from __future__ import annotations

from sclandmarks.evaluate.noise.captured import (
    LEAST_EXPLAINABLE,
    LEAST_OF_A_GENE,
    Captured,
    captured,
    captured_interval,
)
from sclandmarks.evaluate.noise.floor import NoiseFloor, group_floors, noise_floor
from sclandmarks.evaluate.noise.tables import WHOLE, group_labels, group_of, noise_per_gene, noise_rows
from sclandmarks.evaluate.noise.thinning import Thinning, log_values, thin

__all__ = [
    "LEAST_EXPLAINABLE",
    "LEAST_OF_A_GENE",
    "WHOLE",
    "Captured",
    "NoiseFloor",
    "Thinning",
    "captured",
    "captured_interval",
    "group_floors",
    "group_labels",
    "group_of",
    "log_values",
    "noise_floor",
    "noise_per_gene",
    "noise_rows",
    "thin",
]
