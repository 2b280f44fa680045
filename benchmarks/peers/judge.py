"""Panels of all peers on the same test cells: captured on common targets, and paired differences to plain greedy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from peers.data import read_cohorts
from peers.launch import has_run, over_below, read, result_path
from peers.register import BASELINE, CONTROLS, L1000, OURS, PEERS, ranks
from sclandmarks import paths
from sclandmarks.evaluate.bootstrap import resample
from sclandmarks.evaluate.noise import NoiseFloor
from sclandmarks.evaluate.studies.cohort import Cohort
from sclandmarks.evaluate.studies.crossing import cross
from sclandmarks.evaluate.studies.judge import COMMON, Judge, fit_order, floor_of
from sclandmarks.evaluate.studies.prefix import LowRank
from sclandmarks.evaluate.studies.scores import Resampled, Score, captured, minus, to_interval
from sclandmarks.matrix import IntArray
from sclandmarks.moments import gene_means
from sclandmarks.params import load_params

N_BOOTSTRAP, CONFIDENCE = 1000, 0.95
LARGEST = 910  # what ranks is run for this size
CURVE = (10, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80, 100, 130, 160, 200, 300)
Row = dict[str, Any]


@dataclass(frozen=True)
class Arena:
    """What all panels of a data set are judged by.

    Parameters
    ----------
    folder : pathlib.Path
    cohort : Cohort
        Processed values.
    floor : NoiseFloor
        Of the test cells, over the resamples `weights_NC`.
    weights_NC : numpy.ndarray, shape (n_bootstrap, n_cells)
    max_rank : int
    """

    folder: Path
    cohort: Cohort
    floor: NoiseFloor
    weights_NC: Any
    max_rank: int

    def places(self, genes: Sequence[str]) -> IntArray:
        """Columns of genes."""
        return self.cohort.train.positions(genes)


def open_arena(folder: Path) -> Arena:
    """Read a data set and measure the noise of its test cells."""
    params = load_params(folder / paths.PARAMS)
    values, counts = read_cohorts(folder)
    settings = params.studies.model_copy(update={"n_bootstrap": N_BOOTSTRAP})
    floor = floor_of(counts.test, settings, params.prepare, params.noise)
    weights_NC = resample(values.test.cells, N_BOOTSTRAP, settings.seed).weights_NC
    return Arena(folder, values, floor, weights_NC, settings.max_rank)


def results(folder: Path, size: int, names: Sequence[str] = (*OURS, *PEERS)) -> dict[str, Row]:
    """Results for a size, by name; a ranking is cut to it. What has not run, or with other settings, is left out.

    What ran over the limit for a smaller panel of the same data set is `untried`, with that size as `why`.
    """
    found = {}
    for name in names:
        path = result_path(folder, name, LARGEST if ranks(name) else size)
        if has_run(path, name):
            row = read(path)
            if "genes" in row and name != L1000:
                row["genes"] = row["genes"][:size]
            found[name] = row
        elif smaller := over_below(folder, name, size):
            found[name] = {"status": "untried", "why": f"over the limit at {smaller} genes"}
    return found


def fit(arena: Arena, name: str, order: IntArray, sizes: Sequence[int]) -> dict[int, LowRank]:
    """Reduced-rank ridge on the first genes of an order; fits are kept in the folder by their genes."""
    files = {size: arena.folder / "fits" / f"{name}-{size}-{digest(order[:size])}.safetensors" for size in sizes}
    if not all(path.exists() for path in files.values()):
        for size, fitted in fit_order(arena.cohort, order, sizes, arena.max_rank).items():
            files[size].parent.mkdir(exist_ok=True)
            save_fit(files[size], fitted)
    return {size: load_fit(path) for size, path in files.items()}


def digest(order: IntArray) -> str:
    """Short hash of a panel in its order."""
    return hashlib.sha256(np.asarray(order, dtype=np.int64).tobytes()).hexdigest()[:16]


def save_fit(path: Path, fitted: LowRank) -> None:
    """Write a fit aside, then rename."""
    parts = {name: part.contiguous() for name, part in fitted._asdict().items() if isinstance(part, torch.Tensor)}
    numbers = torch.tensor([fitted.lambda_, fitted.exponent], dtype=torch.float64)
    aside = path.with_suffix(".aside")
    save_file(parts | {"numbers": numbers}, aside)
    aside.replace(path)


def load_fit(path: Path) -> LowRank:
    """Read what `save_fit` wrote."""
    parts = load_file(path)
    lambda_, exponent = parts.pop("numbers").tolist()
    return LowRank(**parts, lambda_=lambda_, exponent=exponent)


def judge(arena: Arena, panels: Mapping[str, IntArray]) -> dict[str, dict[str, Score]]:
    """Score every panel on the genes that none measures, and on those that neither it nor plain greedy measures.

    Returns
    -------
    dict
        Panel -> set of genes (`common`, or the name of a panel: its pair with greedy) -> score.
    """
    n_genes = arena.cohort.train.n_genes
    sets = {COMMON: left(n_genes, panels.values())}
    sets |= {name: left(n_genes, (order, panels[BASELINE])) for name, order in panels.items() if BASELINE in panels}
    found = {}
    for name, order in panels.items():
        wanted = sets if name == BASELINE else {key: sets[key] for key in (COMMON, name) if key in sets}
        one = Judge(arena.cohort.test.X_CG, gene_means([arena.cohort.train.X_CG]), wanted, arena.floor)
        found[name] = one.score_prefix(fit(arena, name, order, [len(order)])[len(order)], order)
    return found


def left(n_genes: int, orders: Any) -> Any:
    """Mask of the genes in none of the panels, shape (n_genes,)."""
    mask_G = np.ones(n_genes, dtype=bool)
    for order in orders:
        mask_G[order] = False
    return mask_G


def rows(arena: Arena, dataset: str, size: int) -> Iterator[Row]:
    """One row a panel: captured, its difference to plain greedy, what the selection cost; none without any peer."""
    found = results(arena.folder, size)
    if not any(name in PEERS for name in found):
        return
    panels = {name: arena.places(row["genes"]) for name, row in found.items() if row.get("genes")}
    scores = judge(arena, panels)
    best = our_best(arena, scores)
    for name, row in found.items():
        costs = {key: row.get(key) for key in ("seconds", "cpu", "peak_mib", "status", "why")}
        about = {"dataset": dataset, "size": size, "panel": name, "n_genes": len(panels.get(name, ())), **costs}
        yield about | (figures(arena, name, scores, best) if name in scores else {})


def our_best(arena: Arena, scores: Mapping[str, Mapping[str, Score]]) -> str | None:
    """The selector of ours that captures most of the common targets; controls do not count."""
    mine = [name for name in scores if name in OURS and name not in CONTROLS]
    return max(mine, key=lambda name: captured(scores[name][COMMON], arena.weights_NC).value, default=None)


def figures(arena: Arena, name: str, scores: Mapping[str, Mapping[str, Score]], best: str | None) -> Row:
    """Captured on common targets with its interval; what our best has more; differences to greedy."""
    own = captured(scores[name][COMMON], arena.weights_NC)
    found = {"n_targets": scores[name][COMMON].n_genes, "is_best": name == best} | named("captured", own)
    if best:
        found |= named("lead", minus(captured(scores[best][COMMON], arena.weights_NC), own))
    if BASELINE in scores:
        greedy = captured(scores[BASELINE][COMMON], arena.weights_NC)
        found |= named("difference", minus(own, greedy)) | {"ratio": own.value / greedy.value}
        both = [captured(scores[one][name], arena.weights_NC) for one in (name, BASELINE)]
        found |= named("pair_difference", minus(*both)) | {"pair_ratio": both[0].value / both[1].value}
    return found


def named(metric: str, one: Resampled) -> Row:
    """A figure with the ends of its interval, as columns."""
    value, low, high = to_interval(one, CONFIDENCE)
    return {metric: value, f"{metric}_low": low, f"{metric}_high": high}


def reaching(arena: Arena, dataset: str) -> Iterator[Row]:
    """How many genes of each ranking of ours capture what all of L1000's do, on targets that neither measures."""
    found = results(arena.folder, CURVE[-1], [L1000, *(name for name in OURS if ranks(name) and name not in CONTROLS)])
    found = {name: row for name, row in found.items() if row.get("genes")}
    if L1000 not in found:
        return
    l1000 = arena.places(found.pop(L1000)["genes"])
    level_fit = fit(arena, L1000, l1000, [len(l1000)])[len(l1000)]
    for name, row in found.items():
        order = arena.places(row["genes"])
        sets = {COMMON: left(arena.cohort.train.n_genes, (order, l1000))}
        one = Judge(arena.cohort.test.X_CG, gene_means([arena.cohort.train.X_CG]), sets, arena.floor)
        level = captured(one.score_prefix(level_fit, l1000)[COMMON], arena.weights_NC)
        fits = fit(arena, name, order, CURVE)
        curve = [captured(one.score_prefix(fits[n], order)[COMMON], arena.weights_NC) for n in CURVE]
        crossing = cross(list(CURVE), curve, level, CONFIDENCE)
        about = {"dataset": dataset, "panel": name, "predictor": "reduced_rank", "n_l1000": len(l1000)}
        yield about | {"l1000": level.value, **crossing._asdict()}
