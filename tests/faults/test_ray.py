"""A study on a Ray cluster of three nodes on this machine: a node is killed, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_server import find_postgres, server
from quick_launch import QUICK_TIMING
from quick_study import COMMAND, quick_plan
from study_audit import Audit, audit

from sclandmarks.errors import StudyError
from sclandmarks.tune.cluster import launch_on_ray
from sclandmarks.tune.plan import Plan

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray", reason="ray is not installed: the extra `cluster`")

POSTGRES, REASON = find_postgres()
N_NODES = 3


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three nodes of two cores each, and a head that takes no work."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("QUICK", json.dumps({"seconds": 0.5}))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    small = {"object_store_memory": 80 * 1024 * 1024, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    for _ in range(N_NODES):
        cluster.add_node(num_cpus=2, **{**small, "include_dashboard": None})
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def children(pid: int) -> list[int]:
    """Processes that one has started."""
    return [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]


def power_off(cluster: Any, node: Any) -> None:
    """Kill a node with its tasks, as when its machine is gone; Ray alone would leave tasks behind that run on."""
    (raylet,) = node.all_processes["raylet"]
    os.kill(raylet.process.pid, signal.SIGSTOP)  # it must not replace its tasks
    for pid in [raylet.process.pid, *children(raylet.process.pid)]:
        os.kill(pid, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)


def kill_a_node(cluster: Any, plan: Plan, after: int, seen: list[int]) -> threading.Thread:
    """Kill the node that runs a task, when so many trials have ended; note how many had ended then."""

    def watch() -> None:
        while len(lines(plan, "ended.txt")) < after:
            time.sleep(0.05)
        while (
            node := next((node for node in cluster.worker_nodes if running(plan) & descendants(node)), None)
        ) is None:
            time.sleep(0.01)
        power_off(cluster, node)
        seen.append(len(lines(plan, "ended.txt")))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def running(plan: Plan) -> set[int]:
    """Workers in the midst of a trial."""
    return {int(line.split()[1]) for line in set(lines(plan, "begun.txt")) - set(lines(plan, "ended.txt"))}


def descendants(node: Any) -> set[int]:
    """Workers of the study on a node: started by the launchers that its tasks are."""
    (raylet,) = node.all_processes["raylet"]
    return {worker for task in children(raylet.process.pid) for worker in children(task)}


def lines(plan: Plan, name: str) -> list[str]:
    """What trials noted."""
    file = plan.trial_folder / name
    return file.read_text().splitlines() if file.exists() else []


def living() -> int:
    """Nodes that Ray believes alive, the head included."""
    return sum(bool(node["Alive"]) for node in ray.nodes())


def run(plan: Plan, cluster: Any) -> Audit:
    """Run it on the cluster, one worker a node at first, and one node less later."""
    plan.trial_folder.mkdir(parents=True, exist_ok=True)
    killed_at: list[int] = []
    killer = kill_a_node(cluster, plan, 8, killed_at)
    end = launch_on_ray(plan, cluster.address, None, lambda: None, None, COMMAND, QUICK_TIMING)
    killer.join()
    assert end == "over"
    assert killed_at[0] < plan.trials
    for _ in range(600):  # the head learns of the death a little later
        if living() == N_NODES:
            return audit(plan)
        time.sleep(0.1)
    raise AssertionError(f"{living()} nodes alive")


def test_a_killed_node_costs_no_trial_on_a_journal(cluster: Any, tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, trials=30, workers=N_NODES)
    seen = run(plan, cluster)
    assert (seen.trials, seen.complete, seen.lost, seen.twice, seen.hanging) == (30, 30, 0, 0, 0)
    assert seen.repeats == seen.failed <= 1  # what the lost node had begun, unless it ended in that moment


@pytest.mark.skipif(POSTGRES is None, reason=REASON)
def test_a_killed_node_costs_no_trial_on_postgresql(cluster: Any, tmp_path: Path) -> None:
    with server() as started:
        seen = run(quick_plan(tmp_path, trials=30, workers=N_NODES, storage=started.url), cluster)
    assert (seen.trials, seen.complete, seen.lost, seen.twice, seen.hanging) == (30, 30, 0, 0, 0)
    assert seen.repeats == seen.failed <= 1


def test_a_time_limit_stops_cleanly_and_the_same_call_goes_on(cluster: Any, tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, trials=24, workers=N_NODES)
    plan.trial_folder.mkdir(parents=True, exist_ok=True)
    seen: list[int] = []
    first = launch_on_ray(plan, cluster.address, 4, lambda: seen.append(1), None, COMMAND, QUICK_TIMING)
    assert first == "timeout"
    assert seen
    assert launch_on_ray(plan, cluster.address, None, lambda: None, None, COMMAND, QUICK_TIMING) == "over"
    begun = lines(plan, "begun.txt")
    assert launch_on_ray(plan, cluster.address, None, lambda: None, None, COMMAND, QUICK_TIMING) == "over"
    assert lines(plan, "begun.txt") == begun  # nothing is left to do
    told = audit(plan)
    assert (told.trials, told.complete, told.lost, told.twice, told.hanging) == (24, 24, 0, 0, 0)


def test_what_a_node_says_reaches_the_user(cluster: Any, tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, trials=4, workers=1)
    with pytest.raises(StudyError, match="ended with code 3"):
        launch_on_ray(plan, cluster.address, None, lambda: None, None, ("sh", "-c", "exit 3"), QUICK_TIMING)
