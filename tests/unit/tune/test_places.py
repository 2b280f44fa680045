"""Where workers of a study run on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sclandmarks.errors import ParamsError
from sclandmarks.params import RuntimeParams, load_params
from sclandmarks.tune import places
from sclandmarks.tune.cards import GIB, Card, Peak
from sclandmarks.tune.plan import Context, Plan
from sclandmarks.tune.slots import Slot

PARAMS = load_params(Path(__file__).parents[3] / "params.yaml")
GPUS = [Card("GPU-aa", 80 * GIB, 20 * GIB), Card("GPU-bb", 80 * GIB, 80 * GIB)]


def make_plan(device: str = "auto", workers: int = 6, threads: int | None = None, trials: int = 1000) -> Plan:
    """Plan so many workers."""
    runtime = RuntimeParams.model_validate({"device": device, "threads": threads})
    context = Context(prepare=PARAMS.prepare, noise=PARAMS.noise, runtime=runtime)
    search, base = PARAMS.tune.fit, PARAMS.predictors["network"]
    return Plan("toy", "fit", "journal:j", "f", trials, workers, search, base, None, context, "/", "f1")


class Machine:
    """A machine with some GPUs and memory, and a probe that says 10 GiB (GPU) or 3 GiB (CPU)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, gpus: list[Card], free: int = 640 * GIB) -> None:
        self.probed: list[Slot] = []
        monkeypatch.setattr(places, "visible_gpus", lambda: gpus)
        monkeypatch.setattr(places, "read_machine", lambda: Card("cpu", 640 * GIB, free))
        monkeypatch.setattr(places, "_torch_has_cuda", lambda: True)
        monkeypatch.setattr(places, "probe", self.probe)

    def probe(self, plan: Plan, slot: Slot) -> Peak:
        """Note where it was measured."""
        self.probed.append(slot)
        return Peak(3 * GIB) if slot.gpu is None else Peak(9 * GIB, GIB)


def names(slots: list[Slot]) -> list[Any]:
    """GPU of each slot."""
    return [slot.gpu for slot in slots]


def test_gpus_are_shared_by_the_measured_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, GPUS)
    slots = places.place(make_plan(workers=100))
    assert (names(slots).count("GPU-aa"), names(slots).count("GPU-bb")) == (1, 7)
    assert names(machine.probed) == ["GPU-bb"]  # the emptier one


def test_per_gpu_is_taken_without_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, GPUS)
    assert names(places.place(make_plan(), gpus="1", per_gpu=2)) == ["GPU-bb"] * 2
    assert machine.probed == []


@pytest.mark.parametrize(("device", "gpus"), [("auto", []), ("cpu", GPUS)])
def test_the_cpu_is_taken_where_there_is_no_gpu_or_none_is_wanted(
    device: str, gpus: list[Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, gpus)
    slots = places.place(make_plan(device, threads=1))
    assert names(slots) == [None] * 6
    assert {slot.threads for slot in slots} == {1}
    assert machine.probed == []


def test_a_torch_without_cuda_runs_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, GPUS)
    monkeypatch.setattr(places, "_torch_has_cuda", lambda: False)
    assert names(places.place(make_plan(workers=1))) == [None]


def test_scarce_memory_is_planned_by_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, [], free=50 * GIB)
    assert len(places.place(make_plan(workers=12))) == 12
    assert machine.probed == []
    assert len(places.place(make_plan(workers=13))) == 6  # (50 - 5 % of 640) / 3
    assert len(machine.probed) == 1


@pytest.mark.parametrize(("device", "gpus"), [("auto", "0"), ("cuda", None)])
def test_a_gpu_that_is_not_there_is_refused(device: str, gpus: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, [])
    with pytest.raises(ParamsError, match="none that nvidia-smi lists"):
        places.place(make_plan(device), gpus)


def test_one_worker_is_never_probed_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, [], free=GIB)
    assert len(places.place(replace(make_plan(), workers=1))) == 1
    assert machine.probed == []


def test_no_more_places_than_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, [], free=5 * GIB)
    assert len(places.place(make_plan(workers=64, trials=1))) == 1
    assert machine.probed == []  # one worker needs no measuring
