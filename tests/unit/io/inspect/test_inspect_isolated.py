"""Looking at a file in a process of its own: the same answer and errors, and a crash is an error."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from sclandmarks.errors import DataError, SourceError
from sclandmarks.io.inspect import inspect, isolated
from sclandmarks.io.inspect.isolated import inspect_isolated
from sclandmarks.io.raw.isolated import Limits


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    path = tmp_path / "counts.csv"
    path.write_text("gene,c1,c2,c2\nGAPDH,1,0,2\nCDK4,0,7,1\n")
    return path


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    path = tmp_path / "counts.h5ad"
    with h5py.File(path, "w") as file:
        file["X"] = np.array([[1, 0], [0, 2], [3, 1]], dtype="f4")
        for group, index, names in (("obs", "cell", ["a", "b", "c"]), ("var", "gene", ["GAPDH", "CDK4"])):
            file.create_group(group).attrs.update({"_index": index, "column-order": np.array([], dtype="S1")})
            file[f"{group}/{index}"] = names
        file["obs/cell_type"] = ["T", "B", "T"]
    return path


@pytest.mark.parametrize("name", ["counts", "annotated"])
def test_the_answer_is_the_same(name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    here = inspect(path)
    assert inspect_isolated(path) == here
    assert here.matrices
    assert here.problems if name == "counts" else here.columns


def test_errors_come_over_with_one_note(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none there") as caught:
        inspect_isolated(tmp_path / "absent")
    assert caught.value.__notes__ == [f"file {tmp_path / 'absent'}"]


def test_a_crash_is_an_error_that_names_the_file(counts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crashing.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(isolated, "WORKER", "crashing")
    with pytest.raises(DataError, match=r"crashed its reader \(SIGSEGV\)") as caught:
        inspect_isolated(counts)
    assert caught.value.__notes__ == [f"file {counts}"]


def test_a_look_without_end_is_ended(counts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(isolated, "WORKER", "endless")
    with pytest.raises(DataError, match="no end by then"):
        inspect_isolated(counts, limits=Limits(10**12, 0.2))
