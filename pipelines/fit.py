"""Stage fit@NAME: the genes of a panel in, all others out -> models/NAME."""

import sys

from sclandmarks import paths, schema
from sclandmarks.io.learning import LEARNING, LearningData
from sclandmarks.io.models import save_model
from sclandmarks.io.tables import read_table, write_json
from sclandmarks.learn.task import Hooks, Task
from sclandmarks.params import load_params
from sclandmarks.predict import PREDICTORS
from sclandmarks.runtime.device import open_device
from sclandmarks.runtime.logs import run_stage
from sclandmarks.tracking import open_tracker


def main(name: str) -> None:
    params, data = load_params(), LearningData()
    fit, settings = params.fits[name], params.predictors[params.fits[name].predictor]
    panel = read_table(paths.panel(fit.panel), schema.PANEL)
    inputs, outputs = data.split_at(panel["gene_id"], paths.panel(fit.panel))
    train, validation, counts = *(data.batches(subset, settings) for subset in LEARNING), data.counts(settings)
    task = Task(train, validation, inputs, outputs, open_device(params.runtime), params.prepare.log_base, counts)
    read, known = [paths.EXPRESSION, paths.SPLIT, paths.panel(fit.panel)], fit.model_dump()
    checkpoint = data.checkpoint(f"fit-{name}", settings, read[2:])
    title, made = f"fit {fit.panel} + {fit.predictor}", data.made(settings.unit, params.prepare)
    about, tags = known | {"fit": settings.model_dump()}, known | {"dataset": params.data.label}
    with open_tracker(params.tracking, "fit") as record, record.run(title, params=about, tags=tags, inputs=read) as run:
        fitted = PREDICTORS[settings.method](task, settings, Hooks(run.log_metrics, checkpoint))
        save_model(paths.model(name), fitted, panel["gene_id"], data.names(outputs), known | made)
        write_json(paths.fit_metrics(name), fitted.chosen)
        run.log_metrics({f"final/{figure}": value for figure, value in fitted.chosen.items()})
        run.log_table("landmarks", panel)
        run.log_table("targets", data.genes[outputs.numpy()])
        run.log_model(fitted.module, task.example(), fitted.best_step)
    checkpoint.remove()


if __name__ == "__main__":
    run_stage(lambda: main(sys.argv[1]))
