"""Real files, where a checkout has them beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "data" / "readers"


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """Path of a file of the shared data folder; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"{SHARED / name} is not there")
        return SHARED / name

    return find
