"""Stage tune: small searches for settings, as tune.stage says -> reports/tuning.html and its tables."""

from sclandmarks import __version__, paths
from sclandmarks.params import load_params
from sclandmarks.runtime.logs import run_stage
from sclandmarks.tune.export import view, write_stage
from sclandmarks.tune.places import place
from sclandmarks.tune.plan import make_plan
from sclandmarks.tune.run import check_complete, named_by_content, run_study


def main() -> None:
    params = load_params()
    shown = []
    for task, trials in params.tune.stage.items():
        plan = named_by_content(make_plan(params, task, "stage", trials=trials))
        study = check_complete(run_study(plan, params.tracking, place(plan)))
        shown.append(view(study, plan))
    about = params.data.label, __version__
    write_stage(shown, paths.TUNING, paths.TUNING_FIGURES, paths.TUNING_METRICS, paths.TUNING_PAGE, about)


if __name__ == "__main__":
    run_stage(main)
