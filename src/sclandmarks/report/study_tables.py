"""Tables of the studies as rows of formatted text, and the sentences of the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
from markupsafe import Markup

from sclandmarks import schema
from sclandmarks.report.inputs import Score
from sclandmarks.report.style import signed
from sclandmarks.report.tables import NONE, Cell, Grid, Head, count, percent, percent_cell

FIRST = 30  # genes of a panel whose frequencies are shown
REFERENCES = {"l1000": "L1000", "cell_types": "cell-type means", "half_genes": "half of all genes"}
NOISES = {
    "full_library": "none, normalised by the whole library",
    "own_total": "none, normalised by the panel’s own total",
    "efficiency": "part of the molecules seen",
    "dropout": "part of the genes lost",
    "saturation": "most molecules of a gene",
    "crowding": "spots of a cell",
}
Row = Mapping[str, Any]


def line_label(row: Row) -> str:
    """Name of a reference line, with its number of genes."""
    name = REFERENCES.get(row["panel"], str(row["panel"]))
    return f"{name} ({row['n_landmarks']:,})" if row["n_landmarks"] else name


def _heads(*texts: str, words: int = 1) -> tuple[Head, ...]:
    return tuple(Head(text, i >= words) for i, text in enumerate(texts))


def _score(row: Row) -> Score:
    return Score(row["value"], row["low"], row["high"])


def _genes(value: float | None, row: Row) -> str:
    """Number of genes; the ends of the range that was tried say so."""
    if value is None:
        return f"> {row['largest']:,}"
    return f"≤ {row['smallest']:,}" if value <= row["smallest"] else f"{value:,.0f}"


def equivalents_grid(frame: pl.DataFrame) -> Grid:
    """How many genes of a panel give what a reference gives: on common targets, and on all genes."""
    rows = []
    for _, part in frame.group_by("panel", "reference", maintain_order=True):
        first = part.row(0, named=True)
        sets = {row["target_set"]: row for row in part.to_dicts()}
        cells = [_equivalent_cell(sets.get(name)) for name in ("common", "total")]
        named = {"panel": first["reference"], "n_landmarks": first["reference_landmarks"]}
        rows.append([Cell(first["panel"]), Cell(line_label(named)), *cells])
    return Grid(_heads("Panel", "As good as", "Genes, common targets", "Genes, all genes", words=2), rows)


def _equivalent_cell(row: Row | None) -> Cell:
    if row is None:
        return Cell(NONE)
    note = f"{_genes(row['low'], row)} to {_genes(row['high'], row)}"
    return Cell(
        _genes(row["value"], row), note, row["value"] if row["value"] is not None else float(row["largest"]) + 1
    )


def curves_grid(frame: pl.DataFrame) -> Grid:
    """Every point of the curves and every line."""
    rows = []
    for _, part in frame.group_by("axis", "panel", "n_landmarks", "n_cells", maintain_order=True):
        first = part.row(0, named=True)
        found = {(row["target_set"], row["metric"]): _score(row) for row in part.to_dicts()}
        none = Score(None, None, None)
        kinds = (("common", "explained"), ("common", "captured"), ("total", "explained"))
        cells = [percent_cell(found.get(kind, none)) for kind in kinds]
        varied = "line" if first["axis"] == "reference" else first["axis"]
        numbers = [count(first[name]) for name in ("n_landmarks", "n_cells", "n_repeats")]
        rows.append([Cell(REFERENCES.get(first["panel"], first["panel"])), Cell(varied), *numbers, *cells])
    heads = ("Panel", "Varied", "Genes", "Cells", "Repeats", "Explained, common", "Captured, common", "Explained, all")
    return Grid(_heads(*heads, words=2), rows)


def lost_grid(frame: pl.DataFrame) -> Grid:
    """What each group loses by being left out."""
    rows = []
    for (by, group, panel, predictor), part in frame.group_by("by", "group", "panel", "predictor", maintain_order=True):
        found = {row["quantity"]: _score(row) for row in part.to_dicts()}
        cells = [percent_cell(found[name]) for name in ("within", "without")]
        lost = [_points_cell(found[name]) for name in ("lost", "lost_same_size")]
        title = "mean over groups" if group == "(mean)" else str(group)
        tests = count(int(part["n_test"][0]))
        rows.append([Cell(title, str(by)), Cell(str(panel)), Cell(str(predictor)), tests, *cells, *lost])
    heads = ("Group", "Panel", "Predictor", "Test cells", "Seen", "Left out", "Lost", "Lost, as many cells")
    return Grid(_heads(*heads, words=3), rows)


def _points_cell(score: Score) -> Cell:
    """Difference of percentages, in points, over its interval."""
    if score.value is None:
        return Cell(NONE)
    note = (
        "" if score.low is None else f"{signed(f'{100 * score.low:.1f}')} to {signed(f'{100 * (score.high or 0):.1f}')}"
    )
    return Cell(signed(f"{100 * score.value:.1f}"), note, score.value)


def groups_grid(frame: pl.DataFrame) -> Grid:
    """Groups that were judged, and why others were not."""
    rows = [
        [
            Cell(row["group"], row["by"]), Cell(row["status"]), count(row["n_train"]), count(row["n_test"]),
            count(row["n_genes"] or None), count(row["n_genes_lost"] if row["n_genes"] else None),
        ]
        for row in frame.to_dicts()
    ]  # fmt: skip
    heads = ("Group", "Status", "Training cells of others", "Test cells", "Genes kept without it", "Genes lost")
    return Grid(_heads(*heads, words=2), rows)


def stability_grid(frame: pl.DataFrame) -> Grid:
    """Nogueira's measure with its interval, and mean Jaccard."""
    rows = []
    for _, part in frame.group_by("panel", "over", "n_landmarks", maintain_order=True):
        first, found = part.row(0, named=True), {row["measure"]: row for row in part.to_dicts()}
        stable, jaccard = found["nogueira"], found["jaccard"]["value"]
        note = f"{_plain(stable['low'])} to {_plain(stable['high'])}"
        cells = [Cell(_plain(stable["value"]), note, stable["value"]), Cell(_plain(jaccard), number=jaccard)]
        numbers = [count(first[name]) for name in ("n_panels", "n_landmarks")]
        rows.append([Cell(first["panel"]), Cell(first["over"]), *numbers, *cells])
    return Grid(_heads("Panel", "Over", "Panels", "Genes", "Stability", "Mean Jaccard", words=2), rows)


def _plain(value: float | None) -> str:
    return NONE if value is None else signed(f"{value:.3f}")


def frequency_grid(frame: pl.DataFrame) -> Grid:
    """Genes chosen most often over resamples, at the smallest size; a column a panel."""
    part = frame.filter((pl.col("over") == "resamples") & (pl.col("n_landmarks") == pl.col("n_landmarks").min()))
    panels = part["panel"].unique(maintain_order=True).to_list()
    columns = [part.filter(pl.col("panel") == name).head(FIRST).to_dicts() for name in panels]
    longest = max((len(column) for column in columns), default=0)
    rows = [
        [Cell(f"{i + 1}", number=i + 1), *(_often(column[i]) if i < len(column) else Cell("") for column in columns)]
        for i in range(longest)
    ]
    return Grid((Head("", True), *(Head(name, False) for name in panels)), rows)


def _often(row: Row) -> Cell:
    return Cell(f"{row['symbol']} {percent(row['frequency'], 0)}")


def realistic_grid(frame: pl.DataFrame) -> Grid:
    """Every noise: explained and captured, and the change against no noise."""
    rows = []
    keys = ["panel", "n_landmarks", "noise", "level", "trained_on"]
    for (panel, size, noise, level, trained_on), part in frame.group_by(keys, maintain_order=True):
        found = {row["metric"]: row for row in part.to_dicts()}
        shown = "" if noise in {"full_library", "own_total"} else f"{level:g}"
        metrics = [found.get(name) for name in ("explained", "captured")]
        cells = [Cell(NONE) if row is None else percent_cell(_score(row)) for row in metrics]
        change = found["explained"]
        points = _points_cell(Score(change["change"], change["change_low"], change["change_high"]))
        name = Cell(NOISES[str(noise)])
        rows.append([Cell(str(panel), f"{size:,} genes"), name, Cell(shown), Cell(str(trained_on)), *cells, points])
    heads = ("Panel", "Noise", "Level", "Trained on", "Explained", "Captured", "Change")
    return Grid(_heads(*heads, words=4), rows)


def answer(tables: Mapping[schema.Table, pl.DataFrame]) -> Markup:
    """The page in a few sentences: genes for L1000's quality, what is lost, how stable."""
    parts = [*_genes_for_l1000(tables[schema.EQUIVALENTS]), *_losses(tables[schema.GENERALISATION])]
    return Markup(" ").join([*parts, *_most_stable(tables[schema.STABILITY])])


def _genes_for_l1000(frame: pl.DataFrame) -> Iterator[Markup]:
    """One sentence a target set, with every panel."""
    where = {"common": "On genes that no panel measures", "total": "On all genes, those of the panel as measured"}
    for target_set, begin in where.items():
        rows = frame.filter((pl.col("reference") == "l1000") & (pl.col("target_set") == target_set)).to_dicts()
        if rows:
            text = Markup("{}, the {} genes of L1000 are matched by {}.")
            yield text.format(begin, f"{rows[0]['reference_landmarks']:,}", Markup(", ").join(map(_matched, rows)))


def _matched(row: Row) -> Markup:
    value, low, high = (_genes(row[name], row) for name in ("value", "low", "high"))
    return Markup("<b>{}</b> of {} ({} to {})").format(value, row["panel"], low, high)


def _losses(frame: pl.DataFrame) -> Iterator[Markup]:
    if not frame.height:
        return
    means = frame.filter((pl.col("group") == "(mean)") & (pl.col("predictor") == frame["predictor"][0]))
    for (by,), part in means.group_by("by", maintain_order=True):
        panel = part["panel"][0]
        found = {row["quantity"]: row["value"] for row in part.filter(pl.col("panel") == panel).to_dicts()}
        text = Markup("Of the variance in a {} never seen, {} explains {} on average; {} where it was seen.")
        yield text.format(str(by).replace("_", " "), panel, percent(found["without"]), percent(found["within"]))


def _most_stable(frame: pl.DataFrame) -> Iterator[Markup]:
    """Stability over resamples at the smallest size, 1 being the same genes each time."""
    resampled = frame.filter((pl.col("over") == "resamples") & (pl.col("measure") == "nogueira"))
    first = resampled.filter(pl.col("n_landmarks") == pl.col("n_landmarks").min()).to_dicts()
    if first:
        each = [Markup("{} {}").format(row["panel"], _plain(row["value"])) for row in first]
        text = Markup("Stability of {} genes chosen again from subsamples of the cells (1: always the same): {}.")
        yield text.format(f"{first[0]['n_landmarks']:,}", Markup(", ").join(each))
