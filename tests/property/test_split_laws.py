"""Laws of the split: no group on two sides, every cell once, the order of the cells decides nothing."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import assume, given
from hypothesis import strategies as st

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.params import SplitParams
from sclandmarks.prep.split import choose_groups, split_cells

COLUMNS = ("dataset", "donor", "sample", "tissue", "cell_type", "condition")


@st.composite
def tables(draw: st.DrawFn) -> pl.DataFrame:
    """Up to 80 cells with few and many groups, some Unknown."""
    n_cells = draw(st.integers(12, 80))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns: dict[str, object] = {"cell_id": [f"d/{i:03}" for i in rng.permutation(n_cells)]}
    for name in COLUMNS:
        groups = [f"{name}{i}" for i in range(draw(st.integers(1, 8)))] + ["Unknown"] * draw(st.integers(0, 1))
        columns[name] = [groups[i] for i in rng.integers(len(groups), size=n_cells)]
    columns["library_size"] = [1] * n_cells
    return pl.DataFrame(columns).select(list(schema.CELLS.dtypes))


settings = st.builds(
    SplitParams,
    seed=st.integers(0, 2**32 - 1),
    test=st.floats(0.1, 0.6),
    validation=st.floats(0.1, 0.6),
    by=st.sampled_from(COLUMNS),
)


def split_or_skip(cells: pl.DataFrame, chosen: SplitParams) -> pl.DataFrame:
    try:
        return split_cells(cells, chosen)
    except DataError:
        assume(False)
        raise


@given(tables(), settings)
def test_every_cell_once_and_no_group_in_test_and_elsewhere(cells: pl.DataFrame, chosen: SplitParams) -> None:
    split = split_or_skip(cells, chosen)
    assert split["cell_id"].equals(cells["cell_id"])
    assert set(split["subset"]) == {"train", "validation", "test"}
    sides = cells.join(split, on="cell_id").group_by(chosen.by).agg(pl.col("subset").unique())
    for group, subsets in sides.iter_rows():
        assert "test" not in subsets or subsets == ["test"]
        assert group != "Unknown" or "test" not in subsets


@given(tables(), settings)
def test_validation_is_whole_groups_or_about_its_fraction(cells: pl.DataFrame, chosen: SplitParams) -> None:
    table = cells.join(split_or_skip(cells, chosen), on="cell_id").filter(pl.col("subset") != "test")
    share = (table["subset"] == "validation").mean()
    sides = table.group_by(chosen.by).agg(n=pl.col("subset").n_unique())
    are_groups = sides["n"].max() == 1
    assert are_groups or abs(share - chosen.validation) * table.height <= 1
    assert chosen.validation / 2 - 1 / table.height <= share <= chosen.validation * 2 + 1 / table.height


@given(tables(), settings, st.randoms())
def test_the_order_of_the_cells_changes_nothing(cells: pl.DataFrame, chosen: SplitParams, random: object) -> None:
    order = list(range(cells.height))
    random.shuffle(order)
    assert split_or_skip(cells, chosen).sort("cell_id").equals(split_cells(cells[order], chosen).sort("cell_id"))


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 1000), min_size=2, max_size=30),
    st.floats(0.05, 0.7),
    st.integers(0, 1000),
)
def test_a_seeded_choice_comes_within_half_a_group_of_what_is_wanted(
    sizes: dict[str, int], fraction: float, seed: int
) -> None:
    wanted = fraction * sum(sizes.values())
    chosen = choose_groups(sizes, wanted, seed)
    left = [size for name, size in sizes.items() if name not in chosen]
    got = sum(sizes[name] for name in chosen)
    assert chosen
    assert left
    assert got - wanted <= max(sizes.values()) / 2 or len(chosen) == 1
    if len(left) > 1:  # each that was left would have come no nearer
        assert all(abs(got + size - wanted) >= abs(got - wanted) for size in left)
