"""Predictors on the same panels: DeepImpute's network beside ours, on all genes that the panel does not measure."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from peers.child import used
from peers.judge import Arena, Row, digest, left, named, results
from peers.launch import Setup, run
from peers.register import BASELINE, L1000
from sclandmarks import paths
from sclandmarks.evaluate.studies.judge import COMMON, Judge
from sclandmarks.evaluate.studies.prefix import BLOCK
from sclandmarks.evaluate.studies.scores import Resampled, Score, captured, minus
from sclandmarks.io.atomic import write_text
from sclandmarks.io.learning import batch_order
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import IntArray, MemoryBatches
from sclandmarks.moments import gene_means
from sclandmarks.params import load_params
from sclandmarks.predict import PREDICTORS

PANELS = {L1000: 910, BASELINE: 100}  # panel -> size
OURS = ("ridge", "reduced_rank", "kernel", "paper_network", "d_gex", "network")
THEIRS = {"deepimpute": "wMSE", "deepimpute_mse": "mean_squared_error"}  # name -> its loss; the first is its own
REFERENCE, LINE = "reduced_rank", "ridge"  # what differences and what ratios are taken to


def predict_theirs(setup: Setup, arena: Arena, places: IntArray, name: str) -> tuple[Any, Row]:
    """Predictions of the test cells by DeepImpute's network, on our scale, and what they cost."""
    stem = arena.folder / "results" / f"{name}-{digest(places)}"
    given, out, log = stem.with_suffix(".panel.npz"), stem.with_suffix(".npz"), stem.with_suffix(".log")
    scale = np.float32(np.log(load_params(arena.folder / paths.PARAMS).prepare.log_base))
    np.savez(given, places=places, test_CL=arena.cohort.test.X_CG[:, places].toarray() * scale)
    files = [str(path) for path in (arena.folder, given, out)]
    found = run(setup, [str(setup.python), "-m", "peers.impute_child", *files, THEIRS[name]], log)
    if found["status"] != "ok":
        return None, found
    parts = np.load(out)
    seconds, cpu, peak_mib = parts["costs"].tolist()
    return parts["predicted_CT"] / scale, {"status": "ok", "seconds": seconds, "cpu": cpu, "peak_mib": peak_mib}


def predict_ours(arena: Arena, places: IntArray, name: str, targets: IntArray | None = None) -> tuple[Any, Row]:
    """Predictions by a predictor of ours with the settings of params.yaml; without `targets` of all other genes."""
    params = load_params(arena.folder / paths.PARAMS)
    settings = params.predictors[name]
    train, held_back = (MemoryBatches(matrix.X_CG, *batch_order(settings)) for matrix in arena.cohort[:2])
    inputs, others = split_genes(train.n_genes, places.tolist())
    outputs = others if targets is None else torch.from_numpy(targets)
    task = Task(train, held_back, inputs, outputs, log_base=params.prepare.log_base)
    began, before = time.perf_counter(), used()
    module = PREDICTORS[settings.method](task, settings, Hooks()).module
    costs = {"status": "ok", "seconds": time.perf_counter() - began, "cpu": used() - before}
    with torch.no_grad():
        return module(torch.from_numpy(arena.cohort.test.X_CG[:, places].toarray())).numpy(), costs


def open_judge(arena: Arena, places: IntArray) -> Judge:
    """Judge on all genes but the panel's."""
    sets = {COMMON: left(arena.cohort.train.n_genes, [places])}
    return Judge(arena.cohort.test.X_CG, gene_means([arena.cohort.train.X_CG]), sets, arena.floor)


def score(arena: Arena, places: IntArray, predicted_CT: Any) -> Score:
    """Errors of predictions of all genes but the panel's, in the order of the matrix."""
    judge = open_judge(arena, places)
    whole_CG = np.zeros((len(predicted_CT), arena.cohort.train.n_genes), dtype=np.float32)
    whole_CG[:, judge.sets[COMMON]] = predicted_CT
    blocks = iter(torch.from_numpy(whole_CG).split(BLOCK))
    return judge.score(lambda _: next(blocks), arena.cohort.test.X_CG[:, places], places)[COMMON]


def panels(arena: Arena) -> dict[str, IntArray]:
    """The panels that are predicted from, those of them that have been chosen."""
    found = {name: results(arena.folder, size, [name]).get(name, {}) for name, size in PANELS.items()}
    return {name: arena.places(row["genes"]) for name, row in found.items() if row.get("genes")}


def kept(arena: Arena, panel: str, name: str, places: IntArray) -> Path:
    """The file of one prediction's errors, by its panel and its settings."""
    known = THEIRS.get(name) or repr(load_params(arena.folder / paths.PARAMS).predictors[name].model_dump())
    key = hashlib.sha256(known.encode()).hexdigest()[:8]
    return arena.folder / "results" / f"predict-{panel}-{name}-{digest(places)}-{key}.json"


def run_all(setup: Setup, arena: Arena, names: Sequence[str] | None = None) -> None:
    """Every predictor, or those named, on every panel; what is there is kept."""
    for panel, places in panels(arena).items():
        for name in names or (*OURS, *THEIRS):
            path = kept(arena, panel, name, places)
            if path.exists():
                continue
            theirs = name in THEIRS
            found = predict_theirs(setup, arena, places, name) if theirs else predict_ours(arena, places, name)
            predicted_CT, row = found
            row["sse_C"] = None if predicted_CT is None else score(arena, places, predicted_CT).sse_C.tolist()
            write_text(path, json.dumps(row))
            print(f"{arena.folder.name} {name} from {panel}: {row['status']} {row.get('seconds', 0):.1f} s", flush=True)


def over(one: Resampled, other: Resampled) -> Resampled:
    """Paired ratio of two figures on the same resamples."""
    return Resampled(one.value / other.value, one.values_N / other.values_N)


def rows(arena: Arena, dataset: str) -> Iterator[Row]:
    """Captured by every predictor of a panel on all other genes, and its difference to reduced-rank ridge."""
    for panel, places in panels(arena).items():
        zero = open_judge(arena, places).score(
            lambda X_BL: torch.zeros(len(X_BL), arena.cohort.train.n_genes), arena.cohort.test.X_CG[:, places], places
        )[COMMON]
        done = {name: kept(arena, panel, name, places) for name in (*OURS, *THEIRS)}
        ran = {name: json.loads(path.read_text()) for name, path in done.items() if path.exists()}
        errors = {name: row["sse_C"] for name, row in ran.items() if row["sse_C"]}
        figures = {name: captured(replace(zero, sse_C=np.array(sse)), arena.weights_NC) for name, sse in errors.items()}
        for name, row in ran.items():
            about = {"dataset": dataset, "panel": panel, "n_genes": len(places), "predictor": name, **row}
            del about["sse_C"]
            about |= named("captured", figures[name]) if name in figures else {}
            if name in figures and REFERENCE in figures:
                about |= named("difference", minus(figures[name], figures[REFERENCE]))
            if name in figures and LINE in figures:
                about |= named("ratio", over(figures[name], figures[LINE]))
            yield about
