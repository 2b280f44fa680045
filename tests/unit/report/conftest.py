"""Small tables of a run: every panel and predictor asked for, and the verdicts asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.params import Params, parse_params, read_yaml
from sclandmarks.report.inputs import Tables
from sclandmarks.report.page import Report, build

REPOSITORY = Path(__file__).parents[3]
TablesMaker = Callable[..., Tables]
TRAINED = {"learning_rate": 0.01, "max_epochs": 5, "patience": 2, "seed": 0, "batch_size": 8}
NETWORK = {"width": 4, "depth": 1, "dropout": 0.1}
SELECTORS: dict[str, dict[str, Any]] = {
    "l1000": {},
    "random": {"seed": 0},
    "top_variance": {},
    "paper_f910": TRAINED | NETWORK | {"penalty": 0.1, "n_extremes": 3},
    "group_lasso": {
        "seed": 0, "width": 4, "standardise": False, "path_ratio": 0.8, "max_steps": 9, "tolerance": 0.1,
    },
}  # fmt: skip
PREDICTORS: dict[str, dict[str, Any]] = {
    "mean": {},
    "ridge": {},
    "reduced_rank": {"max_rank": 3},
    "paper_network": TRAINED | NETWORK | {"loss": "mse"},
    "network": TRAINED
    | NETWORK
    | {"loss": "mse", "weight_decay": 0.1, "members": 1, "input_dropout": 0.1}
    | {"max_cells": 50, "max_rank": 3, "bandwidth": 1.0, "axes": 3, "folds": 2},
}
FITS = ("l1000-mean", "l1000-ridge", "l1000-network", "paper_f910-ridge", "group_lasso-reduced_rank")
TYPES = ("alpha", "beta", "gamma")


@pytest.fixture(scope="session")
def make_tables() -> TablesMaker:
    """Make the tables of a run."""
    return _make_tables


@pytest.fixture(scope="session")
def report(make_tables: TablesMaker) -> Report:
    """Report of the tables as they are made without being asked for anything."""
    return build(make_tables())


def _make_tables(
    fits: Sequence[str] = FITS,
    *,
    datasets: Sequence[str] = ("toy",),
    types: Sequence[str] = TYPES,
    genes: Sequence[str] = (),
    verdicts: dict[str, str] | None = None,
    trained: bool = True,
    common: bool = True,
) -> Tables:
    """`fits` are PANEL-PREDICTOR; the first of the predictor ridge, else the first, is the reference."""
    pairs = {fit: tuple(fit.split("-")) for fit in fits}
    params = _params(pairs, datasets)
    panels = {name: _panel(name, i, genes) for i, name in enumerate(params.panels)}
    return Tables(
        params=params,
        version="0",
        sources={name: _source(name) for name in datasets},
        pca={},
        panels=panels,
        panel_paths={name: _path(name, trained) for name in panels},
        panel_histories={name: _history(name, trained) for name in panels},
        fit_histories={fit: _history(pairs[fit][1], trained) for fit in fits},
        summary=_summary(datasets),
        **_cells(datasets, types),
        comparison=_comparison(pairs, common),
        differences=_differences(fits, params.compare.reference, verdicts or {}),
        per_type=_per_type(fits, datasets, types),
        per_gene=_per_gene(fits),
        noise=_frame(schema.NOISE, [("all", "all", 60, 500, 0.05, 0.03, 0.029, 0.031, 0.4, 0.39, 0.41, 0.001)]),
        coverage=_coverage(fits, datasets, types),
        overlap=_frame(schema.OVERLAP, [(n, 30, 25, 25 if n == "l1000" else 4, 0.1, 1e-9) for n in panels]),
    )


def _per_gene(fits: Sequence[str]) -> pl.DataFrame:
    """A gene of each class of trust; the last is constant among the test cells."""
    known = ((0.4, 0.3, 0.5, 0.5, "g9", -0.6), (0.1, 0.05, 0.2, 0.5, "g9", 0.2), (None, None, None, 0.05, None, None))
    rows = []
    for fit in fits:
        for i, (r2, low, high, reliability, landmark, r) in enumerate(known):
            captured = [None if end is None else end / reliability for end in (r2, low, high)]
            about = (fit, f"ENSG{i}", f"G{i}", schema.TRUST[i], *captured, r2, low, high, reliability)
            rows.append((*about, landmark, r, 0.95, 0.5, 0.96))
    return _frame(schema.PER_GENE, rows)


def _coverage(fits: Sequence[str], datasets: Sequence[str], types: Sequence[str]) -> pl.DataFrame:
    groups = [("all", "all"), *((name, kind) for name in datasets for kind in ("all", *types))]
    rows = [
        (fit, level, *group, 20, level + 0.01 - 0.02 * (i > 1), level - 0.03, level + 0.03, "cell")
        for fit in fits
        for level in (0.8, 0.95)
        for i, group in enumerate(groups)
    ]
    return _frame(schema.COVERAGE, rows)


def _params(pairs: dict[str, tuple[str, ...]], datasets: Sequence[str]) -> Params:
    panels, predictors = (list(dict.fromkeys(pair[i] for pair in pairs.values())) for i in (0, 1))
    reference = next((fit for fit, pair in pairs.items() if pair[1] == "ridge"), next(iter(pairs)))
    mine = {
        "data": {"datasets": list(datasets)},
        "select": {"n_landmarks": 30},
        "panels": {name: {"selector": name} | SELECTORS[name] for name in panels},
        "predictors": {name: {"method": name} | PREDICTORS[name] for name in predictors},
        "fits": {fit: {"panel": pair[0], "predictor": pair[1]} for fit, pair in pairs.items()},
        "runtime": {"device": "cpu", "threads": 7},
        "tracking": {"enabled": False, "uri": "http://secret-host:5000", "experiment": "x"},
    }
    shipped = read_yaml(REPOSITORY / "params.yaml")
    compare = {"compare": shipped["compare"] | {"n_bootstrap": 20, "reference": reference}}
    return parse_params(shipped | mine | compare)


def _frame(table: schema.Table, rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return schema.check(pl.DataFrame(rows, schema=table.dtypes, orient="row"), table)


def _source(name: str) -> dict[str, str]:
    citation = "Doe et al., A study, 2020, doi:10.1000/xyz.1"
    return {"title": f"Title {name}", "organism": "Homo sapiens", "tissue": "t", "citation": citation, "licence": "MIT"}


def _panel(name: str, shift: int, genes: Sequence[str]) -> pl.DataFrame:
    names = [*genes, *(f"g{i}" for i in range(shift * 20, shift * 20 + 30 - len(genes)))]
    scored = name not in {"l1000", "random"}
    rows = [(i + 1, gene, gene, None, 1 / (i + 1) if scored else None, "why") for i, gene in enumerate(names)]
    return _frame(schema.PANEL, rows)


def _history(name: str, trained: bool) -> pl.DataFrame:
    if not trained or name not in {"paper_f910", "group_lasso", "paper_network", "network"}:
        return schema.HISTORY.empty()
    if name == "group_lasso":
        rows = [(i, "lambda_ratio", 0.5**i) for i in range(6)] + [(i, "n_active", 7.0 * i) for i in range(6)]
    else:
        rows = [(i, metric, 1 / (i + k)) for i in range(1, 6) for k, metric in enumerate(_LOSSES)]
    return _frame(schema.HISTORY, rows)


def _path(name: str, walked: bool) -> pl.DataFrame:
    if not walked or name != "group_lasso":
        return schema.PANEL_PATH.empty()
    rows = [(i, 0.5**i, f"g{gene}", f"G{gene}", float(i - gene)) for i in range(6) for gene in range(i)]
    return _frame(schema.PANEL_PATH, rows)


_LOSSES = ("train_loss", "validation_loss")


def _summary(datasets: Sequence[str]) -> pl.DataFrame:
    rows = [(name, when, 60, 500, 3, 0.9, 1234.5) for name in datasets for when in ("before", "after")]
    return _frame(schema.SUMMARY, rows + ([("all", "after", 120, 400, 3, 0.9, 1200.0)] if len(datasets) > 1 else []))


def _cells(datasets: Sequence[str], types: Sequence[str]) -> dict[str, pl.DataFrame]:
    rng = np.random.default_rng(0)
    names = [(f"{name}/{i}", name, types[i % len(types)]) for name in datasets for i in range(60)]
    places = [(*name, *map(float, rng.normal(size=4))) for name in names]
    sizes = [(cell, name, int(rng.integers(5, 5000)), i % 9 > 0) for i, (cell, name, _) in enumerate(names)]
    return {"embedding": _frame(schema.EMBEDDING, places), "library_sizes": _frame(schema.LIBRARY_SIZES, sizes)}


def _comparison(pairs: dict[str, tuple[str, ...]], common: bool) -> pl.DataFrame:
    sets = {"own": 470, "common": 300} if common else {"own": 470}
    rows = [
        (
            fit,
            *pair,
            "log",
            target_set,
            30,
            n,
            metric,
            value + 0.001 * i,
            value + 0.001 * i - 0.02,
            value + 0.05,
            "cell",
        )
        for i, (fit, pair) in enumerate(pairs.items())
        for target_set, n in sets.items()
        for metric, value in (("mse", 0.05), ("explained", 0.08), ("captured", 0.2), ("r2_median", 0.02))
    ]
    return _frame(schema.COMPARISON, rows)


def _differences(fits: Sequence[str], reference: str, verdicts: dict[str, str]) -> pl.DataFrame:
    size = {"better": 0.02, "worse": -0.02, "no difference shown": 0.001}
    rows = []
    for fit in fits:
        if fit != reference:
            verdict = verdicts.get(fit, "no difference shown")
            value = size[verdict]
            ends = (value - 0.01, value + 0.01, 0.01, 0.02)
            rows.append((fit, reference, "common", 300, "explained", value, *ends, "cell", verdict))
    return _frame(schema.DIFFERENCES, rows)


def _per_type(fits: Sequence[str], datasets: Sequence[str], types: Sequence[str]) -> pl.DataFrame:
    rows = [
        (fit, d, kind, 5 + i, 0.1, 0.02 * i - 0.01, *[None] * 5)
        for fit in fits
        for d in datasets
        for i, kind in enumerate(types)
    ]
    return _frame(schema.PER_TYPE, rows)
