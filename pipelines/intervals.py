"""Stage intervals: prediction intervals of every gene from held-back cells, and their coverage of test cells."""

import polars as pl

from sclandmarks import paths, schema
from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.conformal import coverage, coverage_rows, half_widths, interval_rows
from sclandmarks.evaluate.neighbours import best_landmarks
from sclandmarks.io.learning import LearningData
from sclandmarks.io.models import load_model
from sclandmarks.io.tables import read_table, write_table
from sclandmarks.learn.task import dense_pairs, split_genes
from sclandmarks.params import load_params
from sclandmarks.runtime.device import open_device
from sclandmarks.runtime.logs import run_stage


def main() -> None:
    params, data = load_params(), LearningData()
    device, cells, levels = open_device(params.runtime), data.cells("test"), params.intervals.levels
    weights = resample_weights(cells.height, params.compare.n_bootstrap, params.compare.seed)
    tables: dict[schema.Table, list[pl.DataFrame]] = {schema.INTERVALS: [], schema.COVERAGE: [], schema.NEIGHBOURS: []}
    for name in params.panels:
        panel = read_table(paths.panel(name), schema.PANEL)["gene_id"]
        places = split_genes(data.genes.height, data.genes_at(panel, paths.panel(name)))
        tables[schema.NEIGHBOURS].append(best_landmarks(name, data.batches("train"), *places, data.genes))
    for name in [name for name, fit in params.fits.items() if params.predictors[fit.predictor].unit == "log"]:
        model = load_model(paths.model(name))
        places = split_genes(data.genes.height, data.genes_at(model.landmarks, paths.model(name)))
        held, test = (dense_pairs(data.batches(one).in_order(), *places, device) for one in ("validation", "test"))
        widths = half_widths(model.module.to(device), held, levels, params.intervals.max_cells)
        found, genes = coverage(model.module, test, widths), data.genes[places[1].numpy()]
        tables[schema.INTERVALS].append(interval_rows(name, genes, levels, widths, found))
        tables[schema.COVERAGE].append(coverage_rows(name, cells, levels, found, weights, params.compare.confidence))
    for table, parts in tables.items():
        write_table(paths.TABLES / f"{table.name}.parquet", pl.concat(parts), table)


if __name__ == "__main__":
    run_stage(main)
