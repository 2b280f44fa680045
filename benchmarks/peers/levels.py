"""How many genes of plain greedy give what L1000 gives when both panels have another predictor than reduced rank."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from peers.judge import CONFIDENCE, CURVE, Arena, Row, digest, left, results
from peers.predictors import predict_ours
from peers.register import BASELINE, L1000
from sclandmarks import paths
from sclandmarks.evaluate.studies.crossing import cross
from sclandmarks.evaluate.studies.judge import COMMON, Judge
from sclandmarks.evaluate.studies.scores import Resampled, captured
from sclandmarks.io.atomic import write_text
from sclandmarks.matrix import IntArray
from sclandmarks.moments import gene_means
from sclandmarks.params import load_params

PREDICTOR = "kernel"
SIZES = (20, 25, 30, 35, 40, 50, 60, 80, 100)


def places_of(arena: Arena) -> tuple[IntArray, IntArray] | None:
    """L1000's genes and plain greedy's order; None where one has not run."""
    found = results(arena.folder, CURVE[-1], [L1000, BASELINE])
    if not all(found.get(name, {}).get("genes") for name in (L1000, BASELINE)):
        return None
    return arena.places(found[L1000]["genes"]), arena.places(found[BASELINE]["genes"])


def kept(arena: Arena, panel: IntArray, targets: IntArray) -> Path:
    """The file of one fit's errors, by its genes and its settings."""
    known = repr(load_params(arena.folder / paths.PARAMS).predictors[PREDICTOR].model_dump())
    key = hashlib.sha256(f"{known} {digest(targets)}".encode()).hexdigest()[:8]
    return arena.folder / "results" / f"level-{PREDICTOR}-{digest(panel)}-{key}.json"


def errors(arena: Arena, panel: IntArray, targets: IntArray) -> list[float]:
    """Squared error of every test cell on the targets, predicted from the panel."""
    predicted_CT, _ = predict_ours(arena, panel, PREDICTOR, targets)
    test_CT = arena.cohort.test.X_CG[:, targets].toarray()
    sse_C: list[float] = np.square(predicted_CT - test_CT).sum(1, dtype=np.float64).tolist()
    return sse_C


def run_all(arena: Arena) -> None:
    """L1000 and every size; what is there is kept."""
    if (orders := places_of(arena)) is None:
        return
    l1000, order = orders
    targets = np.flatnonzero(left(arena.cohort.train.n_genes, orders))
    for panel in (l1000, *(order[:size] for size in SIZES)):
        if not (path := kept(arena, panel, targets)).exists():
            write_text(path, json.dumps(errors(arena, panel, targets)))
            print(f"{arena.folder.name} {PREDICTOR} from {len(panel)} genes", flush=True)


def rows(arena: Arena, dataset: str) -> Iterator[Row]:
    """The row of plain greedy; none where fits are missing."""
    if (orders := places_of(arena)) is None:
        return
    l1000, order = orders
    mask_G = left(arena.cohort.train.n_genes, orders)
    files = [kept(arena, panel, np.flatnonzero(mask_G)) for panel in (l1000, *(order[:size] for size in SIZES))]
    if not all(path.exists() for path in files):
        return
    judge = Judge(arena.cohort.test.X_CG, gene_means([arena.cohort.train.X_CG]), {COMMON: mask_G}, arena.floor)
    zero = judge.score(lambda X_BL: torch.zeros(len(X_BL), len(mask_G)), judge.test_CG[:, l1000], l1000)[COMMON]

    def figure(path: Path) -> Resampled:
        return captured(replace(zero, sse_C=np.array(json.loads(path.read_text()))), arena.weights_NC)

    level, *curve = map(figure, files)
    crossing = cross(list(SIZES), curve, level, CONFIDENCE)
    about = {"dataset": dataset, "panel": BASELINE, "predictor": PREDICTOR, "n_l1000": len(l1000)}
    yield about | {"l1000": level.value, **crossing._asdict()}
