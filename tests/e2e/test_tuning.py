"""`dvc repro tuning/dvc.yaml`: small searches of a small project, beside the default stages, and what they leave."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from sclandmarks import schema
from sclandmarks.io.tables import read_json

if TYPE_CHECKING:
    from conftest import Project

FIT = {"width": {"low": 4, "high": 16, "log": True}, "dropout": {"low": 0.0, "high": 0.5}}
SELECT = {"width": {"low": 4, "high": 16, "log": True}, "standardise": {"choices": [False, True]}}


def stages_run(output: str) -> set[str]:
    """Stages that dvc says it ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def small(project: Project, folder: Path) -> Project:
    """A copy with searches that take seconds; runs are recorded."""
    made = project.copy(folder, tracking__enabled=True)
    fit = {"panel": "l1000", "space": FIT, "workers": 2}
    for task, changes in (("fit", fit), ("select", {"panel": "group_lasso", "space": SELECT, "workers": 1})):
        for key, value in changes.items():
            made.set(f"tune.{task}.{key}", value)
    made.set("tune.stage", {"fit": 3, "select": 2})
    return made


def test_the_stage_runs_once_and_only_when_asked_for(project: Project, tmp_path: Path) -> None:
    made = small(project, tmp_path / "tuned")
    assert not stages_run(made.dvc("repro"))
    assert stages_run(made.dvc("repro", "tuning/dvc.yaml")) == {"tuning/dvc.yaml:tune"}
    metrics = read_json(made.root / "reports/tuning.json")
    assert {task: metrics[task]["n_trials"] for task in metrics} == {"fit": 3, "select": 2}
    page = (made.root / "reports/tuning.html").read_text()
    assert page.count('<svg role="img"') == len(list((made.root / "reports/figures-tuning").glob("*.svg"))) > 2
    tables = made.root / "reports/tables/tuning"
    header = ",".join(schema.TRIALS.dtypes)
    assert (tables / "fit-trials.csv").read_text().splitlines()[0] == header
    best = json.loads((tables / "select-best.json").read_text())
    assert best["base"] == {"panel": "group_lasso"} and len(best["best"]) == 1

    outs = [path for path in (made.root / "reports").rglob("*tuning*") if path.is_file()] + list(tables.iterdir())
    assert not [path for path in outs if socket.gethostname() in path.read_text() or str(made.root) in path.read_text()]
    assert not stages_run(made.dvc("repro", "tuning/dvc.yaml"))
    assert not stages_run(made.dvc("repro"))

    before = {path.name: path.stat().st_mtime_ns for path in made.root.glob("state/tune/*/journal.log")}
    made.set("tune.stage", {"fit": 4, "select": 2})
    assert stages_run(made.dvc("repro", "-R", "tuning")) == {"tuning/dvc.yaml:tune"}
    assert read_json(made.root / "reports/tuning.json")["fit"]["n_trials"] == 4, "the study went on"
    assert len(list(made.root.glob("state/tune/*/journal.log"))) == 2 >= len(before)
