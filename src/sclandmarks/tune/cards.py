"""Memory that trials run in: the GPUs of the machine as nvidia-smi sees them, and how many trials fit on one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sclandmarks.errors import ParamsError

MIB = 1 << 20
GIB = 1 << 30
CONTEXT = 512 * MIB  # of a CUDA process before its first tensor, where it was not measured: 0.3 to 0.5 GB are usual
RESERVE = 0.05  # of a card that is never planned with: fragments, and the small needs of others

_QUERY = ("nvidia-smi", "--query-gpu=uuid,memory.total,memory.free", "--format=csv,noheader,nounits")
_TORCH = (sys.executable, "-c", "import torch; print(*torch.cuda.mem_get_info(0))")


@dataclass(frozen=True)
class Card:
    """Memory at one moment.

    Parameters
    ----------
    name : str
        A GPU's UUID or number, as CUDA_VISIBLE_DEVICES takes it; "cpu" for the machine's own memory.
    total, free : int
        Bytes. What is not free is held by anybody: this study or other people.
    """

    name: str
    total: int
    free: int

    @property
    def room(self) -> int:
        """Bytes that may be planned with: the free ones but for the reserve."""
        return max(0, self.free - int(RESERVE * self.total))


@dataclass(frozen=True)
class Peak:
    """Most memory one trial held, bytes.

    Parameters
    ----------
    reserved : int
        By the allocator on a GPU, by the process on the CPU.
    context : int
        Of a GPU beside that: the CUDA context and the loaded kernels. 0 on the CPU.
    """

    reserved: int
    context: int = 0

    @property
    def whole(self) -> int:
        """Both, at least one byte."""
        return max(1, self.reserved + self.context)


def fits(card: Card, peak: Peak) -> int:
    """How many trials of that peak have room on the card at once."""
    return card.room // peak.whole


def read_gpus(visible: str | None = None) -> list[Card]:
    """Ask nvidia-smi for all GPUs; it needs no CUDA context of its own, as torch would.

    Parameters
    ----------
    visible : str, optional
        A value of CUDA_VISIBLE_DEVICES: its GPUs only, in its order. Numbers count in the order of nvidia-smi.

    Returns
    -------
    list of Card
        Empty where there is no nvidia-smi or no GPU.
    """
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    cards = parse_gpus(done.stdout)
    return cards if visible is None else [card for name in _names(visible) if (card := _named(cards, name))]


def visible_gpus() -> list[Card]:
    """GPUs this process may use: CUDA_VISIBLE_DEVICES is heeded, slices of a GPU (MIG) included."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    cards = read_gpus(visible)
    if cards or not visible:
        return cards
    return [card for name in _names(visible) if (card := read_slice(name)) is not None]


def read_slice(name: str) -> Card | None:
    """Memory of what nvidia-smi does not list by itself, as torch sees it in a process that ends at once; or None."""
    env = os.environ | {"CUDA_VISIBLE_DEVICES": name}
    try:
        done = subprocess.run(_TORCH, capture_output=True, text=True, timeout=120, check=True, env=env)
        free, total = map(int, done.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Card(name, total, free)


def parse_gpus(text: str) -> list[Card]:
    """Read nvidia-smi's lines "uuid, total MiB, free MiB"; a GPU that does not say its memory is left out."""
    rows = [[part.strip() for part in line.split(",")] for line in text.splitlines()]
    good = [row for row in rows if len(row) == 3 and row[1].isdigit() and row[2].isdigit()]
    return [Card(uuid, int(total) * MIB, int(free) * MIB) for uuid, total, free in good]


def pick(cards: Sequence[Card], gpus: str) -> list[Card]:
    """Take the GPUs that `--gpus` names: numbers or starts of UUIDs between commas, or "all".

    Raises
    ------
    ParamsError
        If there is none, or a named one is absent or named twice.
    """
    if not cards:
        raise ParamsError("a GPU, as --gpus asks for", "none that nvidia-smi lists", "Leave out --gpus to run on CPU.")
    if gpus == "all":
        return list(cards)
    chosen = [_asked(cards, name) for name in _names(gpus)]
    if not chosen or len({card.name for card in chosen}) < len(chosen):
        raise ParamsError("different GPUs in --gpus", repr(gpus), "Name each once, for example --gpus 0,1.")
    return chosen


def _asked(cards: Sequence[Card], name: str) -> Card:
    card = _named(cards, name)
    if card is None:
        known = ", ".join(f"{number} ({card.name})" for number, card in enumerate(cards))
        raise ParamsError(f"one of the GPUs {known} in --gpus", name, "Name GPUs by number or by UUID.")
    return card


def _named(cards: Sequence[Card], name: str) -> Card | None:
    if name.isdigit():
        return cards[int(name)] if int(name) < len(cards) else None
    return next((card for card in cards if card.name.startswith(name)), None)


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]
