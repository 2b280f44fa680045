"""Stage report: tidy tables -> reports/report.html, its figures, and tables for `dvc plots`."""

from sclandmarks import __version__, paths, schema
from sclandmarks.io.atomic import write_text
from sclandmarks.io.registry.datasets import DESCRIPTIVE, choose, load_registry
from sclandmarks.io.tables import read_json, read_table
from sclandmarks.params import Params, load_params
from sclandmarks.report.inputs import TIDY, Tables
from sclandmarks.report.page import build
from sclandmarks.runtime.logs import run_stage
from sclandmarks.tracking import open_tracker


def main() -> None:
    params = load_params()
    report = build(read(params))
    files = {paths.FIGURES / f"{name}.svg": svg for name, svg in report.figures.items()}
    plots = {paths.REPORTS / "plots" / f"{name}.csv": csv for name, csv in report.plots.items()}
    for path, text in [*files.items(), *plots.items(), (paths.REPORT, report.html)]:
        write_text(path, text)
    with open_tracker(params.tracking, "report") as tracker, tracker.run("report") as run:
        run.log_file(paths.REPORT)
        for path in files:
            run.log_figure(path)


def read(params: Params) -> Tables:
    recipes = choose(load_registry(), params.data.datasets)
    fields, pca = {*DESCRIPTIVE, "organism", "tissue"}, read_json(paths.TABLES / "pca.json")
    sources = {name: one.entry.model_dump(include=fields) for name, one in recipes.items()}
    tables = {table.name: read_table(paths.TABLES / f"{table.name}.parquet", table) for table in TIDY}
    panels = {name: read_table(paths.panel(name), schema.PANEL) for name in params.panels}
    walked = {name: read_table(paths.panel_path(name), schema.PANEL_PATH) for name in params.panels}
    grown = {name: read_table(paths.panel_history(name), schema.HISTORY) for name in params.panels}
    fitted = {name: read_table(paths.model(name) / "history.parquet", schema.HISTORY) for name in params.fits}
    return Tables(params, __version__, sources, pca, panels, walked, grown, fitted, **tables)


if __name__ == "__main__":
    run_stage(main)
