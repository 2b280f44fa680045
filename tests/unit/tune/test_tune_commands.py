"""The commands of a search: what they say of a study, and what they refuse."""

from __future__ import annotations

import os
import re
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import yaml
from click.testing import CliRunner, Result
from optuna.trial import TrialState, create_trial

from sclandmarks.cli import main
from sclandmarks.cli.tune_show import age
from sclandmarks.errors import StudyError
from sclandmarks.io.atomic import write_text
from sclandmarks.params import Range
from sclandmarks.runtime.identity import identify
from sclandmarks.tune.look import default_trial, only_study, status_of, winner
from sclandmarks.tune.plan import Plan, make_plan
from sclandmarks.tune.study import open_study, public

DEFAULTS = {"width": 8, "learning_rate": 0.01, "loss": "mse"}
BETTER = {"width": 12, "learning_rate": 0.05, "loss": "weighted_mse"}


def called(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["tune", *arguments], input=answer)


def said(*arguments: str, answer: str | None = None) -> str:
    result = called(*arguments, answer=answer)
    assert result.exit_code == 0, result.output
    return result.output


def begun(params: Any, task: Any = "fit", name: str = "s") -> tuple[optuna.Study, Plan]:
    """A study as a launcher leaves it, without a trial that has run."""
    plan = make_plan(params, task, name)
    study = open_study(plan).study
    write_text(Path(plan.folder) / "plan.json", public(plan).to_json())
    return study, plan


def told(study: optuna.Study, plan: Plan, settings: dict[str, Any], *values: float, **attributes: Any) -> None:
    """Add a complete trial."""
    space = plan.search.space
    kinds = {name: distribution(space[name]) for name in settings}
    marks = {"settings": settings, **attributes}
    study.add_trial(create_trial(params=settings, distributions=kinds, values=list(values), user_attrs=marks))


def distribution(dimension: Any) -> optuna.distributions.BaseDistribution:
    if not isinstance(dimension, Range):
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    kind = optuna.distributions.IntDistribution if dimension.whole else optuna.distributions.FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)  # type: ignore[arg-type]


@pytest.fixture
def searched(workplace: Path, made: Any) -> tuple[optuna.Study, Plan]:
    """The defaults in trial 0, still waiting; then again as trial 1, and a better trial 2."""
    study, plan = begun(made())
    told(study, plan, DEFAULTS, 0.5, attempt=1)
    told(study, plan, BETTER, 0.25, attempt=1)
    return study, plan


def test_help_names_every_command() -> None:
    commands = main.commands["tune"].commands  # type: ignore[attr-defined]
    assert set(commands) >= {"fit", "select", "status", "best", "apply"}
    text = said("-h")
    assert all(re.search(rf"^  {name} +[A-Z]", text, re.MULTILINE) for name in commands)
    assert "no test cell has a part in it" in " ".join(text.split())


def test_a_search_runs_and_another_is_not_mixed_with_it(workplace: Path) -> None:
    """Worker processes and all; the rest of this file does without."""
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["tracking"]["enabled"] = False
    Path("params.yaml").write_text(yaml.safe_dump(values))
    assert re.search(r"trials +1 of 1 \(1 complete\); all done", said("fit", "--trials", "1"))
    assert re.search(r"trials +1 of 1 \(1 complete\); all done\nworkers +none", said("status"))
    assert sorted(file.name for file in Path("state/tune/fit/trials/0").iterdir()) == ["history.parquet", "model"]
    values["predictors"]["network"]["patience"] = 3
    Path("params.yaml").write_text(yaml.safe_dump(values))
    other = called("fit", "--trials", "3")
    assert other.exit_code == 1
    assert "another --study name" in other.output


def test_status_of_a_study_that_nobody_works_on(searched: tuple[optuna.Study, Plan]) -> None:
    lines = said("status").splitlines()
    assert lines[0] == "study     s: network on panel planted, by mse on validation cells"
    assert lines[1] == "storage   journal:state/tune/s/journal.log"
    assert lines[2] == "trials    3 of 3 (2 complete, 1 waiting)"
    assert lines[3] == "workers   none"
    assert lines[4] == "best      mse 0.25, trial 2"
    assert re.fullmatch(r"last sign \d+ s ago", lines[5])


def test_status_tells_the_living_from_the_dead_and_the_far(searched: tuple[optuna.Study, Plan]) -> None:
    study, plan = searched
    me = identify(0)
    study.ask().set_user_attr("worker", me)
    running = study.ask()
    running.set_user_attr("worker", me | {"pid": 999_999_999, "host": "gone", "start": 5})
    running.report(0.5, 7)
    study.ask().set_user_attr("worker", me | {"boot": "another", "host": "far"})
    alive = {runner.name.split(":")[0]: (runner.alive, runner.epoch) for runner in status_of(study, plan).runners}
    assert alive == {me["host"]: (True, None), "gone": (False, 7), "far": (None, None)}
    text = said("status")
    assert f":{os.getpid()} on trial 0, at work" in text
    assert "epoch 7, dead: its trial is run again by the next call" in text
    assert "on another machine" in text


def test_status_tells_what_failed_from_what_is_run_again(searched: tuple[optuna.Study, Plan]) -> None:
    study, plan = searched
    for reason in ("stopped", "nan"):
        study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL, user_attrs={"reason": reason}))
    study.enqueue_trial(DEFAULTS, user_attrs={"retry_of": 3})
    assert status_of(study, plan).counts["run again"] == status_of(study, plan).counts["failed"] == 1
    assert "2 complete, 1 failed, 1 run again, 2 waiting" in said("status")


def test_what_the_start_takes_counts_for_the_timeout(
    workplace: Path, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, left = iter([0.0, 40.0]), []
    study = begun(made())[0]
    clock = SimpleNamespace(monotonic=lambda: next(now))
    monkeypatch.setattr(sys.modules["sclandmarks.cli.tune"], "time", clock)  # the package's `tune` is the command
    monkeypatch.setattr("sclandmarks.tune.places.place", lambda *_: [])
    monkeypatch.setattr("sclandmarks.tune.run.run_study", lambda *given: left.append(given[3]) or study)
    called("fit", "--study", "s", "--timeout", "60s")
    assert left == [20.0]


def test_the_last_sign_is_the_last_write(searched: tuple[optuna.Study, Plan]) -> None:
    study, plan = searched
    seen = status_of(study, plan).seen
    assert seen is not None
    assert abs((datetime.now(UTC) - seen).total_seconds()) < 3600
    os.utime("state/tune/s/journal.log", (2e9, 2e9))
    assert status_of(study, plan).seen == datetime.fromtimestamp(2e9, UTC)


def test_a_study_is_begun_without_a_warning(workplace: Path, made: Any) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)  # of what earlier tests left to the collector
        begun(made())
    assert [str(warning.message) for warning in heard] == []


def test_an_empty_study_has_a_status_and_no_best(workplace: Path, made: Any) -> None:
    study, plan = begun(made())
    assert "best      none yet" in said("status")
    for command in ("best", "apply"):
        result = called(command)
        assert result.exit_code == 1
        assert "none in study s" in result.output
    assert not status_of(study, plan).is_over


def test_best_stands_beside_the_defaults(searched: tuple[optuna.Study, Plan]) -> None:
    assert said("best").splitlines()[1:-1] == [
        "                 params.yaml  trial 2",
        "  mse            0.5          0.25",
        "  width          8            12",
        "  learning_rate  0.01         0.05",
        "  loss           mse          weighted_mse",
    ]
    assert "flattered by its own choice" in said("best")
    study, plan = searched
    first = default_trial(study, plan)
    assert first is not None
    assert first.number == 1


def test_a_front_is_shown_and_one_of_it_chosen(workplace: Path, made: Any) -> None:
    params = made(
        tune__select__objectives=["explained", "n_landmarks"],
        tune__select__space={"n_landmarks": {"low": 2, "high": 20}},
    )
    study, plan = begun(params, "select")
    for size, explained in ((4, 0.3), (8, 0.5), (12, 0.4)):
        told(study, plan, {"n_landmarks": size}, explained, float(size))
    assert status_of(study, plan).best == (1, 2)
    assert "a front of 2: trials 1, 2" in said("status")
    assert said("best").splitlines()[1:4] == [
        "  trial  explained  n_landmarks",
        "  1      0.3        4",
        "  2      0.5        8",
    ]
    refused = called("apply", "--yes")
    assert refused.exit_code == 1
    assert "several, on the Pareto front: 1, 2" in refused.output
    text = said("apply", "--trial", "2", "--yes")
    assert "n_landmarks: 8" in text
    assert yaml.safe_load(Path("params.yaml").read_text())["panels"]["greedy"]["n_landmarks"] == 8


def test_apply_asks_and_writes_only_when_told(searched: tuple[optuna.Study, Plan]) -> None:
    before = Path("params.yaml").read_bytes()
    text = said("apply", answer="n\n")
    assert "+    width: 12" in text
    assert "Write trial 2 of study s into params.yaml?" in text
    assert Path("params.yaml").read_bytes() == before
    assert "written" in said("apply", answer="y\n")
    network = yaml.safe_load(Path("params.yaml").read_text())["predictors"]["network"]
    assert {key: network[key] for key in BETTER} == BETTER
    assert "has the settings of trial 2 already" in said("apply", "--yes")


def test_apply_refuses_a_base_that_has_changed(searched: tuple[optuna.Study, Plan]) -> None:
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["predictors"]["network"]["depth"] = 2
    text = yaml.safe_dump(values)
    Path("params.yaml").write_text(text)
    result = called("apply", "--yes")
    assert result.exit_code == 1
    assert "depth 2, not 1" in result.output
    assert Path("params.yaml").read_text() == text


def test_apply_does_not_write_over_an_edit_made_while_it_asks(
    searched: tuple[optuna.Study, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("params.yaml").read_text() + "# mine\n"

    def edit_and_agree(question: str) -> bool:
        Path("params.yaml").write_text(text)
        return True

    monkeypatch.setattr("click.confirm", edit_and_agree)
    result = called("apply")
    assert result.exit_code == 1
    assert "edited since. Nothing was written" in result.output
    assert Path("params.yaml").read_text() == text


@pytest.mark.parametrize("text", ['{"na', "{}", "[]", "\0"])
def test_a_plan_that_cannot_be_read(searched: tuple[optuna.Study, Plan], text: str) -> None:
    file = Path(searched[1].folder) / "plan.json"
    file.write_text(text)
    result = called("status")
    assert result.exit_code == 1
    assert result.output.startswith(f"error: expected the plan of a study in {file}")
    assert "writes it again" in result.output


def test_export_into_a_file_is_refused(searched: tuple[optuna.Study, Plan]) -> None:
    result = called("export", "--out", "params.yaml/x")
    assert result.exit_code == 1
    assert "got a file params.yaml" in result.output


def test_one_study_needs_no_name_and_several_do(searched: tuple[optuna.Study, Plan], made: Any) -> None:
    assert only_study() == "s"
    begun(made(), "select", "t")
    with pytest.raises(StudyError, match="got s, t"):
        only_study()
    assert "study     t: panel greedy" in said("status", "--study", "t")
    result = called("status", "--study", "u")
    assert result.exit_code == 1
    assert "s, t" in result.output


@pytest.mark.usefixtures("workplace")
def test_without_a_study_the_command_that_starts_one_is_named() -> None:
    for command in ("status", "best", "apply"):
        result = called(command)
        assert result.exit_code == 1
        assert "Start one: `sclandmarks tune fit`" in result.output


def test_a_winner_must_be_complete(searched: tuple[optuna.Study, Plan]) -> None:
    study, plan = searched
    study.add_trial(create_trial(state=TrialState.FAIL))
    assert winner(study, plan).number == 2
    assert winner(study, plan, 1).number == 1
    for number in (0, 3, 99):
        with pytest.raises(StudyError, match=rf"trial {number} to be complete.*Best: 2"):
            winner(study, plan, number)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "--timeout", "2x"], "expected a duration above zero such as 2h"),
        (["fit", "--study", "../x"], "letters, digits"),
        (["fit", "--trials", "0"], "0 is not in the range"),
        (["select", "--workers", "0"], "0 is not in the range"),
        (["fit", "--per-gpu", "0"], "0 is not in the range"),
    ],
)
def test_options_that_make_no_sense(arguments: list[str], words: str) -> None:
    result = called(*arguments)
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (-5, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (11_100, "3 h 5 min"),
        (187_200, "2 d 4 h"),
    ],
)  # fmt: skip
def test_ages(seconds: int, text: str) -> None:
    at = datetime(2026, 1, 5, tzinfo=UTC)
    assert age(at - timedelta(seconds=seconds), at) == text
