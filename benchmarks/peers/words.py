"""The tables of docs/peers.md, between its marks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from peers.register import ABSENT, BASELINE, CONTROLS, L1000, OURS, PEERS

BEGIN, END = "<!-- made by benchmarks/peers.py summary: {} -->", "<!-- end of {} -->"

MOST = {"pancreas": 40, "others": 80}  # genes of ours that are to give what L1000 gives


def fill(page: Path, table: pl.DataFrame, reach: pl.DataFrame, guesses: pl.DataFrame) -> None:
    """Put the tables between the marks of a page."""
    text = page.read_text()
    parts = {"results": results(table), "aims": aims(table), "l1000": reached(reach), "settings": settings()}
    parts["predictors"] = predicted(guesses)
    for name, lines in parts.items():
        begin, end = BEGIN.format(name), END.format(name)
        before, rest = text.split(begin)
        text = before + begin + "\n\n" + "\n".join(lines) + "\n\n" + end + rest.split(end)[1]
    page.write_text(text)


def pivot(table: pl.DataFrame, dataset: str, size: int) -> list[dict[str, Any]]:
    """Rows of a data set and size, the best first, what did not end last."""
    mine = table.filter((pl.col("dataset") == dataset) & (pl.col("size") == size))
    return mine.sort("captured", descending=True, nulls_last=True).to_dicts()


def results(table: pl.DataFrame) -> Iterator[str]:
    """A table a data set and size."""
    for dataset, size in table.select("dataset", "size").unique(maintain_order=True).iter_rows():
        mine = pivot(table, dataset, size)
        targets = next((row["n_targets"] for row in mine if row["n_targets"]), 0)
        yield f"### {dataset}, {size} genes: {targets:,} common targets\n"
        yield "| panel | genes | captured, % | minus greedy, points | on the pair's targets | s | CPU s | MiB |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        for row in mine:
            yield line(row)
        missing = sorted({*OURS, *PEERS} - {row["panel"] for row in mine})
        yield f"\nNot run: {', '.join(missing)}.\n" if missing else ""


def line(row: dict[str, Any]) -> str:
    """One panel."""
    name = f"**{row['panel']}**" if row["panel"] in OURS and row["panel"] not in CONTROLS else row["panel"]
    if row["captured"] is None:
        peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:,.0f}"
        return f"| {name} | | {ended(row)} | | | | | {peak} |"
    pair = "" if row["panel"] == BASELINE else spread(row, "pair_difference")
    gap = "" if row["panel"] == BASELINE else spread(row, "difference")
    costs = f"{row['seconds']:,.1f} | {row['cpu']:,.1f} | {row['peak_mib']:,.0f}"
    return f"| {name} | {row['n_genes']} | {spread(row, 'captured')} | {gap} | {pair} | {costs} |"


def ended(row: dict[str, Any]) -> str:
    """Why a panel has no figures."""
    said = {"over": "over the limit", "untried": f"not tried: {row['why']}"}
    return said.get(row["status"], f"failed: {row['why']}")


def spread(row: dict[str, Any], metric: str) -> str:
    """A figure in percent with its interval."""
    value, low, high = (100 * row[f"{metric}{end}"] for end in ("", "_low", "_high"))
    sign = "" if metric == "captured" else "+"
    return f"{value:{sign}.1f} ({low:{sign}.1f}, {high:{sign}.1f})"


def aims(table: pl.DataFrame) -> Iterator[str]:
    """Aim 1: our best against 1.05 x greedy, and against every peer and control of each data set and size."""
    yield "| data set | genes | our best | x greedy | aim 1.05 | ahead of | not shown | best peer, minus greedy |"
    yield "| --- | ---: | --- | ---: | --- | ---: | --- | --- |"
    for dataset, size in table.select("dataset", "size").unique(maintain_order=True).iter_rows():
        mine = [row for row in pivot(table, dataset, size) if row["captured"] is not None]
        best = next((row for row in mine if row["is_best"]), None)
        others = [row for row in mine if row["panel"] in PEERS or (row["panel"] in CONTROLS and row["panel"] != L1000)]
        if best is None or best["ratio"] is None or not others:
            continue
        unsure = [row["panel"] for row in others if not row["lead_low"] > 0]
        met = "met" if best["ratio"] >= 1.05 else "missed"
        peer = next((row for row in others if row["panel"] in PEERS), None)
        beside = f"{peer['panel']} {spread(peer, 'difference')}" if peer else ""
        shown = f"{len(others) - len(unsure)} of {len(others)}"
        yield (f"| {dataset} | {size} | {best['panel']} | {best['ratio']:.3f} | {met} | {shown} | {', '.join(unsure)} "
               f"| {beside} |")  # fmt: skip


def reached(reach: pl.DataFrame) -> Iterator[str]:
    """Aim 2."""
    yield "| data set | ours | predictor of both | L1000's genes | its captured, % | genes of ours that give it | aim |"
    yield "| --- | --- | --- | ---: | ---: | ---: | --- |"
    for row in reach.iter_rows(named=True):
        number = f"{row['value']:.0f} ({row['low']:.0f}, {row['high']:.0f})"
        most = MOST.get(row["dataset"], MOST["others"])
        met = f"{most}, {'met' if row['value'] <= most else 'missed'}"
        head = f"| {row['dataset']} | {row['panel']} | {row['predictor']} | {row['n_l1000']} |"
        yield f"{head} {100 * row['l1000']:.1f} | {number} | {met} |"


def predicted(guesses: pl.DataFrame) -> Iterator[str]:
    """Predictors on the same panel, on all its other genes."""
    yield "| data set | panel | genes | predictor | captured, % | minus reduced rank | x ridge | s | CPU s |"
    yield "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    for row in guesses.iter_rows(named=True):
        head = f"| {row['dataset']} | {row['panel']} | {row['n_genes']} | {row['predictor']} |"
        if row["captured"] is None:
            yield f"{head} {row['status']} | | | | |"
            continue
        gap = "" if row.get("difference") in (None, 0) else spread(row, "difference")
        times = "" if row.get("ratio") in (None, 1) else "{ratio:.2f} ({ratio_low:.2f}, {ratio_high:.2f})".format(**row)
        yield f"{head} {spread(row, 'captured')} | {gap} | {times} | {row['seconds']:,.1f} | {row['cpu']:,.1f} |"


def settings() -> Iterator[str]:
    """What was set of each peer."""
    yield "| panel | package | labels | settings |\n| --- | --- | --- | --- |"
    for name, peer in PEERS.items():
        yield f"| {name} | {peer.package} | {'yes' if peer.labels else ''} | {peer.settings} |"
    for name, values in OURS.items():
        yield f"| **{name}** | ours | | `{values}` |"
    for name, why in ABSENT.items():
        yield f"| {name} | | | absent: {why} |"
