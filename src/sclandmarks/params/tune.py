"""Settings of the searches: what is tried, what is asked for, how long, by how many."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, StrictBool, StrictStr, Tag, model_validator

from sclandmarks.params.base import Count, Name, Number, Positive, Section, Seed, Whole

Scalar = StrictBool | Whole | Number | StrictStr | None
Direction = Literal["minimize", "maximize"]
FitObjective = Literal["mse", "captured"]
SelectObjective = Literal["explained", "captured", "n_landmarks"]
DIRECTIONS: dict[str, Direction] = {
    "mse": "minimize",
    "captured": "maximize",
    "explained": "maximize",
    "n_landmarks": "minimize",
}
STORAGES = ("journal:", "sqlite:///", "postgresql://", "grpc://")
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse_duration(text: str | float) -> float:
    """Seconds of a duration: `2h`, `90m`, `1h30m`, `45s`, or a number of seconds.

    Raises
    ------
    ValueError
        If it is no duration above zero.
    """
    written = str(text).strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", written):
        seconds = float(written)
    elif re.fullmatch(r"(\d+(\.\d+)?d)?(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?", written) and written:
        seconds = sum(float(n) * SECONDS[unit] for n, unit in re.findall(r"([\d.]+)([dhms])", written))
    else:
        seconds = 0.0
    if isinstance(text, bool) or not seconds > 0:
        raise ValueError(f"a duration above zero such as 2h, 1h30m, 45s or a number of seconds; got {text!r}")
    return seconds


Duration = Annotated[float, BeforeValidator(parse_duration)]


def same(one: object, other: object) -> bool:
    """Whether two values of a setting are the same; `true` is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


class Conditional(Section):
    """Base of dimensions. `when`: other dimension -> its values with which this one is searched at all."""

    when: dict[Name, tuple[Scalar, ...]] = Field(default_factory=dict)


class Range(Conditional):
    """Numbers from low to high, both included: whole numbers where both are written so."""

    low: Whole | Number
    high: Whole | Number
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low below high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low above 0 on a logarithmic axis, got {self.low}")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> dict[str, Scalar]:
        """What a section must accept, by key."""
        return {"low": self.low, "high": self.high}

    def holds(self, value: object) -> bool:
        """Whether a value lies in the range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (isinstance(value, int) or not self.whole) and self.low <= value <= self.high  # type: ignore[operator]


class Choices(Conditional):
    """One of some values."""

    choices: tuple[Scalar, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _differ(self) -> Choices:
        for place, value in enumerate(self.choices):
            if any(same(value, other) for other in self.choices[:place]):
                raise ValueError(f"choices that differ, got {list(self.choices)}")
        return self

    @property
    def ends(self) -> dict[str, Scalar]:
        """What a section must accept, by key."""
        return {f"choices.{place}": value for place, value in enumerate(self.choices)}

    def holds(self, value: object) -> bool:
        """Whether a value is one of the choices."""
        return any(same(value, choice) for choice in self.choices)


def _kind(value: Any) -> str:
    has_choices = "choices" in value if isinstance(value, Mapping) else isinstance(value, Choices)
    return "choices" if has_choices else "range"


Dimension = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")],
    Discriminator(_kind),
]
Space = dict[Name, Dimension]


class Search(Section):
    """What all searches share.

    Parameters
    ----------
    space : dict of str to Range or Choices
        Setting of the base -> what is tried.
    trials, workers : int
        Of the whole study; processes at once.
    timeout, trial_timeout : float, optional
        Seconds of one call, and of one trial; written as `2h`, `90m`, `45s` or a number of seconds.
    storage : str, optional
        `journal:PATH`, `sqlite:///PATH`, `postgresql://...`, `grpc://HOST:PORT`; without it a journal in state/.
    sampler : {"tpe", "random"}
    pruner : {"none", "median", "hyperband"}
        Stops trials early that do badly at the same epoch.
    max_retries : int
        How often a trial that lost its worker is run again.
    seed : int
    """

    space: Space = Field(min_length=1)
    trials: Positive
    workers: Positive
    timeout: Duration | None
    trial_timeout: Duration | None
    storage: str | None
    sampler: Literal["tpe", "random"]
    pruner: Literal["none", "median", "hyperband"]
    max_retries: Count
    seed: Seed

    @model_validator(mode="after")
    def _hangs_together(self) -> Search:
        if self.storage is not None and not self.storage.startswith(STORAGES):
            raise ValueError(f"storage: expected one that starts with {', '.join(STORAGES)}; got {self.storage}")
        for name, dimension in self.space.items():
            for other, values in dimension.when.items():
                _check_condition(f"space.{name}.when.{other}", self.space, other, values)
        in_order(self.space)
        return self


class FitSearch(Search):
    """Search of a predictor's settings, given a panel."""

    panel: Name
    predictor: Name
    objective: FitObjective

    @property
    def objectives(self) -> tuple[str, ...]:
        """What a trial is judged by."""
        return (self.objective,)


class SelectSearch(Search):
    """Search of a selector's settings.

    Parameters
    ----------
    panel : str
        The base, a line of `panels`.
    objectives : tuple
        `explained` is the part of all genes' variance that the panel explains of the others on validation cells,
        `captured` the same of what can be explained at all; with `n_landmarks` behind it the size counts, too.
    n_landmarks : int, optional
        Size of the panel, else as the base has it.
    max_rank : int
        Of the reduced-rank ridge regression that judges a panel.
    """

    panel: Name
    objectives: tuple[SelectObjective, ...] = Field(min_length=1, max_length=2)
    n_landmarks: Positive | None
    max_rank: Positive

    @model_validator(mode="after")
    def _objectives_fit(self) -> SelectSearch:
        first, *others = self.objectives
        if first == "n_landmarks" or others not in ([], ["n_landmarks"]):
            raise ValueError(
                "objectives: expected explained or captured, alone or followed by n_landmarks; "
                f"got {list(self.objectives)}"
            )
        if others and self.pruner != "none":
            raise ValueError(f"pruner: expected none with several objectives; got {self.pruner}")
        return self


class TuneParams(Section):
    """Both searches.

    Parameters
    ----------
    stage : dict of str to int
        Trials of each search in the DVC stage `tune`; none of one that is not named.
    """

    stage: dict[Literal["fit", "select"], Positive]
    fit: FitSearch
    select: SelectSearch


def in_order(space: Mapping[str, Range | Choices]) -> list[str]:
    """Names of the dimensions, each behind those that its condition names.

    Raises
    ------
    ValueError
        If conditions go round in a circle.
    """
    ordered: list[str] = []
    while len(ordered) < len(space):
        ready = [name for name in space if name not in ordered and set(space[name].when) <= set(ordered)]
        if not ready:
            left = [name for name in space if name not in ordered]
            raise ValueError(f"space: expected conditions that end somewhere; got a circle through {', '.join(left)}")
        ordered += ready
    return ordered


def _check_condition(place: str, space: Space, other: str, values: tuple[Scalar, ...]) -> None:
    if other not in space:
        raise ValueError(f"{place}: expected another setting of the space, one of {', '.join(space)}; got {other}")
    absent = [value for value in values if not space[other].holds(value)]
    if absent or not values:
        raise ValueError(f"{place}: expected values that space.{other} can have; got {absent or 'none'}")
