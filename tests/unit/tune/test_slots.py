"""Slots of workers on CPU and GPUs."""

from __future__ import annotations

import logging

import pytest
import torch

from sclandmarks.errors import ParamsError
from sclandmarks.tune.cards import CONTEXT, GIB, Card, Peak
from sclandmarks.tune.slots import Slot, cpu_slots, gpu_slots, move, open_slot, share

FREE = [Card("GPU-aa", 80 * GIB, 80 * GIB), Card("GPU-bb", 80 * GIB, 80 * GIB)]
PEAK = Peak(9 * GIB, GIB)


def test_cores_are_shared_fairly() -> None:
    assert share(8, 3) == [3, 3, 2]
    assert share(8, 3, threads=2) == [2, 2, 2]


def test_more_workers_than_cores_take_turns_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert share(2, 3) == [1, 1, 1]
    assert "3 workers on 2 cores" in caplog.text


def test_cpu_workers_get_their_threads_in_every_library() -> None:
    slots = cpu_slots(2, cores=5)
    assert [(slot.index, slot.device, slot.threads) for slot in slots] == [(0, "cpu", 3), (1, "cpu", 2)]
    assert slots[1].env["OMP_NUM_THREADS"] == slots[1].env["MKL_NUM_THREADS"] == "2"
    assert slots[0].env["OMP_WAIT_POLICY"] == "PASSIVE"
    assert slots[0].memory_fraction is None and slots[0].need == 0 and slots[0].gpu is None


def test_memory_of_the_machine_limits_cpu_workers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        slots = cpu_slots(6, peak=Peak(2 * GIB), machine=Card("cpu", 10 * GIB, 7 * GIB), cores=6)
    assert [slot.threads for slot in slots] == [2, 2, 2]
    assert slots[0].need == 2 * GIB
    assert "6 workers wanted, 3 fit" in caplog.text


def test_gpu_workers_are_spread_and_capped() -> None:
    slots = gpu_slots(FREE, 4, per_gpu=3, peak=PEAK, cores=16)
    assert [slot.gpu for slot in slots] == ["GPU-aa", "GPU-bb", "GPU-aa", "GPU-bb"]
    assert slots[0].env["CUDA_VISIBLE_DEVICES"] == "GPU-aa"
    assert slots[0].env["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
    assert slots[0].memory_fraction == pytest.approx((0.95 * 80 / 2 - 1) / 80)
    assert slots[0].need == 10 * GIB
    assert slots[0].threads == 4


def test_the_measured_peak_says_how_many_share_a_card() -> None:
    assert len(gpu_slots(FREE[:1], 100, peak=PEAK, cores=4)) == 7  # 0.95 x 80 GiB at 10 GiB each


def test_per_gpu_alone_shares_what_is_free() -> None:
    (one, two) = gpu_slots(FREE[:1], 5, per_gpu=2, cores=4)
    assert one.memory_fraction == two.memory_fraction == pytest.approx((0.95 * 80 * GIB / 2 - CONTEXT) / (80 * GIB))


def test_a_card_that_others_fill_gets_none() -> None:
    cards = [Card("0", 80 * GIB, 5 * GIB), Card("1", 80 * GIB, 40 * GIB)]
    assert {slot.gpu for slot in gpu_slots(cards, 8, peak=PEAK, cores=8)} == {"1"}


def test_a_trial_that_fits_nowhere_is_refused_with_the_sizes() -> None:
    with pytest.raises(ParamsError, match=r"10\.00 GiB free for one trial.*0: 9\.0 GiB of 80\.0.*narrow the search"):
        gpu_slots([Card("0", 80 * GIB, 9 * GIB)], 1, peak=PEAK)
    with pytest.raises(ParamsError, match="narrow the search"):
        cpu_slots(1, peak=Peak(2 * GIB), machine=Card("cpu", 2 * GIB, 2 * GIB))


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ParamsError, match="Give --per-gpu"):
        gpu_slots(FREE, 1)
    with pytest.raises(ParamsError, match="at least 1 for workers"):
        cpu_slots(0)
    with pytest.raises(ParamsError, match="at least 1 for workers"):
        gpu_slots(FREE, 0, per_gpu=1)


def test_a_slot_survives_the_command_line() -> None:
    for slot in [*gpu_slots(FREE, 3, peak=PEAK, cores=2), *cpu_slots(1, cores=1)]:
        assert Slot.from_json(slot.to_json()) == slot


def test_a_worker_moves_to_the_card_with_most_room() -> None:
    home = gpu_slots([*FREE, Card("GPU-cc", 40 * GIB, 40 * GIB)], 1, peak=PEAK, cores=2)[0]
    busy = [Card("GPU-aa", 80 * GIB, GIB), Card("GPU-bb", 80 * GIB, 20 * GIB), Card("GPU-cc", 40 * GIB, 30 * GIB)]
    moved = move(home, busy)
    assert moved is not None and moved.gpu == moved.env["CUDA_VISIBLE_DEVICES"] == "GPU-cc"
    assert moved.index == home.index
    assert moved.memory_fraction == pytest.approx((28 - 1) / 40)  # never beyond the room there


def test_a_worker_does_not_move_to_a_card_that_is_not_its_study_s() -> None:
    home = gpu_slots(FREE[:1], 1, peak=PEAK, cores=2)[0]
    assert move(home, [Card("GPU-aa", 80 * GIB, 0), FREE[1]]) is None


def test_opening_a_cpu_slot_sets_its_threads() -> None:
    before = torch.get_num_threads()
    try:
        assert open_slot(Slot(0, threads=before + 1)) == torch.device("cpu")
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_opening_a_gpu_slot_caps_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    caps = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *args: caps.append(args))
    slot = Slot(0, "cuda:GPU-aa", torch.get_num_threads(), 0.25)
    assert open_slot(slot) == torch.device("cuda", 0)
    assert caps == [(0.25, torch.device("cuda", 0))]
