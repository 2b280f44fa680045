"""The split: exact, seeded, stratified, and possible for rare types."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.params import SplitParams
from sclandmarks.prep.split import SUBSETS, split_cells

SETTINGS = SplitParams(seed=0, test=0.2, validation=0.1)


def cells_of(sizes: dict[str, int], dataset: str = "toy") -> pl.DataFrame:
    """Cells of the types given, so many of each, in a mixed order."""
    types = np.random.default_rng(1).permutation([name for name, size in sizes.items() for _ in range(size)])
    columns = {
        "cell_id": [f"{dataset}/{i}" for i in range(len(types))],
        "dataset": dataset,
        "sample": "Unknown",
        "donor": "Unknown",
        "tissue": "Unknown",
        "condition": "Unknown",
        "cell_type": types.tolist(),
        "library_size": 1,
    }
    return pl.DataFrame(columns, schema=schema.CELLS.dtypes)


def sizes_of(split: pl.DataFrame) -> dict[str, int]:
    """Cells of each subset."""
    return dict(split.group_by("subset").len().iter_rows())


@pytest.mark.parametrize("n_cells", [15, 101, 1000, 1937])
def test_fractions_are_exact_and_every_cell_has_one_subset(n_cells: int) -> None:
    """Test is a fraction of all, validation a fraction of the others; the order is that of the cells."""
    cells = cells_of({"T": n_cells - n_cells // 3, "B": n_cells // 3})
    split = schema.check(split_cells(cells, SETTINGS), schema.SPLIT)
    n_test = round(0.2 * n_cells)
    n_validation = round(0.1 * (n_cells - n_test))
    rest = n_cells - n_test - n_validation
    assert sizes_of(split) == {"train": rest, "validation": n_validation, "test": n_test}
    assert split["cell_id"].equals(cells["cell_id"])


def test_the_seed_alone_decides() -> None:
    """The same seed repeats the split, another changes it."""
    cells = cells_of({"T": 60, "B": 40})
    first, again = split_cells(cells, SETTINGS), split_cells(cells, SETTINGS)
    other = split_cells(cells, SETTINGS.model_copy(update={"seed": 1}))
    assert first.equals(again)
    assert sizes_of(first) == sizes_of(other)
    assert not first.equals(other)


def test_every_type_of_every_dataset_is_divided_alike() -> None:
    """Within one cell of its share, the same type of another data set apart."""
    cells = pl.concat([cells_of({"T": 100, "B": 37, "NK": 12}), cells_of({"T": 23, "B": 55}, "other")])
    split = cells.join(split_cells(cells, SETTINGS), on="cell_id")
    share = dict(zip(SUBSETS, (0.8 * 0.9, 0.8 * 0.1, 0.2), strict=True))
    for (_, _), group in split.group_by("dataset", "cell_type"):
        found = sizes_of(group)
        for subset, fraction in share.items():
            assert abs(found.get(subset, 0) - fraction * group.height) < 1.5, (group.height, found)


@pytest.mark.parametrize(
    "sizes",
    [
        {"T": 99, "single": 1},
        {f"type{i}": 1 for i in range(40)},
        {f"type{i}": 3 for i in range(30)} | {"T": 50},
        {f"type{i}": 10 for i in range(20)},
    ],
    ids=["one single cell", "single cells only", "many rare types", "more types than held-back cells"],
)
def test_rare_types_do_not_stop_the_split(sizes: dict[str, int]) -> None:
    """Types too small to be divided still give exact fractions."""
    n_cells = sum(sizes.values())
    found = sizes_of(split_cells(cells_of(sizes), SETTINGS))
    assert found["test"] == round(0.2 * n_cells)
    assert found["validation"] == round(0.1 * (n_cells - found["test"]))


@pytest.mark.parametrize("n_cells", [1, 2, 5])
def test_too_few_cells_are_an_error(n_cells: int) -> None:
    """No subset is silently empty."""
    with pytest.raises(DataError, match="cells on both sides"):
        split_cells(cells_of({"T": n_cells}), SETTINGS)
