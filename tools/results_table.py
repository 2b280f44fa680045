"""Print the comparison of a run as a Markdown table, for README and docs: python tools/results_table.py [folder]."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

COLUMNS = ("captured", "explained")


def figure(row: dict[str, float | None], scale: float = 100, digits: int = 1) -> str:
    """A value and the ends of its interval."""
    if row["value"] is None:
        return "–"
    ends = "" if row["low"] is None else f" ({row['low'] * scale:.{digits}f}, {row['high'] * scale:.{digits}f})"
    return f"{row['value'] * scale:.{digits}f}{ends}"


def lines(folder: Path) -> list[str]:
    """Rows of the table, the best captured last."""
    comparison = pl.read_parquet(folder / "comparison.parquet").filter(pl.col("scale") == "log")
    differences = pl.read_parquet(folder / "differences.parquet").filter(
        (pl.col("target_set") == "common") & (pl.col("metric") == "captured")
    )
    verdicts = {row["fit"]: row for row in differences.to_dicts()}
    found = {(row["fit"], row["target_set"], row["metric"]): row for row in comparison.to_dicts()}
    common = comparison.filter((pl.col("target_set") == "common") & (pl.col("metric") == "captured"))
    head = "| panel | genes | predictor | captured, % | explained, % | captured, difference in points | verdict |"
    made = [head, "| --- | ---: | --- | ---: | ---: | ---: | --- |"]
    for row in common.sort("value", nulls_last=True).to_dicts():
        cells = [figure(found[row["fit"], "common", metric]) for metric in COLUMNS]
        against = verdicts.get(row["fit"])
        last = f"{figure(against)} | {against['verdict']}" if against else "reference |"
        made.append(f"| {row['panel']} | {row['n_landmarks']} | {row['predictor']} | {' | '.join(cells)} | {last} |")
    return made


if __name__ == "__main__":
    print("\n".join(lines(Path(sys.argv[1] if len(sys.argv) > 1 else "reports/tables"))))
