"""Settings of the studies: what is refused, in the user's terms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sclandmarks.errors import ParamsError
from sclandmarks.params import load_params

COUNTS = {"method": "paper_linear", "scale": "counts", "learning_rate": 1, "max_epochs": 1, "patience": 1, "seed": 0}
SHIPPED = Path(__file__).parents[2] / "params.yaml"
ON_COUNTS = yaml.safe_load(SHIPPED.read_text())["predictors"]["network"] | {"loss": "poisson"}


def with_changes(tmp_path: Path, key: str, value: object) -> Path:
    values: Any = yaml.safe_load(SHIPPED.read_text())
    *sections, last = key.split(".")
    place = values["studies"]
    for name in sections:
        place = place[name]
    place[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_the_shipped_settings_are_valid_and_frozen() -> None:
    studies = load_params(SHIPPED).studies
    assert studies.curves.sizes.smallest == 20
    assert studies.curves.sizes.largest == 2000
    assert set(studies.curves.panels) <= set(studies.panels)
    with pytest.raises(ValueError, match="frozen"):
        studies.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("curves.panels", ["greedy", "greedi"], r"curves\.panels: expected some of .*; got greedi"),
        ("stability.panels", [], r"studies\.stability\.panels"),
        ("curves.sizes", {"smallest": 50, "largest": 50, "n": 3}, "smallest below largest, got 50 and 50"),
        ("curves.fractions", [0.5, 1.5], r"studies\.curves\.fractions\.1"),
        ("generalise.by", ["planet"], r"studies\.generalise\.by\.0"),
        ("realistic.dropout", [1.0], r"studies\.realistic\.dropout\.0"),
        ("realistic.efficiency", [0.0], r"studies\.realistic\.efficiency\.0"),
        ("stability.repeats", 1, r"studies\.stability\.repeats"),
        ("curves.typo", 1, r"studies\.curves\.typo"),
        ("panels.greedy", {"selector": "greedy", "ridge": 0}, r"studies\.panels\.greedy\.ridge"),
        (
            "panels.greedy",
            {"selector": "greedy", "ridge": 0.1, "denoised": True, "factor_share": 0.3},
            r"studies\.panels\.greedy.*: factor_share = 0.3 has no part in what is denoised",
        ),
        (
            "panels.greedy",
            {"selector": "greedy", "ridge": 0.1, "max_swaps": 3},
            r"studies\.panels\.greedy.*: max_swaps = 3 bounds no exchange",
        ),
        ("panels.greedy", {"selector": "greedy", "ridge": 1e-7}, r"studies\.panels\.greedy\.ridge.*equal to 0\.000001"),
        (
            "generalise.predictors.counts",
            COUNTS,
            "expected predictors of the log scale; got counts, of counts",
        ),
        ("generalise.predictors.ours", ON_COUNTS, "expected losses on values; got ours, with one on counts"),
    ],
)  # fmt: skip
def test_faults_are_said_in_the_terms_of_the_file(tmp_path: Path, key: str, value: object, said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        load_params(with_changes(tmp_path, key, value))
