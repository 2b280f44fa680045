"""A study as files: whole, never over a stranger's files, and without a trace of the machine where DVC keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.io.tables import read_table
from sclandmarks.tune.export import export, view, write_stage
from sclandmarks.tune.page import build_page
from sclandmarks.tune.plan import Plan

Make = Callable[..., tuple[optuna.Study, Plan]]
ABOUT = ("pancreas", "0.0")


def test_an_export_is_whole(make_study: Make, tmp_path: Path) -> None:
    study, plan = make_study(8, files=False)
    shown = view(study, plan)
    written = export(shown, tmp_path / "out", *ABOUT)
    assert sorted(written) == sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert read_table(tmp_path / "out/trials.parquet", schema.TRIALS).equals(shown.trials)
    assert pl.read_csv(tmp_path / "out/trials.csv").height == 8
    best = json.loads((tmp_path / "out/best.json").read_text())
    assert best["best"][0]["settings"] == study.best_trial.user_attrs["settings"]
    assert best["best"][0]["mse"] == study.best_value
    assert best["default"][0]["trial"] == 0
    assert best["objectives"] == {"mse": "minimize"} and best["trials"]["pruned"] == 1


def test_files_in_the_way_are_not_touched(make_study: Make, tmp_path: Path) -> None:
    study, plan = make_study(3, files=False)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "trials.csv").write_text("mine")
    with pytest.raises(DataError, match=r"holds trials.csv.*--replace"):
        export(view(study, plan), folder, *ABOUT)
    assert [path.name for path in folder.iterdir()] == ["trials.csv"]
    assert (folder / "trials.csv").read_text() == "mine"


def test_replaced_files_are_those_of_an_export(make_study: Make, tmp_path: Path) -> None:
    study, plan = make_study(8, files=False)
    folder = tmp_path / "out"
    export(view(study, plan), folder, *ABOUT)
    (folder / "notes.txt").write_text("mine")
    (folder / "figures" / "pareto.svg").write_text("of another study")
    export(view(study, plan), folder, *ABOUT, replaced=True)
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / "figures" / "pareto.svg").exists()


def test_an_empty_folder_is_free(make_study: Make, tmp_path: Path) -> None:
    study, plan = make_study(2, files=False)
    (tmp_path / "out").mkdir()
    assert export(view(study, plan), tmp_path / "out", *ABOUT)


def test_a_study_without_a_complete_trial_is_exported(make_study: Make, tmp_path: Path) -> None:
    study, plan = make_study(0)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    export(view(study, plan), tmp_path / "out", *ABOUT)
    assert json.loads((tmp_path / "out/best.json").read_text())["best"] == []
    assert "No trial is complete" in (tmp_path / "out/study.html").read_text()


def test_the_page_shows_figures_best_and_default(make_study: Make) -> None:
    study, plan = make_study(12, files=False)
    shown = view(study, plan)
    drawn = shown.drawings()
    svgs = {one.name: "<svg viewBox='0 0 1 1'></svg>".replace("'", '"') for one in drawn}
    html = build_page([(shown, drawn, svgs)], "<pancreas>", "0.0")
    assert html.count('<svg role="img"') == len(drawn) == 4
    assert "&lt;pancreas&gt;" in html and "<pancreas>" not in html
    assert f"Trial {study.best_trial.number} reached" in html and "the settings of params.yaml" in html
    assert html.rstrip().endswith("</html>")
    assert html == build_page([(shown, drawn, svgs)], "<pancreas>", "0.0")


def test_outs_of_the_stage_know_no_machine(make_study: Make, tmp_path: Path) -> None:
    study, plan = make_study(8, files=False)
    places = [tmp_path / "out" / name for name in ("tables", "figures", "metrics.json", "page.html")]
    write_stage([view(study, plan)], *places, ABOUT)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {
        "fit-trials.csv",
        "fit-best.json",
        "fit-history.svg",
        "metrics.json",
        "page.html",
    }
    for path in files:
        text = path.read_text()
        assert not [word for word in ("laptop", str(tmp_path), "as the test wants it", "Date") if word in text], path
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["fit"]["mse_best"] == study.best_value
    assert metrics["fit"]["mse_default"] == study.trials[0].value
    assert metrics["fit"]["n_trials"] == 8


def test_a_front_has_no_single_best(make_study: Make) -> None:
    study, plan = make_study(6, "select", objectives=("explained", "n_landmarks"), files=False)
    shown = view(study, plan)
    front = {one.number for one in study.best_trials}
    assert {one["trial"] for one in shown.best()["best"]} == front
    assert "explained_best" not in shown.metrics() or len(front) == 1
