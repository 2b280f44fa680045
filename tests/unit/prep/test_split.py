"""The split: exact, seeded, stratified, and possible for rare types; or by whole groups."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.errors import DataError, ParamsError
from sclandmarks.params import SplitParams, parse_params, read_yaml
from sclandmarks.prep.split import SUBSETS, choose_groups, split_cells

REPOSITORY = Path(__file__).parents[3]
BY_CELL = "f87ad63da54879d35abd56964a7e5bf2896c1909b3e043a41c5b1dac5070818f"
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


def test_by_cell_the_split_is_what_it_always_was() -> None:
    """The subsets of 500 cells, as the version before groups made them."""
    split = split_cells(cells_of({"T": 300, "B": 150, "NK": 45, "rare": 5}), SETTINGS)
    assert hashlib.sha256("".join(f"{c} {s}\n" for c, s in split.iter_rows()).encode()).hexdigest() == BY_CELL


def in_groups(**columns: dict[str, int]) -> pl.DataFrame:
    """60 cells; the groups of a column, each with so many cells."""
    cells = cells_of({"T": 40, "B": 20})
    for name, sizes in columns.items():
        values = [group for group, size in sizes.items() for _ in range(size)]
        cells = cells.with_columns(pl.Series(name, values))
    return cells


def by(column: str, *groups: str, **changes: object) -> SplitParams:
    return SplitParams.model_validate(SETTINGS.model_dump() | {"by": column, "test_groups": groups} | changes)


def groups_of(cells: pl.DataFrame, settings: SplitParams) -> dict[str, set[str]]:
    """Groups that each subset has cells of."""
    table = cells.join(split_cells(cells, settings), on="cell_id")
    return {subset: set(table.filter(pl.col("subset") == subset)[settings.by]) for subset in SUBSETS}


@pytest.mark.parametrize("column", ["dataset", "donor", "sample", "tissue", "cell_type", "condition"])
def test_groups_that_are_named_go_to_test(column: str) -> None:
    cells = in_groups(**{column: {"a": 12, "b": 36, "c": 12}})
    assert groups_of(cells, by(column, "a"))["test"] == {"a"}
    assert groups_of(cells, by(column, "c", "b"))["test"] == {"b", "c"}


def test_whole_groups_are_left_out_by_the_seed() -> None:
    cells = in_groups(donor={f"D{i}": 6 for i in range(10)})
    chosen = {frozenset(groups_of(cells, by("donor", seed=seed))["test"]) for seed in range(20)}
    assert {len(one) for one in chosen} == {2}  # a fifth of ten
    assert len(chosen) > 5
    found = groups_of(cells, by("donor", validation=0.25))
    assert [len(found[subset]) for subset in SUBSETS] == [6, 2, 2]


def test_validation_is_of_cells_where_groups_are_too_large(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cells = in_groups(donor={"a": 20, "b": 20, "c": 20})
    found = groups_of(cells, by("donor"))
    assert found["train"] == found["validation"]
    assert len(found["train"]) == 2
    assert "validation: cells, as no donor groups make up about 0.1 of the others" in caplog.text
    assert f"test: 1 of 3 donor groups, 20 cells: {min(found['test'])}" in caplog.text


def test_unknown_groups_are_learned_from() -> None:
    cells = in_groups(donor={"a": 10, "b": 10, "Unknown": 40})
    found = groups_of(cells, by("donor", test=0.9))
    assert "Unknown" in found["train"]
    assert found["test"] in ({"a"}, {"b"})
    assert groups_of(cells, by("donor", "a", "b"))["train"] == {"Unknown"}


@pytest.mark.parametrize(
    ("groups", "settings", "message"),
    [
        ({"only": 60}, by("donor"), "two donor groups or more.*got only alone. Set split.by"),
        ({"Unknown": 60}, by("donor"), "got none that is known alone"),
        ({"only": 30, "Unknown": 30}, by("donor"), "got only alone"),
        ({"a": 30, "b": 30}, by("donor", "c", "a", "d"), "the 2 known in donor: a, b; got c, d. Correct"),
        ({"a": 30, "b": 30}, by("donor", "b", "a"), "a donor group that is not in split.test_groups"),
    ],
)
def test_groups_that_cannot_be_left_out(groups: dict[str, int], settings: SplitParams, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_cells(in_groups(donor=groups), settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "colour"}, "split.by"),
        ({"test_groups": ["D1"]}, "test_groups need split.by: dataset, donor"),
        ({"by": "donor", "test_groups": ["D1", "D1"]}, "each of test_groups once"),
        ({"by": "donor", "test_groups": ["Unknown"]}, "Unknown is no group"),
    ],
)
def test_settings_that_contradict(change: dict[str, object], message: str) -> None:
    values = read_yaml(REPOSITORY / "params.yaml")
    values["split"] |= change
    with pytest.raises(ParamsError, match=message):
        parse_params(values)


@pytest.mark.parametrize("seed", range(6))
def test_the_largest_group_is_left_out_where_all_would_be_taken(seed: int) -> None:
    assert choose_groups({"a": 10, "b": 60, "c": 5}, 200, seed) == ["a", "c"]
