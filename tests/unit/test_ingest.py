"""Stage ingest, run whole with files of one's own."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sclandmarks import paths
from sclandmarks.errors import ParamsError, SourceError
from sclandmarks.io import cohorts
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.raw import READERS
from sclandmarks.io.raw.common import Origin
from sclandmarks.matrix import ExpressionMatrix

REPOSITORY = Path(__file__).parents[2]
GENES = "gene,c1,c2\nA,1,2\nB,0,5\n"


def _entry(path: str) -> dict[str, object]:
    return {
        "title": "t", "organism": "Homo sapiens", "tissue": "colon", "citation": "c", "licence": "l",
        "source": {"kind": "file", "path": path}, "reader": {"format": "table", "orientation": "genes_by_cells"},
    }  # fmt: skip


def select(names: str) -> None:
    text = (REPOSITORY / "params.yaml").read_text()
    paths.PARAMS.write_text(re.sub(r"datasets: \[.*?\]", f"datasets: [{names}]", text))


def read_here(files: dict[str, Path], settings: Any, origin: Origin) -> ExpressionMatrix:
    """Read without a process of its own, which takes half a second; tests/e2e/test_corpus.py starts it."""
    return READERS[settings.format](files, settings, origin)


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Run the stage in a folder with two data sets; what it logged comes back."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        Path(f"{name}.csv").write_text(GENES)
    paths.DATASETS.write_text(yaml.safe_dump({name: _entry(f"{name}.csv") for name in ("one", "two")}))
    select("one, two")
    spec = importlib.util.spec_from_file_location("ingest", REPOSITORY / "pipelines" / "ingest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(cohorts, "read_isolated", read_here)
    caplog.set_level(logging.INFO)

    def run() -> str:
        caplog.clear()
        module.main()
        return caplog.text

    return run


def change_entry(name: str, **changes: object) -> None:
    entries = yaml.safe_load(paths.DATASETS.read_text())
    entries[name] |= changes
    paths.DATASETS.write_text(yaml.safe_dump(entries))


def test_every_selected_data_set_becomes_a_matrix(main: Callable[[], str]) -> None:
    log = main()
    for name in ("one", "two"):
        matrix = read_matrix(paths.raw(name), "count")
        assert matrix.X_CG.toarray().tolist() == [[1, 0], [2, 5]]
        assert matrix.cells["cell_id"].to_list() == [f"{name}/c1", f"{name}/c2"]
        assert f"{name}: 2 cells x 2 genes" in log


def test_what_is_there_is_kept_byte_for_byte(main: Callable[[], str]) -> None:
    main()
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths.RAW.rglob("*.*")}
    assert "one is there already" in main()
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths.RAW.rglob("*.*")} == before


def test_a_changed_entry_or_file_is_read_again_and_no_other(main: Callable[[], str]) -> None:
    main()
    change_entry("one", donor="D1")
    log = main()
    assert "one: 2 cells" in log
    assert "two is there already" in log
    assert set(read_matrix(paths.raw("one"), "count").cells["donor"]) == {"D1"}
    Path("two.csv").write_text(GENES.replace("5", "6"))
    assert "two: 2 cells" in main()
    assert read_matrix(paths.raw("two"), "count").X_CG.sum() == 9


def test_a_reworded_citation_reads_nothing_again(main: Callable[[], str]) -> None:
    main()
    change_entry("one", citation="reworded")
    assert "one is there already" in main()


def test_a_source_that_is_gone_is_not_asked_for_again(main: Callable[[], str]) -> None:
    main()
    Path("one.csv").unlink()
    assert "one is there already" in main()


@pytest.mark.parametrize("name", ["matrix.parquet", "cells.parquet", "genes.parquet", "source.json"])
@pytest.mark.parametrize("damage", ["removed", "cut", "flipped", "a folder"])
def test_a_folder_that_is_not_whole_is_made_again(main: Callable[[], str], name: str, damage: str) -> None:
    main()
    path = paths.raw("one") / name
    whole = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":  # a bit of the first page, behind the magic number and the page's header
        path.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    elif damage == "a folder":
        (path / "within").mkdir(parents=True)
    log = main()
    assert "one: 2 cells" in log
    assert "two is there already" in log
    assert path.read_bytes() == whole


def test_data_sets_no_longer_selected_are_removed(main: Callable[[], str]) -> None:
    main()
    select("two")
    main()
    assert [folder.name for folder in paths.RAW.iterdir()] == ["two"]


def test_an_unknown_name_is_refused_before_anything_is_done(main: Callable[[], str]) -> None:
    main()
    select("two, three")
    with pytest.raises(ParamsError, match="one, two; got three"):
        main()
    assert paths.raw("one").is_dir()


def test_a_failure_leaves_the_other_data_sets(main: Callable[[], str]) -> None:
    Path("two.csv").unlink()
    with pytest.raises(SourceError, match=r"two\.csv"):
        main()
    assert read_matrix(paths.raw("one"), "count").n_cells == 2
    assert not (paths.raw("two") / "source.json").exists()


def test_a_death_while_writing_is_never_taken_for_whole(
    main: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main()
    change_entry("one", donor="D1")
    with monkeypatch.context() as patch:
        patch.setattr("sclandmarks.io.sources.files.write_json", _die)
        with pytest.raises(KeyboardInterrupt):
            main()
    change_entry("one", donor=None)
    assert "one: 2 cells" in main()
    assert set(read_matrix(paths.raw("one"), "count").cells["donor"]) == {"Unknown"}


def _die(*_: object) -> None:
    raise KeyboardInterrupt
