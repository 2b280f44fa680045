"""The page of studies: what was searched, what was found, what mattered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from sclandmarks.params import Range
from sclandmarks.report.pages import by_section, template
from sclandmarks.report.tables import Cell, Grid, Head
from sclandmarks.tune.tables import counts
from sclandmarks.tune.value_axes import LABELS, PERCENT

if TYPE_CHECKING:
    from sclandmarks.report.plots import Drawing
    from sclandmarks.tune.export import StudyView

Section = tuple["StudyView", "Sequence[Drawing]", "Mapping[str, str]"]


def build_page(sections: Sequence[Section], label: str, version: str) -> str:
    """Make the page; the same studies give the same bytes.

    Parameters
    ----------
    sections : sequence of (StudyView, list of Drawing, dict of str to str)
        Studies, their figures, and those as SVG by name.
    label, version : str
        Of the data sets and of the package.
    """
    studies = [_context(*section) for section in sections]
    page: str = template("tuning.html.j2").render(studies=studies, label=label, version=version, figures={})
    return page


def _context(shown: StudyView, drawn: Sequence[Drawing], svgs: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": shown.name,
        "title": _title(shown),
        "answer": _answer(shown),
        "figures": by_section([one._replace(section=one.name) for one in drawn], svgs),
        "best": _trials_grid(shown, shown.trials.filter(pl.col("is_best") | (pl.col("number") == 0))),
        "trials": _trials_grid(shown, shown.trials),
        "space": _space_grid(shown),
        "several": len(shown.objectives) > 1,
    }


def _title(shown: StudyView) -> str:
    base = shown.base
    return (
        f"Settings of {base['predictor']} on {base['panel']}" if "predictor" in base else f"Settings of {base['panel']}"
    )


def _answer(shown: StudyView) -> str:
    """One sentence: what the best trial reached, and what the settings of params.yaml did."""
    n, first = counts(shown.trials), shown.objectives[0]
    ended = f"{n['complete']} trials complete, {n['pruned']} stopped early, {n['fail']} failed"
    best, default = shown.best()["best"], shown.best()["default"]
    if not best:
        return f"No trial is complete ({ended})."
    if len(shown.objectives) > 1:
        return f"{len(best)} trials are on the front ({ended})."
    tail = f"{ended[0].upper()}{ended[1:]}."
    if best[0]["trial"] == 0:
        return f"No trial beat the settings of params.yaml: {_value(best[0][first], first)} ({LABELS[first]}). {tail}"
    reached = f"Trial {best[0]['trial']} reached {_value(best[0][first], first)} ({LABELS[first]})"
    before = f", the settings of params.yaml {_value(default[0][first], first)}" if default else ""
    return f"{reached}{before}. {tail}"


def _value(value: float | None, name: str) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if name in PERCENT else f"{value:,.5g}"


def _trials_grid(shown: StudyView, trials: pl.DataFrame) -> Grid:
    """A row a trial: number, state, values, settings."""
    settings = list(shown.search.space)
    heads = [Head("Trial", True), Head("State", False), *(Head(LABELS[name], True) for name in shown.objectives)]
    rows = []
    for row in trials.sort("number").to_dicts():
        tried = json.loads(row["settings"])
        state = "best" if row["is_best"] else "repeat of " + str(row["retry_of"]) if row["retry_of"] is not None else ""
        columns = zip(shown.objectives, ("value", "value_2"), strict=False)
        values = [Cell(_value(row[column], name), number=row[column]) for name, column in columns]
        tones = Cell(row["state"], note=state, tone="better" if row["is_best"] else "")
        rows.append(
            [
                Cell(str(row["number"]), number=row["number"]),
                tones,
                *values,
                *(_setting(tried.get(n)) for n in settings),
            ]
        )
    return Grid((*heads, *(Head(name, True) for name in settings)), rows)


def _setting(value: Any) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Cell("–" if value is None else str(value).lower() if isinstance(value, bool) else str(value))
    return Cell(f"{value:.4g}", number=value)


def _space_grid(shown: StudyView) -> Grid:
    rows = []
    for name, one in shown.search.space.items():
        if isinstance(one, Range):
            tried = f"{one.low:g} to {one.high:g}" + (", logarithmic" if one.log else "")
        else:
            tried = ", ".join(_setting(value).text for value in one.choices)
        only = "; ".join(f"{other} is {' or '.join(map(str, values))}" for other, values in one.when.items())
        share = shown.shares.get(name)
        rows.append([Cell(name), Cell(tried, note=f"only where {only}" if only else ""),
                     Cell("–" if share is None else f"{100 * share:.0f} %", number=share)])  # fmt: skip
    return Grid((Head("Setting", False), Head("Tried", False), Head("Importance", True)), rows)
