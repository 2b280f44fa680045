"""N workers on one card: `python benchmarks/shared_gpu.py [--device cuda|cpu] [--most N] [--seconds S] [--width W]`.

Measures one trial alone, plans how many fit, then lets 1, 2, 4, ... workers train the same network over and over for
some seconds each: trials an hour against N, and the most memory of one worker against its plan. Without a GPU the same
runs on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from tune import made_task, network

from sclandmarks.learn.task import Hooks, Task
from sclandmarks.predict import PREDICTORS
from sclandmarks.tune.cards import MIB, Card, Peak, fits, visible_gpus
from sclandmarks.tune.machine import read_machine
from sclandmarks.tune.probe import CudaMeter, Meter, ResidentMeter
from sclandmarks.tune.slots import Slot, cpu_slots, gpu_slots, open_slot


def card_of(device: str) -> Card:
    """The first GPU that may be used, or the machine's memory."""
    return visible_gpus()[0] if device == "cuda" else read_machine()


def plan(device: str, n: int, peak: Peak | None) -> list[Slot]:
    """So many slots on the one card."""
    card = card_of(device)
    if device == "cpu":
        return cpu_slots(n, peak=peak, machine=card)
    return gpu_slots([card], n, n if peak is None else None, peak)


def run(slots: list[Slot], seconds: float, width: int) -> tuple[list[dict[str, float]], int]:
    """One process a slot; what each tells, and the least free memory seen meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        go = Path(folder) / "go"
        children = [_start(slot, seconds, width, go) for slot in slots]
        while len(list(Path(folder).glob("ready-*"))) < len(slots):
            time.sleep(0.1)
        go.touch()
        device, least = "cpu" if slots[0].gpu is None else "cuda", card_of("cpu").total
        while any(child.poll() is None for child in children):
            least = min(least, card_of(device).free)
            time.sleep(0.5)
        return [json.loads(child.communicate()[0]) for child in children], least


def _start(slot: Slot, seconds: float, width: int, go: Path) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--work", slot.to_json(), str(seconds), str(width), str(go)]
    return subprocess.Popen(command, env=os.environ | slot.env, stdout=subprocess.PIPE, text=True)


def work(slot: Slot, seconds: float, width: int, go: Path) -> None:
    """Train until the time is up, after all others are ready; print trials, their seconds and the peak."""
    meter = _meter(slot)
    meter.start()
    device = open_slot(slot)
    torch.set_flush_denormal(True)
    made, settings = made_task(128), network(width=width)
    task = Task(made.train, made.validation, made.inputs, made.outputs, device)
    PREDICTORS["paper_network"](task, network(width=width, max_epochs=1), Hooks())
    (go.parent / f"ready-{slot.index}").touch()
    while not go.exists():
        time.sleep(0.05)
    begin, trials = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        PREDICTORS["paper_network"](task, settings, Hooks())
        trials += 1
    took, peak = time.perf_counter() - begin, meter.stop()
    print(json.dumps({"trials": trials, "seconds": took, "reserved": peak.reserved, "context": peak.context}))


def _meter(slot: Slot) -> Meter:
    return ResidentMeter() if slot.gpu is None else CudaMeter(torch.cuda, lambda: card_of("cuda").free)


def main() -> None:
    """Probe, plan, and a line for each number of workers."""
    given = _arguments()
    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    (alone,), _ = run(plan(device, 1, None), 1, given.width)
    peak, card = Peak(int(alone["reserved"]), int(alone["context"])), card_of(device)
    held = fits(card, peak)
    print(f"{card.name}: {card.free // MIB} of {card.total // MIB} MiB free; a trial of width {given.width} takes "
          f"{peak.reserved // MIB} + {peak.context // MIB} MiB, so {held} fit\n")  # fmt: skip
    print("| workers | trials an hour | gain | most of one worker, MiB | planned, MiB | least free, MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    first, n = 0.0, 1
    while n <= min(held, given.most):
        told, least = run(plan(device, n, peak), given.seconds, given.width)
        rate = sum(each["trials"] / each["seconds"] for each in told) * 3600
        first = first or rate
        most = max(each["reserved"] + each["context"] for each in told)
        print(f"| {n} | {rate:.0f} | {rate / first:.2f} | {most / MIB:.0f} | {peak.whole // MIB} | {least // MIB} |",
              flush=True)  # fmt: skip
        n *= 2


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"])
    parser.add_argument("--most", type=int, default=16, help="workers at most")
    parser.add_argument("--seconds", type=float, default=60, help="of each number of workers")
    parser.add_argument("--width", type=int, default=256)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        slot, seconds, width, go = sys.argv[2:]
        work(Slot.from_json(slot), float(seconds), int(width), Path(go))
    else:
        main()
