"""The page of the studies: figures, tables and sentences from the tidy tables alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from sclandmarks import schema
from sclandmarks.params import StudiesParams
from sclandmarks.report import study_figures as figures
from sclandmarks.report import study_tables as grids
from sclandmarks.report.pages import by_section, template
from sclandmarks.report.plots import Drawing
from sclandmarks.report.style import to_svg

TIDY = (
    schema.CURVES, schema.EQUIVALENTS, schema.GROUPS, schema.GENERALISATION, schema.STABILITY, schema.FREQUENCY,
    schema.REALISTIC,
)  # fmt: skip
PERCENT = {"efficiency", "dropout"}
AXES = {
    "efficiency": "molecules of the panel that are seen",
    "dropout": "genes of the panel whose assay fails",
    "saturation": "most molecules of a gene in a cell",
    "crowding": "spots that a cell has room for",
}


@dataclass(frozen=True)
class StudyReport:
    """What the stage writes: the page, whole, and its figures as SVG by name."""

    html: str
    figures: dict[str, str]


def build_studies(
    tables: Mapping[schema.Table, pl.DataFrame], settings: StudiesParams, label: str, version: str
) -> StudyReport:
    """Make the page and its figures; the same tables give the same bytes.

    Parameters
    ----------
    tables : mapping of schema.Table to polars.DataFrame
        All of `TIDY`.
    settings : StudiesParams
    label : str
        Of the data sets.
    version : str
        Of the package.
    """
    drawn = [*_curves(tables), *_left_out(tables), *_stability(tables), *_realistic(tables)]
    svgs = {drawing.name: to_svg(drawing.figure, drawing.name) for drawing in drawn}
    return StudyReport(
        template("studies.html.j2").render(
            context(tables, settings, label, version) | {"figures": by_section(drawn, svgs)}
        ),
        svgs,
    )


def context(
    tables: Mapping[schema.Table, pl.DataFrame], settings: StudiesParams, label: str, version: str
) -> dict[str, Any]:
    """All that the template names, but the figures."""
    curves, groups = tables[schema.CURVES], tables[schema.GROUPS]
    common = curves.filter((pl.col("target_set") == "common") & (pl.col("axis") == "landmarks"))
    return {
        "label": label,
        "version": version,
        "studies": settings,
        "confidence": f"{100 * settings.confidence:g}",
        "n_common": f"{max(common['n_targets'], default=0):,}",
        "answer": grids.answer(tables),
        "equivalents": grids.equivalents_grid(tables[schema.EQUIVALENTS]),
        "curves": grids.curves_grid(curves),
        "lost": grids.lost_grid(tables[schema.GENERALISATION].filter(pl.col("group") == "(mean)")),
        "lost_each": grids.lost_grid(tables[schema.GENERALISATION].filter(pl.col("group") != "(mean)")),
        "groups": grids.groups_grid(groups),
        "n_judged": groups.filter(pl.col("status") == "judged").height,
        "stability": grids.stability_grid(tables[schema.STABILITY]),
        "frequency": grids.frequency_grid(tables[schema.FREQUENCY]),
        "realistic": grids.realistic_grid(tables[schema.REALISTIC]),
    }


def metric_of(frame: pl.DataFrame) -> str:
    """Captured where the table has it, else explained."""
    return "captured" if "captured" in set(frame["metric"]) else "explained"


def _curves(tables: Mapping[schema.Table, pl.DataFrame]) -> Iterator[Drawing]:
    for target_set in ("common", "total"):
        part = tables[schema.CURVES].filter(pl.col("target_set") == target_set)
        metric = metric_of(part)
        part = part.filter(pl.col("metric") == metric)
        lines = part.filter((pl.col("axis") == "reference") & ~_self_evident(target_set)).with_columns(
            label=pl.struct("panel", "n_landmarks").map_elements(grids.line_label, return_dtype=pl.String)
        )
        ylabel = f"{metric}, {'common targets' if target_set == 'common' else 'all genes'}"
        curve = part.filter(pl.col("axis") == "landmarks")
        alt = f"{ylabel} against the number of landmarks of {curve['panel'].n_unique()} panels, with reference lines"
        figure = figures.learning_curve(curve, "n_landmarks", "landmarks", ylabel, lines)
        yield Drawing(f"landmarks-{target_set}", "landmarks", figure, alt)
        cells = part.filter(pl.col("axis") == "cells")
        alt = f"{ylabel} against the number of training cells of {cells['panel'].n_unique()} panels"
        figure = figures.learning_curve(cells, "n_cells", "training cells", ylabel, lines.clear())
        yield Drawing(f"cells-{target_set}", "cells", figure, alt)


def _self_evident(target_set: str) -> pl.Expr:
    """Half of all genes, counted as measured, is no line for all genes."""
    return (pl.col("panel") == "half_genes") & pl.lit(target_set == "total")


def _left_out(tables: Mapping[schema.Table, pl.DataFrame]) -> Iterator[Drawing]:
    """One figure a kind of group, for the first predictor; groups that lose most come first."""
    table = tables[schema.GENERALISATION]
    for by in table["by"].unique(maintain_order=True):
        part = table.filter((pl.col("by") == by) & (pl.col("predictor") == table["predictor"][0]))
        wide = part.pivot(
            on="quantity", index=["group", "panel", "n_test"], values=["value", "low", "high"], maintain_order=True
        )
        names = {f"value_{one}": one for one in ("within", "without")} | {
            f"{end}_{one}": f"{one}_{end}" for one in ("within", "without") for end in ("low", "high")
        }
        wide = wide.drop_nulls(list(names)).rename(names)
        if wide.height:
            order = pl.col("value_lost").mean().over("group")
            wide = wide.sort(pl.col("group") == "(mean)", -order, "group", maintain_order=True)
            heading = pl.when(pl.col("group") == "(mean)").then(pl.lit("mean over groups")).otherwise("group")
            rows = wide.with_columns(heading=pl.format("{} ({} test cells)", heading, "n_test"), label=pl.col("panel"))
            alt = f"Explained fraction of {wide['group'].n_unique() - 1} groups ({by}) when seen and when left out"
            yield Drawing(f"left-out-{by}", "left_out", figures.groups_left_out(rows), alt)


def _stability(tables: Mapping[schema.Table, pl.DataFrame]) -> Iterator[Drawing]:
    frame = tables[schema.STABILITY].filter(pl.col("measure") == "nogueira")
    if frame.height:
        named = frame.with_columns(label=pl.format("{}, {}", "panel", "over"))
        alt = f"Stability of {frame['panel'].n_unique()} panels against their size"
        yield Drawing("stability", "stability", figures.stability(named), alt)


def _realistic(tables: Mapping[schema.Table, pl.DataFrame]) -> Iterator[Drawing]:
    frame = tables[schema.REALISTIC]
    metric = metric_of(frame)
    frame = frame.filter(pl.col("metric") == metric)
    clean = frame.filter((pl.col("noise") == "own_total") & (pl.col("trained_on") == "clean"))
    for noise, xlabel in AXES.items():
        part = frame.filter(pl.col("noise") == noise)
        if part.height:
            figure = figures.noise_curve(part, clean, xlabel, metric, noise in PERCENT)
            yield Drawing(f"noise-{noise}", "realistic", figure, f"{metric} against {noise}: {xlabel}")
