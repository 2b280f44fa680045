"""Wishes: tokens, bounds, weights, and what is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from sclandmarks.errors import PanelError
from sclandmarks.genes import retired_symbols
from sclandmarks.params import Wishes
from sclandmarks.select.constraints import GeneFinder, cell_weights, constrain

NAMES = ["INS", "RPL3", "MRPS5", "MT-CO1", "GCG", "HLA-A", "HLA-B", "RPSA", "SST", "MTOR"]


@pytest.fixture
def task(make_task, make_values):
    return make_task(
        make_values(20, 10), 3, NAMES, lists={"@mine.txt": {"GCG": 2.0, "NOPE": 1.0}, "@s.gmt#A": {"SST": 1.0}}
    )


@pytest.mark.parametrize(
    ("tokens", "want"),
    [
        (["SST", "INS"], ["SST", "INS"]),
        (["ribosomal"], ["RPL3", "MRPS5", "RPSA"]),
        (["mitochondrial"], ["MT-CO1"]),
        (["/HLA-.*/"], ["HLA-A", "HLA-B"]),
        (["/HLA/"], []),
        (["@mine.txt", "@s.gmt#A", "GCG"], ["GCG", "SST"]),
    ],
)
def test_tokens_name_genes_in_order_and_once(task, tokens: list[str], want: list[str]) -> None:
    found = GeneFinder(task.genes, task.lists).find(tokens)
    assert [NAMES[place] for place in found.weights] == want


def test_missing_names_are_told_and_files_bring_weights(task) -> None:
    found = GeneFinder(task.genes, task.lists).find(["@mine.txt", "XYZ"])
    assert found.missing == ["NOPE", "XYZ"]
    assert found.weights == {4: 2.0}


def test_ids_and_retired_symbols_are_understood(make_task, make_values) -> None:
    old, new = next(iter(retired_symbols().items()))
    task = make_task(make_values(5, 3), 1, [new, "A", "B"])
    genes = task.genes.with_columns(pl.Series("ensembl_id", ["ENSG00000000001", None, None], dtype=pl.String))
    for name in (old, new, "ENSG00000000001"):
        assert list(GeneFinder(genes, {}).find([name]).weights) == [0]


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"keep": ["INS", "NOPE"]}, "genes to keep that are measured.*NOPE"),
        ({"keep": ["INS"], "avoid": ["/INS/"]}, "both in keep and in avoid.*INS"),
        ({"keep": ["INS", "GCG", "SST", "MTOR"]}, "at most 3 genes to keep.*4"),
        ({"min_mean": 1e6}, "at least 3 genes to choose from.*0 within"),
        ({"avoid": ["/.*/"], "keep": ["INS"]}, "got 1 within|got 0 within|both in keep"),
        ({"avoid": ["/(/"]}, "a regular expression"),
        ({"keep": ["@other.txt"]}, "the genes of @other.txt"),
        ({"gene_weights": {"NOPE": 2.0}}, "name measured genes.*NOPE"),
        ({"gene_weights": {"/.*/": 0.0}}, "weight above 0"),
    ],
)
def test_what_cannot_be_is_refused(task, wishes: dict, message: str) -> None:
    with pytest.raises(PanelError, match=message):
        constrain(task, Wishes(**wishes))


def test_unknown_genes_to_avoid_are_told(task, caplog) -> None:
    """They cannot be chosen anyway, but a slip of the pen is worth a line."""
    constrain(task, Wishes(avoid=["NOPE"]))
    assert "NOPE" in caplog.text


def test_bounds_are_those_of_the_mean_and_spare_kept_genes(task) -> None:
    mean_G = task.train.X_CG.toarray().mean(0)
    low, high = np.sort(mean_G)[[2, 6]]
    outside = int(np.argmax(mean_G))
    wishes = Wishes(min_mean=float(low) * 0.999, max_mean=float(high) * 1.001, keep=[NAMES[outside]])
    allowed = constrain(task, wishes).allowed_G.numpy()
    want = (mean_G >= low * 0.999) & (mean_G <= high * 1.001)
    want[outside] = True
    np.testing.assert_array_equal(allowed, want)


def test_weights_of_tokens_multiply(task) -> None:
    weights = constrain(task, Wishes(gene_weights={"@mine.txt": 3.0, "GCG": 0.5, "mitochondrial": 0.0})).weight_G
    want = np.ones(10)
    want[[4, 3]] = 3.0, 0.0
    np.testing.assert_allclose(weights, want)


@pytest.fixture
def typed(make_task, make_values, make_matrix):
    cells = make_matrix(20, 3).cells.with_columns(pl.Series("cell_type", ["a"] * 15 + ["b"] * 4 + [None]))
    return make_task(make_values(20, 10), 3, cells=cells)


def test_equal_types_count_the_same_in_all(typed) -> None:
    weight_C = cell_weights(typed, Wishes(cell_type_weights="equal"))
    assert float(weight_C.mean()) == pytest.approx(1)
    for part in (slice(0, 15), slice(15, 19), slice(19, 20)):
        assert float(weight_C[part].sum()) == pytest.approx(20 / 3)


def test_named_types_count_so_many_times(typed) -> None:
    weight_C = cell_weights(typed, Wishes(cell_type_weights={"b": 5}))
    assert float(weight_C[16] / weight_C[0]) == pytest.approx(5)
    assert float(weight_C[19] / weight_C[0]) == pytest.approx(1)
    assert cell_weights(typed, Wishes()) is None


def test_unknown_types_no_cells_and_no_weight_are_refused(typed, task) -> None:
    with pytest.raises(PanelError, match=r"cell types of the training cells: .*a, b.*got c"):
        cell_weights(typed, Wishes(cell_type_weights={"c": 2}))
    with pytest.raises(PanelError, match="table of the training cells"):
        cell_weights(task, Wishes(cell_type_weights="equal"))
    with pytest.raises(PanelError, match="a cell of weight above 0"):
        cell_weights(typed, Wishes(cell_type_weights={"a": 0, "b": 0, "": 0}))


def test_weights_are_on_the_tasks_genes(task) -> None:
    assert constrain(task, Wishes()).weight_G.equal(torch.ones(10, dtype=torch.float64))
