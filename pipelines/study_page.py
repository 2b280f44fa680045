"""Stage study_page: tables of the studies -> reports/studies.html and its figures."""

from sclandmarks import __version__, paths
from sclandmarks.io.atomic import write_text
from sclandmarks.io.tables import read_table
from sclandmarks.params import load_params
from sclandmarks.report.studies import TIDY, build_studies
from sclandmarks.runtime.logs import run_stage
from sclandmarks.tracking import open_tracker


def main() -> None:
    params = load_params()
    tables = {table: read_table(paths.STUDIES / f"{table.name}.parquet", table) for table in TIDY}
    report = build_studies(tables, params.studies, params.data.label, __version__)
    for name, svg in report.figures.items():
        write_text(paths.STUDY_FIGURES / f"{name}.svg", svg)
    write_text(paths.STUDIES_PAGE, report.html)
    with open_tracker(params.tracking, "study") as tracker, tracker.run("study page") as run:
        run.log_file(paths.STUDIES_PAGE)


if __name__ == "__main__":
    run_stage(main)
