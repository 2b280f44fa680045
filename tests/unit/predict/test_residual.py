"""Our network: where it starts, what it learns, and that it never ends worse than it starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks.learn.layers import above_zero
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import NetworkPredictor, ReducedRankPredictor
from sclandmarks.predict import PREDICTORS
from sclandmarks.predict.modules import build
from sclandmarks.predict.network import fit_network
from sclandmarks.predict.residual import KEPT, ResidualLearner, start

SETTINGS = NetworkPredictor(
    method="network",
    members=3,
    width=16,
    depth=1,
    input_dropout=0.1,
    dropout=0.1,
    weight_decay=0.1,
    loss="mse",
    learning_rate=3e-3,
    batch_size=32,
    max_epochs=5,
    patience=5,
    max_cells=200,
    max_rank=10,
    bandwidth=1.8,
    axes=5,
    folds=0,
    seed=0,
)


@pytest.fixture(scope="module")
def task(planted) -> Task:
    """Planted landmarks to all other genes."""
    train, held_back = MemoryBatches(planted.values[:200], 32), MemoryBatches(planted.values[200:], 64)
    return Task(train, held_back, *split_genes(80, planted.positions))


def with_settings(**changes: Any) -> NetworkPredictor:
    """The settings but for some."""
    return SETTINGS.model_copy(update=changes)


def held_back(task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """Panel and targets of all held-back cells."""
    return next(task.pairs([task.validation.X_CG]))


def linear_task(rank: int, noise: float, seed: int = 0) -> Task:
    """Targets that are a low-rank linear map of 12 panel genes, and noise."""
    rng = np.random.default_rng(seed)
    x_CL = rng.normal(3, 1, (400, 12))
    y_CT = x_CL @ rng.normal(size=(12, rank)) @ rng.normal(size=(rank, 60)) + noise * rng.normal(size=(400, 60))
    X_CG = sparse.csr_matrix(np.hstack([x_CL, y_CT]).astype(np.float32))
    train, validation = MemoryBatches(X_CG[:250], 64), MemoryBatches(X_CG[250:], 64)
    return Task(train, validation, torch.arange(12), torch.arange(12, 72))


def test_it_starts_as_ridge_of_codes_on_the_head(task: Task) -> None:
    """Before training: the panel's ridge regression of y B' at the chosen lambda, and the error that is reported."""
    module, _, chosen = start(task, SETTINGS)
    x_CL, y_CT = next(task.pairs([task.train.X_CG]))
    B_RT, z_CL = module.B_RT.detach(), (x_CL - module.center) * task_scale(task)
    gram_LL = z_CL.T @ z_CL + chosen["lambda"] * torch.eye(6)
    A_LR = torch.linalg.solve(gram_LL, z_CL.T @ (y_CT - y_CT.mean(0)) @ B_RT.T)
    x_BL, y_BT = held_back(task)
    want_BT = (x_BL - module.center) * task_scale(task) @ A_LR @ B_RT + y_CT.mean(0)
    torch.testing.assert_close(module.eval()(x_BL), want_BT, atol=2e-4, rtol=1e-3)
    assert float((want_BT - y_BT).square().mean()) == pytest.approx(chosen["linear_mse"], rel=1e-3)
    torch.testing.assert_close(B_RT @ B_RT.T, torch.eye(len(B_RT)), atol=1e-4, rtol=0)


def task_scale(task: Task) -> torch.Tensor:
    """One over the root of each landmark's deviation."""
    x_CL, _ = next(task.pairs([task.train.X_CG]))
    return x_CL.std(0, correction=0) ** -0.5


def test_inputs_and_outputs_of_the_members_have_a_common_scale(task: Task) -> None:
    """Scaled inputs have a mean square of 1 over training cells."""
    module, _, _ = start(task, SETTINGS)
    x_CL, y_CT = next(task.pairs([task.train.X_CG]))
    assert float(((x_CL - module.center) * module.scale).square().mean()) == pytest.approx(1, rel=1e-4)
    left_CR = (y_CT - module.bias) @ module.B_RT.T - (x_CL - module.center) @ module.A_LR
    assert float(module.unit) == pytest.approx(float(left_CR.detach().square().mean().sqrt()), rel=1e-4)


def test_where_nothing_learned_is_better_it_is_the_start(task: Task) -> None:
    """A learning rate that ruins everything: epoch 0, and its predictions."""
    fitted = fit_network(task, with_settings(learning_rate=10.0, max_epochs=2), Hooks())
    assert fitted.best_step == 0
    assert [step.step for step in fitted.history] == [0, 1, 2]
    x_BL, _ = held_back(task)
    torch.testing.assert_close(fitted.module(x_BL), start(task, SETTINGS)[0].eval()(x_BL))
    assert fitted.chosen["validation_mse"] == pytest.approx(fitted.chosen["linear_mse"], rel=1e-4)


def test_what_bends_is_learned(task: Task) -> None:
    """On the planted cells, whose genes bend, epochs help."""
    fitted = fit_network(task, with_settings(max_epochs=30, width=32), Hooks())
    assert fitted.best_step > 0
    assert fitted.chosen["validation_mse"] < 0.99 * fitted.chosen["linear_mse"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_on_a_linear_problem_it_is_no_worse_than_reduced_rank(seed: int) -> None:
    """Of rank 2, on fresh cells, to a hundredth of the noise."""
    noise = 1.0
    task, fresh = linear_task(2, noise, seed), linear_task(2, noise, seed).validation
    reduced = PREDICTORS["reduced_rank"](task, ReducedRankPredictor(method="reduced_rank", max_rank=10), Hooks())
    fitted = fit_network(task, SETTINGS, Hooks())
    x_BL, y_BT = next(task.pairs([fresh.X_CG]))
    ours, theirs = (float((each.module(x_BL) - y_BT).square().mean().detach()) for each in (fitted, reduced))
    assert ours <= theirs + 0.01 * noise**2


def test_gradients_of_the_network() -> None:
    """Of every trained weight against central differences."""
    task = linear_task(2, 1.0)
    module = start(task, with_settings(input_dropout=0.0, dropout=0.0, width=4))[0].double()
    for weight in module.parameters():
        weight.data += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)).double()
    x_BL = held_back(task)[0][:3].double()
    names = ["first_ELH", "c_EH", "last_EHR", "blocks.0.W_EHH", "blocks.0.c_EH", "A_LR", "B_RT", "bias"]

    def forward(*weights: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, dict(zip(names, weights, strict=True)), (x_BL,)).square().mean()

    weights = tuple(module.get_parameter(name).detach().clone().requires_grad_() for name in names)
    assert torch.autograd.gradcheck(forward, weights)


def test_members_learn_each_by_itself(task: Task) -> None:
    """The gradient of one does not depend on the others."""
    module, _, _ = start(task, with_settings(input_dropout=0.0, dropout=0.0))
    torch.nn.init.normal_(module.last_EHR, generator=torch.Generator().manual_seed(0))
    learner, pair = ResidualLearner(module, task, SETTINGS), held_back(task)
    before = torch.autograd.grad(learner.objective(*pair), module.first_ELH)[0][0]
    module.last_EHR.data[1:] *= 5
    torch.testing.assert_close(torch.autograd.grad(learner.objective(*pair), module.first_ELH)[0][0], before)
    assert not torch.equal(module.first_ELH[0], module.first_ELH[1])


def test_the_running_means_follow_the_weights(task: Task) -> None:
    """Each step moves them by a fiftieth of the way, and they are what is judged and kept."""
    module, _, _ = start(task, SETTINGS)
    learner = ResidualLearner(module, task, SETTINGS)
    before = {name: value.clone() for name, value in learner.means.items()}
    learner.optimizer.zero_grad()
    learner.objective(*held_back(task)).backward()
    learner.optimizer.step()
    learner.after_step()
    for name, mean in learner.means.items():
        want = before[name] + (1 - KEPT) * (module.get_parameter(name).detach() - before[name])
        torch.testing.assert_close(mean, want)
    x_BL, _ = held_back(task)
    averaged = build(start(task, SETTINGS)[1])
    averaged.load_state_dict(learner.weights())
    module.eval()
    torch.testing.assert_close(learner.predict(x_BL), averaged.eval()(x_BL))


def test_linear_path_and_head_stay_with_the_squared_error(task: Task) -> None:
    """With another loss the head is trained."""
    for loss in ("mse", "weighted_mse"):
        first, _, _ = start(task, SETTINGS)
        fitted = fit_network(task, with_settings(loss=loss, learning_rate=1e-2), Hooks())
        assert torch.equal(fitted.module.A_LR, first.A_LR)
        assert torch.equal(fitted.module.B_RT, first.B_RT) == (loss == "mse")


def test_slopes_stretch_the_head(task: Task) -> None:
    """And the error that is reported is that of the stretched module."""
    fitted = fit_network(task, with_settings(folds=3), Hooks())
    x_BL, y_BT = held_back(task)
    error = float((fitted.module(x_BL) - y_BT).square().mean().detach())
    assert fitted.chosen["validation_mse"] == pytest.approx(error, rel=1e-5)
    assert 0.5 < fitted.chosen["slope"] < 1.5


def test_predictions_bent_above_zero_stop_the_training_and_are_reported(task: Task) -> None:
    """The start is the same but for the bend, and no counts are asked for."""
    settings = with_settings(positive=True, max_epochs=3)
    fitted, plain = fit_network(task, settings, Hooks()), start(task, SETTINGS)[0].eval()
    x_BL, y_BT = held_back(task)
    with torch.no_grad():
        first_BT = above_zero(plain(x_BL), fitted.module.floor)
        error = float((fitted.module(x_BL) - y_BT).square().mean())
    assert fitted.history[0].metrics["validation_mse"] == pytest.approx(
        float((first_BT - y_BT).square().mean()), rel=1e-5
    )
    assert fitted.chosen["validation_mse"] == pytest.approx(error, rel=1e-5)
    assert fitted.spec.positive
    assert "positive" not in SETTINGS.model_dump()
