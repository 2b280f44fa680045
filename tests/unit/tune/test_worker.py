"""What a worker process makes of its slot before it looks for trials."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from quick_study import Quick, quick_plan

from sclandmarks.tune import worker
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.room import MOVE_EXIT
from sclandmarks.tune.slots import Slot, cpu_slots
from sclandmarks.tune.stop import Stop


class Started:
    """Runs a worker up to its first trial, and keeps what it was given."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, verdict: str = "over") -> None:
        self.file, self.verdict = root / "plan.json", verdict
        self.file.write_text(quick_plan(root).to_json())
        self.plans: list[Plan] = []
        self.slots: list[Slot | None] = []
        monkeypatch.setattr(worker, "run_worker", self.run)
        monkeypatch.setattr(Stop, "listen", lambda stop: None)
        monkeypatch.setattr(os, "environ", dict(os.environ))
        monkeypatch.chdir(root)

    def run(self, plan: Plan, objective: object, slot: Slot | None, *_: object) -> str:
        """Stand for the loop."""
        self.slots.append(slot)
        return self.verdict

    def open(self, plan: Plan) -> Any:
        """Stand for the objective."""
        self.plans.append(plan)
        return Quick()

    def main(self, *options: str) -> int:
        """Call the worker's command."""
        return worker.main([str(self.file), *options], self.open)


def test_a_worker_takes_the_threads_of_its_slot_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, slot = Started(tmp_path, monkeypatch), cpu_slots(2, threads=8, cores=6)[0]
    assert started.main("--slot", slot.to_json()) == 0
    assert started.plans[0].context.runtime.threads == slot.threads == 3
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert started.slots == [slot]


def test_without_a_slot_the_settings_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(tmp_path, monkeypatch)
    assert started.main() == 0
    assert started.plans == [Plan.from_json(started.file.read_text())]
    assert started.slots == [None]


def test_a_worker_that_wants_another_card_says_so_by_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Started(tmp_path, monkeypatch, "move").main() == MOVE_EXIT
