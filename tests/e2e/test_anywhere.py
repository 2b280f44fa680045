"""What decides the results is in git: not the folder, not the record of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Project


def test_the_results_do_not_depend_on_folder_or_record(
    fresh: Project, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    other = fresh.copy(tmp_path / "another place")  # tracking is off, in `done` it is on
    other.dvc("repro")
    done: Project = request.getfixturevalue("done")  # late: another worker may make it meanwhile
    assert other.lock() == done.lock()
    assert not (other.root / "state").exists()
