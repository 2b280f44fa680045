"""Figures of a path in lambda."""

from __future__ import annotations

import polars as pl
import pytest
from matplotlib.colors import to_hex

from sclandmarks import schema
from sclandmarks.report.path_figures import N_DRAWN, N_NAMED, norm_path
from sclandmarks.report.style import FAINT


def make_path(n_genes: int, n_steps: int = 4) -> pl.DataFrame:
    """Gene k enters at step 1 + k % 2 and grows; the first is the largest."""
    rows = [
        (step, 0.5**step, f"g{gene}", f"S{gene}", (n_genes - gene) * float(step))
        for step in range(n_steps)
        for gene in range(n_genes)
        if step > gene % 2
    ]
    return pl.DataFrame(rows, schema=schema.PANEL_PATH.dtypes, orient="row")


def test_a_line_a_gene_from_nothing() -> None:
    """A gene that is not in yet has the norm 0 from the first place with any gene on."""
    axes = norm_path(make_path(3), "p").axes[0]
    lines = {str(line.get_label()): line for line in axes.lines}
    assert set(lines) == {"S0", "S1", "S2"}
    assert lines["S1"].get_xdata() == pytest.approx([0.5, 0.25, 0.125])
    assert lines["S1"].get_ydata() == pytest.approx([0, 4, 6])
    assert axes.xaxis_inverted()
    assert axes.get_title(loc="left") == "p"


def test_the_largest_genes_alone_are_named() -> None:
    """The others are faint, and not more are drawn than can be told apart."""
    figure = norm_path(make_path(N_DRAWN + 20), "p")
    lines = figure.axes[0].lines
    assert len(lines) == N_DRAWN
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"S{gene}" for gene in range(N_NAMED)]
    assert sum(to_hex(line.get_color()) == FAINT for line in lines) == N_DRAWN - N_NAMED
