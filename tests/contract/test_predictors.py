"""What every predictor promises, one suite over all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.io import matrices
from sclandmarks.io.batches import ParquetBatches
from sclandmarks.io.matrices import MatrixFile, write_matrix
from sclandmarks.io.models import load_model, save_model
from sclandmarks.learn.task import Hooks, Task, history_table, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import (
    DGexPredictor,
    KernelPredictor,
    KnnPredictor,
    MeanPredictor,
    NetworkPredictor,
    OlsPredictor,
    PanelTotal,
    PaperLinearPredictor,
    PaperNetworkPredictor,
    ReducedRankPredictor,
    RidgePredictor,
    ZeroPredictor,
)
from sclandmarks.predict import PREDICTORS, Fitted
from sclandmarks.predict.modules import build

EPOCHS = {"seed": 0, "max_epochs": 40, "patience": 10, "batch_size": 32}
SETTINGS = {
    "zero": ZeroPredictor(method="zero"),
    "mean": MeanPredictor(method="mean"),
    "ols": OlsPredictor(method="ols"),
    "knn": KnnPredictor(method="knn", max_cells=250, seed=0),
    "kernel": KernelPredictor(method="kernel", max_cells=250, max_rank=10, bandwidth=1.8, axes=5, folds=3, seed=0),
    "ridge": RidgePredictor(method="ridge"),
    "reduced_rank": ReducedRankPredictor(method="reduced_rank", max_rank=10),
    "paper_linear": PaperLinearPredictor(
        method="paper_linear", scale="log", seed=0, learning_rate=3e-3, max_epochs=40, patience=10
    ),
    "paper_network": PaperNetworkPredictor(
        method="paper_network", width=48, depth=1, dropout=0.1, loss="mse", learning_rate=3e-3, **EPOCHS
    ),
    "d_gex": DGexPredictor(method="d_gex", width=48, depth=1, dropout=0.1, **EPOCHS | {"learning_rate": 3e-3}),
    "network": NetworkPredictor(
        method="network",
        members=2,
        width=32,
        depth=1,
        input_dropout=0.1,
        dropout=0.1,
        weight_decay=0.1,
        loss="mse",
        learning_rate=3e-3,
        max_cells=250,
        max_rank=10,
        bandwidth=1.8,
        axes=5,
        folds=2,
        **EPOCHS,
    ),
}
SETTINGS |= {
    f"network, {loss}": SETTINGS["network"].model_copy(update={"loss": loss})
    for loss in ("poisson", "negative_binomial")
}
SETTINGS |= {
    f"{name}, positive": SETTINGS[name].model_copy(update={"positive": True}) for name in ("kernel", "network")
}
SETTINGS |= {
    f"{name}, adaptive": SETTINGS[f"{name}, positive"].model_copy(update={"adaptive": True})
    for name in ("kernel", "network")
}
IN_ONE_PASS = (
    "zero", "mean", "ols", "knn", "kernel", "kernel, positive", "kernel, adaptive", "ridge", "reduced_rank"
)  # fmt: skip
COUNTED = ("network, poisson", "network, negative_binomial")
SEEDED = ("paper_network", "d_gex", "network", "network, positive", "network, adaptive", *COUNTED)
N_TRAIN = 300

OWN = ", own total"
TOTALS = {
    f"{name}{OWN}": settings.model_copy(update={"panel_total": True})
    for name, settings in SETTINGS.items()
    if isinstance(settings, PanelTotal)
}
CASES = SETTINGS | TOTALS  # every predictor, and those with a panel on one that is normalised by its own total

every_predictor = pytest.mark.parametrize("name", CASES)


def fit(name: str, task: Task, hooks: Hooks, **changed: Any) -> Fitted:
    """Fit a case, some of its settings changed."""
    settings = CASES[name].model_copy(update=changed)
    return PREDICTORS[settings.method](task, settings, hooks)


def own(names: Iterable[str]) -> list[str]:
    """These cases, and the same on panels normalised by their own total."""
    return [*names, *(f"{name}{OWN}" for name in names if f"{name}{OWN}" in TOTALS)]


def task_of(planted: Any) -> Task:
    """From the six planted landmarks to all other genes."""
    train, held_back = MemoryBatches(planted.values[:N_TRAIN], 32), MemoryBatches(planted.values[N_TRAIN:], 64)
    counts = MemoryBatches(planted.counts.X_CG[:N_TRAIN], 32)
    return Task(train, held_back, *split_genes(80, planted.positions), log_base=10, counts=counts)


@pytest.fixture(scope="module")
def task(planted: Any) -> Task:
    """300 training cells, 100 held back."""
    return task_of(planted)


@pytest.fixture(scope="module")
def fits(task: Task) -> dict[str, Fitted]:
    """Every predictor, fitted once."""
    return {name: fit(name, task, Hooks()) for name in CASES}


def held_back_mse(fitted: Fitted, task: Task) -> float:
    """Mean squared error on the held-back cells."""
    pairs = list(task.pairs(task.validation.in_order()))
    with torch.no_grad():
        return float(torch.cat([(fitted.module(x_BL) - y_BT).square() for x_BL, y_BT in pairs]).mean())


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    """Whether two modules have the same weights, bit for bit."""
    weights, others = first.state_dict(), second.state_dict()
    return weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)


def test_every_predictor_has_settings_here() -> None:
    """So that a new one is tested, under the name that params.yaml gives it."""
    assert {name.partition(",")[0] for name in SETTINGS} == set(PREDICTORS)
    assert all(settings.method == name.partition(",")[0] for name, settings in SETTINGS.items())


@every_predictor
@pytest.mark.parametrize("n_cells", [1, 7])
def test_predictions_are_finite_and_have_a_row_a_cell_and_a_column_a_target(
    name: str, n_cells: int, fits: dict[str, Fitted], task: Task
) -> None:
    """Float32, on the CPU."""
    predicted_BT = fits[name].module(task.example(n_cells))
    assert predicted_BT.shape == (n_cells, 74)
    assert predicted_BT.dtype == torch.float32
    assert predicted_BT.isfinite().all()


@every_predictor
def test_modules_come_in_eval_mode(name: str, fits: dict[str, Fitted], task: Task) -> None:
    """The same cell is predicted the same twice, and alone as among others."""
    module, x_BL = fits[name].module, task.example(8)
    assert not any(part.training for part in module.modules())
    assert torch.equal(module(x_BL), module(x_BL))
    torch.testing.assert_close(module(x_BL[2:3]), module(x_BL)[2:3], rtol=1e-4, atol=1e-5)


@every_predictor
def test_saved_and_loaded_it_predicts_the_same(name: str, fits: dict[str, Fitted], task: Task, tmp_path: Path) -> None:
    """From its spec and weights alone, through the files of a model."""
    fitted, x_BL = fits[name], task.example(8)
    again = build(fitted.spec, seed=5)
    again.load_state_dict(fitted.module.state_dict())
    assert torch.equal(again.eval()(x_BL), fitted.module(x_BL))
    save_model(tmp_path, fitted, [f"x{i}" for i in range(6)], [f"y{i}" for i in range(74)], {})
    assert torch.equal(load_model(tmp_path).module(x_BL), fitted.module(x_BL))


@every_predictor
def test_history_and_choices_can_be_written(name: str, fits: dict[str, Fitted]) -> None:
    """A table of finite figures; the best step is in it; choices are numbers."""
    fitted = fits[name]
    table = schema.check(history_table(fitted.history), schema.HISTORY)
    assert table["value"].null_count() == 0
    assert fitted.best_step in [step.step for step in fitted.history] or not fitted.history
    assert all(np.isfinite(float(value)) for value in fitted.chosen.values())


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("zero", "mean")])
def test_the_error_told_is_that_of_the_module(name: str, fits: dict[str, Fitted], task: Task) -> None:
    """Closed forms from sums over cells, slopes and running means included."""
    assert fits[name].chosen["validation_mse"] == pytest.approx(held_back_mse(fits[name], task), rel=1e-4)


@every_predictor
def test_the_same_seed_repeats_the_fit(name: str, fits: dict[str, Fitted], planted: Any) -> None:
    """Bit for bit, whatever the state of the global random streams, which are left alone."""
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    streams = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    again = fit(name, task_of(planted), Hooks())
    assert torch.equal(torch.get_rng_state(), streams[0])
    assert (np.random.get_state()[1] == streams[1]).all()  # noqa: NPY002
    assert same(again.module, fits[name].module)
    assert again.history == fits[name].history


@pytest.mark.parametrize("name", own(SEEDED))
def test_another_seed_gives_another_fit(name: str, fits: dict[str, Fitted], task: Task) -> None:
    """The seed is used."""
    assert not same(fit(name, task, Hooks(), seed=1, max_epochs=2).module, fits[name].module)


@every_predictor
def test_every_step_is_reported(name: str, fits: dict[str, Fitted], task: Task) -> None:
    """The hook sees what becomes the history, in order."""
    changed = {"max_epochs": 3} if name in own((*SEEDED, "paper_linear")) else {}
    seen = []
    fitted = fit(name, task, Hooks(lambda metrics, step: seen.append((step, dict(metrics)))), **changed)
    assert seen == [(step, metrics) for step, metrics in fitted.history]


@every_predictor
def test_better_than_zero(name: str, fits: dict[str, Fitted], task: Task) -> None:
    """Far better, where genes are expressed at all."""
    if name != "zero":
        assert held_back_mse(fits[name], task) < 0.2 * held_back_mse(fits["zero"], task)


@pytest.mark.parametrize(
    "name", ["ridge", "reduced_rank", "kernel", "kernel, adaptive", "d_gex", "network", "network, positive", *COUNTED]
)
def test_the_planted_landmarks_beat_the_mean(name: str, fits: dict[str, Fitted], task: Task) -> None:
    """By a fifth of its error, the most that the noise leaves being about two fifths."""
    assert held_back_mse(fits[name], task) < 0.8 * held_back_mse(fits["mean"], task)


@pytest.mark.parametrize("name", ["kernel, positive", "network, positive", *COUNTED])
def test_what_is_bent_above_zero_is_above_it(name: str, fits: dict[str, Fitted], task: Task) -> None:
    """The plain one is not everywhere; and the error that is reported is that of what is bent."""
    x_BL = 3 * task.example(64) - 3
    assert (fits[name].module(x_BL) > 0).all()
    assert not (fits[name.partition(",")[0]].module(x_BL) > 0).all()
    assert fits[name].chosen["validation_mse"] == pytest.approx(held_back_mse(fits[name], task), rel=1e-4)


def test_ridge_does_not_lose_to_reduced_rank_of_full_rank(fits: dict[str, Fitted]) -> None:
    """Ranks are chosen among all of them, so that the choice is at least as good as ridge."""
    reduced, ridge = fits["reduced_rank"].chosen, fits["ridge"].chosen
    assert reduced["validation_mse"] <= ridge["validation_mse"] * (1 + 1e-4)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_no_cells_are_refused(part: str, task: Task) -> None:
    """Whatever the predictor."""
    with pytest.raises(DataError, match=r"at least one (training|held-back) cell; got none"):
        replace(task, **{part: MemoryBatches(task.train.X_CG[:0])})


@pytest.mark.parametrize("name", sorted({*PREDICTORS} - {"zero"}))
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e25])
def test_values_that_are_no_expression_are_refused(name: str, value: float, task: Task) -> None:
    """By all that look at values."""
    X_CG = task.train.X_CG.copy()
    X_CG.data[5] = value
    with pytest.raises(DataError, match="finite values up to 1e"):
        PREDICTORS[name](replace(task, train=MemoryBatches(X_CG, 64)), SETTINGS[name], Hooks())


@every_predictor
@pytest.mark.parametrize("n_cells", [1, 2, 3])
def test_a_few_cells_are_enough(name: str, n_cells: int, task: Task) -> None:
    """Fewer than landmarks: finite predictions, none worse than three times the error of the mean."""
    train, counts = (MemoryBatches(cells.X_CG[:n_cells], 64) for cells in (task.train, task.counts))
    few = replace(task, train=train, counts=counts)
    changed = {"learning_rate": 0.05} if name.startswith("paper") else {}
    fitted, mean = fit(name, few, Hooks(), **changed), fit("mean", few, Hooks())
    assert all(np.isfinite(float(value)) for value in fitted.chosen.values())
    assert name.startswith("zero") or held_back_mse(fitted, task) < 3 * held_back_mse(mean, task)


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith(COUNTED)])
@pytest.mark.parametrize("n_cells", [4, 60])
def test_panels_that_are_constant_give_the_mean(name: str, n_cells: int, task: Task) -> None:
    """Whatever rounding makes of them; the nearest cells and networks from chance give a mean of some kind."""
    values = task.train.X_CG[:n_cells].toarray()
    values[:, task.inputs] = 3.3
    flat = replace(task, train=MemoryBatches(sparse.csr_matrix(values), 64))
    fitted = fit(name, flat, Hooks())
    with torch.no_grad():
        got_T = fitted.module(torch.full((1, 6), 3.3))[0].numpy()
    if CASES[name].method not in ("zero", "knn", "paper_linear", "paper_network", "d_gex"):
        rtol = 3e-3 if getattr(CASES[name], "positive", False) else 1e-4  # the bend adds a 400th to a mean
        np.testing.assert_allclose(got_T, values[:, task.outputs].mean(0), rtol=rtol, atol=1e-4)
    assert np.isfinite(got_T).all()


@pytest.fixture(scope="module")
def streamed(planted: Any, tmp_path_factory: pytest.TempPathFactory) -> Task:
    """The same cells from a file of several row groups."""
    folder = tmp_path_factory.mktemp("streamed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrices, "ROWS_PER_GROUP", 48)
        write_matrix(folder, planted.counts, planted.values)
    file = MatrixFile(folder)
    train, held_back = ParquetBatches(file, np.arange(N_TRAIN), 32), ParquetBatches(file, np.arange(N_TRAIN, 400), 64)
    counts = ParquetBatches(file, np.arange(N_TRAIN), 32, values="count")
    return Task(train, held_back, *split_genes(80, planted.positions), log_base=10, counts=counts)


@pytest.mark.parametrize("name", own(IN_ONE_PASS))
def test_streamed_cells_give_the_fit_of_cells_in_memory(name: str, fits: dict[str, Fitted], streamed: Task) -> None:
    """What is learned in one pass in order does not depend on where the cells come from."""
    fitted = fit(name, streamed, Hooks())
    x_BL = streamed.example(20)
    torch.testing.assert_close(fitted.module(x_BL), fits[name].module(x_BL), rtol=1e-4, atol=1e-4)
    assert fitted.chosen.keys() == fits[name].chosen.keys()
    assert fitted.chosen == pytest.approx(fits[name].chosen, rel=1e-4)


@every_predictor
def test_streamed_cells_are_predicted_as_cells_in_memory(
    name: str, fits: dict[str, Fitted], task: Task, streamed: Task
) -> None:
    """In the same order, whatever the blocks."""
    module = fits[name].module
    first, second = (
        torch.cat([module(pair.x_BL) for pair in each.pairs(each.validation.in_order())]) for each in (task, streamed)
    )
    assert first.shape == second.shape == (100, 74)
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TOTALS)
def test_a_panel_of_its_own_total_needs_nothing_else_of_a_cell(
    name: str, fits: dict[str, Fitted], planted: Any
) -> None:
    """Counts of the panel alone, of any depth, are predicted as in whole cells; cells without reads too."""
    counts_CL = planted.counts.X_CG[:N_TRAIN].toarray()[:, planted.positions].astype(np.float64)
    counts_CL[:2] = 0
    module = fits[name].module
    first, *others = (module(torch.from_numpy(np.log10(1 + scale * counts_CL)).float()) for scale in (1, 0.5, 32, 1e3))
    assert first.isfinite().all()
    assert torch.equal(first[0], first[1])
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", TOTALS)
def test_a_panel_of_its_own_total_can_be_exported(name: str, fits: dict[str, Fitted], task: Task) -> None:
    """In plain operations of torch, for any number of cells, as the tracker keeps models."""
    module, x_BL = fits[name].module, task.example(9)
    shapes = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(module, (task.example(4),), dynamic_shapes=shapes).module()
    torch.testing.assert_close(exported(x_BL), module(x_BL))


@pytest.mark.parametrize("name", TOTALS)
def test_the_setting_decides(name: str, fits: dict[str, Fitted], task: Task) -> None:
    """Without it the module has no step before it, and predicts otherwise than with it."""
    plain, x_BL = fits[name.removesuffix(OWN)], task.example(8)
    assert (fits[name].spec.panel_total, plain.spec.panel_total) == (True, False)
    assert not any(weight.startswith("total.") for weight in plain.module.state_dict())
    assert not torch.allclose(fits[name].module(x_BL), plain.module(x_BL), atol=1e-3)
