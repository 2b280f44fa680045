"""Frames and records to rows of formatted text, each cell with its number for sorting."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

import polars as pl

from sclandmarks.report.inputs import BASELINES, COMMON, NETWORKS, OWN, Difference, Result, Score, Tables
from sclandmarks.report.style import signed

VERDICTS = {"better": "▲ better", "worse": "▼ worse", "no difference shown": "○ no difference shown"}
NONE = "–"
COLLAPSED = "collapsed: it predicts the training mean, and no more"


class Cell(NamedTuple):
    """One cell: what is read, what stands below it in small type, what it is sorted by, a link, a class."""

    text: str
    note: str = ""
    number: float | None = None
    href: str = ""
    tone: str = ""


class Head(NamedTuple):
    """Head of a column; `numeric` columns are aligned at the right."""

    text: str
    numeric: bool = True


@dataclass(frozen=True)
class Grid:
    """A table, ready to be laid out; the first cell of a row names it."""

    heads: tuple[Head, ...]
    rows: list[list[Cell]]


def count(number: int | None) -> Cell:
    """Whole number with separators of thousands."""
    return Cell(NONE if number is None else f"{number:,}", number=number)


def percent(value: float | None, digits: int = 1) -> str:
    """Fraction as a percentage."""
    return NONE if value is None else signed(f"{100 * value:.{digits}f}") + "\N{NO-BREAK SPACE}%"


def error(value: float | None) -> str:
    """Mean squared error: four decimals below 1, three figures above."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:.4f}" if abs(value) < 1 else f"{float(f'{value:.3g}'):,g}"


def points(difference: Difference) -> str:
    """Difference of two percentages, in percentage points."""
    return _plus(difference.value)


def _plus(value: float) -> str:
    return signed(f"{100 * value:+.2f}").replace("+0.00", "0.00")


def collapsed(result: Result) -> bool:
    """Whether a trained network ended as good as the training mean, and no better."""
    explained = result.score(OWN, "explained").value
    return result.method in NETWORKS and explained is not None and abs(explained) < 0.005  # of the variance


def error_cell(score: Score) -> Cell:
    """Mean squared error over its interval."""
    note = "" if score.low is None else f"{error(score.low)} to {error(score.high)}"
    return Cell(error(score.value), note, score.value)


def percent_cell(score: Score, digits: int = 1) -> Cell:
    """Fraction over its interval."""
    note = "" if score.low is None else f"{percent(score.low, digits)[:-2]} to {percent(score.high, digits)[:-2]}"
    return Cell(percent(score.value, digits), note, score.value)


def verdict_cell(result: Result, reference: str) -> Cell:
    """Difference to the reference: a sign, words, the size and its interval."""
    found = result.difference
    if found is None:
        return Cell("the reference" if result.fit == reference else "not compared", number=0)
    note = f"{points(found)} ({_plus(found.low)} to {_plus(found.high)})"
    return Cell(VERDICTS.get(found.verdict, found.verdict), note, found.value, tone=found.verdict.split()[0])


def source_grid(tables: Tables) -> Grid:
    """Title, origin, citation with its link and licence of every data set."""
    heads = tuple(Head(text, False) for text in ("Data set", "What", "Organism, tissue", "Citation", "Licence"))
    return Grid(heads, [_source_row(name, about) for name, about in tables.sources.items()])


def _source_row(name: str, about: Mapping[str, str]) -> list[Cell]:
    text = " ".join(about["citation"].split())
    doi = re.search(r"doi:\s*(10\.\d{4,9}/[^\s,;]+)", text)
    href = f"https://doi.org/{doi[1].rstrip('.')}" if doi else ""
    where = f"{about['organism']}, {about['tissue']}"
    return [Cell(name), Cell(about["title"]), Cell(where), Cell(text, href=href), Cell(about["licence"])]


def summary_grid(summary: pl.DataFrame) -> Grid:
    """Cells, genes, types, zeros and library size, before and after the filters."""
    heads = ("Data set", "When", "Cells", "Genes", "Cell types", "Zeros", "Median library size")
    rows = [
        [
            Cell(row["dataset"]), Cell(row["when"]), count(row["n_cells"]), count(row["n_genes"]),
            count(row["n_cell_types"]), Cell(percent(row["sparsity"]), number=row["sparsity"]),
            Cell(f"{row['median_library_size']:,.0f}", number=row["median_library_size"]),
        ]
        for row in summary.to_dicts()
    ]  # fmt: skip
    return Grid(tuple(Head(text, i > 1) for i, text in enumerate(heads)), rows)


def study() -> dict[str, Any]:
    """Numbers that the study published, on its own data."""
    text = files("sclandmarks.resources").joinpath("study.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def study_grid(tables: Tables, found: list[Result]) -> Grid:
    """Lay the study's table beside ours: two columns of different data, and the baselines the study lacked."""
    theirs, after = study(), _after(tables.summary)
    rows = [
        [Cell("Cells after the filters"), count(theirs["n_cells"]), count(after.get("n_cells"))],
        [Cell("Genes after the filters"), count(theirs["n_genes"]), count(after.get("n_genes"))],
        [Cell("Cell types"), count(theirs["n_cell_types"]), count(after.get("n_cell_types"))],
        _study_row("Linear on raw counts, L1000", theirs["mse_linear_counts"], found, "paper_linear", scale="counts"),
        _study_row("Linear on normalised data, L1000", theirs["mse_linear_log"], found, "paper_linear"),
        _study_row("Network with L1000", theirs["mse_network_l1000"], found, "paper_network"),
        _study_row("Refit on F910", theirs["mse_network_refit"], found, "paper_network", selector="paper_f910"),
        *_overlap_rows(tables, theirs),
        *(_study_row(f"Baseline: {method}, L1000", None, found, method) for method in BASELINES),
        _study_row("Our network, L1000", None, found, "network"),
        _study_row("Our network, F910", None, found, "network", selector="paper_f910"),
    ]
    return Grid((Head("", False), Head("The study (other data)"), Head("This run")), rows)


def _after(summary: pl.DataFrame) -> dict[str, int]:
    after = summary.filter(pl.col("when") == "after")
    joined = after.filter(pl.col("dataset") == "all")
    rows = (joined if joined.height else after).to_dicts()
    return rows[0] if len(rows) == 1 else {}


def _study_row(
    title: str, theirs: float | None, found: list[Result], method: str, *, selector: str = "l1000", scale: str = "log"
) -> list[Cell]:
    wanted = (method, selector, scale)
    ours = [result for result in found if (result.method, result.selector, result.scale) == wanted]
    unit = "MSE of counts: grows with the depth of sequencing" if scale == "counts" else "MSE"
    published = "not reported" if theirs is None else error(theirs)
    mine = error_cell(ours[0].score(OWN, "mse")) if ours else Cell("not in this run")
    if ours and collapsed(ours[0]):
        unit = f"{unit}: {COLLAPSED}"
    return [Cell(title, unit), Cell(published, number=theirs), mine]


def _overlap_rows(tables: Tables, theirs: Mapping[str, Any]) -> Iterable[list[Cell]]:
    named = [name for name, panel in tables.params.panels.items() if panel.selector == "paper_f910"]
    rows = tables.overlap.filter(pl.col("panel").is_in(named[:1])).to_dicts()
    size, shared = (rows[0]["n_landmarks"], rows[0]["n_shared"]) if rows else (None, None)
    yield [Cell("Genes in the panel F910"), count(theirs["n_panel"]), count(size)]
    yield [Cell("F910 genes shared with L1000"), count(theirs["n_shared"]), count(shared)]


def comparison_grid(found: list[Result], reference: str) -> Grid:
    """Every fit: common targets first, then the difference to the reference, then its own complement."""
    heads = (
        "Panel + predictor",
        "Genes in",
        "Captured",
        "Explained",
        "MSE",
        "Median R²",
        "Against the reference",
        "MSE, own",
        "Own",
    )
    rows = [_comparison_row(result, reference) for result in found]
    return Grid(tuple(Head(text, i > 0) for i, text in enumerate(heads)), rows)


def _comparison_row(result: Result, reference: str) -> list[Cell]:
    """Cells of one fit; those on the scale of counts are pale and are sorted last."""
    errors = [
        percent_cell(result.captured), percent_cell(result.score(COMMON, "explained")),
        error_cell(result.score(COMMON, "mse")), percent_cell(result.score(COMMON, "r2_median")),
        verdict_cell(result, reference), error_cell(result.score(OWN, "mse")),
    ]  # fmt: skip
    note = COLLAPSED if collapsed(result) else ""
    if result.scale != "log":
        note = "scale of counts: not comparable"
        errors = [cell._replace(number=None, tone="pale") for cell in errors]
    return [Cell(result.label, note), count(result.n_landmarks), *errors, count(result.n_targets.get(OWN))]


def overlap_grid(overlap: pl.DataFrame) -> Grid:
    """Genes shared with L1000, Jaccard index and hypergeometric p."""
    heads = ("Panel", "Genes", "L1000 measured", "Shared", "Jaccard", "p")
    return Grid(tuple(Head(text, i > 0) for i, text in enumerate(heads)), [_overlap(row) for row in overlap.to_dicts()])


def _overlap(row: Mapping[str, Any]) -> list[Cell]:
    numbers = [count(row[name]) for name in ("n_landmarks", "n_reference", "n_shared")]
    same = row["n_shared"] == row["n_landmarks"] == row["n_reference"]
    p = Cell("same genes") if same else Cell(p_value(row["p_value"]), number=row["p_value"])
    return [Cell(row["panel"]), *numbers, Cell(f"{row['jaccard']:.3f}", number=row["jaccard"]), p]


def p_value(value: float) -> str:
    """Probability, two figures; powers of ten below one in a thousand."""
    if value >= 1e-3:
        return f"{value:.2g}"
    if value < 1e-300:
        return "< 10⁻³⁰⁰"
    mantissa, exponent = f"{value:.1e}".split("e-")
    raised = str(int(exponent)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10⁻{raised}"
