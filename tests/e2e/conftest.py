"""Small projects: a copy of this repository with 260 cells of its own, run by the real commands."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
import yaml
from filelock import FileLock

from sclandmarks.genes import l1000_landmarks, retired_symbols

REPOSITORY = Path(__file__).parents[2]
SECONDS = 1200  # no command of a test takes a tenth of it
MADE_BY_DVC = ("dvc.lock", "studies/dvc.lock", "tuning/dvc.lock", "metrics/")
LEFT_OUT = ("state", "tmp")  # tmp: of .dvc, locks and indices of another folder

# Changes to params.yaml: sections are updated, panels and predictors are those named, with these keys changed.
SETTINGS: dict[str, Any] = {
    "data": {"datasets": ["islets", "biopsies"]},
    "split": {"test": 0.25, "validation": 0.2},
    "prepare": {"min_library_size": 50, "min_reads": 2, "min_cells": 5},
    "explore": {"n_components": 5, "perplexity": 10},
    "select": {"n_landmarks": 20},
    "compare": {"n_bootstrap": 50, "reference": "l1000-ridge"},
    "studies": {
        "n_bootstrap": 20,
        "max_rank": 8,
        "curves": {
            "panels": ["greedy", "random"],
            "sizes": {"smallest": 3, "largest": 20, "n": 3},
            "repeats": 2,
            "fractions": [0.5, 1.0],
            "n_landmarks": 10,
            "subsamples": 2,
        },
        "generalise": {
            "by": ["dataset", "cell_type"],
            "panels": ["l1000", "greedy"],
            "n_landmarks": 10,
            "min_cells": 5,
            "predictors": {"reduced_rank": {"method": "reduced_rank", "max_rank": 8}},
        },
        "stability": {"panels": ["greedy", "random"], "sizes": [5, 10], "repeats": 3, "fraction": 0.5},
        "realistic": {
            "panels": ["l1000"],
            "n_landmarks": 10,
            "repeats": 2,
            "efficiency": [0.2],
            "dropout": [0.2],
            "saturation": [3],
            "crowding": [30],
        },
    },
    "runtime": {"device": "cpu", "threads": 1},
    "tracking": {"enabled": True, "uri": None, "experiment": "e2e"},
}
PANELS: dict[str, Any] = {
    "l1000": {},
    "group_lasso": {"width": 8, "standardise": True, "max_steps": 50},
    "random-0": {},
}
PREDICTORS: dict[str, Any] = {
    "mean": {}, "ridge": {},
    "network": {"width": 8, "learning_rate": 0.01, "batch_size": 64, "max_epochs": 20, "patience": 20},
}  # fmt: skip
FITS = {
    "l1000-mean": {"panel": "l1000", "predictor": "mean"},
    "l1000-ridge": {"panel": "l1000", "predictor": "ridge"},
    "l1000-network": {"panel": "l1000", "predictor": "network"},
    "group_lasso-ridge": {"panel": "group_lasso", "predictor": "ridge"},
}

DATASETS: dict[str, Any] = {
    "islets": {
        "title": "Made islets", "organism": "Homo sapiens", "tissue": "pancreas", "citation": "none", "licence": "own",
        "source": {"kind": "file", "path": "own/islets.csv", "labels": "own/islets_labels.csv"},
        "reader": {"format": "table", "orientation": "genes_by_cells"},
    },
    "biopsies": {
        "title": "Made biopsies", "organism": "Homo sapiens", "tissue": "colon", "citation": "none", "licence": "own",
        "donor": "D1",
        "source": {"kind": "file", "path": "own/biopsies.tsv.gz"},
        "reader": {"format": "table", "orientation": "cells_by_genes", "separator": "\t"},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A project in a folder of its own. Its stages run the sources in that folder, not those installed."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """What every command gets: this Python first, no settings of the user, nothing written outside the test."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_", "MLFLOW_"))}
        aside = self.root.parent / f"{self.root.name}.aside"
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "PYTHONDONTWRITEBYTECODE": "",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive",  # t-SNE starts a thread a core: spinning, they would starve each other
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(aside / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(aside / "config"),
            "DVC_SYSTEM_CONFIG_DIR": str(aside / "config"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_AUTHOR_NAME": "e2e", "GIT_AUTHOR_EMAIL": "e2e@localhost",
            "GIT_COMMITTER_NAME": "e2e", "GIT_COMMITTER_EMAIL": "e2e@localhost",
        }  # fmt: skip

    @contextmanager
    def started(self, *command: str, **environment: str) -> Iterator[Popen[str]]:
        """Start a command as the leader of its own process group; what is left of the group is killed at the end."""
        process = Popen(
            command, cwd=self.root, env=self.environment | environment, start_new_session=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process
        finally:
            kill(process)
            process.communicate(timeout=SECONDS)

    def run(self, *command: str, fine: bool = True, **environment: str) -> CompletedProcess[str]:
        """Run a command to its end, with exit code 0 if `fine` and any other if not; stdout holds stderr too."""
        with self.started(*command, **environment) as process:
            output, _ = process.communicate(timeout=SECONDS)
        assert (process.returncode == 0) == fine, f"{' '.join(command)} gave {process.returncode}:\n{output}"
        return CompletedProcess(command, process.returncode, output)

    def dvc(self, *arguments: str, **environment: str) -> str:
        """Run dvc, which must succeed."""
        return self.run("dvc", *arguments, **environment).stdout

    def git(self, *arguments: str) -> str:
        """Run git, which must succeed."""
        return self.run("git", *arguments).stdout

    def stage(self, name: str, *arguments: str, fine: bool = True, **environment: str) -> str:
        """Run the script of a stage as dvc.yaml does, without dvc."""
        return self.run(*stage_command(name, *arguments), fine=fine, **environment).stdout

    def change(self, file: str, edit: Callable[[Any], object]) -> None:
        """Edit a YAML file."""
        path = self.root / file
        values = yaml.safe_load(path.read_text())
        edit(values)
        path.write_text(yaml.safe_dump(values, sort_keys=False))

    def set(self, key: str, value: object) -> None:
        """Set one key of params.yaml, named by dots."""
        *sections, last = key.split(".")

        def edit(values: Any) -> None:
            for name in sections:
                values = values[name]
            values[last] = value

        self.change("params.yaml", edit)

    def commit(self, message: str) -> None:
        """Commit all."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def copy(self, to: Path, **settings: object) -> Project:
        """Copy with results, cache and history, without state/. `settings` as `set`, __ for dots; tracking is off."""
        shutil.copytree(self.root, to, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
        other = Project(to)
        for key, value in ({"tracking__enabled": False} | settings).items():
            other.set(key.replace("__", "."), value)
        return other

    def lock(self) -> str:
        """Text of dvc.lock: the hash of every input, setting and result."""
        return (self.root / "dvc.lock").read_text()

    def parts(self) -> list[Path]:
        """Files left half-written anywhere."""
        return [path for path in self.root.rglob("*.part") if ".git" not in path.parts]


def stage_command(name: str, *arguments: str) -> list[str]:
    """The command of a stage, as in dvc.yaml."""
    return ["python", "-P", f"pipelines/{name}.py", *arguments]


def kill(process: Popen[str]) -> None:
    """SIGKILL what is left of the process group that `Project.started` made."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


class Counts(NamedTuple):
    """Counts of made cells, their types, and the genes."""

    X_CG: np.ndarray
    types: list[str]
    symbols: list[str]


def made_counts(n_cells: int, seed: int) -> Counts:
    """Cells of four types with programmes of their own and two gradients within each; 40 of 120 genes are L1000's."""
    landmarks = l1000_landmarks()["current_symbol"].to_list()
    others = sorted(set(retired_symbols().values()) - set(retired_symbols()) - set(landmarks))
    symbols = [symbol for symbol in (*landmarks[::24][:40], *others[::50][:80]) if symbol]
    fixed, rng = np.random.default_rng(1), np.random.default_rng(seed)  # programmes are shared by the data sets
    programme_TG = fixed.normal(0, 0.8, (4, len(symbols)))
    gradient_KG = fixed.normal(0, 0.5, (2, len(symbols)))
    types = np.sort(rng.integers(4, size=n_cells))
    rate_CG = 4 * np.exp(programme_TG[types] + rng.normal(0, 1, (n_cells, 2)) @ gradient_KG)
    return Counts(rng.poisson(rate_CG), [f"type {i}" for i in types], symbols)


def write_counts(folder: Path) -> None:
    """Write both data sets as a lab would: genes by cells with labels, and cells by genes, zipped, in another order."""
    folder.mkdir(exist_ok=True)
    X_CG, types, symbols = made_counts(180, seed=2)
    barcodes = [f"cell{i}" for i in range(len(types))]
    table = pl.DataFrame({"gene": symbols} | dict(zip(barcodes, X_CG, strict=True)))
    table.write_csv(folder / "islets.csv")
    pl.DataFrame({"cell": barcodes, "type": types}).write_csv(folder / "islets_labels.csv")
    X_CG, types, symbols = made_counts(80, seed=3)
    columns = dict(list(zip(symbols, X_CG.T, strict=True))[:5:-1])
    table = pl.DataFrame({"barcode": [f"AAAC{i}" for i in range(len(types))]} | columns)
    with gzip.GzipFile(folder / "biopsies.tsv.gz", "wb", mtime=0) as file:
        file.write(table.write_csv(separator="\t").encode())


def write_params(path: Path) -> None:
    """Shrink the repository's own settings, so that a key added there is here too."""
    values = yaml.safe_load(path.read_text())
    for section, changes in SETTINGS.items():
        values[section] |= changes
    for section, kept in {"panels": PANELS, "predictors": PREDICTORS}.items():
        values[section] = {name: values[section][name] | changes for name, changes in kept.items()}
    values["fits"] = FITS
    path.write_text(yaml.safe_dump(values, sort_keys=False))


def make_project(root: Path) -> Project:
    """Copy what git tracks or would track, give it small data and settings, and commit."""
    listed = ["git", "ls-files", "-z", "-co", "--exclude-standard"]
    files = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, files):
        if (REPOSITORY / name).is_file() and not name.startswith(MADE_BY_DVC):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, root / name)
    write_params(root / "params.yaml")
    (root / "datasets.yaml").write_text(yaml.safe_dump(DATASETS, sort_keys=False))
    write_counts(root / "own")
    project = Project(root)
    project.git("init", "-q", "-b", "main")
    project.commit("a small project")
    return project


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture(scope="session")
def fresh(shared: Path) -> Project:
    """A project that nothing has run in. Made once a test run; copy it before changing it."""
    with FileLock(shared / "fresh.lock"):
        if not (shared / "fresh").exists():
            make_project(shared / "fresh.making").root.rename(shared / "fresh")
    return Project(shared / "fresh")


@pytest.fixture(scope="session")
def done(fresh: Project, shared: Path) -> Project:
    """A project after `dvc repro` with the record of runs on. Made once a test run; copy it before changing it."""
    root = shared / "done"
    with FileLock(shared / "done.lock"):
        if not (shared / "second.log").exists():
            shutil.rmtree(root, ignore_errors=True)
            project = fresh.copy(root, tracking__enabled=True)
            (shared / "first.log").write_text(project.dvc("repro"))
            (shared / "second.log").write_text(project.dvc("repro"))
    return Project(root)


@pytest.fixture(scope="session")
def logs(done: Project, shared: Path) -> tuple[str, str]:
    """What the first and the second `dvc repro` of `done` said."""
    return (shared / "first.log").read_text(), (shared / "second.log").read_text()


@pytest.fixture
def project(done: Project, tmp_path: Path) -> Project:
    """A copy of `done`, free to change; the record of runs is off."""
    return done.copy(tmp_path / "project")
