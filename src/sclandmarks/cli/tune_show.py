"""How a study is shown to people: short lines in columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sclandmarks.tune.look import FrozenTrial, Status, Study
    from sclandmarks.tune.plan import Plan

LABEL = 9


def status_lines(plan: Plan, status: Status, study: Study) -> Iterator[str]:
    """Lines about how far a study is."""
    from sclandmarks.tune.storage import without_password

    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items() if count)
    end = "; all done" if status.is_over else ""
    yield _line("study", f"{plan.name}: {_about(plan)}")
    yield _line("storage", without_password(plan.storage))
    yield _line("trials", f"{min(status.counted, status.budget)} of {status.budget} ({counts or 'none yet'}){end}")
    for place, one in enumerate(status.runners):
        alive = {True: "at work", False: "dead: its trial is run again by the next call", None: "on another machine"}
        epoch = "" if one.epoch is None else f", epoch {one.epoch}"
        yield _line("" if place else "workers", f"{one.name} on trial {one.trial}{epoch}, {alive[one.alive]}")
    if not status.runners:
        yield _line("workers", "none")
    yield _line("best", _best(plan, status, study))
    yield _line("last sign", "none" if status.seen is None else f"{age(status.seen)} ago")


def _about(plan: Plan) -> str:
    search: Any = plan.search
    what = f"{search.predictor} on panel {search.panel}" if plan.task == "fit" else f"panel {search.panel}"
    return f"{what}, by {' and '.join(search.objectives)} on validation cells"


def _best(plan: Plan, status: Status, study: Study) -> str:
    if not status.best:
        return "none yet"
    if len(plan.search.objectives) > 1:
        return f"a front of {len(status.best)}: trials {', '.join(map(str, status.best))}"
    trial = study.get_trials(deepcopy=False)[status.best[0]]
    return f"{plan.search.objectives[0]} {_number(trial.values[0])}, trial {trial.number}"


def age(then: datetime, at: datetime | None = None) -> str:
    """How long ago something was, in its largest units: 45 s, 12 min, 3 h 5 min, 2 d 4 h."""
    seconds = max(0, round(((at or datetime.now(UTC)) - then).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def best_lines(plan: Plan, trial: FrozenTrial, default: FrozenTrial | None) -> Iterator[str]:
    """Settings and scores of a trial beside those of params.yaml."""
    from sclandmarks.tune.space import settled
    from sclandmarks.tune.tables import settings_of

    own = plan.base.model_dump() | ({"n_landmarks": plan.n_landmarks} if plan.n_landmarks else {})
    tried = settled(plan.base, settings_of(trial)).model_dump() | settings_of(trial)
    scores = [(name, _score(default, place), _score(trial, place)) for place, name in enumerate(plan.search.objectives)]
    settings = [(name, _number(own[name]), _number(tried[name])) for name in plan.search.space]
    yield _line("study", f"{plan.name}: {_about(plan)}")
    yield from _table([("", "params.yaml", f"trial {trial.number}"), *scores, *settings])
    yield "The best of many is flattered by its own choice: the test cells judge, after `tune apply` and `dvc repro`."


def front_lines(study: Study, plan: Plan) -> Iterator[str]:
    """The Pareto front, a line a trial; nothing where there is one objective or one best trial."""
    from sclandmarks.tune.look import status_of
    from sclandmarks.tune.tables import settings_of

    trials, best = study.get_trials(deepcopy=False), status_of(study, plan).best
    if len(plan.search.objectives) < 2 or len(best) < 2:
        return
    front = sorted((trials[number] for number in best), key=lambda trial: tuple(trial.values))
    names = [name for name in plan.search.space if name not in plan.search.objectives]
    rows = [
        (str(one.number), *map(_number, one.values), *(_number(settings_of(one).get(name)) for name in names))
        for one in front
    ]
    yield _line("study", f"{plan.name}: {_about(plan)}")
    yield from _table([("trial", *plan.search.objectives, *names), *rows])
    yield "Choose one by --trial."


def _score(trial: FrozenTrial | None, place: int) -> str:
    return "-" if trial is None else _number(trial.values[place])


def _number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else "-" if value is None else str(value)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _line(label: str, text: str) -> str:
    return f"{label:{LABEL}} {text}"
