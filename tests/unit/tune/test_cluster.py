"""What is checked and planned before anything runs on a Ray cluster; no ray needed."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sclandmarks.errors import ParamsError
from sclandmarks.tune import run
from sclandmarks.tune.cards import CONTEXT, GIB, Card
from sclandmarks.tune.cluster import Share, check_cluster, connect, share_of, slot_on_node


def node(host: str = "a", cpus: float = 4, gpus: float = 0) -> dict[str, Any]:
    """As ray.nodes() has it."""
    return {"NodeManagerHostname": host, "Resources": {"CPU": cpus} | ({"GPU": gpus} if gpus else {})}


@pytest.mark.parametrize("storage", ["journal:state/j.log", "sqlite:///s.db"])
def test_a_storage_of_one_machine_is_refused_on_several(storage: str) -> None:
    check_cluster([node(), node()], storage, Share())
    check_cluster([node("a"), node("b")], "postgresql://u:secret@h/d", Share())
    with pytest.raises(ParamsError, match=r"cluster of 2 machines.*postgresql://"):
        check_cluster([node("a"), node("b")], storage, Share())


@pytest.mark.parametrize(
    ("nodes", "share"),
    [([node()], Share(cpus=5)), ([node(gpus=1), node(cpus=8)], Share(cpus=8, gpus=0.5)), ([], Share())],
)
def test_a_worker_that_no_node_can_hold_is_refused(nodes: list[dict[str, Any]], share: Share) -> None:
    with pytest.raises(ParamsError, match="ray start --num-cpus"):
        check_cluster(nodes, "postgresql://h/d", share)


@pytest.mark.parametrize(
    ("device", "threads", "per_gpu", "n_gpus", "share"),
    [
        ("auto", None, None, 0.0, Share(1, 0.0)),
        ("auto", 3, 4, 2.0, Share(3, 0.25)),
        ("cpu", None, 4, 2.0, Share(1, 0.0)),
        ("cuda", None, None, 0.0, Share(1, 1.0)),
    ],
)
def test_a_worker_s_share_follows_the_settings(
    device: str, threads: int | None, per_gpu: int | None, n_gpus: float, share: Share
) -> None:
    runtime = SimpleNamespace(device=device, threads=threads)
    plan: Any = SimpleNamespace(context=SimpleNamespace(runtime=runtime))
    assert share_of(plan, per_gpu, n_gpus) == share


def test_a_cpu_task_gets_its_threads() -> None:
    slot = slot_on_node(2, Share(cpus=3), [], [])
    assert (slot.index, slot.device, slot.threads, slot.env["OMP_NUM_THREADS"]) == (2, "cpu", 3, "3")


def test_a_gpu_task_gets_its_part_of_the_card_that_ray_chose() -> None:
    cards = [Card("GPU-aa", 80 * GIB, 80 * GIB), Card("GPU-bb", 40 * GIB, 40 * GIB)]
    slot = slot_on_node(0, Share(cpus=2, gpus=0.25), ["1"], cards)
    assert slot.gpu == slot.env["CUDA_VISIBLE_DEVICES"] == "GPU-bb"
    assert slot.memory_fraction == pytest.approx(0.25 * 0.95 - CONTEXT / (40 * GIB))
    assert slot.need == int(0.25 * 0.95 * 40 * GIB)
    whole = slot_on_node(0, Share(gpus=2.0), ["0", "1"], cards)
    assert whole.memory_fraction == pytest.approx(0.95 - CONTEXT / (80 * GIB))


def test_four_quarters_never_exceed_the_card() -> None:
    card = Card("GPU-aa", 80 * GIB, 80 * GIB)
    slots = [slot_on_node(i, Share(gpus=0.25), ["0"], [card]) for i in range(4)]
    assert sum((slot.memory_fraction or 0) * card.total + slot.context for slot in slots) <= 0.96 * card.total


def test_a_card_that_nvidia_smi_does_not_list_keeps_ray_s_name() -> None:
    slot = slot_on_node(0, Share(gpus=1.0), ["7"], [])
    assert slot.gpu == "7"
    assert slot.memory_fraction == pytest.approx(0.95)


def test_ray_that_is_not_installed_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ParamsError, match="pip install 'ray"):
        connect("auto")


def test_the_command_s_choices_reach_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(run, "launch_on_ray", lambda *given: seen.extend(given))
    plan, on_change = object(), print
    run.on_ray("auto", 3)(plan, 60.0, [], on_change)  # type: ignore[arg-type]
    assert seen == [plan, "auto", 60.0, on_change, 3]
