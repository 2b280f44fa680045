"""Other people's use of the memory: go, wait, move or stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from sclandmarks.tune.cards import GIB, Card
from sclandmarks.tune.room import Verdict, Watch, has_room, relocate, wait_for_room
from sclandmarks.tune.slots import Slot

SLOT = Slot(0, "cuda:GPU-aa", memory_fraction=0.2, need=10 * GIB, cards=("GPU-aa", "GPU-bb"))


@dataclass
class Scene:
    """Memory and time that follow a script: free GiB at home at each look, the last for ever."""

    free: list[float]
    other: float = 0.0
    own: int = 0
    time: float = 0.0
    looks: int = 0
    pauses: list[float] = field(default_factory=list)

    def home(self, slot: Slot) -> Card:
        """Free memory of this look."""
        self.looks += 1
        return Card("GPU-aa", 80 * GIB, int(self.free[min(self.looks, len(self.free)) - 1] * GIB))

    def others(self) -> Sequence[Card]:
        """Home is full, the other has `other`."""
        return [Card("GPU-aa", 80 * GIB, 0), Card("GPU-bb", 80 * GIB, int(self.other * GIB))]

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.time += seconds

    def wait(self, slot: Slot = SLOT, stop_at: float = 1e9) -> Verdict:
        """Wait in this scene."""
        watch = Watch(self.home, lambda _: self.own, self.others, self.sleep, lambda: self.time)
        return wait_for_room(slot, lambda: self.time >= stop_at, watch, patience=60)


def test_room_means_go_at_once() -> None:
    scene = Scene([10])
    assert scene.wait() == "go"
    assert scene.pauses == []


def test_what_the_worker_holds_itself_counts_as_room() -> None:
    assert Scene([9], own=GIB).wait() == "go"


def test_a_full_card_is_waited_for_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene([1] * 8 + [40])
    assert scene.wait() == "go"
    assert scene.pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert caplog.text.count("slot 0 waits") == 1


def test_after_some_waiting_the_other_card_is_taken() -> None:
    scene = Scene([1], other=40)
    assert scene.wait() == "move"
    assert 60 <= scene.time < 95


def test_a_card_without_room_is_not_moved_to() -> None:
    scene = Scene([1], other=9)
    assert scene.wait(stop_at=500) == "stop"


def test_a_study_that_ends_ends_the_waiting() -> None:
    assert Scene([1]).wait(stop_at=3) == "stop"
    assert Scene([80]).wait(stop_at=0) == "stop"


def test_an_unplanned_slot_never_waits() -> None:
    scene = Scene([0])
    assert scene.wait(Slot(0)) == "go"
    assert scene.looks == 0


def test_the_launcher_moves_the_slot_or_leaves_it() -> None:
    assert relocate(SLOT, Scene([0], other=40).others).gpu == "GPU-bb"
    assert relocate(SLOT, Scene([0], other=1).others) == SLOT
    assert relocate(Slot(0)) == Slot(0)


def test_the_cpu_is_looked_at_in_the_same_way() -> None:
    assert has_room(Slot(0, need=1))
    assert not has_room(Slot(0, need=1 << 60))
