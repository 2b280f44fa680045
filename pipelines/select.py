"""Stage select@NAME: training cells -> panels/NAME.parquet."""

import sys

from sclandmarks import paths, schema
from sclandmarks.io.gene_lists import read_lists
from sclandmarks.io.learning import LEARNING, LearningData
from sclandmarks.io.tables import write_json, write_table
from sclandmarks.learn.task import Hooks, history_table
from sclandmarks.params import load_params
from sclandmarks.prep.prepare import normaliser
from sclandmarks.runtime.device import open_device
from sclandmarks.runtime.logs import run_stage
from sclandmarks.select import SELECTORS, SelectionTask, panel_size
from sclandmarks.tracking import open_tracker


def main(name: str) -> None:
    params, data = load_params(), LearningData()
    panel, device = params.panels[name], open_device(params.runtime)
    train, validation = (data.batches(subset, panel) for subset in LEARNING)
    counts, normalise = data.batches("train", unit="counts"), normaliser(params.prepare)
    size, cells, lists = panel_size(panel, params.select, data.genes), data.cells("train"), read_lists(panel)
    task = SelectionTask(train, validation, data.genes, size, device, cells, counts, normalise, lists)
    checkpoint, tracking = data.checkpoint(f"select-{name}", panel), open_tracker(params.tracking, "select")
    about = {"panel": panel.model_dump(), "select": params.select.model_dump()}
    tags, read = {"panel": name, "dataset": params.data.label}, [paths.EXPRESSION, paths.SPLIT]
    with tracking as tracker, tracker.run(f"select {name}", params=about, tags=tags, inputs=read) as run:
        selected = SELECTORS[panel.selector](task, panel, Hooks(run.log_metrics, checkpoint))
        write_table(paths.panel(name), selected.panel, schema.PANEL)
        write_table(paths.panel_history(name), history_table(selected.history), schema.HISTORY)
        write_table(paths.panel_path(name), selected.path, schema.PANEL_PATH)
        write_json(paths.panel_metrics(name), selected.metrics)
        run.log_table("panel", selected.panel)
        run.log_metrics({f"final/{figure}": value for figure, value in selected.metrics.items()})
    checkpoint.remove()


if __name__ == "__main__":
    run_stage(lambda: main(sys.argv[1]))
