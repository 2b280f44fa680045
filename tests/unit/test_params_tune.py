"""Section tune of params.yaml: every fault of a search is named with key and value."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sclandmarks.errors import ParamsError
from sclandmarks.params import Choices, Range, in_order, load_params, parse_duration, parse_params

SHIPPED = Path(__file__).parents[2] / "params.yaml"
VALUES: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
FAULTS: dict[str, tuple[str, Any, list[str]]] = {
    "unknown key": ("fit.trails", 3, ["tune.fit.trails: Extra inputs are not permitted", "got 3"]),
    "no space": ("fit.space", {}, ["tune.fit.space:", "at least 1"]),
    "low above high": (
        "fit.space.width",
        {"low": 9, "high": 8},
        ["tune.fit.space.width", "low below high, got 9 and 8"],
    ),
    "low is high": ("fit.space.width", {"low": 8, "high": 8}, ["low below high"]),
    "log from zero": (
        "fit.space.dropout",
        {"low": 0.0, "high": 0.5, "log": True},
        ["tune.fit.space.dropout", "low above 0 on a logarithmic axis, got 0.0"],
    ),
    "bound of text": ("fit.space.width", {"low": "8", "high": 9}, ["tune.fit.space.width.low", "got '8'"]),
    "bound of yes": ("fit.space.width", {"low": True, "high": 9}, ["tune.fit.space.width.low", "got True"]),
    "unknown bound": ("fit.space.width", {"low": 8, "hihg": 9}, ["width.hihg: Extra", "width.high: Field required"]),
    "one choice": ("fit.space.loss", {"choices": ["mse"]}, ["tune.fit.space.loss.choices", "at least 2"]),
    "choice twice": ("fit.space.loss", {"choices": ["mse", "mse"]}, ["tune.fit.space.loss", "choices that differ"]),
    "condition on what is not searched": (
        "fit.space.loss",
        {"choices": ["mse", "weighted_mse"], "when": {"patience": [5]}},
        ["space.loss.when.patience", "another setting of the space", "got patience"],
    ),
    "condition that is never met": (
        "fit.space.loss",
        {"choices": ["mse", "weighted_mse"], "when": {"batch_size": [64, 65]}},
        ["space.loss.when.batch_size", "space.batch_size can have", "[65]"],
    ),
    "empty condition": (
        "fit.space.loss",
        {"choices": ["mse", "weighted_mse"], "when": {"batch_size": []}},
        ["space.loss.when.batch_size", "got none"],
    ),
    "condition on itself": (
        "fit.space.depth",
        {"low": 0, "high": 2, "when": {"depth": [1]}},
        ["a circle through depth"],
    ),
    "no duration": ("fit.timeout", "2x", ["tune.fit.timeout", "a duration above zero such as 2h", "'2x'"]),
    "no time": ("fit.trial_timeout", 0, ["tune.fit.trial_timeout", "above zero"]),
    "no trial": ("select.trials", 0, ["tune.select.trials", "got 0"]),
    "unknown sampler": ("fit.sampler", "grid", ["tune.fit.sampler", "'tpe'", "got 'grid'"]),
    "unknown pruner": ("fit.pruner", "axe", ["tune.fit.pruner", "'median'", "got 'axe'"]),
    "unknown storage": ("fit.storage", "redis://x", ["tune.fit", "postgresql://", "redis://x"]),
    "unknown objective": ("fit.objective", "r2", ["tune.fit.objective", "'captured'", "got 'r2'"]),
    "size alone": ("select.objectives", ["n_landmarks"], ["explained or captured", "['n_landmarks']"]),
    "size first": ("select.objectives", ["n_landmarks", "captured"], ["explained or captured"]),
    "two of a kind": ("select.objectives", ["captured", "explained"], ["explained or captured"]),
    "three objectives": ("select.objectives", ["captured", "n_landmarks", "explained"], ["at most 2"]),
}


def changed(**changes: Any) -> Any:
    values = copy.deepcopy(VALUES)
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = values["tune"]
        for name in sections:
            place = place[name]
        place[last] = value
    return values


@pytest.mark.parametrize(("key", "value", "said"), FAULTS.values(), ids=list(FAULTS))
def test_faults_are_named(key: str, value: Any, said: list[str]) -> None:
    with pytest.raises(ParamsError) as error:
        parse_params(changed(**{key: value}))
    for part in said:
        assert part in str(error.value)


def test_a_front_is_not_pruned() -> None:
    objectives = {"select.objectives": ["captured", "n_landmarks"]}
    assert parse_params(changed(**objectives)).tune.select.objectives == ("captured", "n_landmarks")
    with pytest.raises(ParamsError, match=r"pruner: expected none with several objectives; got median"):
        parse_params(changed(**objectives, **{"select.pruner": "median"}))


def test_a_password_in_a_storage_is_not_repeated() -> None:
    with pytest.raises(ParamsError) as error:
        parse_params(changed(**{"fit.storage": "mysql://me:hush@host/base"}))
    assert "hush" not in str(error.value)


def test_whole_numbers_and_decimals_stay_what_they_are() -> None:
    space = load_params(SHIPPED).tune.fit.space
    width, dropout = space["width"], space["dropout"]
    assert isinstance(width, Range)
    assert isinstance(dropout, Range)
    assert width.whole
    assert not dropout.whole
    assert not Range(low=0, high=0.5).whole


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Range(low=1, high=4), [1, 4], [0, 5, 2.5, True, None, "2"]),
        (Range(low=0.0, high=1.0), [0, 0.5, 1.0], [-0.1, 1.1, None]),
        (Choices(choices=(1, 2)), [1, 2, 1.0], [True, 3, "1"]),
        (Choices(choices=(False, None)), [False, None], [0, True]),
    ],
)
def test_what_a_dimension_holds(dimension: Range | Choices, inside: list[Any], outside: list[Any]) -> None:
    assert all(dimension.holds(value) for value in inside)
    assert not any(dimension.holds(value) for value in outside)


def test_false_and_zero_are_two_choices() -> None:
    assert Choices(choices=(False, 0, True, 1)).holds(0)
    with pytest.raises(ValueError, match="choices that differ"):
        Choices(choices=(1, 1.0))


def test_conditions_come_behind_what_they_name() -> None:
    depth = Range(low=0, high=2, when={"loss": ("mse",)})
    dropout = Range(low=0.0, high=0.5, when={"depth": (1, 2)})
    loss = Choices(choices=("mse", "weighted_mse"))
    assert in_order({"dropout": dropout, "depth": depth, "loss": loss}) == ["loss", "depth", "dropout"]
    with pytest.raises(ValueError, match="a circle through depth, loss"):
        in_order({"depth": depth, "loss": Choices(choices=("mse", "weighted_mse"), when={"depth": (1,)})})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("1d", 86400), ("1.5h", 5400), (" 2H ", 7200),
        ("30", 30), (0.5, 0.5),
    ],
)  # fmt: skip
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "2x", "-2h", "30m1h", "1h 30m", "0s", "0", "nan", "inf", "1e3", True, None, -1]
)
def test_what_is_no_duration(text: Any) -> None:
    with pytest.raises(ValueError, match="a duration above zero such as 2h"):
        parse_duration(text)


@given(st.integers(0, 50), st.integers(0, 59), st.integers(1, 59))
def test_durations_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == 3600 * hours + 60 * minutes + seconds
