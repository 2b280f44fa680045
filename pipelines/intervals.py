"""Stage intervals: prediction intervals of every gene, their coverage of test cells, and the answer per gene."""

import polars as pl

from sclandmarks import paths, schema
from sclandmarks.evaluate.answers import per_gene
from sclandmarks.evaluate.conformal import IntervalJudge
from sclandmarks.evaluate.neighbours import best_landmarks
from sclandmarks.io.learning import LearningData
from sclandmarks.io.models import load_model
from sclandmarks.io.tables import read_table, write_tables
from sclandmarks.learn.task import dense_pairs
from sclandmarks.params import load_params
from sclandmarks.runtime.device import open_device
from sclandmarks.runtime.logs import run_stage

READ = (schema.GENEWISE, schema.NOISE_PER_GENE)


def main() -> None:
    params, data = load_params(), LearningData()
    device, near, found = open_device(params.runtime), [], []
    intervals = IntervalJudge(data.cells("test"), params.intervals, params.compare)
    log = [name for name, fit in params.fits.items() if params.predictors[fit.predictor].unit == "log"]
    for name in params.panels:
        places = data.split_at(read_table(paths.panel(name), schema.PANEL)["gene_id"], paths.panel(name))
        near.append(best_landmarks(name, data.batches("train"), *places, data.genes))
    for name, model in ((name, load_model(paths.model(name))) for name in log):
        places = data.split_at(model.landmarks, paths.model(name))
        held, test = (dense_pairs(data.batches(one).in_order(), *places, device) for one in ("validation", "test"))
        found.append(intervals.judge(name, model.module.to(device), held, test, data.genes[places[1].numpy()]))
    tables = {schema.NEIGHBOURS: pl.concat(near)}
    tables |= dict(zip((schema.INTERVALS, schema.COVERAGE), map(pl.concat, zip(*found, strict=True)), strict=True))
    known = {table: read_table(paths.TABLES / f"{table.name}.parquet", table) for table in READ}
    tables[schema.PER_GENE] = per_gene(tables | known, params.fits)
    write_tables(paths.TABLES, tables)


if __name__ == "__main__":
    run_stage(main)
