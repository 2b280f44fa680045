"""What `sclandmarks doctor` looks at."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from sclandmarks import paths
from sclandmarks.errors import SclandmarksError
from sclandmarks.params import load_params

LIBRARIES = ("torch", "mlflow", "dvc", "polars", "pyarrow", "scprep", "pandas", "numpy")
GIGABYTES_WANTED = 5


class Finding(NamedTuple):
    """One thing looked at: whether it is as it should be, and what was seen."""

    good: bool
    what: str
    says: str


def findings() -> Iterator[Finding]:
    """Look at Python, libraries, device, disk, git and settings, one after the other."""
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Finding(supported, "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from map(_library, LIBRARIES)
    yield _device()
    free = shutil.disk_usage(".").free / 1e9
    yield Finding(free >= GIGABYTES_WANTED, "disk", f"{free:.0f} GB free, at least {GIGABYTES_WANTED} wanted")
    for tool in ("git", "dvc"):
        place = shutil.which(tool)
        yield Finding(place is not None, tool, place or "not on the PATH; `make` puts .venv/bin there")
    yield _settings()


def _library(name: str) -> Finding:
    try:
        return Finding(True, name, version(name))
    except PackageNotFoundError:
        return Finding(False, name, "not installed; run `make setup`")


def _device() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding(False, "device", str(error))
    if torch.cuda.is_available():
        return Finding(True, "device", f"cuda, {torch.cuda.get_device_name()}")
    return Finding(True, "device", f"cpu, {torch.get_num_threads()} threads")


def _settings() -> Finding:
    try:
        params = load_params()
    except SclandmarksError as error:
        return Finding(False, str(paths.PARAMS), str(error))
    says = f"{len(params.panels)} panels, {len(params.fits)} fits of {params.data.label}"
    return Finding(True, str(paths.PARAMS), says)
