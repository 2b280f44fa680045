"""Stage compare: every fit on the test cells -> tables and metrics/comparison.json. It alone reads test cells."""

from sclandmarks import paths, schema
from sclandmarks.evaluate.compare import Evaluation, final_metrics, nested_metrics, tabulate
from sclandmarks.evaluate.groups import seed_groups
from sclandmarks.evaluate.overlap import overlaps
from sclandmarks.io.learning import LearningData
from sclandmarks.io.models import load_model
from sclandmarks.io.tables import read_table, write_json, write_tables
from sclandmarks.params import UNITS, load_params
from sclandmarks.runtime.device import open_device
from sclandmarks.runtime.logs import run_stage
from sclandmarks.tracking import open_tracker


def main() -> None:
    params, data = load_params(), LearningData()
    cells, common = data.cells("test"), read_table(paths.TARGETS, schema.TARGETS)["gene_id"].to_list()
    panels = {name: read_table(paths.panel(name), schema.PANEL)["gene_id"].to_list() for name in params.panels}
    evaluation = Evaluation(data.genes, cells, panels, common, params.compare, open_device(params.runtime))
    evaluation.estimate_floors(data.batches("test", unit="counts"), params.prepare, params.noise)
    batches = {unit: [data.batches(subset, unit=unit) for subset in ("train", "test")] for unit in UNITS}
    for name, fit in params.fits.items():
        model = load_model(paths.model(name))
        evaluation.add(name, fit, model.unit, model.module, model.landmarks, model.targets, *batches[model.unit])
    evaluation.add_controls(data.cells("train"), *batches["log"])
    tables = tabulate(evaluation, seed_groups(params.fits, params.panels, params.predictors))
    write_tables(paths.TABLES, {**tables, schema.OVERLAP: overlaps(panels, data.genes)})
    write_json(paths.COMPARISON, nested_metrics(tables[schema.COMPARISON]))
    with open_tracker(params.tracking, "compare") as tracker:
        for name, fit in params.fits.items():
            about, title = fit.model_dump() | {"dataset": params.data.label}, f"{fit.panel} + {fit.predictor}"
            read = [paths.EXPRESSION, paths.SPLIT, paths.TARGETS, paths.panel(fit.panel), paths.model(name)]
            with tracker.run(title, kind="final", params=about, tags=about, inputs=read) as run:
                run.log_metrics(final_metrics(tables[schema.COMPARISON], name))


if __name__ == "__main__":
    run_stage(main)
