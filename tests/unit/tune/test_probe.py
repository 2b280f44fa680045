"""Peak memory of the heaviest corner, measured in a process of its own."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sclandmarks.errors import StudyError
from sclandmarks.params import FitSearch, load_params
from sclandmarks.tune import probe
from sclandmarks.tune.cards import GIB, MIB, Peak
from sclandmarks.tune.objective import Outcome, Report
from sclandmarks.tune.plan import Context, Plan
from sclandmarks.tune.probe import CudaMeter, ResidentMeter, heaviest, measure, resident
from sclandmarks.tune.slots import Slot

PARAMS = load_params(Path(__file__).parents[3] / "params.yaml")
CHILD = """
import sys
from sclandmarks.tune import probe

class Objective:
    directions = ("minimize",)
    def __call__(self, settings, report, folder):
        held = bytearray(settings["width"] * 1024 * 1024)
        held[::4096] = b"x" * len(held[::4096])
        {body}
        report(1, 0.5)
        report(2, 0.5)
        raise SystemExit("went on after two epochs")

sys.exit(probe.main(open_objective=lambda plan: Objective()))
"""


def make_plan(root: Path, space: Mapping[str, Any] | None = None) -> Plan:
    """Plan a search of the network's settings."""
    search = PARAMS.tune.fit.model_dump()
    if space is not None:
        search["space"] = space
    context = Context(prepare=PARAMS.prepare, noise=PARAMS.noise, runtime=PARAMS.runtime)
    return Plan(
        name="toy",
        task="fit",
        storage="postgresql://me:secret@host/db",
        folder="state/tune/toy",
        trials=4,
        workers=2,
        search=FitSearch.model_validate(search),
        base=PARAMS.predictors["network"],
        n_landmarks=None,
        context=context,
        root=str(root),
        fingerprint="f1",
    )


def command(folder: Path, body: str = "pass") -> list[str]:
    """Start a probe of an objective that holds `width` MiB."""
    script = folder / "child.py"
    script.write_text(CHILD.format(body=body))
    return [sys.executable, "-P", str(script)]


def test_the_heaviest_corner_has_the_largest_sizes_and_else_the_base(tmp_path: Path) -> None:
    plan, base = make_plan(tmp_path), PARAMS.predictors["network"].model_dump()
    corner = heaviest(plan)
    assert set(corner) == set(plan.search.space)
    assert (corner["width"], corner["depth"], corner["batch_size"]) == (256, 3, 256)
    assert {name: corner[name] for name in ("dropout", "learning_rate", "loss")} == {
        name: base[name] for name in ("dropout", "learning_rate", "loss")
    }


def test_a_condition_that_hides_a_size_is_met(tmp_path: Path) -> None:
    space = {
        "loss": {"choices": ["mse", "weighted_mse"]},
        "width": {"low": 16, "high": 512, "when": {"loss": ["weighted_mse"]}},
        "dropout": {"low": 0.0, "high": 0.5, "when": {"loss": ["mse"]}},
    }
    assert heaviest(make_plan(tmp_path, space)) == {"loss": "weighted_mse", "width": 512}


def test_a_trial_is_left_after_two_epochs(tmp_path: Path) -> None:
    seen: list[int] = []

    class Endless:
        directions = ("minimize",)

        def __call__(self, settings: Mapping[str, Any], report: Report, folder: Path) -> Outcome:
            """Report for ever."""
            for step in range(1, 100):
                seen.append(step)
                report(step, 0.0)
            return Outcome((0.0,))

    probe.run_briefly(make_plan(tmp_path), Endless(), tmp_path)
    assert seen == [1, 2]


def test_resident_memory_sees_what_is_held() -> None:
    gc.collect()  # what earlier tests left is not to go in between
    before = resident()
    kept = torch.ones(64 * MIB // 4)
    assert resident() - before >= 60 * MIB
    peak = measure(lambda: None, ResidentMeter())
    assert peak.reserved >= kept.nbytes
    assert peak.context == 0


class FakeCuda:
    """A card on which this process holds a context of 0.4 GiB and, at the end, 2 GiB of tensors; 3 at most."""

    def synchronize(self) -> None:
        """Nothing runs."""

    def mem_get_info(self, device: int) -> tuple[int, int]:
        """Free and total bytes."""
        return int(77.6 * GIB), 80 * GIB

    def memory_reserved(self, device: int) -> int:
        """Of the allocator at this moment."""
        return 2 * GIB

    def max_memory_reserved(self, device: int) -> int:
        """Of the allocator at most."""
        return 3 * GIB


def test_the_context_is_what_the_allocator_does_not_explain() -> None:
    peak = measure(lambda: None, CudaMeter(FakeCuda(), lambda: 80 * GIB))
    assert peak.reserved == 3 * GIB
    assert peak.context == pytest.approx(0.4 * GIB, rel=1e-6)


def test_memory_that_others_gave_back_is_no_negative_context() -> None:
    assert measure(lambda: None, CudaMeter(FakeCuda(), lambda: 60 * GIB)).context == 0


def test_a_process_of_its_own_measures_and_the_answer_is_kept(tmp_path: Path) -> None:
    plan, slot = make_plan(tmp_path), Slot(0)
    small = probe.probe(replace(plan, fingerprint="small"), slot, command(tmp_path, "held = held[:1]"))
    peak = probe.probe(plan, slot, command(tmp_path, "more = bytes(held)"))
    assert peak.reserved - small.reserved >= 150 * MIB  # a second copy of 256 MiB, of which some may be shared
    kept = json.loads((tmp_path / "state/tune/toy/probe.json").read_text())
    assert kept == {"fingerprint": "f1", "device": "cpu", "reserved": peak.reserved, "context": 0}
    assert probe.probe(plan, slot, ["false"]) == peak
    with pytest.raises(StudyError):
        probe.probe(replace(plan, fingerprint="f2"), slot, ["false"])


def test_a_probe_that_fails_says_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"(?s)'width': 256.*no such thing.*--per-gpu") as caught:
        probe.probe(make_plan(tmp_path), Slot(0), command(tmp_path, "raise MemoryError('no such thing')"))
    assert "secret" not in str(caught.value)


def test_the_password_reaches_no_file(tmp_path: Path) -> None:
    spy = tmp_path / "spy.py"
    spy.write_text(f"import pathlib, sys; pathlib.Path({str(tmp_path)!r}, 'seen').write_text(open(sys.argv[1]).read())")
    with pytest.raises(StudyError):
        probe.probe(make_plan(tmp_path), Slot(0), [sys.executable, str(spy)])
    assert "secret" not in (tmp_path / "seen").read_text()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch sees")
def test_a_gpu_is_measured(tmp_path: Path) -> None:
    from sclandmarks.tune.cards import visible_gpus

    def train() -> None:
        kept = torch.ones(GIB // 4, device="cuda")
        (kept[: 1 << 20].reshape(1024, 1024) @ kept[: 1 << 20].reshape(1024, 1024)).sum().item()

    peak = measure(train, CudaMeter(torch.cuda, lambda: visible_gpus()[0].free))
    assert GIB <= peak.reserved < 1.5 * GIB
    assert 100 * MIB < peak.context < 2 * GIB


def test_peak_has_at_least_a_byte() -> None:
    assert Peak(0).whole == 1
