"""Slots: where each worker of a study runs, with how many threads and how much of a GPU."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from sclandmarks.errors import ParamsError
from sclandmarks.tune.cards import CONTEXT, GIB, Card, Peak, fits
from sclandmarks.tune.machine import usable_cores

if TYPE_CHECKING:
    import torch

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")
GPU_ENV = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}  # less waste between blocks of changing size

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slot:
    """Where one worker runs; JSON on its command line.

    Parameters
    ----------
    index : int
        From 0, unique in a study on one machine.
    device : str
        "cpu", or "cuda:" and the UUID or number of a GPU.
    threads : int
        CPU threads.
    memory_fraction : float, optional
        Of the GPU's memory, the most that the worker's allocator may take.
    need : int
        Bytes that must be free, the worker's own included, before a trial starts; 0 where nothing is known.
    context : int
        Bytes of a GPU that the process holds beside its tensors.
    cards : tuple of str
        GPUs of the study, for a move when others fill this one.
    env : dict
        Set before the worker's process starts.
    """

    index: int
    device: str = "cpu"
    threads: int = 1
    memory_fraction: float | None = None
    need: int = 0
    context: int = 0
    cards: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    @property
    def gpu(self) -> str | None:
        """Name of the GPU, or None."""
        return self.device.removeprefix("cuda:") if self.device.startswith("cuda:") else None

    def to_json(self) -> str:
        """As JSON on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Slot:
        """Read `to_json` back."""
        values = json.loads(text)
        return cls(**{**values, "cards": tuple(values["cards"])})


def share(cores: int, workers: int, threads: int | None = None) -> list[int]:
    """Threads of each worker: all cores, shared so that no two differ by more than one.

    Parameters
    ----------
    cores, workers : int
    threads : int, optional
        At most so many each (`runtime.threads`).

    Returns
    -------
    list of int
        At least 1 each; their sum exceeds `cores` only where there are more workers than cores.
    """
    if workers > cores:
        _log.warning("%d workers on %d cores: each gets one thread, and they take turns", workers, cores)
    each, more = divmod(cores, workers)
    fair = [max(1, each + (index < more)) for index in range(workers)]
    return fair if threads is None else [min(threads, mine) for mine in fair]


def thread_env(threads: int) -> dict[str, str]:
    """Environment of a worker with so many threads; idle ones sleep, as spinning ones slow the neighbours down."""
    return {**dict.fromkeys(THREADS, str(threads)), "OMP_WAIT_POLICY": "PASSIVE"}


def cpu_slots(
    workers: int,
    threads: int | None = None,
    peak: Peak | None = None,
    machine: Card | None = None,
    cores: int | None = None,
) -> list[Slot]:
    """Slots on the CPU: cores shared fairly, and no more workers than the memory holds.

    Parameters
    ----------
    workers : int
        Wanted.
    threads : int, optional
        At most so many a worker (`runtime.threads`).
    peak : Peak, optional
        Of one trial, measured by a probe; without it, or without `machine`, memory is not planned.
    machine : Card, optional
        Memory of the machine, see `read_machine`.
    cores : int, optional
        Usable ones; counted if not given.

    Raises
    ------
    ParamsError
        If not even one trial fits into memory.
    """
    _at_least_one("workers", workers)
    need = peak.whole if peak and machine else 0
    if peak and machine:
        workers = _fewer(workers, fits(machine, peak), [machine], peak)
    shares = share(cores or usable_cores(), workers, threads)
    return [Slot(index, "cpu", mine, need=need, env=thread_env(mine)) for index, mine in enumerate(shares)]


def gpu_slots(
    cards: Sequence[Card],
    workers: int,
    per_gpu: int | None = None,
    peak: Peak | None = None,
    threads: int | None = None,
    cores: int | None = None,
) -> list[Slot]:
    """Slots on GPUs: workers spread over the cards, each with a share of what is free on its card.

    Parameters
    ----------
    cards : sequence of Card
        As they are at this moment.
    workers : int
        Wanted; there are fewer slots where the cards hold fewer.
    per_gpu : int, optional
        At most so many a card.
    peak : Peak, optional
        Of one trial, measured by a probe: as many a card as fit.
    threads, cores : int, optional
        As for `cpu_slots`.

    Raises
    ------
    ParamsError
        If neither `per_gpu` nor `peak` is given, or not one trial fits on any card.
    """
    _at_least_one("workers", workers)
    if per_gpu is None and peak is None:
        raise ParamsError("per_gpu or a measured peak", "neither", "Give --per-gpu, or let a probe trial run.")
    limits = [_limit(card, per_gpu, peak) for card in cards]
    workers = _fewer(workers, sum(limits), cards, peak or Peak(0, CONTEXT))
    counts = spread(cards, limits, workers)
    shares = iter(share(cores or usable_cores(), workers, threads))
    names = tuple(card.name for card in cards)
    places = [
        (card, count) for turn in range(max(counts)) for card, count in zip(cards, counts, strict=True) if turn < count
    ]
    return [_on(card, count, index, next(shares), peak, names) for index, (card, count) in enumerate(places)]


def spread(cards: Sequence[Card], limits: Sequence[int], workers: int) -> list[int]:
    """Place workers one by one where each would have most room; `workers` must not exceed the sum of limits."""
    counts = [0] * len(cards)
    for _ in range(workers):
        rooms = [card.room / (n + 1) if n < most else -1.0 for card, n, most in zip(cards, counts, limits, strict=True)]
        counts[rooms.index(max(rooms))] += 1
    return counts


def move(slot: Slot, cards: Sequence[Card]) -> Slot | None:
    """Return the slot on the GPU of the study with most room for it, or None if no other has enough."""
    others = [card for card in cards if card.name in slot.cards and card.name != slot.gpu and card.room >= slot.need]
    if not others:
        return None
    best = max(others, key=lambda card: card.room)
    home = next((card for card in cards if card.name == slot.gpu), best)
    most = min((slot.memory_fraction or 1.0) * home.total, best.room - slot.context)
    return replace(
        slot,
        device=f"cuda:{best.name}",
        memory_fraction=max(0.0, most) / best.total,
        env={**slot.env, "CUDA_VISIBLE_DEVICES": best.name},
    )


def open_slot(slot: Slot) -> torch.device:
    """Set threads and the cap on GPU memory in the worker's process, and return its device.

    The process must have started with the slot's environment, so its GPU is the only one it sees.
    """
    import torch

    torch.set_num_threads(slot.threads)
    if slot.gpu is None:
        return torch.device("cpu")
    device = torch.device("cuda", 0)
    if slot.memory_fraction is not None:
        torch.cuda.set_per_process_memory_fraction(slot.memory_fraction, device)
    return device


def _limit(card: Card, per_gpu: int | None, peak: Peak | None) -> int:
    most = fits(card, peak or Peak(0, CONTEXT))
    return most if per_gpu is None else min(per_gpu, most)


def _on(card: Card, count: int, index: int, threads: int, peak: Peak | None, names: tuple[str, ...]) -> Slot:
    mine, context = card.room // count, peak.context if peak else CONTEXT
    return Slot(
        index,
        device=f"cuda:{card.name}",
        threads=threads,
        memory_fraction=max(0, mine - context) / card.total,
        need=peak.whole if peak else mine,
        context=context,
        cards=names,
        env={**thread_env(threads), **GPU_ENV, "CUDA_VISIBLE_DEVICES": card.name},
    )


def _fewer(wanted: int, held: int, cards: Sequence[Card], peak: Peak) -> int:
    if held < 1:
        free = ", ".join(f"{card.name}: {card.free / GIB:.1f} GiB of {card.total / GIB:.1f}" for card in cards)
        raise ParamsError(
            f"{peak.whole / GIB:.2f} GiB free for one trial, on a card that keeps 5 % in reserve",
            f"free: {free}",
            "Wait until others are done, name other GPUs, or narrow the search (width, depth, batch_size).",
        )
    if held < wanted:
        _log.warning("%d workers wanted, %d fit into memory at %.2f GiB each", wanted, held, peak.whole / GIB)
    return min(wanted, held)


def _at_least_one(what: str, number: int) -> None:
    if number < 1:
        raise ParamsError(f"at least 1 for {what}", str(number), f"Give --{what} 1 or more.")
