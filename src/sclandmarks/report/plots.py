"""Every figure of the page, by name; and the tidy CSV files for `dvc plots`."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl
from matplotlib.figure import Figure

from sclandmarks.params import NO_PANEL
from sclandmarks.report import cells, figures, path_figures
from sclandmarks.report.inputs import COMMON, NETWORKS, Result, Tables, main_fits
from sclandmarks.report.tables import percent
from sclandmarks.report.venn import venn

_FAMILY = {
    **dict.fromkeys(("zero", "mean", "library_size", "cell_type_mean"), "control"),
    **dict.fromkeys(("knn", "kernel"), "similar cells"),
    **dict.fromkeys(NETWORKS, "network"),
}


class Drawing(NamedTuple):
    """A figure, its name (also of its file), the section it belongs to, and what it shows, for who can't see it."""

    name: str
    section: str
    figure: Figure
    alt: str


def drawings(tables: Tables, found: list[Result]) -> list[Drawing]:
    """Draw all figures of a run, in the order of the page."""
    return [
        *_of_cells(tables),
        *_of_comparison(tables, found),
        *_of_cell_types(tables, found),
        *_of_training(tables),
        *_of_overlap(tables),
    ]


def _of_cells(tables: Tables) -> list[Drawing]:
    drawn = []
    for name in tables.library_sizes["dataset"].unique(maintain_order=True):
        sizes = tables.library_sizes.filter(pl.col("dataset") == name)
        alt = f"Histogram of reads per cell in {name}: {sizes.height} cells, {sizes['kept'].sum()} of them kept"
        drawn.append(Drawing(f"library-{name}", "library", cells.library_sizes(sizes, name), alt))
    for name in tables.embedding["dataset"].unique(maintain_order=True):
        part, ratio = tables.embedding.filter(pl.col("dataset") == name), tables.pca.get(name, [])
        axes = [f"PC {i + 1}" + (f" ({percent(ratio[i])})" if i < len(ratio) else "") for i in range(2)]
        pca = cells.embedding(part, "pc1", "pc2", (axes[0], axes[1]), f"{name}: PCA")
        tsne = cells.embedding(part, "tsne1", "tsne2", ("t-SNE 1", "t-SNE 2"), f"{name}: t-SNE")
        n_types = part["cell_type"].n_unique()
        for kind, figure in (("PCA", pca), ("t-SNE", tsne)):
            alt = f"{kind} of {part.height} cells of {name}, coloured by {n_types} cell types"
            drawn.append(Drawing(f"{kind.lower().replace('-', '')}-{name}", "embedding", figure, alt))
    return drawn


def _of_comparison(tables: Tables, found: list[Result]) -> list[Drawing]:
    """Fits on the logarithmic scale; a panel's fits stand together, in the order of the table."""
    shown = [result for result in found if result.explained is not None]
    if not shown:
        return []
    panels = list(dict.fromkeys(result.panel for result in shown))
    shown.sort(key=lambda result: panels.index(result.panel))
    by_captured = all(result.captured.value is not None for result in shown)
    pairs = [(result.panel, result.predictor) for result in shown]
    rows = [
        {
            "panel": _heading(result),
            "label": result.predictor if pairs.count((result.panel, result.predictor)) == 1 else result.fit,
            "family": _FAMILY.get(result.method, "linear"),
            **(result.captured if by_captured else result.score(COMMON, "explained"))._asdict(),
        }
        for result in shown
    ]
    reference = next((result for result in shown if result.fit == tables.params.compare.reference), None)
    frame = pl.DataFrame(rows).with_columns(pl.col("low", "high").cast(pl.Float64).fill_null(pl.col("value")))
    value = (reference.captured.value if by_captured else reference.explained) if reference else None
    what = "captured" if by_captured else "explained fraction"
    alt = f"{what.capitalize()} and interval of every fit on the common targets; the table below has the numbers"
    drawn = figures.forest(frame, value, reference.label if reference else "", what)
    return [Drawing("comparison", "comparison", drawn, alt)]


def _heading(result: Result) -> str:
    return "no panel" if result.panel == NO_PANEL else f"{result.panel} ({result.n_landmarks:,} genes)"


def _of_cell_types(tables: Tables, found: list[Result]) -> list[Drawing]:
    labels = {
        result.fit: f"{result.panel}\n{result.predictor}"
        for result in main_fits(found, tables.params.compare.reference)
    }
    drawn = []
    for name in tables.per_type["dataset"].unique(maintain_order=True):
        part = tables.per_type.filter((pl.col("dataset") == name) & pl.col("fit").is_in(list(labels)))
        if part.height:
            place = pl.col("fit").replace_strict({fit: i for i, fit in enumerate(labels)}, return_dtype=pl.Int64)
            part = part.sort(-pl.col("n_cells"), "cell_type", place).sort(place, maintain_order=True)
            figure = figures.by_cell_type(part.with_columns(pl.col("fit").replace(labels)))
            alt = f"Explained fraction in {name}: {part['cell_type'].n_unique()} cell types by {len(labels)} fits"
            drawn.append(Drawing(f"types-{name}", "types", figure, alt))
    return drawn


def _of_training(tables: Tables) -> list[Drawing]:
    drawn = []
    for name, history in tables.panel_histories.items():
        if {"lambda_ratio", "n_active"} <= set(history["metric"]):
            n_landmarks = tables.panels[name].height
            alt = f"Genes in against the penalty along the path of {name}; the panel has {n_landmarks}"
            drawn.append(Drawing(f"path-{name}", "path", path_figures.lambda_path(history, n_landmarks, name), alt))
    for name, frame in tables.panel_paths.items():
        if frame.height:
            alt = f"Norms of the weights of genes along the path of {name}"
            drawn.append(Drawing(f"norms-{name}", "norms", path_figures.norm_path(frame, name), alt))
    for kind, histories in (("panel", tables.panel_histories), ("fit", tables.fit_histories)):
        for name, history in histories.items():
            if {"train_loss", "validation_loss"} <= set(history["metric"]):
                title = _training_title(tables, kind, name)
                alt = f"Training and validation loss of {kind} {name} by epoch"
                drawn.append(Drawing(f"training-{kind}-{name}", "training", figures.training(history, title), alt))
    return drawn


def _training_title(tables: Tables, kind: str, name: str) -> str:
    fit = tables.params.fits.get(name)
    return f"{fit.panel}\n{fit.predictor}" if kind == "fit" and fit else f"{name}\nselection"


def _of_overlap(tables: Tables) -> list[Drawing]:
    drawn = []
    chosen = {name for name, panel in tables.params.panels.items() if panel.selector not in {"l1000", "random"}}
    for row in tables.overlap.filter(pl.col("panel").is_in(sorted(chosen))).to_dicts():
        name, size, reference, shared = (row[key] for key in ("panel", "n_landmarks", "n_reference", "n_shared"))
        if size and reference:
            figure = venn(size - shared, shared, reference - shared, name, "L1000")
            alt = f"{name} has {size} genes, L1000 {reference} that were measured; {shared} are in both"
            drawn.append(Drawing(f"venn-{name}", "overlap", figure, alt))
    return drawn


def plot_tables(tables: Tables) -> dict[str, pl.DataFrame]:
    """Tables for `dvc plots`: explained fraction on the common targets by fit, and held-back losses by epoch."""
    common = tables.comparison.filter(
        (pl.col("metric") == "explained") & (pl.col("target_set") == "common") & (pl.col("scale") == "log")
    )
    losses = [
        history.filter(pl.col("metric") == "validation_loss").select(
            pl.lit(name).alias("name"), "step", pl.col("value").alias("validation_loss")
        )
        for histories in (tables.panel_histories, tables.fit_histories)
        for name, history in histories.items()
    ]
    empty = pl.DataFrame(schema={"name": pl.String, "step": pl.Int32, "validation_loss": pl.Float64})
    explained = common.select("fit", "panel", "predictor", pl.col("value").alias("explained"), "low", "high")
    return {"comparison": explained, "training": pl.concat([empty, *losses])}
