"""Where the numerics run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sclandmarks.errors import ParamsError
from sclandmarks.params import RuntimeParams

if TYPE_CHECKING:
    import torch


def open_device(settings: RuntimeParams) -> torch.device:
    """Set threads and determinism, and return the device.

    Raises
    ------
    ParamsError
        If `runtime.device` is cuda and torch sees no GPU.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which also imports the compiler: 1 s
    torch.set_flush_denormal(True)  # shrunk weights pass through denormals, which CPUs compute 10 to 100 times slower
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ParamsError("a GPU, as runtime.device: cuda says", "none that torch sees", "Set runtime.device: auto.")
    use_gpu = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")
