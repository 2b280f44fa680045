"""`dvc repro studies/dvc.yaml`: the studies of a small project, beside the default stages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from sclandmarks.io.tables import read_table
from sclandmarks.report.studies import TIDY

if TYPE_CHECKING:
    from conftest import Project

STAGES = {"curves", "generalise", "stability", "realistic", "page"}


def stages_run(output: str) -> set[str]:
    """Stages that dvc says it ran, without their file."""
    return {name.rpartition(":")[2] for name in re.findall(r"Running stage '([^']+)'", output)}


def test_the_studies_run_once_and_only_when_asked_for(project: Project) -> None:
    assert not (project.root / "reports/studies.html").exists()
    assert not stages_run(project.dvc("repro"))
    assert stages_run(project.dvc("repro", "studies/dvc.yaml")) == STAGES
    tables = {
        table.name: read_table(project.root / f"reports/tables/studies/{table.name}.parquet", table) for table in TIDY
    }
    assert all(frame.height for frame in tables.values())
    page = (project.root / "reports/studies.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert page.count('<svg role="img"') == len(list((project.root / "reports/figures-studies").glob("*.svg")))

    groups = dict(tables["groups"].select("group", "status").iter_rows())
    assert groups["islets"] == groups["biopsies"] == "judged"
    greedy = tables["curves"].filter((pl.col("panel") == "greedy") & (pl.col("metric") == "captured"))
    assert greedy.filter((pl.col("axis") == "landmarks") & (pl.col("n_landmarks") == 20))["low"].item() > 0

    assert not stages_run(project.dvc("repro", "studies/dvc.yaml"))
    project.set("studies.stability.repeats", 4)
    assert "stability" in stages_run(project.dvc("repro", "studies/dvc.yaml"))
    assert not stages_run(project.dvc("repro"))
