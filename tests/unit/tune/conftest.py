"""A small repository to search in: planted cells, a split, a panel, settings."""

from __future__ import annotations

import copy
import shutil
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from sclandmarks import paths, schema
from sclandmarks.io.matrices import write_matrix
from sclandmarks.io.tables import write_table
from sclandmarks.params import Params, parse_params

REPOSITORY = Path(__file__).parents[3]
sys.path.insert(0, str(REPOSITORY / "tests" / "faults"))  # the quick study
SHIPPED: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
NETWORK = {"method": "paper_network", "width": 8, "depth": 1, "dropout": 0.2, "loss": "mse", "learning_rate": 0.01,
           "batch_size": 64, "max_epochs": 4, "patience": 4, "seed": 0}  # fmt: skip
BUDGET = {"trials": 3, "workers": 1, "timeout": None, "trial_timeout": None, "storage": None, "sampler": "random",
          "pruner": "none", "max_retries": 1, "seed": 0}  # fmt: skip
FIT = BUDGET | {
    "panel": "planted", "predictor": "network", "objective": "mse",
    "space": {"width": {"low": 4, "high": 16}, "learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
              "loss": {"choices": ["mse", "weighted_mse"]}},
}  # fmt: skip
SELECT = BUDGET | {
    "panel": "greedy", "objectives": ["explained"], "n_landmarks": 6, "max_rank": 6,
    "space": {"ridge": {"low": 1e-3, "high": 10.0, "log": True}},
}  # fmt: skip


def settings(**changes: Any) -> dict[str, Any]:
    """Values of params.yaml; `tune__fit__panel="x"` changes tune.fit.panel."""
    values = copy.deepcopy(SHIPPED)
    values["runtime"] = {"device": "cpu", "threads": 1}
    values["panels"]["planted"] = {"selector": "random", "seed": 0}
    values["predictors"]["network"] = dict(NETWORK)
    values["tune"] |= copy.deepcopy({"fit": FIT, "select": SELECT})
    for key, value in changes.items():
        *sections, last = key.split("__")
        place = values
        for name in sections:
            place = place[name]
        place[last] = value
    return values


def made_params(**changes: Any) -> Params:
    """Settings of the small repository, changed as in `settings`."""
    return parse_params(settings(**changes))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, planted: Any) -> Path:
    """Processed data, split and panel of the planted cells; copy it before use."""
    root = tmp_path_factory.mktemp("searched")
    write_matrix(root / paths.EXPRESSION, planted.counts, planted.values)
    subsets = ["train"] * 260 + ["validation"] * 60 + ["test"] * 80
    order = pl.Series(range(400)).shuffle(seed=3).arg_sort()
    split = planted.counts.cells.select("cell_id").with_columns(subset=pl.Series(subsets).gather(order))
    write_table(root / paths.SPLIT, split, schema.SPLIT)
    panel = planted.counts.genes[planted.positions.tolist()].select(
        pl.int_range(1, 7, dtype=pl.Int32).alias("rank"), "gene_id", "symbol", "ensembl_id",
        pl.lit(None, pl.Float64).alias("score"), pl.lit("planted").alias("reason"),
    )  # fmt: skip
    write_table(root / paths.panel("planted"), panel, schema.PANEL)
    (root / paths.PARAMS).write_text(yaml.safe_dump(settings(), sort_keys=False))
    return root


@pytest.fixture
def workplace(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the working directory."""
    root = tmp_path / "repository"
    shutil.copytree(template, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture(scope="session")
def made() -> Any:
    """`made_params`, for tests that cannot import it."""
    return made_params
