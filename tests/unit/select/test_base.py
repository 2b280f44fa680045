"""The size of a panel, from its own setting, L1000's, or that of all panels."""

from __future__ import annotations

import pytest

from sclandmarks.genes import gene_table, l1000_landmarks
from sclandmarks.params import L1000Panel, RandomPanel, SelectParams
from sclandmarks.select import panel_size

GENES = gene_table(symbols := [*l1000_landmarks()["current_symbol"][:7], "X1", "X2"], symbols, [None] * len(symbols))


@pytest.mark.parametrize(("own", "size"), [(None, 5), (3, 3), ("l1000", 7)])
def test_a_panel_has_its_own_size_or_the_common_one(own: int | str | None, size: int) -> None:
    panel = RandomPanel(selector="random", seed=0, n_landmarks=own)
    assert panel_size(panel, SelectParams(n_landmarks=5), GENES) == size


def test_a_panel_that_has_no_size_setting_takes_the_common_one() -> None:
    assert panel_size(L1000Panel(selector="l1000"), SelectParams(n_landmarks=5), GENES) == 5
