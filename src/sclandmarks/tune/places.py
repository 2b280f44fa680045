"""Where the workers of a study run on this machine: GPUs as asked for or as there are, else the CPU."""

from __future__ import annotations

import logging
from dataclasses import replace

from sclandmarks.tune.cards import GIB, Card, Peak, pick, visible_gpus
from sclandmarks.tune.machine import read_machine, usable_cores
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.probe import probe
from sclandmarks.tune.slots import Slot, cpu_slots, gpu_slots

AMPLE = 4 * GIB  # free memory a worker from which none is measured on the CPU

_log = logging.getLogger(__name__)


def place(plan: Plan, gpus: str | None = None, per_gpu: int | None = None) -> list[Slot]:
    """Plan the slots of a study's workers.

    Parameters
    ----------
    plan : Plan
        With the number of workers, and `runtime.device` and `runtime.threads`.
    gpus : str, optional
        Numbers or UUIDs between commas, or "all"; without it all GPUs where `runtime.device` allows them.
    per_gpu : int, optional
        Workers a GPU; without it as many as fit by the measured peak of a probe trial.

    Returns
    -------
    list of Slot
        As many as `plan` has workers, at most one a trial; fewer where they do not fit.

    Raises
    ------
    SclandmarksError
        If a GPU is asked for that is not there, or not one trial fits.
    """
    plan, cards = replace(plan, workers=min(plan.workers, plan.trials)), _cards(plan, gpus)
    return _on_gpus(plan, cards, per_gpu) if cards else _on_cpu(plan)


def _cards(plan: Plan, gpus: str | None) -> list[Card]:
    if gpus is not None:
        return pick(visible_gpus(), gpus)
    device = plan.context.runtime.device
    if device == "cpu" or (device == "auto" and not _torch_has_cuda()):
        return []
    cards = visible_gpus()
    return pick(cards, "all") if cards or device == "cuda" else []


def _torch_has_cuda() -> bool:
    """Whether torch was built for GPUs; asked without opening one."""
    import torch

    return torch.version.cuda is not None


def _on_gpus(plan: Plan, cards: list[Card], per_gpu: int | None) -> list[Slot]:
    threads = plan.context.runtime.threads
    if per_gpu is not None:
        return gpu_slots(cards, plan.workers, per_gpu, threads=threads)
    emptiest = max(cards, key=lambda card: card.free)
    (alone,) = gpu_slots([emptiest], 1, 1, threads=threads)
    peak = probe(plan, alone)
    _tell(peak)
    return gpu_slots(cards, plan.workers, peak=peak, threads=threads)


def _on_cpu(plan: Plan) -> list[Slot]:
    threads, machine = plan.context.runtime.threads, read_machine()
    if plan.workers == 1 or machine.free >= AMPLE * plan.workers:
        return cpu_slots(plan.workers, threads)
    (alone,) = cpu_slots(1, min(threads or usable_cores(), usable_cores()))
    peak = probe(plan, alone)
    _tell(peak)
    return cpu_slots(plan.workers, threads, peak, machine)


def _tell(peak: Peak) -> None:
    _log.info("a trial of the largest sizes holds %.2f GiB", peak.whole / GIB)
