"""Commands of a search: start it or go on with it, see how far it is and what is best, write that into params.yaml."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from sclandmarks.tune.look import Study
    from sclandmarks.tune.plan import Plan

Command = TypeVar("Command", bound=Callable[..., Any])


class DurationType(click.ParamType[float]):
    """Seconds, written as 2h, 1h30m, 45s or a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a duration, or fail in its words."""
        from sclandmarks.params import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"expected {error}", param, ctx)


def _checked_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise click.BadParameter(f"expected letters, digits, - _ and . alone; got {value!r}")
    return value


def _study_options(command: Command) -> Command:
    storage = "journal:PATH, postgresql://..., grpc://HOST:PORT or sqlite:///PATH; without it as params.yaml says."
    for option in (
        click.option("--study", "name", callback=_checked_name, help="Name of the study; one it is goes on."),
        click.option("--storage", help=storage),
    ):
        command = option(command)
    return command


def _run_options(command: Command) -> Command:
    for option in (
        click.option("--ray", metavar="ADDRESS", help="Workers on a Ray cluster: auto, or HOST:PORT."),
        click.option("--per-gpu", type=click.IntRange(1), help="Workers a GPU; otherwise as many as fit, measured."),
        click.option("--gpus", metavar="0,1", help="GPUs by number or UUID, or all."),
        click.option("--timeout", type=DurationType(), help="Of this call: 2h, 1h30m, 45s."),
        click.option("--workers", type=click.IntRange(1), help="Processes at once."),
        click.option("--trials", type=click.IntRange(1), help="Of the whole study."),
    ):
        command = option(command)
    return _study_options(command)


@click.group()
def tune() -> None:
    """Search for settings by Optuna: start, stop, go on, see, apply.

    What is tried stands in the section tune of params.yaml. Ctrl-C stops, the same command goes on. Trials are judged
    on validation cells; no test cell has a part in it.
    """


@tune.command()
@_run_options
def fit(**options: Any) -> None:
    """Search for the settings of a predictor."""
    _run("fit", **options)


@tune.command()
@_run_options
def select(**options: Any) -> None:
    """Search for the settings of a selector."""
    _run("select", **options)


def _run(
    task: Literal["fit", "select"],
    name: str | None,
    storage: str | None,
    trials: int | None,
    workers: int | None,
    timeout: float | None,
    gpus: str | None,
    per_gpu: int | None,
    ray: str | None,
) -> None:
    from sclandmarks.params import load_params
    from sclandmarks.runtime.logs import plain_errors

    begin = time.monotonic()
    with plain_errors():
        from sclandmarks.tune.launcher import launch
        from sclandmarks.tune.places import place
        from sclandmarks.tune.plan import make_plan
        from sclandmarks.tune.run import on_ray, run_study

        params = load_params()
        plan = make_plan(params, task, name or task, storage=storage, trials=trials, workers=workers)
        slots, launcher = (place(plan, gpus, per_gpu), launch) if ray is None else ([], on_ray(ray, per_gpu))
        limit = timeout or plan.search.timeout
        left = None if limit is None else max(0.0, limit - (time.monotonic() - begin))  # a probe takes its part
        study = run_study(plan, params.tracking, slots, left, launcher)
        _say_status(study, plan)


@tune.command()
@_study_options
def status(name: str | None, storage: str | None) -> None:
    """Say how far a study is.

    Trials by state, workers, the best so far, and when it was last written to; whether anybody works on it or not.
    """
    study, plan = _found(name, storage)
    _say_status(study, plan)


@tune.command()
@_study_options
@click.option("--trial", "number", type=click.IntRange(0), help="Another trial than the best.")
def best(name: str | None, storage: str | None, number: int | None) -> None:
    """Show the best settings beside the defaults.

    Of several objectives the Pareto front, unless a trial is named.
    """
    from sclandmarks.cli.tune_show import best_lines, front_lines
    from sclandmarks.runtime.logs import plain_errors

    study, plan = _found(name, storage)
    with plain_errors():
        from sclandmarks.tune.look import default_trial, winner

        lines = list(front_lines(study, plan)) if number is None else []
        lines = lines or list(best_lines(plan, winner(study, plan, number), default_trial(study, plan)))
    click.echo("\n".join(lines))


@tune.command()
@_study_options
@click.option("--trial", "number", type=click.IntRange(0), help="Another trial than the best.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def apply(name: str | None, storage: str | None, number: int | None, yes: bool) -> None:
    """Write the best settings into params.yaml.

    Shows what would change and asks. Comments, order and every other value stay as they are.
    """
    from sclandmarks import paths
    from sclandmarks.runtime.logs import plain_errors

    study, plan = _found(name, storage)
    with plain_errors():
        from sclandmarks.errors import StudyError
        from sclandmarks.io.atomic import write_text
        from sclandmarks.tune.apply import diff, proposal
        from sclandmarks.tune.look import winner
        from sclandmarks.tune.tables import settings_of

        trial = winner(study, plan, number)
        old, new = proposal(plan, settings_of(trial))
        if old == new:
            click.echo(f"{paths.PARAMS} has the settings of trial {trial.number} already")
            return
        click.echo(diff(old, new), nl=False)
        if yes or click.confirm(f"Write trial {trial.number} of study {plan.name} into {paths.PARAMS}?"):
            if proposal(plan, settings_of(trial)) != (old, new):
                remedy = "Nothing was written. Run the command again, and look at the change."
                raise StudyError(f"{paths.PARAMS} as it was when the change was shown", "one edited since", remedy)
            write_text(Path(paths.PARAMS), new)
            click.echo("written; `dvc repro` makes the results with it")


def _found(name: str | None, storage: str | None) -> tuple[Study, Plan]:
    from sclandmarks.runtime.logs import plain_errors

    with plain_errors():
        from sclandmarks.tune.find import find_study
        from sclandmarks.tune.look import only_study

        return find_study(name or only_study(), storage)


def _say_status(study: Study, plan: Plan) -> None:
    from sclandmarks.cli.tune_show import status_lines
    from sclandmarks.tune.look import status_of

    click.echo("\n".join(status_lines(plan, status_of(study, plan), study)))
