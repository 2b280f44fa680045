"""Stage study_curves: quality against number of landmarks and of training cells -> reports/tables/studies."""

from sclandmarks import paths, schema
from sclandmarks.evaluate.studies.cohort import divide
from sclandmarks.evaluate.studies.curves import learning_curves
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.tables import read_table, write_table
from sclandmarks.params import load_params
from sclandmarks.runtime.device import open_device
from sclandmarks.runtime.logs import run_stage
from sclandmarks.tracking import open_tracker


def main() -> None:
    params = load_params()
    open_device(params.runtime)
    cohort = divide(read_matrix(paths.EXPRESSION), read_table(paths.SPLIT, schema.SPLIT))
    tables = learning_curves(cohort, params.studies)
    with open_tracker(params.tracking, "study") as tracker, tracker.run("study curves") as run:
        for table, frame in tables.items():
            write_table(paths.STUDIES / f"{table.name}.parquet", frame, table)
            run.log_table(table.name, frame)


if __name__ == "__main__":
    run_stage(main)
