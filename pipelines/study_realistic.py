"""Stage study_realistic: panels as an assay would measure them -> reports/tables/studies."""

from sclandmarks import paths, schema
from sclandmarks.evaluate.studies.cohort import divide
from sclandmarks.evaluate.studies.judge import floor_of
from sclandmarks.evaluate.studies.realistic import realistic_input
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.tables import read_table, write_table
from sclandmarks.params import load_params
from sclandmarks.runtime.device import open_device
from sclandmarks.runtime.logs import run_stage
from sclandmarks.tracking import open_tracker


def main() -> None:
    params = load_params()
    open_device(params.runtime)
    split = read_table(paths.SPLIT, schema.SPLIT)
    values, counts = (divide(read_matrix(paths.EXPRESSION, unit), split) for unit in ("value", "count"))
    floor = floor_of(counts.test, params.studies, params.prepare, params.noise)
    table = realistic_input(values, counts, params.studies, params.prepare, floor)
    write_table(paths.STUDIES / "realistic.parquet", table, schema.REALISTIC)
    with open_tracker(params.tracking, "study") as tracker, tracker.run("study realistic") as run:
        run.log_table("realistic", table)


if __name__ == "__main__":
    run_stage(main)
