"""Names and values are made to fit what MLflow takes."""

from __future__ import annotations

import doctest

import pytest
from mlflow.utils.validation import _validate_metric_name

from sclandmarks.tracking import limits
from sclandmarks.tracking.limits import LONGEST_PARAM, clean_name, cut, flatten


@pytest.mark.parametrize(
    "name", ["mse", "val/mse", "r2@10", "[x]", "/abs", "../up", "a//b", ".", "..", "", "é ü", "a" * 999]
)
def test_any_name_becomes_one_that_mlflow_takes(name: str) -> None:
    _validate_metric_name(clean_name(name))  # type: ignore[no-untyped-call]
    assert len(clean_name(name)) <= 250


@pytest.mark.parametrize("name", ["mse", "val/mse", "r2 median", "top-5", "dvc.md5.data/raw", "a.b"])
def test_a_good_name_stays(name: str) -> None:
    assert clean_name(name) == name


def test_a_long_value_is_cut_with_a_marker() -> None:
    short = cut("x" * 10_000, LONGEST_PARAM)
    assert len(short) == LONGEST_PARAM
    assert short.endswith("[cut: 10000 characters]")


def test_sections_are_joined_by_dots() -> None:
    nested = {"train": {"lr": 1e-3, "names": ("a", "b")}, "none": None, "flag": True, "empty": {}, "text": "x"}
    assert flatten(nested) == {
        "train.lr": "0.001",
        "train.names": '["a", "b"]',
        "none": "null",
        "flag": "true",
        "empty": "{}",
        "text": "x",
    }


def test_examples() -> None:
    assert doctest.testmod(limits).failed == 0
