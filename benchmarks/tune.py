"""What a study costs beside the trials themselves: `python benchmarks/tune.py [PART ...] [--repeats N]`.

`overhead`: trials of zero work, beside plain Optuna on the same storage. `workers`: one study with 1 and with 2
workers. `batched`: networks of one shape trained at once, beside one after the other and beside processes. Values are
made up, of the size of the pancreas data with a third of its genes; runs alternate, and the best one counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from scipy import sparse

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import FitSearch, PaperNetworkPredictor, load_params
from sclandmarks.predict import PREDICTORS
from sclandmarks.tune.batched import fit_together
from sclandmarks.tune.launcher import launch
from sclandmarks.tune.objective import Outcome, Report
from sclandmarks.tune.plan import Context, Plan
from sclandmarks.tune.slots import cpu_slots
from sclandmarks.tune.space import suggest
from sclandmarks.tune.worker import main as work
from sclandmarks.tune.worker import run_worker

ROOT = Path(__file__).parents[1]
N_CELLS, N_GENES, N_LANDMARKS, EPOCHS = 1549, 2700, 300, 8
SPACE = {"dropout": {"low": 0.0, "high": 0.7}, "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}


def made_task(batch_size: int) -> Task:
    """Values around 20 factors, a quarter of them non-zero; one in ten cells held back."""
    rng = np.random.default_rng(0)
    loadings = rng.gamma(0.3, size=(20, N_GENES)) * rng.lognormal(0, 1, N_GENES) * 0.2
    counts = rng.poisson(rng.dirichlet(np.full(20, 0.3), N_CELLS) @ loadings * 20)
    X_CG = sparse.csr_matrix(np.log10(counts + 1).astype(np.float32))
    train, held_back = X_CG[N_CELLS // 10 :], X_CG[: N_CELLS // 10]
    batches = MemoryBatches(train, batch_size), MemoryBatches(held_back, batch_size)
    return Task(*batches, *split_genes(N_GENES, list(range(N_LANDMARKS))))


def network(**changes: Any) -> PaperNetworkPredictor:
    """The study's network of params.yaml, of a fixed number of epochs."""
    base = load_params(ROOT / "params.yaml").predictors["paper_network"].model_dump()
    return PaperNetworkPredictor.model_validate({**base, "max_epochs": EPOCHS, "patience": EPOCHS, **changes})


class Nothing:
    """A trial of zero work."""

    directions = ("minimize",)

    def __call__(self, settings: Mapping[str, Any], report: Report, folder: Path) -> Outcome:
        """Return at once."""
        return Outcome((float(settings["dropout"]),))


class Training:
    """A trial that fits a network to the made-up values."""

    directions = ("minimize",)

    def __init__(self) -> None:
        self.task = made_task(network().batch_size)

    def __call__(self, settings: Mapping[str, Any], report: Report, folder: Path) -> Outcome:
        """Fit."""
        fitted = PREDICTORS["paper_network"](self.task, network(**settings), Hooks())
        return Outcome((float(fitted.chosen["validation_mse"]),))


def made_plan(folder: Path, trials: int, workers: int, sampler: str = "random") -> Plan:
    """Plan a study in a folder, on a journal."""
    params = load_params(ROOT / "params.yaml")
    search = params.tune.fit.model_dump() | {"space": SPACE, "sampler": sampler, "pruner": "none"}
    context = Context(prepare=params.prepare, noise=params.noise, runtime=params.runtime)
    return Plan(
        name="bench",
        task="fit",
        storage=f"journal:{folder / 'journal.log'}",
        folder=str(folder),
        trials=trials,
        workers=workers,
        search=FitSearch.model_validate(search),
        base=params.predictors["paper_network"],
        n_landmarks=None,
        context=context,
        root=str(folder),
        fingerprint="bench",
    )


def in_folder(run: Callable[[Path], object]) -> float:
    """Seconds of a call in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        begin = time.perf_counter()
        run(Path(name))
        return time.perf_counter() - begin


def plain(folder: Path, trials: int, sampler: str) -> None:
    """The same study by Optuna's own loop."""
    file = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    chosen = optuna.samplers.RandomSampler(0) if sampler == "random" else optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(storage=optuna.storages.JournalStorage(file), study_name="bench", sampler=chosen)
    space = made_plan(folder, trials, 1).search.space
    study.optimize(lambda trial: suggest(trial, space)["dropout"], n_trials=trials)


def overhead(repeats: int, trials: int = 100) -> None:
    """Milliseconds a trial of zero work, ours and plain Optuna's, in turns."""
    print(f"\n{trials} trials of zero work, one worker, journal, ms a trial\n")
    print("| sampler | ours | plain Optuna | ratio |\n| --- | --- | --- | --- |")
    for sampler in ("random", "tpe"):
        times = [
            (
                in_folder(lambda folder, s=sampler: run_worker(made_plan(folder, trials, 1, s), Nothing(), None)),
                in_folder(lambda folder, s=sampler: plain(folder, trials, s)),
            )
            for _ in range(repeats)
        ]
        ours, theirs = (min(each) / trials * 1000 for each in zip(*times, strict=True))
        print(f"| {sampler} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.1f} |", flush=True)


def workers(repeats: int, trials: int = 12) -> None:
    """Wall time of one study with 1 and 2 workers, start of the processes included; processor time beside it."""
    print(f"\n{trials} trials of {EPOCHS} epochs, wall time with the start of the workers\n")
    print("| workers | s | processor s | gain |\n| --- | --- | --- | --- |")
    runs: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for _ in range(repeats):
        for n, seen in runs.items():
            used = child_seconds()
            wall = in_folder(lambda folder, n=n: launch_made(made_plan(folder, trials, n)))
            seen.append((wall, child_seconds() - used))
    first = min(runs[1])[0]
    for n, seen in runs.items():
        wall, cpu = min(seen)
        print(f"| {n} | {wall:.1f} | {cpu:.1f} | {first / wall:.2f} |", flush=True)


def launch_made(plan: Plan) -> None:
    """Run a study of made-up trials by worker processes."""
    launch(plan, None, cpu_slots(plan.workers), lambda: None, (sys.executable, __file__, "--work"))


def child_seconds() -> float:
    """Processor time of all children that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def batched(repeats: int, members: int = 8) -> None:
    """Networks of one shape: one after the other, at once, and both in two processes."""
    for width in (16, 48, 128):
        print(f"\n{members} networks of width {width}, {EPOCHS} epochs, one thread a process; data made before\n")
        print("| how | longest wall s | processor s a network | MiB, all processes |\n| --- | --- | --- | --- |")
        for processes in (1, 2):
            for how in ("apart", "at once"):
                runs = [fitting(how, width, members // processes, processes) for _ in range(repeats)]
                wall, cpu, memory = (min(run[i] for run in runs) for i in range(3))
                what = f"{how}, {processes} process" + "es" * (processes > 1)
                print(f"| {what} | {wall:.2f} | {cpu / members:.2f} | {memory:.0f} |", flush=True)


def fitting(how: str, width: int, members: int, processes: int) -> tuple[float, float, float]:
    """Longest wall seconds, processor seconds and MiB of processes that fit so many networks each."""
    command = [sys.executable, __file__, "--fit", how, str(width), str(members)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    told = [json.loads(child.communicate()[0]) for child in children]
    return max(each["wall"] for each in told), sum(each["cpu"] for each in told), sum(each["mib"] for each in told)


def fit(how: str, width: int, members: int) -> None:
    """Fit in this process; print what it took."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    settings = [network(width=width, seed=seed, learning_rate=1e-3 * (1 + seed / 10)) for seed in range(members)]
    task = made_task(settings[0].batch_size)
    PREDICTORS["paper_network"](task, network(width=width, max_epochs=1), Hooks())  # warm
    wall, cpu = time.perf_counter(), time.process_time()
    if how == "apart":
        for each in settings:
            PREDICTORS["paper_network"](task, each, Hooks())
    else:
        fit_together(task, settings, [Hooks()] * members)
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "mib": mib}))


def main() -> None:
    """Run the parts that are named, or all."""
    parts = {"overhead": overhead, "workers": workers, "batched": batched}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(parts), help=", ".join(parts))
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name in given.parts:
        parts[name](given.repeats)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fit"]:
        fit(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["--work"]:
        sys.exit(work(sys.argv[2:], lambda plan: Training()))
    else:
        main()
