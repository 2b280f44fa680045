"""From a list to a panel: kept, taken, added, exchanged, each gene with its reason."""

from __future__ import annotations

import pytest

from sclandmarks.errors import PanelError
from sclandmarks.genes import l1000_landmarks
from sclandmarks.learn.task import Hooks
from sclandmarks.params import GreedyPanel, GuidedPanel, TopVariancePanel
from sclandmarks.select.greedy import select_greedy
from sclandmarks.select.guided import select_guided


def run(task, **settings):
    return select_guided(task, GuidedPanel(**{"selector": "guided", "ridge": 0.1} | settings), Hooks())


def symbols(selected) -> list[str]:
    return selected.panel["symbol"].to_list()


@pytest.fixture
def task(make_task, make_values):
    """40 genes, g5 to g9 named after landmarks of L1000."""
    names = [f"g{i}" for i in range(40)]
    names[5:10] = l1000_landmarks()["current_symbol"].to_list()[:5]
    return make_task(make_values(), 8, names)


def test_all_of_a_short_start_stays_and_the_rest_is_added(task) -> None:
    selected = run(task, start="l1000")
    assert set(symbols(selected)[:5]) == set(task.genes["symbol"][5:10])
    reasons = selected.panel["reason"].to_list()
    assert all(reason.startswith("from L1000: explains") for reason in reasons[:5])
    assert all(reason.startswith("added: explains") for reason in reasons[5:])
    assert selected.facts["n_of_start"] == 5
    assert selected.facts["n_start_missing"] == 973


def test_of_a_long_start_those_that_explain_most_are_taken(task) -> None:
    start = [f"g{i}" for i in range(20, 40)]
    selected = run(task, start=start)
    assert set(symbols(selected)) < set(start)
    others = [gene for gene in task.genes["symbol"] if gene not in start]
    want = select_greedy(task, GreedyPanel(selector="greedy", ridge=0.1, avoid=others), Hooks())
    assert symbols(selected) == symbols(want)


def test_exchanges_are_named_and_bounded_and_spare_what_is_kept(task) -> None:
    start = ["g30", "g31", "g32", "g33", "g34", "g35", "g36", "g37"]
    free = run(task, start=start, sweeps=9, keep=["g30", "g31"])
    assert {"g30", "g31"} == set(symbols(free)[:2])
    assert free.facts["n_swaps"] > 1
    assert sum("in place of" in reason for reason in free.panel["reason"]) > 0
    assert all(reason.startswith("kept as wished") for reason in free.panel["reason"][:2])
    one = run(task, start=start, sweeps=9, max_swaps=1)
    assert len(set(symbols(one)) & set(start)) == 7
    none = run(task, start=start)
    assert set(symbols(none)) == set(start)
    assert none.facts["explained"] < one.facts["explained"] < free.facts["explained"]


def test_what_is_avoided_is_in_neither_start_nor_panel(task) -> None:
    selected = run(task, start=["g30", "g31"], avoid=["g30", "/g1.*/"], sweeps=2)
    assert not [gene for gene in symbols(selected) if gene == "g30" or gene.startswith("g1")]


def test_another_panel_can_be_the_start(task) -> None:
    selected = run(task, start=TopVariancePanel(selector="top_variance", n_landmarks=8).model_dump())
    variance = task.train.X_CG.toarray().var(0)
    assert set(symbols(selected)) == {task.genes["symbol"][int(i)] for i in variance.argsort()[-8:]}
    assert "from the panel of top_variance" in selected.panel["reason"][0]


def test_a_panel_to_start_from_has_its_own_size(task) -> None:
    """Three of top variance, and five that are added; twelve, of which eight are taken."""
    few = run(task, start={"selector": "top_variance", "n_landmarks": 3})
    assert few.facts["n_of_start"] == 3
    assert few.panel["reason"].str.starts_with("from the panel of top_variance").to_list() == [True] * 3 + [False] * 5
    many = run(task, start={"selector": "top_variance", "n_landmarks": 12})
    twelve = {task.genes["symbol"][int(i)] for i in task.train.X_CG.toarray().var(0).argsort()[-12:]}
    assert set(symbols(many)) < twelve


def test_a_start_that_is_not_measured_is_told_or_refused(task, caplog) -> None:
    run(task, start=["g30", "NOPE"])
    assert "1 genes of the list to start from are not measured" in caplog.text
    with pytest.raises(PanelError, match="none of 2 of the list"):
        run(task, start=["NOPE", "NEITHER"])


def test_kept_genes_come_first_in_greedy_too(task) -> None:
    selected = select_greedy(task, GreedyPanel(selector="greedy", ridge=0.1, keep=["g39", "g38"]), Hooks())
    assert set(symbols(selected)[:2]) == {"g39", "g38"}


def test_genes_that_count_more_are_explained_better(task) -> None:
    """Weights of 50 on five targets change the choice towards them."""
    few = [f"g{i}" for i in range(30, 35)]
    plain = select_greedy(task, GreedyPanel(selector="greedy", ridge=0.1, avoid=few, n_landmarks=2), Hooks())
    weights = dict.fromkeys(few, 50.0)
    heavy = select_greedy(task, GreedyPanel(selector="greedy", ridge=0.1, avoid=few, gene_weights=weights), Hooks())
    only = {gene: 0.0 for gene in task.genes["symbol"] if gene not in few}
    lone = select_greedy(task, GreedyPanel(selector="greedy", ridge=0.1, avoid=few, gene_weights=only), Hooks())
    assert symbols(heavy)[0] == symbols(lone)[0]
    assert symbols(heavy) != symbols(plain)
