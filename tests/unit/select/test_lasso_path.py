"""The record of a path."""

from __future__ import annotations

import pytest
import torch

from sclandmarks import schema
from sclandmarks.select.lasso_path import PathRecord, adaptive_scale


@pytest.fixture
def record() -> PathRecord:
    """Of four genes: 2 enters, then 0, then 2 leaves."""
    record = PathRecord(4)
    for step, sizes in enumerate([[0, 0, 0, 0], [0, 0, 3, 0], [5, 0, 3, 0], [5, 0, 0, 0]]):
        record.note(step, 0.5**step, torch.tensor(sizes, dtype=torch.float32))
    return record


def test_the_table_lists_who_is_in_where(record: PathRecord, make_task) -> None:
    """Larger norms first, nobody at lambda_max."""
    table = schema.check(record.table(make_task(torch.ones(3, 4), 2).genes), schema.PANEL_PATH)
    assert table.select("step", "lambda_ratio", "gene_id", "norm").rows() == [
        (1, 0.5, "g2", 3.0),
        (2, 0.25, "g0", 5.0),
        (2, 0.25, "g2", 3.0),
        (3, 0.125, "g0", 5.0),
    ]


def test_a_path_without_places_is_an_empty_table(make_task) -> None:
    """Of the right columns."""
    table = PathRecord(4).table(make_task(torch.ones(3, 4), 2).genes)
    schema.check(table, schema.PANEL_PATH)
    assert table.is_empty()


def test_active_genes_go_first_then_the_nearest(record: PathRecord, make_task) -> None:
    """Whatever the size of a gradient beside that of a norm; a reason says where a gene came in."""
    panel = record.rank(
        make_task(torch.ones(3, 4), 3), torch.tensor([0.1, 0, 0, 0]), torch.tensor([1.0, 2.0, 7.0, 3.0])
    )
    assert panel["gene_id"].to_list() == ["g0", "g2", "g3"]
    assert panel["score"].to_list() == pytest.approx([0.1, 0, 0])
    assert panel["reason"].to_list() == [
        "entered the path at lambda = 0.25 lambda_max",
        "entered the path at lambda = 0.5 lambda_max",
        "not on the path yet, nearest to entering",
    ]


def test_adaptive_scales_have_mean_one_and_keep_out_who_was_out() -> None:
    """In proportion to the norms."""
    assert adaptive_scale(torch.tensor([0.0, 2.0, 6.0])).tolist() == [0.0, 0.5, 1.5]


def test_without_a_gene_the_scale_changes_nothing() -> None:
    """A first path that let nobody in says nothing."""
    assert adaptive_scale(torch.zeros(3)).tolist() == [1.0, 1.0, 1.0]
