"""Data sets of the benchmark: a folder each, made by the stages of the pipeline on the split of params.yaml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

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
    """Run the first four stages for a data set, or several joined by +, in `work/dataset`; what is there is kept."""
    folder = work / dataset
    if not (folder / paths.EXPRESSION).exists():
        folder.mkdir(parents=True, exist_ok=True)
        for path in (paths.DATASETS, paths.DATASETS_LOCK):
            shutil.copy(ROOT / path, folder / path)
        params = yaml.safe_load((ROOT / paths.PARAMS).read_text())
        params["data"]["datasets"] = dataset.split("+")
        (folder / paths.PARAMS).write_text(yaml.safe_dump(params, sort_keys=False))
        shutil.copytree(ROOT / "own", folder / "own", dirs_exist_ok=True)
        for stage in STAGES:
            script = [sys.executable, "-P", str(ROOT / "pipelines" / f"{stage}.py")]
            subprocess.run(script, cwd=folder, check=True, env=os.environ)
    if not (folder / "train" / "labels.txt").exists():
        export(folder)
    return folder


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
