"""The page: figures, tables and sentences put into the template."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import yaml
from markupsafe import Markup
from pydantic import BaseModel

from sclandmarks.params import Params
from sclandmarks.report import genes, words
from sclandmarks.report import tables as grids
from sclandmarks.report.inputs import Result, Tables, results
from sclandmarks.report.pages import by_section, template
from sclandmarks.report.plots import Drawing, drawings, plot_tables
from sclandmarks.report.style import to_svg

FIRST = 20  # genes of a panel that are shown; the file has all
_NOT_RESULTS = {"runtime", "tracking", "studies", "tune"}  # where it ran, who kept the record, pages of their own


@dataclass(frozen=True)
class Report:
    """What the stage writes.

    Parameters
    ----------
    html : str
        The page, whole.
    figures : dict of str to str
        Name -> SVG.
    plots : dict of str to str
        Name -> CSV for `dvc plots`.
    """

    html: str
    figures: dict[str, str]
    plots: dict[str, str]


def build(tables: Tables) -> Report:
    """Make the page, its figures as files, and the tables for `dvc plots`.

    The same tables give the same bytes: no time, host, path or run id is in them.
    """
    found = results(tables)
    drawn = drawings(tables, found)
    figures = {drawing.name: to_svg(drawing.figure, drawing.name) for drawing in drawn}
    html = template("template.html.j2").render(context(tables, found, drawn, figures))
    return Report(html, figures, {name: frame.write_csv() for name, frame in plot_tables(tables).items()})


def context(
    tables: Tables, found: list[Result], drawn: Iterable[Drawing], figures: Mapping[str, str]
) -> dict[str, Any]:
    """All that the template names."""
    reference, best = tables.params.compare.reference, genes.shown_fit(tables, found)
    return {
        "label": tables.params.data.label,
        "version": tables.version,
        "answer": words.answer(tables, found),
        "figures": by_section(drawn, figures),
        "sources": grids.source_grid(tables),
        "summary": grids.summary_grid(tables.summary),
        "study": grids.study_grid(tables, found),
        "study_source": grids.study()["source"],
        "comparison": grids.comparison_grid(found, reference),
        "overlap": grids.overlap_grid(tables.overlap),
        "noise": genes.noise_grid(tables.noise),
        "trust": genes.trust_grid(tables, found),
        "gene_fit": best.label if best else "",
        "gene_rows": Markup(genes.searchable(tables, best.fit)) if best else "",  # noqa: S704 (it escapes <)
        "coverage": genes.coverage_grid(tables.coverage, best.fit) if best else None,
        "levels": " and ".join(f"{100 * level:g}" for level in tables.params.intervals.levels),
        "reference": next((result.label for result in found if result.fit == reference), reference),
        "left_out": words.left_out(tables),
        "n_common": max((result.n_targets.get("common", 0) for result in found), default=0),
        "sizes_differ": len({result.n_landmarks for result in found}) > 1,
        "has_counts": any(result.scale == "counts" for result in found),
        "sampled": tables.embedding.height < tables.library_sizes["kept"].sum(),
        "panels": [panel_card(name, panel, tables.params) for name, panel in tables.panels.items()],
        "predictors": [
            *((name, _about(value)) for name, value in tables.params.predictors.items()),
            *((name, words.CONTROLS[name]) for name in tables.params.compare.controls),
        ],
        "confidence": f"{100 * tables.params.compare.confidence:g}",
        "n_bootstrap": f"{tables.params.compare.n_bootstrap:,}",
        "params": tables.params,
        "settings": settings_text(tables.params),
    }


def panel_card(name: str, panel: pl.DataFrame, params: Params) -> dict[str, Any]:
    """Name, kind, size, first genes and download of one panel; `ordered` says whether its order means something."""
    entry = params.panels.get(name)
    ordered = panel.sort("rank")
    return {
        "name": name,
        "about": words.PANELS.get(entry.selector, _about(entry)) if entry else "",
        "size": f"{panel.height:,}",
        "first": ordered["symbol"].head(FIRST).to_list(),
        "more": max(panel.height - FIRST, 0),
        "ordered": panel["score"].null_count() < panel.height,
        "href": data_uri(ordered.write_csv()),
    }


def data_uri(csv: str) -> str:
    """CSV as a link that holds it."""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(csv.encode()).decode()


def _about(section: BaseModel) -> str:
    return " ".join((type(section).__doc__ or "").split())


def settings_text(params: Params) -> str:
    """All settings that decide a number, as YAML."""
    values = params.model_dump(mode="json", exclude=_NOT_RESULTS)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
