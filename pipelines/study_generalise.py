"""Stage study_generalise: groups of cells left out of all that is learned -> reports/tables/studies.

It begins at the raw counts, so that the gene filter is learned without the group, too.
"""

from sclandmarks import paths, schema
from sclandmarks.evaluate.studies.generalise import generalise
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.tables import read_table, write_table
from sclandmarks.params import load_params
from sclandmarks.prep.join import join_datasets
from sclandmarks.prep.prepare import filter_cells
from sclandmarks.runtime.device import open_device
from sclandmarks.runtime.logs import run_stage
from sclandmarks.tracking import open_tracker


def main() -> None:
    params = load_params()
    open_device(params.runtime)
    raw = [filter_cells(read_matrix(paths.raw(name), "count"), params.prepare) for name in params.data.datasets]
    split = read_table(paths.SPLIT, schema.SPLIT)
    tables = generalise(join_datasets(raw).matrix, split, params.studies, params.prepare)
    with open_tracker(params.tracking, "study") as tracker, tracker.run("study generalise") as run:
        for table, frame in tables.items():
            write_table(paths.STUDIES / f"{table.name}.parquet", frame, table)
            run.log_table(table.name, frame)


if __name__ == "__main__":
    run_stage(main)
