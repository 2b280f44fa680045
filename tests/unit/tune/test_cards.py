"""GPUs as nvidia-smi lists them, and those that --gpus names."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from sclandmarks.errors import ParamsError
from sclandmarks.tune import cards as cards_module
from sclandmarks.tune.cards import GIB, MIB, Card, Peak, fits, parse_gpus, pick, read_gpus, visible_gpus

LISTED = "GPU-aa, 81559, 80000\nGPU-bb, 81559, 12\nGPU-cc, [N/A], [N/A]\n"
CARDS = [Card("GPU-aa", 80 * GIB, 79 * GIB), Card("GPU-bb", 80 * GIB, GIB)]


def fake_smi(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an nvidia-smi first on the PATH."""
    file = folder / "nvidia-smi"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_a_gpu_that_does_not_say_its_memory_is_left_out() -> None:
    assert parse_gpus(LISTED) == [Card("GPU-aa", 81559 * MIB, 80000 * MIB), Card("GPU-bb", 81559 * MIB, 12 * MIB)]


def test_nvidia_smi_is_asked_for_memory_without_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_smi(tmp_path, f'echo "$@" > {tmp_path}/asked; printf "{LISTED}"', monkeypatch)
    assert [card.name for card in read_gpus()] == ["GPU-aa", "GPU-bb"]
    assert (tmp_path / "asked").read_text().split() == [
        "--query-gpu=uuid,memory.total,memory.free",
        "--format=csv,noheader,nounits",
    ]


@pytest.mark.parametrize(
    ("visible", "names"),
    [(None, ["GPU-aa", "GPU-bb"]), ("1,0", ["GPU-bb", "GPU-aa"]), ("GPU-b", ["GPU-bb"]), ("7", []), ("", [])],
)
def test_visible_gpus_come_in_their_order(
    visible: str | None, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_smi(tmp_path, f'printf "{LISTED}"', monkeypatch)
    monkeypatch.setattr(cards_module, "_TORCH", ("false",))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [card.name for card in visible_gpus()] == names


@pytest.mark.parametrize(("says", "cards"), [("5 7", [Card("MIG-1", 7, 5)]), ("no GPU", [])])
def test_slices_that_nvidia_smi_does_not_list_are_asked_for_in_a_process_of_their_own(
    says: str, cards: list[Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_smi(tmp_path, f'printf "{LISTED}"', monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1")
    ask = f"import os; assert os.environ['CUDA_VISIBLE_DEVICES'] == 'MIG-1'; print('{says}')"
    monkeypatch.setattr(cards_module, "_TORCH", (sys.executable, "-S", "-c", ask))
    assert visible_gpus() == cards


@pytest.mark.parametrize("body", ["exit 9", "echo nothing of the kind"])
def test_a_broken_driver_is_no_gpu(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_smi(tmp_path, body, monkeypatch)
    assert read_gpus() == []


def test_no_nvidia_smi_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_gpus() == []


@pytest.mark.parametrize(
    ("asked", "names"), [("all", ["GPU-aa", "GPU-bb"]), ("1, 0", ["GPU-bb", "GPU-aa"]), ("GPU-a", ["GPU-aa"])]
)
def test_gpus_are_named_by_number_or_uuid(asked: str, names: list[str]) -> None:
    assert [card.name for card in pick(CARDS, asked)] == names


@pytest.mark.parametrize(
    ("cards", "asked", "says"),
    [
        ([], "0", "Leave out --gpus"),
        (CARDS, "2", r"0 \(GPU-aa\), 1 \(GPU-bb\)"),
        (CARDS, "0,GPU-aa", "each once"),
        (CARDS, ",", "each once"),
    ],
)
def test_gpus_that_cannot_be_had_are_refused(cards: list[Card], asked: str, says: str) -> None:
    with pytest.raises(ParamsError, match=says):
        pick(cards, asked)


def test_a_reserve_is_never_planned_with() -> None:
    card = Card("0", 100 * GIB, 35 * GIB)
    assert card.room == 30 * GIB
    assert fits(card, Peak(9 * GIB, GIB)) == 3
    assert Card("0", 100 * GIB, GIB).room == 0
    assert fits(card, Peak(0)) == 30 * GIB  # no division by nothing
