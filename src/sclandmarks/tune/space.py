"""What a trial tries: settings of the search space, and those of the base as the first trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sclandmarks.errors import ParamsError
from sclandmarks.params import Dimension, Range, Section, Space, describe, in_order, same

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

    from sclandmarks.tune.plan import Plan

DIGITS = 5


def suggest(trial: BaseTrial, space: Space) -> dict[str, Any]:
    """Ask for a value of every dimension whose condition holds.

    Parameters
    ----------
    trial : optuna.trial.BaseTrial
    space : dict of str to Range or Choices

    Returns
    -------
    dict
        Setting -> value, decimals to five digits; the base's own value stays for settings that are not in it.
    """
    return _active(space, lambda name, dimension: _ask(trial, name, dimension))


def defaults(plan: Plan) -> dict[str, Any]:
    """Values that the base itself has in the space, decimals to five digits: the first trial."""
    own = plan.base.model_dump() | ({"n_landmarks": plan.n_landmarks} if plan.task == "select" else {})
    return _active(plan.search.space, lambda name, dimension: _short(own[name], dimension))


def settled(base: Section, settings: Mapping[str, Any]) -> Section:
    """Return the base with the settings of a trial in place of its own.

    Raises
    ------
    ParamsError
        If the section refuses them together.
    """
    try:
        return type(base).model_validate(base.model_dump() | dict(settings))
    except ValidationError as error:
        raise ParamsError(
            "settings that go together", describe(error), "Narrow the space of this search in params.yaml."
        ) from error


def _active(space: Space, value_of: Callable[[str, Dimension], Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name in in_order(space):
        if _holds(space[name].when, settings):
            settings[name] = value_of(name, space[name])
    return settings


def _holds(when: Mapping[str, tuple[Any, ...]], settings: Mapping[str, Any]) -> bool:
    """Whether every condition is met; a setting that is not searched meets none."""
    return all(
        other in settings and any(same(settings[other], value) for value in values) for other, values in when.items()
    )


def _short(value: Any, dimension: Dimension) -> Any:
    """A decimal as people write it, and a diff can be read: five digits, within the range."""
    if not isinstance(dimension, Range) or dimension.whole:
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), float(dimension.low)), float(dimension.high))


def _ask(trial: BaseTrial, name: str, dimension: Dimension) -> Any:
    if not isinstance(dimension, Range):
        return trial.suggest_categorical(name, dimension.choices)
    if dimension.whole:
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    return _short(trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log), dimension)
