"""Tables and figure of the page: what has run, what each panel captures, who wins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from peers import figure, levels, predictors, words
from peers.judge import open_arena, reaching, rows

ROOT = Path(__file__).resolve().parents[2]
TABLE, PAGE, FIGURE = ROOT / "docs/tables/peers.csv", ROOT / "docs/peers.md", ROOT / "docs/figures/peers.png"
REACH, PREDICTED = (ROOT / f"docs/tables/peers-{name}.csv" for name in ("l1000", "predictors"))


def summarise(work: Path, datasets: Sequence[str], sizes: Sequence[int]) -> None:
    """Judge all results and write the tables of docs/tables, the figure and the tables of docs/peers.md."""
    judged, reached, predicted = [], [], []
    for dataset in datasets:
        arena = open_arena(work / dataset)
        for size in sizes:
            judged += list(rows(arena, dataset, size))
        reached += [*reaching(arena, dataset), *levels.rows(arena, dataset)]
        predicted += list(predictors.rows(arena, dataset))
        print(f"{dataset}: judged", flush=True)
    table, reach, guesses = (pl.DataFrame(part, infer_schema_length=None) for part in (judged, reached, predicted))
    for path, frame in ((TABLE, table), (REACH, reach), (PREDICTED, guesses)):
        frame.write_csv(path, float_precision=5)
    figure.draw(table).savefig(FIGURE, dpi=110)
    words.fill(PAGE, table, reach, guesses)
