"""Data sets of the benchmark: a folder each, made by the stages of the pipeline on the split of params.yaml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from peers.cells import Cells, save_cells
from sclandmarks import paths, schema
from sclandmarks.evaluate.studies.cohort import Cohort, divide
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.tables import read_table
from sclandmarks.params import load_params

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("fetch", "ingest", "split", "prepare")


def make_folder(work: Path, dataset: str) -> Path:
    """Run the first four stages for a data set, or several joined by +, in `work/dataset`; what is there is kept.

    Where the settings of these stages differ from those that the folder was made with, all in it is made anew.
    """
    folder = work / dataset
    if folder.exists() and parts_of(read_yaml(folder / paths.PARAMS)) != parts_of(settings_for(dataset)):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / paths.PARAMS).write_text(yaml.safe_dump(settings_for(dataset), sort_keys=False))
    if not (folder / paths.EXPRESSION).exists():
        for path in (paths.DATASETS, paths.DATASETS_LOCK):
            shutil.copy(ROOT / path, folder / path)
        shutil.copytree(ROOT / "own", folder / "own", dirs_exist_ok=True)
        for stage in STAGES:
            script = [sys.executable, "-P", str(ROOT / "pipelines" / f"{stage}.py")]
            subprocess.run(script, cwd=folder, check=True, env=os.environ)
    if not (folder / "train" / "labels.txt").exists():
        export(folder)
    return folder


def refresh(work: Path, dataset: str) -> Path:
    """Give a folder the settings of params.yaml, whatever they say of later stages; it is not made anew here.

    Raises
    ------
    SystemExit
        If there is no folder, or one of other data, split or preparation.
    """
    folder = work / dataset
    if not (folder / paths.EXPRESSION).exists():
        raise SystemExit(f"expected the data set in {folder}; got none. Run the step data first.")
    if parts_of(read_yaml(folder / paths.PARAMS)) != parts_of(settings_for(dataset)):
        raise SystemExit(f"expected data, split and prepare of params.yaml in {folder}; got others. Run the step data.")
    (folder / paths.PARAMS).write_text(yaml.safe_dump(settings_for(dataset), sort_keys=False))
    return folder


def settings_for(dataset: str) -> dict[str, Any]:
    """All of params.yaml, with this data set."""
    params = read_yaml(ROOT / paths.PARAMS)
    params["data"]["datasets"] = dataset.split("+")
    return params


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file of settings."""
    return dict(yaml.safe_load(path.read_text()))


def parts_of(params: dict[str, Any]) -> dict[str, Any]:
    """The settings that decide what is in a folder."""
    return {name: params[name] for name in ("data", "split", "prepare")}


def read_cohorts(folder: Path) -> tuple[Cohort, Cohort]:
    """Processed values and raw counts of training, validation and test cells."""
    split = read_table(folder / paths.SPLIT, schema.SPLIT)
    values, counts = (divide(read_matrix(folder / paths.EXPRESSION, unit), split) for unit in ("value", "count"))
    return values, counts


def export(folder: Path) -> None:
    """Write the training cells, and these alone, for the peers."""
    values, counts = read_cohorts(folder)
    base = load_params(folder / paths.PARAMS).prepare.log_base
    natural_CG = values.train.X_CG * np.float32(1 if base == "e" else np.log(base))
    genes, labels = (
        np.array(column.to_list()) for column in (values.train.genes["gene_id"], values.train.cells["cell_type"])
    )
    save_cells(folder / "train", Cells(natural_CG.tocsr(), counts.train.X_CG, genes, labels))
