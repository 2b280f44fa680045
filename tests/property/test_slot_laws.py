"""Laws of planning: never over capacity, everyone a slot, more memory never fewer workers."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from sclandmarks.errors import ParamsError
from sclandmarks.tune.cards import GIB, MIB, Card, Peak, fits
from sclandmarks.tune.slots import Slot, cpu_slots, gpu_slots, share, spread

sizes = st.integers(0, 96 * GIB)


@st.composite
def cards(draw: st.DrawFn) -> list[Card]:
    """One to five cards, some of them in use."""
    totals = draw(st.lists(st.integers(4 * GIB, 96 * GIB), min_size=1, max_size=5))
    return [Card(f"GPU-{i}", total, draw(st.integers(0, total))) for i, total in enumerate(totals)]


peaks = st.builds(Peak, st.integers(1, 30 * GIB), st.integers(0, 2 * GIB))
limits = st.none() | st.integers(1, 9)
workers = st.integers(1, 40)


def plan(cards: list[Card], workers: int, per_gpu: int | None, peak: Peak) -> list[Slot]:
    """Slots, none where nothing fits."""
    try:
        return gpu_slots(cards, workers, per_gpu, peak, cores=16)
    except ParamsError:
        return []


@given(cards(), workers, limits, peaks)
def test_no_card_is_planned_over_what_is_free(cards: list[Card], workers: int, per_gpu: int | None, peak: Peak) -> None:
    slots = plan(cards, workers, per_gpu, peak)
    for card in cards:
        mine = [slot for slot in slots if slot.gpu == card.name]
        asked = sum((slot.memory_fraction or 0) * card.total + slot.context for slot in mine)
        assert asked <= card.free + MIB  # fractions are floats
        assert len(mine) <= (per_gpu or len(mine))


@given(cards(), workers, limits, peaks)
def test_everyone_has_a_slot_that_holds_the_peak(
    cards: list[Card], workers: int, per_gpu: int | None, peak: Peak
) -> None:
    slots = plan(cards, workers, per_gpu, peak)
    capacity = sum(min(fits(card, peak), per_gpu or fits(card, peak)) for card in cards)
    assert len(slots) == min(workers, capacity)
    assert [slot.index for slot in slots] == list(range(len(slots)))
    totals = {card.name: card.total for card in cards}
    for slot in slots:
        assert (slot.memory_fraction or 0) * totals[slot.gpu or ""] >= peak.reserved - MIB
        assert slot.env["CUDA_VISIBLE_DEVICES"] == slot.gpu


@given(cards(), workers, limits, peaks, st.integers(0, 4), sizes)
def test_more_free_memory_never_means_fewer_workers(
    cards: list[Card], workers: int, per_gpu: int | None, peak: Peak, which: int, more: int
) -> None:
    assume(which < len(cards))
    richer = list(cards)
    richer[which] = replace(cards[which], free=min(cards[which].total, cards[which].free + more))
    assert len(plan(richer, workers, per_gpu, peak)) >= len(plan(cards, workers, per_gpu, peak))


@given(cards(), workers, limits, peaks, sizes)
def test_a_larger_trial_never_means_more_workers(
    cards: list[Card], workers: int, per_gpu: int | None, peak: Peak, more: int
) -> None:
    larger = replace(peak, reserved=peak.reserved + more)
    assert len(plan(cards, workers, per_gpu, larger)) <= len(plan(cards, workers, per_gpu, peak))


@given(cards(), workers, peaks)
def test_nobody_would_have_more_room_on_another_card(cards: list[Card], workers: int, peak: Peak) -> None:
    most = [fits(card, peak) for card in cards]
    counts = spread(cards, most, min(workers, sum(most)))
    least = min((card.room / n for card, n in zip(cards, counts, strict=True) if n), default=0)
    for card, n, limit in zip(cards, counts, most, strict=True):
        assert n <= limit
        assert n == limit or card.room / (n + 1) <= least


@given(st.integers(1, 256), workers, st.none() | st.integers(1, 64))
def test_threads_are_fair_and_never_over_the_cores(cores: int, workers: int, threads: int | None) -> None:
    shares = share(cores, workers, threads)
    assert len(shares) == workers
    assert min(shares) >= 1
    assert max(shares) - min(shares) <= 1
    assert max(shares) <= (threads or cores)
    if workers <= cores:
        assert sum(shares) <= cores
        assert threads is not None or sum(shares) == cores
    assert share(cores + 1, workers, threads) >= shares


@given(workers, st.integers(1, 64 * GIB), sizes, sizes, sizes)
def test_cpu_workers_stay_within_free_memory(workers: int, each: int, total: int, free: int, more: int) -> None:
    def count(free: int) -> int:
        try:
            machine = Card("cpu", total, min(free, total))
            return len(cpu_slots(workers, peak=Peak(each), machine=machine, cores=4))
        except ParamsError:
            return 0

    assert count(free) * each <= free
    assert count(free + more) >= count(free)
