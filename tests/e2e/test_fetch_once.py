"""Fetched files are DVC outputs: asked for once, pushed and pulled, and found again by whoever clones."""

from __future__ import annotations

import json
import runpy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import yaml

from sclandmarks import schema
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.sources.panglaodb import addresses
from sclandmarks.io.tables import read_table

if TYPE_CHECKING:
    from conftest import Project

SERVER = runpy.run_path(str(Path(__file__).parents[1] / "unit" / "io" / "panglaodb_site.py"))
Made, Site = SERVER["Made"], SERVER["Site"]
GOAL = "split"
ASKED = 1 + 2 * 3  # the table, and the files of two samples


@pytest.fixture
def site() -> Iterator[Any]:
    made = Site()
    for name, tissue in (("SRA1/SRS1", "Colon"), ("SRA1/SRS2", "Prostate")):
        made.has(Made(name, 60, 40, ("T cells", "B cells")), tissue)
    yield made
    made.close()


def entry(site: Any) -> dict[str, Any]:
    about = {"title": "t", "organism": "Homo sapiens", "tissue": "gut", "citation": "c", "licence": "l"}
    query = {"kind": "panglaodb", "species": "Homo sapiens", "tissue": ["Colon", "Prostate"]}
    member = query | {"metadata": site.table, "base_url": site.root}
    return about | {"cohort": {"members": [member, "biopsies"], "balance": {"per_type": 20}}}


@pytest.fixture
def made(fresh: Project, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose data set is a cohort of two samples on the server and a file of its own."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    project = fresh.copy(tmp_path / "project", data__datasets=["all"], split__by="sample", split__test=0.4)
    project.change("datasets.yaml", lambda entries: entries.update(all=entry(site)))
    project.git("add", "-f", "own")
    project.commit("a cohort")
    return project


def ran(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def test_a_cohort_is_fetched_once_pushed_and_pulled(made: Project, site: Any, tmp_path: Path) -> None:
    assert ran(made.dvc("repro", GOAL)) == ["fetch", "ingest", "split"]
    assert site.n_asked == ASKED
    assert len(json.loads((made.root / "datasets.lock.json").read_text())) == ASKED + 1  # and its version
    assert "up to date" in made.dvc("status", GOAL)  # the stage rewrote a file it depends on, and dvc took it in
    assert ran(made.dvc("repro", GOAL)) == []
    locked = made.lock()
    assert ran(made.dvc("repro", "-f", GOAL)) == ["fetch", "ingest", "split"]
    assert made.lock() == locked
    assert site.n_asked == ASKED

    cells = read_matrix(made.root / "data/raw/all", "count").cells
    assert set(cells["sample"]) == {"SRA1_SRS1", "SRA1_SRS2", "biopsies"}
    provenance = read_table(made.root / "data/raw/all/provenance.parquet", schema.PROVENANCE)
    assert provenance["cells_kept"].sum() == cells.height
    split = read_table(made.root / "data/split.parquet", schema.SPLIT).join(cells, on="cell_id")
    sides = split.group_by("sample").agg(pl.col("subset").unique())
    assert [subsets for _, subsets in sides.iter_rows() if "test" in subsets] == [["test"]]

    made.commit("results")
    made.dvc("push")
    clone = type(made)(tmp_path / "clone")
    made.git("clone", "-q", str(made.root), str(clone.root))
    site.close()
    clone.dvc("pull", "fetch")
    assert ran(clone.dvc("repro", "-f", GOAL)) == ["fetch", "ingest", "split"]
    assert clone.lock() == locked
    assert clone.git("status", "--porcelain") == ""


def test_another_choice_and_back_asks_nothing_again(made: Project, site: Any) -> None:
    made.dvc("repro", GOAL)
    first = yaml.safe_load(made.lock())["stages"]["fetch"]["outs"]
    made.set("data.datasets", ["biopsies"])
    made.set("split.by", "cell")
    made.dvc("repro", GOAL)
    assert sorted(path.name for path in (made.root / "data/fetched").iterdir()) == ["fetched.json"]
    made.set("data.datasets", ["biopsies", "all"])
    made.dvc("repro", GOAL)
    assert yaml.safe_load(made.lock())["stages"]["fetch"]["outs"] == first
    made.set("data.datasets", ["all"])
    made.dvc("repro", GOAL)
    assert yaml.safe_load(made.lock())["stages"]["fetch"]["outs"] == first
    assert site.n_asked == ASKED


def test_a_fetch_killed_in_the_middle_goes_on(made: Project, site: Any) -> None:
    last = addresses("", "SRA1", "SRS2")["annotations"]
    site.stalls.add(last)
    with made.started("dvc", "repro", "fetch") as process:
        end = time.monotonic() + 1200
        while not site.asked[last]:
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < end
            time.sleep(0.02)
    site.stalls.clear()
    before = site.asked.copy()
    assert before.total() == ASKED
    made.dvc("repro", GOAL)
    assert site.asked - before == {last: 1}
    assert not made.parts()


def test_a_line_deleted_in_the_lock_fetches_that_file_anew(made: Project, site: Any) -> None:
    made.dvc("repro", GOAL)
    lock = made.root / "datasets.lock.json"
    url = addresses(site.root, "SRA1", "SRS1")["annotations"]
    lock.write_text("".join(line for line in lock.read_text().splitlines(keepends=True) if url not in line))
    path = url.removeprefix(site.root)
    site.files[path] = site.files[path].replace(b"T cells", b"NK cells")
    assert ran(made.dvc("repro", GOAL)) == ["fetch", "ingest", "split"]
    assert site.asked.total() == ASKED + 1
    assert "NK cells" in set(read_matrix(made.root / "data/raw/all", "count").cells["cell_type"])
