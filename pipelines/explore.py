"""Stage explore: processed cells -> PCA and t-SNE of each data set, library sizes."""

import polars as pl

from sclandmarks import paths, schema
from sclandmarks.explore.embed import embed_datasets
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.tables import read_table, write_json, write_table
from sclandmarks.params import load_params
from sclandmarks.runtime.logs import run_stage


def main() -> None:
    params = load_params()
    embedding, explained = embed_datasets(read_matrix(paths.EXPRESSION), params.explore)
    write_table(paths.TABLES / "embedding.parquet", embedding, schema.EMBEDDING)
    write_json(paths.TABLES / "pca.json", explained)
    raw = pl.concat([read_table(paths.raw(name) / "cells.parquet", schema.CELLS) for name in params.data.datasets])
    kept = read_table(paths.EXPRESSION / "cells.parquet", schema.CELLS)["cell_id"].implode()
    sizes = raw.select("cell_id", "dataset", "library_size", pl.col("cell_id").is_in(kept).alias("kept"))
    write_table(paths.TABLES / "library_sizes.parquet", sizes, schema.LIBRARY_SIZES)


if __name__ == "__main__":
    run_stage(main)
