"""Cost of a training step against the machine's own rate of matrix multiplication, measured in the same run.

`python benchmarks/train.py [--width 512] [--batch 256] [--members 2]`: the network of params.yaml at that width, on
made-up cells. The share is (flops of a step / rate) / time of a step: 1 would be a step that does nothing but multiply.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from scipy import sparse

from sclandmarks.learn.task import Pair, Task
from sclandmarks.learn.train import NetworkLearner
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import NetworkPredictor, load_params
from sclandmarks.predict.coded import CodedLearner
from sclandmarks.predict.modules import Network, Spec, build
from sclandmarks.predict.network import open_learner
from sclandmarks.predict.residual import ResidualLearner

N_LANDMARKS, N_TARGETS, RANK = 700, 6500, 20


def main() -> None:
    """Time a step and its parts, and print a Markdown table."""
    options = argparse.ArgumentParser()
    options.add_argument("--width", type=int, default=512)
    options.add_argument("--batch", type=int, default=256)
    options.add_argument("--members", type=int, default=2)
    chosen = options.parse_args()
    torch.set_flush_denormal(True)
    print(f"width {chosen.width}, batch {chosen.batch}, {torch.get_num_threads()} threads\n")
    print("| network | GFLOP a step | its matrix products, ms | a step, ms | share | batch to dense, ms |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, learner in learners(chosen.width, chosen.members, chosen.batch):
        row(name, learner, chosen.batch)


def learners(width: int, members: int, batch: int) -> list[tuple[str, NetworkLearner]]:
    """Ours with the squared error, ours with the weighted one, and the study's."""
    task = made_up(batch)
    settings = load_params().predictors["network"]
    assert isinstance(settings, NetworkPredictor)
    found: list[tuple[str, NetworkLearner]] = []
    for loss in ("mse", "weighted_mse"):
        own = settings.model_copy(update={"width": width, "members": members, "loss": loss})
        found.append((f"network, {loss}", open_learner(ours(own), task, own)))
    theirs = build(Spec("paper_network", N_LANDMARKS, N_TARGETS, width, 1, dropout=0.2))
    optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-3, fused=True)
    return [*found, ("paper_network", NetworkLearner(theirs, optimizer, task, "mse", 0))]


def ours(settings: NetworkPredictor) -> Network:
    """Our network with an orthonormal head."""
    shape = {name: getattr(settings, name) for name in ("width", "depth", "dropout", "input_dropout", "members")}
    module = Network(Spec("network", N_LANDMARKS, N_TARGETS, rank=RANK, **shape))
    torch.nn.init.orthogonal_(module.B_RT)
    return module


def made_up(batch: int) -> Task:
    """Cells with a quarter of values that are not zero."""
    X_CG = sparse.random(4 * batch, N_LANDMARKS + N_TARGETS, 0.25, format="csr", dtype="float32", random_state=0)
    cells, genes = MemoryBatches(X_CG, batch), torch.arange(N_LANDMARKS + N_TARGETS)
    return Task(cells, cells, genes[:N_LANDMARKS], genes[N_LANDMARKS:])


def row(name: str, learner: NetworkLearner, batch: int) -> None:
    """Print the line of one network; times alternate, so that load on the machine hits both."""
    pair = next(learner.task.pairs(learner.task.train.in_order()))
    products = [(torch.randn(e, n, k), torch.randn(e, k, m)) for e, n, k, m in shapes(learner, batch)]
    flops = sum(2 * a.shape[0] * a.shape[1] * a.shape[2] * b.shape[2] for a, b in products)
    alone, step = fastest(lambda: [torch.bmm(a, b) for a, b in products], lambda: one_step(learner, pair))
    dense, _ = fastest(lambda: next(learner.task.pairs(learner.task.train.in_order())), lambda: None)
    times = f"{1e3 * alone:.1f} | {1e3 * step:.1f} | {alone / step:.0%} | {1e3 * dense:.1f}"
    print(f"| {name} | {flops / 1e9:.2f} | {times} |", flush=True)


def shapes(learner: NetworkLearner, batch: int) -> list[tuple[int, int, int, int]]:
    """Matrix products of a step as (how many, n, k, m): forward, and for each trained weight backward."""
    if not isinstance(learner, ResidualLearner):
        hidden = learner.module[0].out_features  # type: ignore[index,union-attr]
        first, last = (1, batch, N_LANDMARKS, hidden), (1, batch, hidden, N_TARGETS)
        return [first, last, *backward(first)[1:], *backward(last)]
    members, _, width = learner.network.first_ELH.shape
    first, last = (members, batch, N_LANDMARKS, width), (members, batch, width, RANK)
    inner = [(members, batch, width, width)] * len(learner.network.blocks)
    found = [first, *inner, last, *backward(first)[1:], *(each for one in inner for each in backward(one))]
    found += [*backward(last), (1, batch, N_LANDMARKS, RANK)]
    if isinstance(learner, CodedLearner):
        return found
    head = (members, batch, RANK, N_TARGETS)
    return [*found, head, *backward(head)]


def backward(product: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    """Products of the gradients of its inputs and of its weights."""
    e, n, k, m = product
    return [(e, n, m, k), (e, k, n, m)]


def one_step(learner: NetworkLearner, pair: Pair) -> None:
    """One step of the optimiser on a batch that is dense already."""
    learner.module.train()
    learner.optimizer.zero_grad(set_to_none=True)
    learner.objective(*pair).backward()  # type: ignore[no-untyped-call]
    learner.optimizer.step()
    learner.after_step()


def fastest(first: Callable[[], object], second: Callable[[], object], repeats: int = 40) -> tuple[float, float]:
    """Least times of two calls that take turns, in seconds; of one thread its own, which leaves out when it waits."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, found in zip((first, second), times, strict=True):
            begin = clock()
            call()
            found.append(clock() - begin)
    return min(times[0]), min(times[1])


if __name__ == "__main__":
    main()
