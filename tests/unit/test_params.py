"""params.yaml: the repository's own loads, and every fault is named with key and value."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from sclandmarks.errors import ParamsError
from sclandmarks.params import load_params, parse_params

REPOSITORY = Path(__file__).parents[2]
VALUES: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
ABSENT = object()
FAULTS: dict[str, tuple[str, Any, list[str]]] = {
    "unknown section": ("spilt", 1, ["spilt: Extra inputs are not permitted", "got 1"]),
    "unknown key": ("split.sede", 3, ["split.sede: Extra inputs are not permitted", "got 3"]),
    "unknown key of a panel": ("panels.random-0.sede", 3, ["panels.random-0.sede:", "got 3"]),
    "unknown key of a predictor": ("predictors.ridge.alpha", 3, ["predictors.ridge.alpha:", "got 3"]),
    "missing section": ("split", ABSENT, ["split: Field required"]),
    "missing key": ("panels.random-0.seed", ABSENT, ["panels.random-0.seed: Field required"]),
    "yes for a number": ("select.n_landmarks", True, ["select.n_landmarks:", "integer", "got True"]),
    "wrong type": ("select.n_landmarks", "many", ["select.n_landmarks:", "integer", "got 'many'"]),
    "wrong type in a predictor": ("predictors.network.width", "wide", ["predictors.network.width:", "got 'wide'"]),
    "text for a list": ("data.datasets", "pancreas", ["data.datasets:", "got 'pancreas'"]),
    "no data set": ("data.datasets", [], ["data.datasets:", "at least 1", "got []"]),
    "fraction of one": ("split.test", 1, ["split.test:", "less than 1", "got 1"]),
    "negative seed": ("split.seed", -1, ["split.seed:", "greater than or equal to 0", "got -1"]),
    "seed beyond 32 bits": ("split.seed", 2**32, ["split.seed:", f"got {2**32}"]),
    "unknown loss": (
        "predictors.network.loss",
        "gamma",
        ["predictors.network.loss:", "'poisson' or 'negative_binomial'", "got 'gamma'"],
    ),
    "counts for the study's network": (
        "predictors.paper_network.loss",
        "poisson",
        ["predictors.paper_network.loss:", "'mse' or 'weighted_mse'", "got 'poisson'"],
    ),
    "batch of none": ("predictors.network.batch_size", 0, ["predictors.network.batch_size:", "got 0"]),
    "drop all": ("panels.paper_f910.dropout", 1.0, ["panels.paper_f910.dropout:", "less than 1", "got 1.0"]),
    "unknown choice": ("prepare.log_base", 3, ["prepare.log_base:", "2, 10 or 'e'", "got 3"]),
    "unknown device": ("runtime.device", "tpu", ["runtime.device:", "'cpu'", "got 'tpu'"]),
    "NaN": ("split.test", float("nan"), ["split.test:", "finite", "got nan"]),
    "infinity": ("prepare.scale", float("inf"), ["prepare.scale:", "finite", "got inf"]),
    "unknown selector": ("panels.l1000.selector", "l2000", ["panels.l1000:", "'l2000'", "'group_lasso'"]),
    "unknown method": ("predictors.ridge.method", "rigde", ["predictors.ridge:", "'rigde'", "'ridge'"]),
    "name with a space": ("panels.my panel", {"selector": "l1000"}, ["panels.my panel", "got 'my panel'"]),
    "data set twice": ("data.datasets", ["a", "b", "a"], ["data:", "each data set once", "['a', 'b', 'a']"]),
    "fit of an absent panel": ("fits.l1000-ridge.panel", "F910", ["fits.l1000-ridge.panel", "l1000", "got F910"]),
    "fit of an absent predictor": ("fits.l1000-ridge.predictor", "seer", ["fits.l1000-ridge.predictor", "got seer"]),
    "bounds that leave no room": (
        "panels.my",
        {"selector": "greedy", "ridge": 0.1, "min_mean": 2, "max_mean": 1},
        ["min_mean = 2 is above max_mean = 1"],
    ),
    "guided without a start": ("panels.my", {"selector": "guided", "ridge": 0.1}, ["panels.my.start: Field required"]),
    "base of an unknown selector": (
        "panels.my",
        {"selector": "ensemble", "seed": 0, "n_resamples": 2, "fraction": 0.5, "base": {"selector": "no"}},
        ["panels.my.base", "'no'"],
    ),
    "unknown control": ("compare.controls", ["depth"], ["compare.controls", "library_size", "got 'depth'"]),
    "control twice": ("compare.controls", ["library_size"] * 2, ["compare.controls", "each control once"]),
    "fit called like a control": (
        "fits.library_size",
        {"panel": "l1000", "predictor": "ridge"},
        ["fits.library_size: expected another name", "got library_size"],
    ),
    "panel called like that of the controls": ("panels.none", {"selector": "l1000"}, ["panels.none: expected another"]),
    "reference not fitted": ("compare.reference", "best", ["compare.reference", "l1000-ridge", "got best"]),
}


def written(path: Path, key: str, value: Any) -> Path:
    """Write the repository's settings with one key changed."""
    values = copy.deepcopy(VALUES)
    *sections, last = key.split(".")
    section = values
    for name in sections:
        section = section[name]
    if value is ABSENT:
        del section[last]
    else:
        section[last] = value
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_the_repository_settings_load_as_they_stand() -> None:
    """Every number that is written in params.yaml is the number that is used."""
    params = load_params(REPOSITORY / "params.yaml")
    assert params.model_dump(mode="json", exclude_unset=True) == VALUES


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_with_key_and_value(tmp_path: Path, fault: str) -> None:
    """The text names the file, the key as it stands in the file, and the value."""
    key, value, words = FAULTS[fault]
    path = written(tmp_path / "params.yaml", key, value)
    with pytest.raises(ParamsError) as caught:
        load_params(path)
    assert [word for word in [str(path), *words] if word not in str(caught.value)] == []


def test_all_faults_are_listed_at_once() -> None:
    """A user mends a file in one go."""
    values = copy.deepcopy(VALUES)
    values["split"]["test"], values["explore"]["perplexity"] = 2, 0
    with pytest.raises(ParamsError, match=r"(?s)split\.test.*explore\.perplexity"):
        parse_params(values)


def test_settings_are_frozen() -> None:
    """No stage changes what another reads."""
    with pytest.raises(ValidationError, match="frozen"):
        parse_params(VALUES).split.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("value", [None, [], "text"], ids=["empty file", "list", "text"])
def test_a_file_that_is_no_mapping(value: Any) -> None:
    """An empty params.yaml is an error like any other."""
    with pytest.raises(ParamsError, match="valid dictionary"):
        parse_params(value)


def test_missing_file(tmp_path: Path) -> None:
    """The text names the file and where to stand."""
    with pytest.raises(ParamsError, match=r"nowhere\.yaml.*root of the repository"):
        load_params(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("content", [b"split: {seed: 0\ndata: 1", b"a: \xff\xfe"], ids=["syntax", "not UTF-8"])
def test_broken_yaml(tmp_path: Path, content: bytes) -> None:
    """A parser's error becomes ours, with the place it names."""
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ParamsError, match=r"(?s)YAML in .*params\.yaml.*(line 2|position 3)") as caught:
        load_params(path)
    assert caught.value.__cause__ is not None
