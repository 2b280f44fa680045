"""The search space: what is asked of Optuna, and what the first trial gets."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sclandmarks.errors import ParamsError
from sclandmarks.params import Choices, Range, Space
from sclandmarks.tune.plan import make_plan
from sclandmarks.tune.space import defaults, settled, suggest

optuna.logging.set_verbosity(optuna.logging.ERROR)
SPACE: Space = {
    "dropout": Range(low=0.0, high=0.5, when={"depth": (1, 2)}),
    "depth": Range(low=0, high=2),
    "rate": Range(low=1e-4, high=1e-1, log=True, when={"loss": ("mse",), "depth": (2,)}),
    "loss": Choices(choices=("mse", "weighted_mse")),
    "fine": Range(low=0.0, high=1.0, when={"dropout": (0.0,)}),
}


def drawn(space: Space, seed: int) -> tuple[dict[str, Any], optuna.Trial]:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    return suggest(trial, space), trial


@given(st.integers(0, 10_000))
def test_conditions_decide_what_is_searched(seed: int) -> None:
    settings, trial = drawn(SPACE, seed)
    assert ("dropout" in settings) == (settings["depth"] in (1, 2))
    assert ("rate" in settings) == (settings["loss"] == "mse" and settings["depth"] == 2)
    assert ("fine" in settings) == (settings.get("dropout") == 0.0)
    assert settings.keys() == trial.params.keys()
    assert all(value == trial.params[name] for name, value in settings.items() if not isinstance(value, float))
    assert all(SPACE[name].holds(value) for name, value in settings.items())


@given(
    st.floats(1e-12, 1.0, allow_subnormal=False),
    st.floats(1.0, 1e12, exclude_min=True, allow_subnormal=False),
    st.integers(0, 99),
)
def test_decimals_have_five_digits_and_stay_in_their_range(low: float, high: float, seed: int) -> None:
    settings, trial = drawn({"x": Range(low=low, high=high, log=True)}, seed)
    assert low <= settings["x"] <= high
    assert settings["x"] in (float(f"{trial.params['x']:.4e}"), low, high)


def test_every_part_of_the_space_is_reached() -> None:
    seen = [drawn(SPACE, seed)[0] for seed in range(60)]
    assert {one["depth"] for one in seen} == {0, 1, 2}
    assert {one["loss"] for one in seen} == {"mse", "weighted_mse"}
    rates = [one["rate"] for one in seen if "rate" in one]
    assert min(rates) < 1e-3 < 1e-2 < max(rates), "a logarithmic axis"


def test_the_order_in_which_settings_stand_changes_no_distribution() -> None:
    _, trial = drawn(dict(reversed(SPACE.items())), 3)
    _, other = drawn(SPACE, 3)
    shared = trial.distributions.keys() & other.distributions.keys()
    assert {name: trial.distributions[name] for name in shared} == {name: other.distributions[name] for name in shared}
    assert isinstance(trial.distributions["depth"], optuna.distributions.IntDistribution)


@pytest.mark.usefixtures("workplace")
def test_the_base_is_the_first_trial(made: Any) -> None:
    plan = make_plan(made(), "fit", "s")
    assert defaults(plan) == {"width": 8, "learning_rate": 0.01, "loss": "mse"}
    study = optuna.create_study()
    study.enqueue_trial(defaults(plan))
    assert suggest(study.ask(), plan.search.space) == defaults(plan)
    assert settled(plan.base, defaults(plan)) == plan.base


@pytest.mark.usefixtures("workplace")
def test_the_first_trial_leaves_out_what_its_conditions_rule_out(made: Any) -> None:
    space = {
        "width": {"low": 4, "high": 16, "when": {"loss": ["weighted_mse"]}},
        "loss": {"choices": ["mse", "weighted_mse"]},
    }
    plan = make_plan(made(tune__fit__space=space), "fit", "s")
    assert defaults(plan) == {"loss": "mse"}


@pytest.mark.usefixtures("workplace")
def test_the_size_of_the_base_panel_is_known(made: Any) -> None:
    space = {"n_landmarks": {"low": 2, "high": 20}}
    plan = make_plan(made(tune__select__space=space), "select", "s")
    assert defaults(plan) == {"n_landmarks": 6}
    own = {"tune__select__n_landmarks": None, "panels__greedy__n_landmarks": 9}
    plan = make_plan(made(tune__select__space=space, **own), "select", "s")
    assert defaults(plan) == {"n_landmarks": 9}


@pytest.mark.usefixtures("workplace")
def test_settings_that_the_section_refuses_together_are_named(made: Any) -> None:
    base = make_plan(made(), "select", "s").base
    assert settled(base, {"ridge": 0.5}).model_dump()["ridge"] == 0.5
    with pytest.raises(ParamsError, match="min_mean = 2 is above max_mean = 1"):
        settled(base, {"min_mean": 2.0, "max_mean": 1.0})
    with pytest.raises(ParamsError, match="ridge"):
        settled(base, {"ridge": -1.0})
