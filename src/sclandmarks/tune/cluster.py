"""Workers of a study on many machines: tasks of a Ray cluster, each with its share of cores and GPUs.

Ray places the tasks and starts them again elsewhere when a node dies. The study itself is as on one machine: each task
runs a launcher with one worker on the same storage, and what a dead node had begun is run again by the others.
Only this module imports ray, which the extra `cluster` installs.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sclandmarks.errors import ParamsError, SclandmarksError, StudyError
from sclandmarks.tune import ledger
from sclandmarks.tune.cards import CONTEXT, RESERVE, Card, read_gpus
from sclandmarks.tune.claims import Silence, sweep
from sclandmarks.tune.crew import COMMAND
from sclandmarks.tune.launcher import Ended, launch, listening
from sclandmarks.tune.loop import Timing
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.slots import GPU_ENV, Slot, thread_env
from sclandmarks.tune.study import open_study

RESTARTS = 10  # of one task, on another node when its own dies
LOCAL = ("journal:", "sqlite:")  # storages of one machine

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Share:
    """What one worker gets of a node.

    Parameters
    ----------
    cpus : int
        Cores, and threads of the worker.
    gpus : float
        Part of a GPU, 1 / N for N workers on each; 0 for none. Ray admits by it; the cap on memory makes it hold.
    """

    cpus: int = 1
    gpus: float = 0.0


def share_of(plan: Plan, per_gpu: int | None, n_gpus: float) -> Share:
    """Share of a node for each worker of a plan.

    Parameters
    ----------
    plan : Plan
        `runtime.threads` cores each, one if null; no GPU where `runtime.device` is cpu.
    per_gpu : int, optional
        Workers a GPU; each has one alone if not given.
    n_gpus : float
        Of the cluster.
    """
    runtime = plan.context.runtime
    wanted = runtime.device == "cuda" or (runtime.device == "auto" and n_gpus > 0)
    return Share(runtime.threads or 1, 1 / (per_gpu or 1) if wanted else 0.0)


def launch_on_ray(
    plan: Plan,
    address: str,
    timeout: float | None,
    on_change: Callable[[], None],
    per_gpu: int | None = None,
    command: Sequence[str] = COMMAND,
    timing: Timing | None = None,
) -> Ended:
    """Run a study to its end on a Ray cluster, or until stopped; the same call goes on with it.

    Parameters
    ----------
    plan : Plan
        Its root is the same folder on every node (a shared file system), as files of trials are written there.
    address : str
        As for ray.init: "auto", "HOST:PORT" or "ray://HOST:PORT".
    timeout : float, optional
        Seconds.
    on_change : callable
        Called every few seconds in this process, and at the end.
    per_gpu : int, optional
        Workers that share a GPU; each has one alone if not given.
    command, timing
        As for `launch`.

    Raises
    ------
    ParamsError
        If ray is not installed, no node can hold one worker, or the storage is of one machine and the cluster is not.
    StudyError
        As `launch`, from any node.
    """
    timing = timing or Timing()
    ray = connect(address)
    share = share_of(plan, per_gpu, ray.cluster_resources().get("GPU", 0.0))
    check_cluster([node for node in ray.nodes() if node["Alive"]], plan.storage, share)
    driver = _Driver(ray, plan, timing, on_change)
    with listening(driver.ask):
        return driver.run(share, timeout, command)


def connect(address: str) -> Any:
    """Connect to a cluster, and return the module ray; one that is connected is left as it is.

    Raises
    ------
    ParamsError
        If ray is not installed, or there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ParamsError("ray, for --ray", "it is not installed", "Install it: pip install 'ray==2.60.*'.") from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, ValueError) as error:
            raise ParamsError(f"a Ray cluster at {address}", str(error), "Start one: `ray start --head`.") from error
    return ray


def check_cluster(nodes: Sequence[Mapping[str, Any]], storage: str, share: Share) -> None:
    """Check that one worker has room on a node, and that all nodes reach the storage.

    Parameters
    ----------
    nodes : sequence of dict
        Living ones, as ray.nodes() describes them.
    storage : str
    share : Share

    Raises
    ------
    ParamsError
    """
    hosts = {node["NodeManagerHostname"] for node in nodes}
    if len(hosts) > 1 and storage.startswith(LOCAL):
        raise ParamsError(
            "a storage that all machines reach",
            f"{storage.partition(':')[0]}: and a cluster of {len(hosts)} machines",
            "Give --storage postgresql://... or grpc://HOST:PORT.",
        )
    held = [(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)) for node in nodes]
    if not any(cpus >= share.cpus and gpus >= share.gpus for cpus, gpus in held):
        seen = ", ".join(f"{cpus:g} CPU {gpus:g} GPU" for cpus, gpus in held) or "no node"
        raise ParamsError(
            f"a node with {share.cpus} CPU and {share.gpus:g} GPU free for a worker",
            seen,
            "Lower runtime.threads, or start nodes with `ray start --num-cpus --num-gpus`.",
        )


def slot_on_node(index: int, share: Share, gpus: Sequence[str], cards: Sequence[Card]) -> Slot:
    """Slot of a worker on the node where it runs.

    Parameters
    ----------
    index : int
    share : Share
    gpus : sequence of str
        Numbers of the GPUs that Ray gave the task.
    cards : sequence of Card
        All GPUs of the node.
    """
    env = thread_env(share.cpus)
    if not gpus:
        return Slot(index, threads=share.cpus, env=env)
    card = next((card for place, card in enumerate(cards) if gpus[0] in (str(place), card.name)), None)
    name, part = card.name if card else gpus[0], min(1.0, share.gpus) * (1 - RESERVE)
    return Slot(
        index,
        device=f"cuda:{name}",
        threads=share.cpus,
        memory_fraction=max(0.0, part - CONTEXT / card.total) if card else part,
        need=int(part * card.total) if card else 0,
        context=CONTEXT,
        env={**env, **GPU_ENV, "CUDA_VISIBLE_DEVICES": name},
    )


def _work(index: int, plan_json: str, share: Share, command: Sequence[str], timing: Mapping[str, float]) -> Ended:
    """Run a launcher with one worker on the node where Ray put this task."""
    import ray

    plan = Plan.from_json(plan_json)
    try:
        os.chdir(plan.root)
    except OSError as error:
        raise StudyError(
            f"the repository at {plan.root} on every node", str(error), "Put it on a shared file system."
        ) from error
    gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    slot = slot_on_node(index, share, gpus, read_gpus() if gpus else [])
    return launch(plan, None, [slot], lambda: None, command, Timing(**timing))


class _Driver:
    def __init__(self, ray: Any, plan: Plan, timing: Timing, on_change: Callable[[], None]) -> None:
        self.ray, self.plan, self.timing, self.on_change = ray, plan, timing, on_change
        self.room = open_study(plan, timing.patience)
        self.silence = Silence(timing.grace)
        self.asked = 0

    def ask(self) -> None:
        self.asked += 1

    def run(self, share: Share, timeout: float | None, command: Sequence[str]) -> Ended:
        begin, tasks = time.monotonic(), [] if self._is_over() else self._start(share, command)
        try:
            while tasks and not self.asked and (timeout is None or time.monotonic() - begin < timeout):
                done, tasks = self.ray.wait(tasks, timeout=self.timing.record)
                for task in done:
                    self._collect(task)
                self._look()
                if self._is_over():
                    break
        finally:
            self._stop(tasks)
            self._look(free=True)
        late = bool(tasks) and not self.asked
        return "over" if self._is_over() else "timeout" if late else "stopped"

    def _start(self, share: Share, command: Sequence[str]) -> list[Any]:
        work, given = self.ray.remote(_work), (self.plan.to_json(), share, list(command), asdict(self.timing))
        options = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_retries": RESTARTS}
        return [
            work.options(**options, scheduling_strategy="SPREAD", name=f"{self.plan.name}-{k}").remote(k, *given)
            for k in range(self.plan.workers)
        ]

    def _collect(self, task: Any) -> None:
        """Raise what ended a task, in the user's terms."""
        try:
            self.ray.get(task)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, SclandmarksError):
                raise error.cause from None
            raise
        except self.ray.exceptions.RayError as error:
            raise StudyError(
                f"nodes that live: a worker is started again {RESTARTS} times", str(error), "Mend them, and run again."
            ) from error

    def _look(self, free: bool = False) -> None:
        with self.room.store.claim():
            sweep(self.room, self.silence, free)
        try:
            self.on_change()
        except Exception:
            _log.exception("the study could not be recorded; it is tried again")

    def _is_over(self) -> bool:
        return ledger.is_over(self.room.study.get_trials(deepcopy=False), self.plan.trials)

    def _stop(self, tasks: Sequence[Any]) -> None:
        """Let workers leave their trials, then end them."""
        for task in tasks:
            self.ray.cancel(task, force=False, recursive=False)
        _, left = self.ray.wait(list(tasks), num_returns=len(tasks), timeout=self.timing.stop) if tasks else ([], [])
        for task in left:
            self.ray.cancel(task, force=True)
