"""Stage noise: how much of every gene's variance is sampling of its counts, over all cells and within cell types."""

from itertools import chain

import numpy as np

from sclandmarks import paths, schema
from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.noise import WHOLE, group_floors, group_labels, noise_floor, noise_per_gene, noise_rows
from sclandmarks.io.batches import ParquetBatches
from sclandmarks.io.matrices import MatrixFile
from sclandmarks.io.tables import write_table
from sclandmarks.params import load_params
from sclandmarks.runtime.logs import run_stage


def main() -> None:
    params, file = load_params(), MatrixFile(paths.EXPRESSION)
    noise, n_cells, confidence = params.noise, file.cells.height, params.compare.confidence
    weights = resample_weights(n_cells, noise.n_bootstrap, noise.seed)
    counts = ParquetBatches(file, np.arange(n_cells), values="count")
    how = (params.prepare.scale, params.prepare.log_base, noise.n_repeats, noise.seed, weights)
    whole = noise_floor(counts.in_order(), *how)
    groups = group_floors(counts, group_labels(file.cells), *how)
    rows = noise_rows(chain([(WHOLE, whole)], groups), None, confidence)
    write_table(paths.TABLES / "noise.parquet", rows, schema.NOISE)
    per_gene = noise_per_gene(whole, file.genes, confidence)
    write_table(paths.TABLES / "noise_per_gene.parquet", per_gene, schema.NOISE_PER_GENE)


if __name__ == "__main__":
    run_stage(main)
