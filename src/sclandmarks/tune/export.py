"""A study as files for people: trials, the best of them, figures and a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.io.atomic import write_text
from sclandmarks.io.tables import write_json, write_table
from sclandmarks.params import DIRECTIONS, FitSearch, SelectSearch
from sclandmarks.report.style import to_svg
from sclandmarks.tune.figures import draw
from sclandmarks.tune.tables import anonymous, best_rows, counts, importance, trials_table

if TYPE_CHECKING:
    from optuna import Study

    from sclandmarks.report.plots import Drawing
    from sclandmarks.tune.plan import Plan

FIGURES = ("history", "pareto", "importance", "slices", "parallel")
BEST, PAGE = "best.json", "study.html"


@dataclass(frozen=True)
class StudyView:
    """All that is shown of a study; it is a value, not a storage.

    Parameters
    ----------
    name, task : str
    search : FitSearch or SelectSearch
    trials : polars.DataFrame
        `schema.TRIALS`.
    shares : mapping of str to float
        Importance of each setting, empty where it cannot be told.
    """

    name: str
    task: str
    search: FitSearch | SelectSearch
    trials: pl.DataFrame
    shares: Mapping[str, float]

    @property
    def objectives(self) -> tuple[str, ...]:
        """What trials are judged by."""
        return tuple(self.search.objectives)

    @property
    def base(self) -> dict[str, str]:
        """Panel, and predictor of a fit, whose settings are searched."""
        predictor = {"predictor": self.search.predictor} if isinstance(self.search, FitSearch) else {}
        return {"panel": self.search.panel, **predictor}

    def drawings(self) -> list[Drawing]:
        """Figures that the trials so far allow."""
        return draw(self.trials, self.shares, self.search)

    def without_machine(self) -> StudyView:
        """Return the view without times, memory, workers and texts of failures."""
        return replace(self, trials=anonymous(self.trials))

    def best(self) -> dict[str, Any]:
        """The winner, or the front, beside the settings of params.yaml, as JSON takes it."""
        default = self.trials.filter((pl.col("number") == 0) & (pl.col("state") == "complete"))
        return {
            "study": self.name,
            "task": self.task,
            "base": self.base,
            "objectives": {name: DIRECTIONS[name] for name in self.objectives},
            "trials": counts(self.trials),
            "default": best_rows(default.with_columns(is_best=pl.lit(True)), self.objectives),
            "best": best_rows(self.trials, self.objectives),
            "importance": dict(self.shares),
        }

    def metrics(self) -> dict[str, float]:
        """Figures for `dvc metrics`: the best value, that of the settings of params.yaml, trials by state."""
        first, best = self.objectives[0], self.best()
        values = {f"{first}_{name}": best[name][0][first] for name in ("best", "default") if len(best[name]) == 1}
        return values | {f"n_{name}": value for name, value in counts(self.trials).items()}


def view(study: Study, plan: Plan) -> StudyView:
    """Look at a study.

    Parameters
    ----------
    study : optuna.Study
    plan : Plan
    """
    return StudyView(plan.name, plan.task, plan.search, trials_table(study), importance(study))


def export(shown: StudyView, folder: Path, label: str, version: str, replaced: bool = False) -> list[Path]:
    """Write trials.csv, trials.parquet, best.json, the figures as SVG, and the page study.html.

    Parameters
    ----------
    shown : StudyView
    folder : Path
        Made where it is not there.
    label, version : str
        Of the data sets and of the package, for the page.
    replaced : bool
        Write into a folder that holds files; those of an earlier export go, others stay.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    DataError
        If the folder holds files and `replaced` is false, or a file stands in its place.
    """
    from sclandmarks.tune.page import build_page

    _check_free(folder, replaced)
    drawn = shown.drawings()
    figures = {one.name: to_svg(one.figure, one.name) for one in drawn}
    for name in FIGURES:
        (folder / "figures" / f"{name}.svg").unlink(missing_ok=True)
    for ending in ("csv", "parquet"):
        write_table(folder / f"trials.{ending}", shown.trials, schema.TRIALS)
    write_json(folder / BEST, shown.best())
    for name, svg in figures.items():
        write_text(folder / "figures" / f"{name}.svg", svg)
    write_text(folder / PAGE, build_page([(shown, drawn, figures)], label, version))
    written = ["trials.csv", "trials.parquet", BEST, PAGE, *(f"figures/{name}.svg" for name in figures)]
    return [folder / name for name in written]


def _check_free(folder: Path, replaced: bool) -> None:
    blocked = next((one for one in (folder, *folder.parents) if one.exists() and not one.is_dir()), None)
    if blocked is not None:
        raise DataError(f"a folder {folder}", f"a file {blocked}", "Name another folder.")
    if not folder.is_dir():
        return
    held = sorted(path.name for path in folder.iterdir())
    if held and not replaced:
        raise DataError(
            f"an empty folder {folder}, or none",
            f"one that holds {', '.join(held[:3])}{' ...' if len(held) > 3 else ''}",
            "Name another folder, or add --replace: files of an earlier export go, others stay.",
        )


def write_stage(
    views: Iterable[StudyView], tables: Path, figures: Path, metrics: Path, page: Path, about: tuple[str, str]
) -> None:
    """Write the outs of the DVC stage: tables, figures, metrics and one page; nothing in them is of the machine.

    Parameters
    ----------
    views : iterable of StudyView
    tables, figures : Path
        Folders; names of files begin with the task.
    metrics, page : Path
        Files.
    about : tuple of str
        Label of the data sets and version of the package, for the page.
    """
    from sclandmarks.tune.page import build_page

    shown, sections = [one.without_machine() for one in views], []
    kept: dict[str, str] = {}
    for one in shown:
        drawn = one.drawings()
        svgs = {drawing.name: to_svg(drawing.figure, f"{one.task}-{drawing.name}") for drawing in drawn}
        sections.append((one, drawn, svgs))
        write_table(tables / f"{one.task}-trials.csv", one.trials, schema.TRIALS)
        write_json(tables / f"{one.task}-{BEST}", one.best())
        kept |= {f"{one.task}-{name}.svg": svg for name, svg in svgs.items()}
    for name, svg in kept.items():
        write_text(figures / name, svg)
    write_json(metrics, {one.task: one.metrics() for one in shown})
    write_text(page, build_page(sections, *about))
