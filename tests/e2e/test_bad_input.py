"""Bad input through the real command: exit code 1, one plain message with file and remedy, nothing half-written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import pytest

from sclandmarks import schema
from sclandmarks.io.tables import read_table, write_table

if TYPE_CHECKING:
    from conftest import Project

ISLETS = "own/islets.csv"
Break = Callable[["Project"], object]


def lines(edit: Callable[[list[str]], list[str]]) -> Break:
    """Edit the lines of the counts of the first data set."""

    def breaks(project: Project) -> None:
        path = project.root / ISLETS
        path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")

    return breaks


def first_value(value: str) -> Break:
    """Put a value into the first field of numbers."""

    def edit(rows: list[str]) -> list[str]:
        gene, _, rest = rows[1].split(",", 2)
        return [rows[0], f"{gene},{value},{rest}", *rows[2:]]

    return lines(edit)


def cell_twice(project: Project) -> None:
    project.change("datasets.yaml", lambda entries: entries["islets"]["source"].pop("labels"))
    lines(lambda rows: [rows[0].replace("cell1,", "cell0,"), *rows[1:]])(project)


def setting(key: str, value: object) -> Break:
    return lambda project: project.set(key, value)


def source(**changes: object) -> Break:
    return lambda project: project.change("datasets.yaml", lambda entries: entries["islets"]["source"].update(changes))


def cut(name: str) -> Break:
    """Cut a file in half."""

    def breaks(project: Project) -> None:
        path = project.root / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])

    return breaks


def foreign_gene(project: Project) -> None:
    path = project.root / "panels/l1000.parquet"
    gene = pl.when(pl.col("rank") == 1).then(pl.lit("ENSG00000999999")).otherwise("gene_id")
    write_table(path, read_table(path, schema.PANEL).with_columns(gene.alias("gene_id")), schema.PANEL)


def removed(name: str) -> Break:
    return lambda project: (project.root / name).unlink()


class Case(NamedTuple):
    """How a project is broken, the stage that meets it, and what the message says: the place, the remedy."""

    breaks: Break
    stage: str
    says: tuple[str, ...]


INGEST = {
    "unknown data set": Case(
        setting("data.datasets", ["islets", "isles"]), "ingest",
        ("datasets.yaml: islets, biopsies", "got isles", "Correct the name in params.yaml"),
    ),
    "missing file": Case(removed(ISLETS), "ingest", (ISLETS, "none there", "put the file there")),
    "sha256 mismatch": Case(source(sha256="0" * 64), "ingest", (ISLETS, "0" * 64, "Get the right file")),
    "not a sha256": Case(source(sha256="0"), "ingest", ("datasets.yaml", "islets.source", "Mend the keys")),
    "file of no bytes": Case(lines(lambda _: []), "ingest", (ISLETS, "0 in the first row", "Check the file")),
    "header alone": Case(lines(lambda rows: rows[:1]), "ingest", (ISLETS, "0 in the first row", "separator")),
    "no cell": Case(
        lines(lambda rows: [row.split(",")[0] for row in rows]), "ingest", (ISLETS, "1 fields", "separator")
    ),
    "all zero": Case(
        lines(lambda rows: [rows[0], *(row.split(",")[0] + ",0" * row.count(",") for row in rows[1:])]), "ingest",
        (ISLETS, "a matrix of zeros only", "Check the file"),
    ),
    "negative": Case(first_value("-1"), "ingest", (ISLETS, "negative values, smallest -1", "unnormalised counts")),
    "NaN": Case(first_value("NaN"), "ingest", (ISLETS, "1 values that are NaN", "unnormalised counts")),
    "empty field": Case(first_value(""), "ingest", (ISLETS, "none in line 2, column cell0", "numbers")),
    "fraction": Case(first_value("1.5"), "ingest", (ISLETS, "fractions, first 1.5", "unnormalised counts")),
    "text": Case(first_value("many"), "ingest", (ISLETS, "many", "numbers")),
    "cell twice": Case(cell_twice, "ingest", (ISLETS, "each barcode once", "cell0", "distinct")),
    "labels of others": Case(cut("own/islets_labels.csv"), "ingest", ("own/islets_labels.csv", "180", "one label")),
}  # fmt: skip
OTHERS = {
    "unknown key": Case(setting("split.sede", 1), "split", ("params.yaml", "split.sede", "got 1", "Mend the keys")),
    "impossible value": Case(setting("split.test", 1.5), "split", ("params.yaml", "split.test", "got 1.5", "Mend")),
    "no YAML": Case(
        lambda project: (project.root / "params.yaml").write_text("a: [1\n"), "split", ("params.yaml", "Mend the line")
    ),
    "cells gone": Case(
        setting("prepare.min_library_size", 10**6), "prepare", ("cells with at least 1000000 reads", "Lower prepare.")
    ),
    "more landmarks than genes": Case(
        setting("select.n_landmarks", 114), "select random-0",
        ("114 genes of the matrix", "select.n_landmarks = 114", "in params.yaml"),
    ),
    "cut matrix": Case(
        cut("data/processed/matrix.parquet"), "select l1000", ("data/processed/matrix.parquet", "dvc pull")
    ),
    "cut split": Case(cut("data/split.parquet"), "select l1000", ("data/split.parquet", "dvc pull")),
    "no such panel": Case(removed("panels/l1000.parquet"), "fit l1000-mean", ("panels/l1000.parquet", "dvc repro")),
    "panel of other genes": Case(
        foreign_gene, "fit l1000-mean", ("panels/l1000.parquet", "ENSG00000999999", "Choose the panel again")
    ),
    "cut weights": Case(
        cut("models/l1000-ridge/weights.safetensors"), "compare",
        ("models/l1000-ridge/model.json", "another hash", "Delete models/l1000-ridge"),
    ),
    "cut model": Case(cut("models/l1000-ridge/model.json"), "compare", ("models/l1000-ridge/model.json", "dvc pull")),
}  # fmt: skip


def results(project: Project) -> dict[Path, bytes]:
    """All results by file."""
    folders = ("data", "panels", "models", "metrics", "reports")
    files = [file for folder in folders for file in (project.root / folder).rglob("*") if file.is_file()]
    return {file: file.read_bytes() for file in files}


def assert_plain(message: str, *says: str) -> None:
    """One message, of the user's things."""
    assert "Traceback" not in message
    assert sum(line.startswith("error: ") for line in message.splitlines()) == 1, message
    for words in says:
        assert words in message, message


@pytest.mark.parametrize("name", INGEST)
def test_a_bad_source_is_refused(fresh: Project, tmp_path: Path, name: str) -> None:
    project, case = fresh.copy(tmp_path / "project"), INGEST[name]
    case.breaks(project)
    assert_plain(project.stage("ingest", fine=False), *case.says)
    assert not (project.root / "data/raw/islets/matrix.parquet").exists()
    assert not project.parts()


@pytest.mark.parametrize("name", OTHERS)
def test_bad_settings_and_damaged_results_are_refused(project: Project, name: str) -> None:
    case = OTHERS[name]
    case.breaks(project)
    before = results(project)
    assert_plain(project.stage(*case.stage.split(), fine=False), *case.says)
    assert results(project) == before


# stage -> blocks of 512 bytes that a file may have, and the first result that is longer
FULL = {
    "ingest": (2, None),  # already the process that reads finds no room
    "prepare": (10, "data/processed/matrix.parquet"),
    "select l1000": (2, "panels/l1000.parquet"),
    "fit l1000-ridge": (8, "models/l1000-ridge/weights.safetensors"),
    "compare": (2, "reports/tables/comparison.parquet"),
}


@pytest.mark.parametrize("stage", FULL)
def test_a_full_disk_is_named_and_nothing_is_left_half_written(project: Project, stage: str) -> None:
    blocks, file = FULL[stage]
    if stage == "ingest":
        shutil.rmtree(project.root / "data/raw")
    before = results(project)
    limited = ["bash", "--posix", "-c", f'ulimit -f {blocks} && exec "$@"', "bash"]
    name, *arguments = stage.split()
    message = project.run(*limited, "python", "-P", f"pipelines/{name}.py", *arguments, fine=False).stdout
    where = f"while writing {file}; nothing half-written" if file else "in the folder of temporary files"
    assert_plain(message, where, "Free space")
    if file:
        assert results(project).get(project.root / file) in (None, before.get(project.root / file))
    else:
        assert not list((project.root / "data/raw").rglob("*.parquet"))
    assert not project.parts()


@pytest.mark.parametrize(("stage", "folder"), [("select l1000", "panels"), ("split", "data")])
def test_a_folder_without_write_permission_is_named(project: Project, stage: str, folder: str) -> None:
    before = results(project)
    name, *arguments = stage.split()
    command = ["python", "-P", f"pipelines/{name}.py", *arguments]
    if os.geteuid() == 0:  # root writes everywhere, unless that power is laid down
        if not shutil.which("setpriv"):
            pytest.skip("runs as root, without setpriv")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    (project.root / folder).chmod(0o555)
    try:
        message = project.run(*command, fine=False).stdout
    finally:
        (project.root / folder).chmod(0o755)
    assert_plain(message, f"while writing {folder}/", "mend the permissions")
    assert results(project) == before
