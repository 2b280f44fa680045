"""Data sets of the benchmark: a folder each, made anew only where what decides it changes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from sclandmarks import paths


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with stages that only note that they ran, and nothing to export."""
    module = import_module("peers.data")

    def run(script: list[str], *, cwd: Path, **_: Any) -> None:
        with (cwd / "ran").open("a") as stream:
            stream.write(Path(script[-1]).stem + "\n")
        (cwd / paths.EXPRESSION).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(module.subprocess, "run", run)
    monkeypatch.setattr(module, "export", lambda folder: None)
    return module


def test_stages_run_once_in_a_folder_of_the_data_set(data: Any, tmp_path: Path) -> None:
    for _ in range(2):
        folder = data.make_folder(tmp_path, "lung")
    assert folder == tmp_path / "lung"
    assert (folder / "ran").read_text().split() == ["fetch", "ingest", "split", "prepare"]
    assert data.read_yaml(folder / paths.PARAMS)["data"]["datasets"] == ["lung"]
    assert (folder / paths.DATASETS).exists()


def test_data_sets_are_joined_by_plus(data: Any) -> None:
    assert data.settings_for("lung+marrow")["data"]["datasets"] == ["lung", "marrow"]


def test_other_settings_leave_a_folder_as_it_is(data: Any, tmp_path: Path) -> None:
    folder = data.make_folder(tmp_path, "lung")
    (folder / "results").mkdir()
    params = data.read_yaml(folder / paths.PARAMS)
    params["explore"]["seed"] = 99
    (folder / paths.PARAMS).write_text(yaml.safe_dump(params))
    data.make_folder(tmp_path, "lung")
    assert (folder / "results").exists()
    assert data.read_yaml(folder / paths.PARAMS) == data.settings_for("lung")


def test_what_a_folder_holds_goes_with_its_settings(data: Any, tmp_path: Path) -> None:
    folder = data.make_folder(tmp_path, "lung")
    (folder / "results").mkdir()
    params = data.read_yaml(folder / paths.PARAMS)
    params["split"]["seed"] += 1
    (folder / paths.PARAMS).write_text(yaml.safe_dump(params))
    data.make_folder(tmp_path, "lung")
    assert not (folder / "results").exists()


def test_later_steps_take_the_settings_but_make_nothing(data: Any, tmp_path: Path) -> None:
    folder = data.make_folder(tmp_path, "lung")
    (folder / paths.PARAMS).write_text(yaml.safe_dump(data.settings_for("lung") | {"explore": {}}))
    assert data.refresh(tmp_path, "lung") == folder
    assert data.read_yaml(folder / paths.PARAMS) == data.settings_for("lung")
    assert len((folder / "ran").read_text().split()) == 4


def test_later_steps_refuse_other_data(data: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="Run the step data first"):
        data.refresh(tmp_path, "lung")
    folder = data.make_folder(tmp_path, "lung")
    params = data.read_yaml(folder / paths.PARAMS)
    params["split"]["seed"] += 1
    (folder / paths.PARAMS).write_text(yaml.safe_dump(params))
    with pytest.raises(SystemExit, match="got others"):
        data.refresh(tmp_path, "lung")
    assert (folder / paths.EXPRESSION).exists()
