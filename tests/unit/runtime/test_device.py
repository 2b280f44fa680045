"""The device, its threads, and determinism."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from sclandmarks.errors import ParamsError
from sclandmarks.params import RuntimeParams
from sclandmarks.runtime.device import open_device


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put torch's global settings back."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)


@pytest.mark.parametrize(
    ("wanted", "has_gpu", "want"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_the_device(wanted: str, has_gpu: bool, want: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU where there is one and it is not forbidden."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert open_device(RuntimeParams(device=wanted, threads=None)).type == want


def test_a_missing_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by name, the CPU is no silent replacement."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParamsError, match=r"runtime\.device: cuda"):
        open_device(RuntimeParams(device="cuda", threads=None))


def test_threads_and_determinism() -> None:
    """Threads as asked for, or left as they were; deterministic always."""
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(2)
    open_device(RuntimeParams(device="cpu", threads=None))
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled()
    open_device(RuntimeParams(device="cpu", threads=1))
    assert torch.get_num_threads() == 1
