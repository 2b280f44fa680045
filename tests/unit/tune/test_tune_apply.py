"""A winner in params.yaml: its values, and not one other character, changed."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sclandmarks.errors import ParamsError, StudyError
from sclandmarks.params import load_params, parse_params
from sclandmarks.tune.apply import changes, diff, edited, place_of, proposal, written
from sclandmarks.tune.plan import Plan, make_plan

SHIPPED = Path(__file__).parents[3] / "params.yaml"
TEXT = SHIPPED.read_text(encoding="utf-8")
PREDICTORS = """# a comment
predictors:
  ridge:        {method: ridge}   # another
  network:      {method: network, width: 48, depth: 1, dropout: 0.3, weight_decay: 1.0, loss: mse,
                 learning_rate: 1.0e-3, batch_size: 128, max_epochs: 200, patience: 10, seed: 0}
"""
NETWORK = ("predictors", "network")
FLOATS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(10**12), 10**12), FLOATS, st.none(),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12),
)  # fmt: skip


def winner(width: int = 96, rate: float = 3.2e-5, loss: str = "weighted_mse") -> dict[str, Any]:
    return {"width": width, "learning_rate": rate, "loss": loss}


@given(SCALARS)
def test_a_scalar_comes_back_alone_and_in_a_flow_mapping(value: Any) -> None:
    assert same(yaml.safe_load(written(value)), value)
    assert same(yaml.safe_load(f"{{a: {written(value)}, b: 1}}")["a"], value)


def same(one: Any, other: Any) -> bool:
    return bool(one == other) and type(one) is type(other)


@given(
    st.integers(1, 10**6),
    st.floats(1e-12, 999, exclude_max=True, allow_subnormal=False),
    st.floats(0, 0.99, allow_subnormal=False),
    st.sampled_from(["mse", "weighted_mse"]),
)
def test_every_other_character_of_the_settings_survives(width: int, rate: float, dropout: float, loss: str) -> None:
    values = {"width": width, "learning_rate": rate, "dropout": dropout, "loss": loss}
    result = edited(PREDICTORS, NETWORK, values)
    loaded, expected = yaml.safe_load(result), yaml.safe_load(PREDICTORS)
    expected["predictors"]["network"] |= values
    assert loaded == expected
    *others, first, second = result.splitlines()
    assert others == PREDICTORS.splitlines()[:-2]
    assert keys_of(first + second) == keys_of("".join(PREDICTORS.splitlines()[-2:]))


def keys_of(lines: str) -> str:
    """Lines without values: keys, blanks and signs."""
    return re.sub(r": [^,}]+", ": ", lines)


def test_the_whole_file_is_valid_and_the_same_but_for_the_lines_of_the_entry() -> None:
    values = {"width": 7, "learning_rate": 1e-7, "dropout": 0.12345678901234568, "loss": "weighted_mse"}
    result = edited(TEXT, NETWORK, values)
    assert parse_params(yaml.safe_load(result)).predictors["network"].model_dump().items() >= values.items()
    pairs = list(zip(TEXT.splitlines(), result.splitlines(), strict=True))
    first = next(number for number, (old, _) in enumerate(pairs) if old.startswith("  network: "))
    last = next(number for number, (old, _) in enumerate(pairs) if number >= first and old.endswith("}"))
    differing = {number for number, (old, new) in enumerate(pairs) if old != new}
    assert differing
    assert differing <= set(range(first, last + 1))
    old, new = ("".join(lines) for lines in zip(*pairs[first : last + 1], strict=True))
    assert keys_of(old) == keys_of(new)


def test_the_diff_of_a_mapping_on_two_lines() -> None:
    text = diff(PREDICTORS, edited(PREDICTORS, NETWORK, winner()))
    assert [line for line in text.splitlines() if line[0] in "+-"][2:] == [
        "-  network:      {method: network, width: 48, depth: 1, dropout: 0.3, weight_decay: 1.0, loss: mse,",
        "-                 learning_rate: 1.0e-3, batch_size: 128, max_epochs: 200, patience: 10, seed: 0}",
        "+  network:      {method: network, width: 96, depth: 1, dropout: 0.3, weight_decay: 1.0, loss: weighted_mse,",
        "+                 learning_rate: 3.2e-05, batch_size: 128, max_epochs: 200, patience: 10, seed: 0}",
    ]


def test_a_trailing_comment_stays_where_it_is() -> None:
    text = "panels:\n  greedy:       {selector: greedy, ridge: 0.1}     # of the mean variance: README.md\n"
    result = edited(text, ("panels", "greedy"), {"ridge": 0.25, "n_landmarks": 200})
    assert result.splitlines()[1] == (
        "  greedy:       {selector: greedy, ridge: 0.25, n_landmarks: 200}     # of the mean variance: README.md"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a:\n  b:\n    # one\n    x: 1  # two\n    y: [1,\n        2]\n",
            "a:\n  b:\n    # one\n    z: 5\n    x: 3  # two\n    y: [1,\n        2]\n",
        ),
        ("a:\n  b:\n    x:  # none\n", "a:\n  b:\n    z: 5\n    x: 3  # none\n"),
        ("a: {b: {}}\n", "a: {b: {x: 3, z: 5}}\n"),
        ("a: {b: {x: 1,}}\n", "a: {b: {x: 3, z: 5,}}\n"),
        ("a: {b: {x: 1, # c\n  y: 2 # d\n  }} # e", "a: {b: {x: 3, # c\n  y: 2, z: 5 # d\n  }} # e"),
        ("a:\r\n  b: {x: 'é'}\r\nc: 1\r\n", "a:\r\n  b: {x: 3, z: 5}\r\nc: 1\r\n"),
        ("a:\n  b: {\"x\": \"1\"}\n", 'a:\n  b: {"x": 3, z: 5}\n'),
        ("a: {b: {x: }}\n", "a: {b: {x: 3, z: 5 }}\n"),
    ],
)  # fmt: skip
def test_layouts(text: str, expected: str) -> None:
    assert edited(text, ("a", "b"), {"x": 3, "z": 5}) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: {c: 1}", "no mapping a.b"),
        ("a: 1", "no mapping above b"),
        ("", "no mapping above a"),
        ("a: [", "expected"),
        ("d: &d {x: 1}\na: {b: *d}", "anchor or alias"),
        ("d: &v 1\na: {b: {x: *v}}", "YAML"),
        ("a: {b: {x: &v 1}}\nd: *v", "YAML"),
    ],
)
def test_what_cannot_be_edited_is_refused(text: str, said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        edited(text, ("a", "b"), {"x": 3})


@pytest.fixture
def plan(workplace: Path, made: Any) -> Plan:
    return make_plan(made(), "fit", "s")


def test_only_what_differs_is_changed(plan: Plan, made: Any) -> None:
    assert changes(plan, made(), winner(width=8, rate=0.01)) == {"loss": "weighted_mse"}
    assert changes(plan, made(), {"width": 8}) == {}
    assert place_of(plan) == NETWORK


def test_a_base_that_was_changed_since_is_not_overwritten(plan: Plan, made: Any) -> None:
    with pytest.raises(StudyError, match=r"predictors\.network in params\.yaml.*width 12, not 8.*git log"):
        changes(plan, made(predictors__network__width=12), winner())
    values = made().model_dump()
    del values["predictors"]["network"]
    values["fits"] = {"l1000-ridge": values["fits"]["l1000-ridge"]}
    with pytest.raises(StudyError, match="no such entry"):
        changes(plan, parse_params(values), winner())


def test_a_winner_that_is_there_already_changes_nothing(plan: Plan, made: Any) -> None:
    new = {f"predictors__network__{key}": value for key, value in winner().items()}
    assert changes(plan, made(**new), winner()) == {}


def test_other_sections_may_have_changed(plan: Plan, made: Any) -> None:
    assert changes(plan, made(predictors__ridge={"method": "ols"}, split__seed=9), winner()) == winner()


def test_a_proposal_reads_and_checks_the_file(plan: Plan, workplace: Path) -> None:
    path = workplace / "params.yaml"
    old, new = proposal(plan, winner())
    assert old == path.read_text()
    path.write_text(new)
    loaded = load_params(path).predictors["network"].model_dump()
    assert {key: loaded[key] for key in winner()} == winner()
    assert proposal(plan, winner()) == (new, new)
    path.write_text("a: [")
    with pytest.raises(ParamsError, match="YAML"):
        proposal(plan, winner())


def test_line_ends_of_windows_stay(plan: Plan, workplace: Path) -> None:
    path = workplace / "params.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    old, new = proposal(plan, winner())
    assert old.count("\r\n") == new.count("\r\n") == old.count("\n")


def test_a_panel_is_found_under_panels(workplace: Path, made: Any) -> None:
    plan = make_plan(made(), "select", "s")
    assert place_of(plan) == ("panels", "greedy")
    assert changes(plan, made(), {"ridge": 0.5, "n_landmarks": 12}) == {"ridge": 0.5, "n_landmarks": 12}


def test_tiny_and_huge_decimals_are_no_text() -> None:
    for value in (1e-5, 1e22, 5e-324, -2.5e-7, 1.0, math.pi):
        assert yaml.safe_load(f"[{written(value)}]") == [value]
    assert written(1e-5) == "1.0e-05"


def test_a_diff_of_nothing_is_empty() -> None:
    assert diff(TEXT, TEXT) == ""
    assert diff("a", "b") == "--- a/params.yaml\n+++ b/params.yaml\n@@ -1 +1 @@\n-a\n+b\n"
