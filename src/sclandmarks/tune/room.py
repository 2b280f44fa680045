"""Other people's use of the memory: looked at before each trial; wait, or move to another GPU."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sclandmarks.tune.cards import GIB, Card, read_gpus
from sclandmarks.tune.machine import read_machine
from sclandmarks.tune.slots import Slot, move

MOVE_EXIT = 75  # exit code of a worker that wants to be started on another GPU; EX_TEMPFAIL of sysexits.h
PATIENCE = 60.0  # seconds of waiting that cost about as much as a new process with its data

_log = logging.getLogger(__name__)

Verdict = Literal["go", "move", "stop"]


def read_home(slot: Slot) -> Card:
    """Memory of the slot's device at this moment, as the worker's process sees it."""
    if slot.gpu is None:
        return read_machine()
    import torch

    free, total = torch.cuda.mem_get_info(0)
    return Card(slot.gpu, total, free)


def held(slot: Slot) -> int:
    """Bytes of the slot's device that this process holds itself."""
    if slot.gpu is None:
        from sclandmarks.tune.probe import resident

        return resident()
    import torch

    return torch.cuda.memory_reserved(0) + slot.context


@dataclass(frozen=True)
class Watch:
    """How memory is looked at and time passes; other functions in tests.

    Parameters
    ----------
    home : callable
        Card of a slot.
    held : callable
        Bytes of it that this process holds.
    others : callable
        All cards.
    sleep, clock : callable
        Seconds.
    """

    home: Callable[[Slot], Card] = read_home
    held: Callable[[Slot], int] = held
    others: Callable[[], Sequence[Card]] = read_gpus
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


WATCH = Watch()


def has_room(slot: Slot, watch: Watch = WATCH) -> bool:
    """Whether a trial of the planned size fits: free memory and what this process holds already."""
    return slot.need == 0 or watch.home(slot).free + watch.held(slot) >= slot.need


def wait_for_room(slot: Slot, stop: Callable[[], bool], watch: Watch = WATCH, patience: float = PATIENCE) -> Verdict:
    """Wait until a trial fits. Call it before a trial is asked for, so that nothing counts as running meanwhile.

    Parameters
    ----------
    slot : Slot
    stop : callable
        True when the study is to end; asked at every look.
    watch : Watch
    patience : float
        Seconds after which another GPU of the study with room is taken.

    Returns
    -------
    {"go", "move", "stop"}
        "move": end with `MOVE_EXIT`; the launcher starts a worker in `relocate(slot)`.
    """
    begin, pause = watch.clock(), 1.0
    while not has_room(slot, watch):
        if stop():
            return "stop"
        waited = watch.clock() - begin
        if waited >= patience and move(slot, watch.others()) is not None:
            return "move"
        if pause == 1.0:
            _log.warning("slot %d waits: %s has less than %.2f GiB free", slot.index, slot.device, slot.need / GIB)
        watch.sleep(pause)
        pause = min(30.0, 2 * pause)
    return "stop" if stop() else "go"


def relocate(slot: Slot, others: Callable[[], Sequence[Card]] = read_gpus) -> Slot:
    """Where the launcher starts the worker of a slot again: another GPU with room, or the same one."""
    return slot if slot.gpu is None else move(slot, others()) or slot
