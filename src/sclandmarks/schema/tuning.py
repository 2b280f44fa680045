"""Tables of studies."""

from __future__ import annotations

import polars as pl

from sclandmarks.schema.base import Column, Table

TRIALS = Table(
    "trials",
    (
        Column("study", pl.String, "name of the study"),
        Column("number", pl.Int32, "number of the trial in it; 0 has the settings of params.yaml"),
        Column("state", pl.String, "complete, pruned, fail, running or waiting"),
        Column("value", pl.Float64, "first objective; of a pruned trial its last report", nullable=True),
        Column("value_2", pl.Float64, "second objective", nullable=True),
        Column("is_best", pl.Boolean, "best of all complete ones, or on the Pareto front"),
        Column("settings", pl.String, "what was tried, JSON"),
        Column("attempt", pl.Int32, "1 = first try of these settings; more after a lost worker"),
        Column("retry_of", pl.Int32, "number of the lost trial that this one repeats", nullable=True),
        Column("n_reports", pl.Int32, "epochs that were reported"),
        Column("n_landmarks", pl.Int32, "genes in the panel", nullable=True),
        Column("best_step", pl.Int32, "epoch whose weights were kept", nullable=True),
        Column("seconds", pl.Float64, "from being asked for to its end", nullable=True),
        Column("peak_bytes", pl.Int64, "most memory of the device or the process, bytes", nullable=True),
        Column("worker", pl.String, "host:pid that ran it", nullable=True),
        Column("reason", pl.String, "why it was pruned or failed", nullable=True),
    ),
    key=("study", "number"),
)
