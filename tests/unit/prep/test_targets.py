"""Common targets: what no compared panel measures."""

from __future__ import annotations

import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.errors import PanelError
from sclandmarks.prep.targets import common_targets
from sclandmarks.select.base import rank_genes


@pytest.fixture
def genes(make_matrix) -> pl.DataFrame:
    """Six genes."""
    return make_matrix(2, 6).genes


def panels(genes: pl.DataFrame, *orders: list[int]) -> pl.DataFrame:
    """Rows of several panels, one below the other."""
    return pl.concat([rank_genes(genes, order, [None] * len(order), ["why"] * len(order)) for order in orders])


def test_genes_in_no_panel_in_the_order_of_the_matrix(genes: pl.DataFrame) -> None:
    """A gene in one panel is out, however many panels leave it out; one in several is out once."""
    targets = schema.check(common_targets(genes, panels(genes, [4, 1], [1, 3])), schema.TARGETS)
    assert targets["gene_id"].to_list() == ["g0", "g2", "g5"]


def test_nothing_left_is_an_error(genes: pl.DataFrame) -> None:
    """Panels that together hold every gene cannot be compared."""
    with pytest.raises(PanelError, match="hold all 6"):
        common_targets(genes, panels(genes, [0, 1, 2, 3], [3, 4, 5]))
