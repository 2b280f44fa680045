"""Stage prepare: raw counts -> one processed matrix; filters learn on training cells alone."""

import logging

import polars as pl

from sclandmarks import paths, schema
from sclandmarks.io.matrices import read_matrix, write_matrix
from sclandmarks.io.tables import read_table, write_table
from sclandmarks.params import load_params
from sclandmarks.prep.join import join_datasets
from sclandmarks.prep.prepare import filter_cells, prepare, summarise, summarise_each
from sclandmarks.runtime.logs import run_stage

logger = logging.getLogger("prepare")


def main() -> None:
    params = load_params()
    split = read_table(paths.SPLIT, schema.SPLIT)
    raw = [read_matrix(paths.raw(name), "count") for name in params.data.datasets]
    before = [summarise(matrix, name, "before") for name, matrix in zip(params.data.datasets, raw, strict=True)]
    joined = join_datasets([filter_cells(matrix, params.prepare) for matrix in raw])
    for name, lost in joined.ambiguous.items():
        logger.info("%s: %d symbols that name several genes were left out of the join", name, lost)
    prepared = prepare(joined.matrix, split, params.prepare, params.split.seed)
    write_matrix(paths.EXPRESSION, prepared.counts, prepared.value)
    after = summarise_each(prepared.counts)
    write_table(paths.TABLES / "summary.parquet", pl.DataFrame(before + after, schema.SUMMARY.dtypes), schema.SUMMARY)
    logger.info("kept %d cells x %d genes", prepared.counts.n_cells, prepared.counts.n_genes)


if __name__ == "__main__":
    run_stage(main)
