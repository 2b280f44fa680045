"""Stage split: cells of all data sets -> train, validation, test."""

import polars as pl

from sclandmarks import paths, schema
from sclandmarks.io.tables import read_table, write_table
from sclandmarks.params import load_params
from sclandmarks.prep.split import split_cells
from sclandmarks.runtime.logs import run_stage


def main() -> None:
    params = load_params()
    cells = pl.concat([read_table(paths.raw(name) / "cells.parquet", schema.CELLS) for name in params.data.datasets])
    write_table(paths.SPLIT, split_cells(cells, params.split), schema.SPLIT)


if __name__ == "__main__":
    run_stage(main)
