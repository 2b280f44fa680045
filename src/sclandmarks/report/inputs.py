"""What the report is made from, and one record for each fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from sclandmarks import schema
from sclandmarks.params import NO_PANEL, Params

TIDY = (
    schema.SUMMARY, schema.LIBRARY_SIZES, schema.EMBEDDING, schema.COMPARISON, schema.DIFFERENCES, schema.PER_TYPE,
    schema.PER_GENE, schema.OVERLAP, schema.NOISE, schema.COVERAGE,
)  # fmt: skip
COMMON, OWN = "common", "own"
BASELINES = ("zero", "mean", "ridge", "reduced_rank")
NETWORKS = ("paper_network", "network")


@dataclass(frozen=True)
class Tables:
    """The tidy tables of a run.

    Parameters
    ----------
    params : Params
        Settings of the run.
    version : str
        Of the package.
    sources : mapping of str to mapping of str to str
        Data set -> title, organism, tissue, citation, licence.
    pca : mapping of str to list of float
        Data set -> fraction of variance explained by each principal component; may be empty.
    panels : mapping of str to polars.DataFrame
        Panel -> `schema.PANEL`.
    panel_paths : mapping of str to polars.DataFrame
        Panel -> `schema.PANEL_PATH`, without rows where it walked no path.
    panel_histories, fit_histories : mapping of str to polars.DataFrame
        Panel or fit -> `schema.HISTORY`, without rows where nothing was trained.
    summary, library_sizes, embedding, comparison, differences, per_type, per_gene, overlap, noise, coverage
        As the tables of the same names in `schema`; see `TIDY`.
    """

    params: Params
    version: str
    sources: Mapping[str, Mapping[str, str]]
    pca: Mapping[str, list[float]]
    panels: Mapping[str, pl.DataFrame]
    panel_paths: Mapping[str, pl.DataFrame]
    panel_histories: Mapping[str, pl.DataFrame]
    fit_histories: Mapping[str, pl.DataFrame]
    summary: pl.DataFrame
    library_sizes: pl.DataFrame
    embedding: pl.DataFrame
    comparison: pl.DataFrame
    differences: pl.DataFrame
    per_type: pl.DataFrame
    per_gene: pl.DataFrame
    overlap: pl.DataFrame
    noise: pl.DataFrame
    coverage: pl.DataFrame


class Score(NamedTuple):
    """A figure and its bootstrap interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """Explained fraction of a fit minus that of the reference, and what its interval shows."""

    value: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Result:
    """All that the tables say about one fit.

    Parameters
    ----------
    fit, panel, predictor, scale : str
    selector, method : str
        Kinds of the panel and of the predictor; their names where the settings do not know them.
    n_landmarks : int
    n_targets : mapping of str to int
        Target set -> genes predicted.
    scores : mapping of (str, str) to Score
        (target set, metric) -> figure.
    difference : Difference or None
        To the reference, on the common targets; None for the reference itself and for counts.
    """

    fit: str
    panel: str
    predictor: str
    scale: str
    selector: str
    method: str
    n_landmarks: int
    n_targets: Mapping[str, int]
    scores: Mapping[tuple[str, str], Score]
    difference: Difference | None

    @property
    def label(self) -> str:
        """Panel and predictor in one phrase."""
        return self.predictor if self.panel == NO_PANEL else f"{self.panel} + {self.predictor}"

    def score(self, target_set: str, metric: str) -> Score:
        """Figure of a target set, all None where the table has none."""
        return self.scores.get((target_set, metric), Score(None, None, None))

    @property
    def captured(self) -> Score:
        """Captured on the common targets, all None where there is no noise floor to compare with."""
        return self.score(COMMON, "captured") if self.scale == "log" else Score(None, None, None)

    @property
    def explained(self) -> float | None:
        """Explained fraction on the common targets, None where it may not be compared with others."""
        return self.score(COMMON, "explained").value if self.scale == "log" else None


def results(tables: Tables) -> list[Result]:
    """One record a fit, in the order of the comparison table."""
    common = (pl.col("metric") == "explained") & (pl.col("target_set") == COMMON)
    verdicts = {row["fit"]: row for row in tables.differences.filter(common).to_dicts()}
    fits = tables.comparison.partition_by("fit", maintain_order=True)
    return [_result(rows, verdicts.get(rows["fit"][0]), tables.params) for rows in fits]


def _result(rows: pl.DataFrame, verdict: Mapping[str, object] | None, params: Params) -> Result:
    first = rows.row(0, named=True)
    panel, predictor = params.panels.get(first["panel"]), params.predictors.get(first["predictor"])
    return Result(
        **{name: first[name] for name in ("fit", "panel", "predictor", "scale", "n_landmarks")},
        selector=panel.selector if panel else first["panel"],
        method=predictor.method if predictor else first["predictor"],
        n_targets=dict(rows.select("target_set", "n_targets").iter_rows()),
        scores={(row["target_set"], row["metric"]): _score(row) for row in rows.to_dicts()},
        difference=_difference(verdict) if verdict else None,
    )


def _score(row: Mapping[str, float | None]) -> Score:
    return Score(row["value"], row["low"], row["high"])


def _difference(row: Mapping[str, object]) -> Difference:
    return Difference(*(row[name] for name in Difference._fields))  # type: ignore[arg-type]


def ranked(found: list[Result]) -> list[Result]:
    """Fits of a panel that may be compared, by explained fraction on the common targets, largest first."""
    comparable = [result for result in found if result.explained is not None and result.panel != NO_PANEL]
    return sorted(comparable, key=lambda result: -(result.explained or 0.0))


def main_fits(found: list[Result], reference: str, most: int = 8) -> list[Result]:
    """Best fit of every panel (of random panels, of all of them together) and the reference, at most so many."""
    best: dict[str, Result] = {}
    for result in ranked(found):
        best.setdefault("random" if result.selector == "random" else result.panel, result)
    chosen = [result.fit for result in best.values() if result.fit != reference][: most - 1]
    return [result for result in found if result.fit in {reference, *chosen} and result.explained is not None]
