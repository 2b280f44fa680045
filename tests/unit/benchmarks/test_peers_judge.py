"""Judging what has run: common targets, paired differences, genes that reach L1000; the page made of it."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = import_module("peers.judge")
    monkeypatch.setattr(module, "N_BOOTSTRAP", 50)
    monkeypatch.setattr(module, "CURVE", (2, 4, 6))
    return module


@pytest.fixture
def ran(planted: Any, planted_folder: Path, keep_result: Any, tmp_path: Path) -> Path:
    """Plain greedy took the planted genes; another of ours and a peer took others; one peer ran over the limit."""
    folder = tmp_path / "planted"
    shutil.copytree(planted_folder, folder, ignore=shutil.ignore_patterns("results", "logs", "fits"))
    others = [gene for gene in planted.counts.genes["gene_id"] if gene not in planted.landmarks]
    keep_result(folder, "greedy", 910, planted.landmarks + others[:4])
    keep_result(folder, "greedy_swaps", 6, planted.landmarks[:5] + others[:1])
    keep_result(folder, "genecover", 6, others[10:16])
    keep_result(folder, "l1000", 910, others[20:27])
    keep_result(folder, "scmer", 6, None)
    return folder


def by_panel(judge: Any, folder: Path) -> dict[str, Any]:
    return {row["panel"]: row for row in judge.rows(judge.open_arena(folder), "planted", 6)}


def test_rows_say_who_captures_most(judge: Any, ran: Path) -> None:
    rows = by_panel(judge, ran)
    assert set(rows) == {"greedy", "greedy_swaps", "genecover", "l1000", "scmer"}
    assert rows["greedy"]["n_genes"] == 6
    assert rows["l1000"]["n_genes"] == 7  # all of it, whatever the size
    assert rows["greedy"]["n_targets"] == 80 - 6 - 1 - 6 - 7
    assert rows["greedy"]["is_best"]
    assert rows["greedy"]["captured"] > rows["genecover"]["captured_high"]
    assert rows["genecover"]["difference_high"] < 0
    assert rows["genecover"]["lead_low"] > 0


def test_differences_are_paired_with_greedy(judge: Any, ran: Path) -> None:
    rows = by_panel(judge, ran)
    assert rows["greedy"]["difference"] == rows["greedy"]["difference_low"] == rows["greedy"]["pair_difference"] == 0
    assert rows["greedy"]["ratio"] == 1
    peer = rows["genecover"]
    assert peer["difference"] == pytest.approx(peer["captured"] - rows["greedy"]["captured"])
    assert peer["ratio"] == pytest.approx(peer["captured"] / rows["greedy"]["captured"])
    assert peer["difference_low"] <= peer["difference"] <= peer["difference_high"]


def test_what_did_not_end_has_no_figures(judge: Any, ran: Path) -> None:
    row = by_panel(judge, ran)["scmer"]
    assert row["status"] == "over"
    assert row["n_genes"] == 0
    assert "captured" not in row


def test_what_was_over_the_limit_at_fewer_genes_is_untried(judge: Any, ran: Path, keep_result: Any) -> None:
    words = import_module("peers.words")
    keep_result(ran, "skglm", 4, None)
    row = by_panel(judge, ran)["skglm"]
    assert (row["status"], row["n_genes"]) == ("untried", 0)
    assert words.line(row | {"captured": None}) == "| skglm | | not tried: over the limit at 4 genes | | | | |  |"


def test_results_of_other_settings_are_left_out(judge: Any, ran: Path, keep_result: Any) -> None:
    keep_result(ran, "genecover", 6, ["g1"], settings="others")
    assert "genecover" not in judge.results(ran, 6)


def test_a_kept_fit_is_the_same(judge: Any, ran: Path, planted: Any) -> None:
    arena = judge.open_arena(ran)
    order = arena.places(planted.landmarks)
    first, second = (judge.fit(arena, "greedy", order, [3, 6])[6] for _ in range(2))
    X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    import torch

    assert torch.equal(first.predict(torch.from_numpy(X)), second.predict(torch.from_numpy(X)))
    assert (first.lambda_, first.exponent) == (second.lambda_, second.exponent)
    assert len(list((ran / "fits").iterdir())) == 2


def test_other_genes_are_another_fit(judge: Any) -> None:
    assert judge.digest(np.array([1, 2])) != judge.digest(np.array([2, 1]))


def test_few_of_ours_reach_a_poor_l1000(judge: Any, ran: Path, keep_result: Any) -> None:
    keep_result(ran, "greedy_denoised", 910, None)  # did not end, and is left out
    (row,) = judge.reaching(judge.open_arena(ran), "planted")
    assert row["panel"] == "greedy"
    assert row["n_l1000"] == 7
    assert 2 <= row["value"] <= 6
    assert row["reached"] == 1


def test_few_of_ours_reach_a_poor_l1000_by_another_predictor(
    judge: Any, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = import_module("peers.levels")
    monkeypatch.setattr(levels, "SIZES", (2, 4, 6))
    monkeypatch.setattr(levels, "PREDICTOR", "ridge")
    arena = judge.open_arena(ran)
    assert list(levels.rows(arena, "planted")) == []  # nothing has run
    levels.run_all(arena)
    (row,) = levels.rows(arena, "planted")
    assert (row["panel"], row["predictor"], row["n_l1000"]) == ("greedy", "ridge", 7)
    assert 2 <= row["value"] <= 6
    files = {path: path.stat().st_mtime_ns for path in (ran / "results").glob("level-*")}
    assert len(files) == 4
    levels.run_all(arena)
    assert {path: path.stat().st_mtime_ns for path in (ran / "results").glob("level-*")} == files


def test_the_errors_of_a_level_are_those_of_the_fit(judge: Any, ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = import_module("peers.levels")
    monkeypatch.setattr(levels, "PREDICTOR", "mean")
    arena = judge.open_arena(ran)
    targets = np.array([1, 3])
    mean_T = arena.cohort.train.X_CG[:, targets].toarray().mean(0)
    wanted_C = np.square(arena.cohort.test.X_CG[:, targets].toarray() - mean_T).sum(1)
    np.testing.assert_allclose(levels.errors(arena, np.array([0, 2]), targets), wanted_C, rtol=1e-4)


@pytest.fixture
def table(judge: Any, ran: Path) -> pl.DataFrame:
    return pl.DataFrame(list(by_panel(judge, ran).values()), infer_schema_length=None)


def test_the_page_is_filled_between_its_marks(judge: Any, ran: Path, table: pl.DataFrame, tmp_path: Path) -> None:
    words = import_module("peers.words")
    page, names = tmp_path / "page.md", ("aims", "l1000", "predictors", "results", "settings")
    marks = "\n".join(f"{words.BEGIN.format(name)}\nold\n{words.END.format(name)}" for name in names)
    page.write_text(f"# Title\n{marks}\nlast")
    reach = pl.DataFrame(list(judge.reaching(judge.open_arena(ran), "planted")))
    guess = {"dataset": "planted", "panel": "greedy", "n_genes": 6, "predictor": "deepimpute", "status": "over"}
    guesses = pl.DataFrame([guess | {"captured": None, "difference": None}])
    words.fill(page, table, reach, guesses)
    once = page.read_text()
    words.fill(page, table, reach, guesses)
    assert page.read_text() == once
    assert "old" not in once
    assert once.startswith("# Title")
    assert once.endswith("last")
    assert "over the limit" in once
    assert "| planted | 6 | greedy | 1.000 | missed | 1 of 1 |" in once
    assert "Not run: " in once
    assert "| planted | greedy | 6 | deepimpute | over |" in once


def test_best_first_in_the_table(table: pl.DataFrame) -> None:
    rows = import_module("peers.words").pivot(table, "planted", 6)
    assert rows[0]["panel"] == "greedy"
    assert rows[-1]["panel"] == "scmer"


def test_the_figure_names_everyone_once(table: pl.DataFrame) -> None:
    figure = import_module("peers.figure")
    made = figure.draw(table)
    labels = [text.get_text() for text in made.legends[0].get_texts()]
    assert sorted(labels) == ["genecover", "greedy", "greedy_swaps", "l1000, all"]
    assert made.get_facecolor() == (1, 1, 1, 1)


def test_no_two_look_alike() -> None:
    register, figure = import_module("peers.register"), import_module("peers.figure")
    looks = {tuple(sorted(figure.style(name).items())) for name in (*register.OURS, *register.PEERS)}
    assert len(looks) == len(register.OURS) + len(register.PEERS)


def test_predictors_are_judged_on_the_same_genes(
    judge: Any, ran: Path, monkeypatch: pytest.MonkeyPatch, planted: Any
) -> None:
    predictors = import_module("peers.predictors")
    monkeypatch.setattr(predictors, "PANELS", {"greedy": 6})
    monkeypatch.setattr(predictors, "OURS", ("ridge", "reduced_rank"))
    monkeypatch.setattr(predictors, "THEIRS", {"deepimpute": "wMSE"})
    n_test = planted.counts.n_cells // 5
    failed = {"status": "over", "why": "", "peak_mib": 1.0}
    answers = iter([(np.zeros((n_test, 74), np.float32), {"status": "ok", "seconds": 1.0, "cpu": 1.0}), (None, failed)])
    monkeypatch.setattr(predictors, "predict_theirs", lambda *_: next(answers))
    arena = judge.open_arena(ran)
    predictors.run_all(None, arena, ["reduced_rank"])
    assert [row["predictor"] for row in predictors.rows(arena, "planted")] == ["reduced_rank"]
    predictors.run_all(None, arena)
    rows = {row["predictor"]: row for row in predictors.rows(arena, "planted")}
    assert list(rows) == ["ridge", "reduced_rank", "deepimpute"]
    assert rows["ridge"]["captured"] > 0.3 > 0 > rows["deepimpute"]["captured"]
    assert rows["reduced_rank"]["difference"] == 0
    assert rows["deepimpute"]["difference_high"] < 0
    assert rows["ridge"]["ratio"] == 1
    assert rows["reduced_rank"]["ratio"] == pytest.approx(rows["reduced_rank"]["captured"] / rows["ridge"]["captured"])
    assert rows["reduced_rank"]["ratio_low"] <= rows["reduced_rank"]["ratio"] <= rows["reduced_rank"]["ratio_high"]
    for path in (ran / "results").glob("predict-*-deepimpute-*"):
        path.unlink()
    predictors.run_all(None, arena)
    over = {row["predictor"]: row for row in predictors.rows(arena, "planted")}["deepimpute"]
    assert over["status"] == "over"
    assert "captured" not in over


def test_blocks_of_targets_are_filled_up() -> None:
    deepimpute = import_module("peers.adapters.deepimpute")
    blocks = deepimpute.filled(np.arange(10, 17), 3)
    assert np.concatenate(blocks)[:7].tolist() == list(range(10, 17))
    assert {len(block) for block in blocks} == {3}
    train, held_back = deepimpute.parts(100)
    assert sorted([*train, *held_back]) == list(range(100))
    assert len(held_back) == 5
