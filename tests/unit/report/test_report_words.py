"""Sentences and tables say what the table of verdicts says."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from sclandmarks.report.inputs import Difference, Score, main_fits, ranked, results
from sclandmarks.report.tables import (
    comparison_grid,
    error,
    overlap_grid,
    p_value,
    percent,
    percent_cell,
    source_grid,
    study_grid,
    verdict_cell,
)
from sclandmarks.report.words import answer, left_out


def say(tables):
    return str(answer(tables, results(tables)).striptags())


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("better", "better than"),
        ("worse", "worse than"),
        ("no difference shown", "not shown to differ from"),
    ],
)
def test_sentences_follow_the_verdicts(make_tables, verdict, words):
    text = say(make_tables(verdicts={"l1000-network": verdict, "paper_f910-ridge": verdict}))
    assert f"Is a network better than ridge? With the genes of l1000, network is {words} ridge (" in text
    assert "Is a panel learned as F910 was as good as L1000?" in text
    assert f"paper_f910 (30 genes) is {words} l1000 (" in text


def test_what_was_not_compared_is_not_claimed(make_tables):
    text = say(make_tables(fits=("random-ridge", "top_variance-reduced_rank")))
    assert "network" not in text and "F910" not in text and "L1000" not in text
    assert "30 genes drawn at random reach 8.0 % by ridge." in text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_network_as_the_reference_is_not_compared_with_itself(make_tables):
    assert "Is a network" not in say(make_tables(fits=("l1000-network", "l1000-mean")))


def test_the_best_fit_and_its_doubt_are_named(make_tables):
    text = say(make_tables()).replace("\N{NO-BREAK SPACE}", " ")
    assert "measure the 30 genes of group_lasso and infer the others by reduced_rank" in text
    assert "8.4 % (95 % interval 6.4 to 13.0)" in text
    assert "The intervals of 4 other fits overlap with it" in text


def test_a_best_fit_that_may_be_no_better_than_the_mean_is_called_so(make_tables):
    tables = make_tables()
    doubtful = tables.comparison.with_columns(pl.col("low") - 1)
    assert "no fit is shown to do better than the mean" in say(dataclasses.replace(tables, comparison=doubtful))


def test_without_common_targets_nothing_is_best(make_tables):
    assert say(make_tables(common=False)).startswith("No fit of this run can be compared")


def test_fits_on_counts_are_never_ranked(make_tables):
    tables = make_tables()
    counts = tables.comparison.with_columns(scale=pl.lit("counts"))
    assert ranked(results(dataclasses.replace(tables, comparison=counts))) == []


def test_sizes_are_named_where_they_differ(make_tables):
    tables = make_tables()
    fewer = pl.when(pl.col("panel") == "l1000").then(20).otherwise("n_landmarks").cast(pl.Int64).alias("n_landmarks")
    smaller = dataclasses.replace(tables, comparison=tables.comparison.with_columns(fewer))
    assert "l1000 has 20 genes, and more genes make an easier task" in say(smaller)
    assert "easier task" not in say(tables)


def test_a_verdict_is_told_by_sign_and_word(make_tables):
    found = {result.fit: result for result in results(make_tables(verdicts={"l1000-network": "worse"}))}
    cell = verdict_cell(found["l1000-network"], "l1000-ridge")
    assert (cell.text, cell.note, cell.tone) == ("▼ worse", "−2.00 (−3.00 to −1.00)", "worse")
    assert verdict_cell(found["l1000-ridge"], "l1000-ridge").text == "the reference"
    equal = dataclasses.replace(found["l1000-mean"], difference=Difference(0.0, -0.1, 0.1, "no difference shown"))
    assert verdict_cell(equal, "l1000-ridge").text == "○ no difference shown"


def test_main_fits_hold_the_reference_and_the_best_of_each_panel(make_tables):
    found = results(make_tables())
    chosen = [result.fit for result in main_fits(found, "l1000-ridge")]
    assert chosen == ["l1000-ridge", "l1000-network", "paper_f910-ridge", "group_lasso-reduced_rank"]
    assert len(main_fits(found, "l1000-ridge", most=2)) == 2


def test_the_study_stands_in_a_column_of_its_own(make_tables):
    tables = make_tables()
    grid = study_grid(tables, results(tables))
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in grid.rows}
    assert rows["Network with L1000"] == ["0.0387", "not in this run"]
    assert rows["Refit on F910"][0] == "0.0490"
    assert rows["Linear on raw counts, L1000"][0] == "1.87"
    assert rows["F910 genes shared with L1000"] == ["33", "4"]
    assert rows["Baseline: ridge, L1000"] == ["not reported", "0.0510"]
    assert "other data" in grid.heads[1].text


def test_a_joined_run_is_summed_up_by_its_row_for_all(make_tables):
    tables = make_tables(datasets=("one", "two"))
    assert study_grid(tables, results(tables)).rows[0][2].text == "120"


def test_a_citation_links_to_its_doi(make_tables):
    assert source_grid(make_tables()).rows[0][3].href == "https://doi.org/10.1000/xyz.1"


def test_genes_without_variance_are_counted(make_tables):
    assert left_out(make_tables()).startswith("1 of the 3 genes do not vary")


def test_rows_of_the_comparison_can_be_sorted_by_number(make_tables):
    rows = comparison_grid(results(make_tables()), "l1000-ridge").rows
    assert all(cell.number is not None for row in rows for cell in row[1:])


def test_fits_on_counts_are_pale_and_sorted_last(make_tables):
    counts = dataclasses.replace(results(make_tables())[0], scale="counts")
    row = comparison_grid([counts], "l1000-ridge").rows[0]
    assert {(cell.number, cell.tone) for cell in row[2:7]} == {(None, "pale")}
    assert "not comparable" in row[0].note


def test_the_overlap_of_l1000_with_itself_has_no_p(make_tables):
    own = make_tables().overlap.with_columns(n_landmarks=pl.col("n_reference"), n_shared=pl.col("n_reference"))
    assert overlap_grid(own).rows[0][-1].text == "same genes"
    assert overlap_grid(make_tables().overlap).rows[1][-1].text == "1.0 × 10⁻⁹"


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        (percent(-0.0004), "0.0\N{NO-BREAK SPACE}%"),
        (percent(-0.05), "−5.0\N{NO-BREAK SPACE}%"),
        (percent(None), "–"),
        (error(0.04901), "0.0490"),
        (error(95.23), "95.2"),
        (error(1234.5), "1,230"),
        (error(float("inf")), "–"),
        (p_value(0.0), "< 10⁻³⁰⁰"),
        (p_value(0.98), "0.98"),
        (percent_cell(Score(0.1, -0.01, 0.2)).note, "−1.0 to 20.0"),
    ],
)
def test_numbers_are_written_for_reading(got, wanted):
    assert got == wanted
