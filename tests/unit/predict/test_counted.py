"""Losses on counts: on cells of a known rate, unbiased on the scale that is compared, where the plain rate is not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.learn.layers import above_zero
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import MeanPredictor, NetworkPredictor
from sclandmarks.predict import PREDICTORS, Fitted
from sclandmarks.predict.counted import THETAS, CountLearner, likeliest
from sclandmarks.predict.modules import FLOOR, Network
from sclandmarks.predict.network import fit_network
from sclandmarks.predict.residual import start
from sclandmarks.prep.scprep_adapter import log_normalise

N_TRAIN, N_PANEL = 400, 12
SETTINGS = NetworkPredictor(
    method="network",
    members=2,
    width=32,
    depth=1,
    input_dropout=0.1,
    dropout=0.1,
    weight_decay=0.1,
    loss="negative_binomial",
    learning_rate=3e-3,
    batch_size=50,
    max_epochs=30,
    patience=30,
    max_cells=400,
    max_rank=10,
    bandwidth=1.8,
    axes=4,
    folds=0,
    seed=0,
)
LOSSES = ("poisson", "negative_binomial")
every_loss = pytest.mark.parametrize("loss", LOSSES)


class Known(NamedTuple):
    """Counts of known rates: a task of 400 cells and 100 held back, and 500 fresh cells with their true means."""

    task: Task
    fresh: Task
    truth_CT: torch.Tensor
    theta_T: np.ndarray


def drawn(theta: float, n_cells: int = 1000, n_targets: int = 60) -> Known:
    """Panel genes of many reads, targets of few, all driven by four factors; the rest of a cell's reads in one gene.

    A cell's depth does not change its rates, and rates are shares of all reads, so that the truth is known.
    """
    rng = np.random.default_rng(3)
    factor_CF = rng.uniform(-1, 1, (n_cells, 4))
    rate_CG = np.exp(factor_CF @ rng.normal(0, 0.8, (4, N_PANEL + n_targets)))
    rate_CG *= np.r_[np.full(N_PANEL, 150.0), rng.uniform(0.3, 6, n_targets)]
    depth_C = np.exp(rng.uniform(np.log(0.2), np.log(2), n_cells))
    mean_CG = rate_CG * depth_C[:, None]
    count_CG = rng.poisson(mean_CG if math.isinf(theta) else mean_CG * rng.gamma(theta, 1 / theta, mean_CG.shape))
    rest_C = np.maximum(np.rint(1e4 * depth_C) - count_CG.sum(1), 1)
    counts = sparse.csr_matrix(np.c_[count_CG, rest_C].astype(np.int32))
    values = log_normalise(counts, 1e4, 10)
    genes = split_genes(counts.shape[1], range(N_PANEL))
    parts = [MemoryBatches(values[a:b], 50) for a, b in ((0, N_TRAIN), (N_TRAIN, 500), (500, n_cells))]
    task = Task(parts[0], parts[1], *genes, counts=MemoryBatches(counts[:N_TRAIN], 50))
    rates = torch.from_numpy(rate_CG[500:, N_PANEL:])
    return Known(task, replace(task, validation=parts[2]), rates, np.full(n_targets, theta))


@pytest.fixture(scope="module")
def known() -> Known:
    """Of size 2: variances far above Poisson."""
    return drawn(2.0)


def with_settings(**changes: Any) -> NetworkPredictor:
    """The settings but for some."""
    return SETTINGS.model_copy(update=changes)


def fresh_cells(known: Known) -> tuple[torch.Tensor, torch.Tensor]:
    """Panel and driven targets of the cells that no fit saw; the gene with the rest of the reads is left out."""
    pairs = list(known.fresh.pairs(known.fresh.validation.in_order()))
    return torch.cat([x_BL for x_BL, _ in pairs]), torch.cat([y_BT for _, y_BT in pairs])[:, :-1]


def learner_of(known: Known, loss: str = "negative_binomial") -> CountLearner:
    """At the start."""
    settings = with_settings(loss=loss)
    return CountLearner(start(known.task, settings)[0], known.task, settings)


@pytest.fixture(scope="module")
def fits(known: Known) -> dict[str, Fitted]:
    """Each loss, fitted once."""
    return {loss: fit_network(known.task, with_settings(loss=loss), Hooks()) for loss in (*LOSSES, "mse")}


@every_loss
@torch.no_grad()
def test_on_known_rates_it_beats_the_mean_and_comes_near_the_truth(
    loss: str, known: Known, fits: dict[str, Fitted]
) -> None:
    """The truth is the mean value at the true rate; half of the way from the mean's error to none at least."""
    x_CL, _ = fresh_cells(known)
    link = learner_of(known).link
    row_T = torch.full((60,), THETAS.index(2.0))
    u_U = torch.linspace(1e-3, 2.5, 2000)
    table_U, _ = link.rates(u_U[:, None], row_T[:1])
    truth_CT = torch.from_numpy(np.interp(known.truth_CT.numpy(), table_U[:, 0].numpy(), u_U.numpy()))
    mean = PREDICTORS["mean"](known.task, MeanPredictor(method="mean"), Hooks())
    ours, theirs = (float((each.module(x_CL)[:, :-1] - truth_CT).square().mean()) for each in (fits[loss], mean))
    assert ours < 0.5 * theirs


@every_loss
@torch.no_grad()
def test_predictions_are_unbiased_where_the_rate_itself_is_not(
    loss: str, known: Known, fits: dict[str, Fitted]
) -> None:
    """Mean residuals near zero on fresh cells; log10(1 + rate) lies above by more than five times as much."""
    x_CL, y_CT = fresh_cells(known)
    predicted_CT = fits[loss].module(x_CL)
    learner = learner_of(known, loss)
    rate_CT, _ = learner.link.rates(predicted_CT, learner.row_T)
    naive = float((torch.log10(1 + rate_CT)[:, :-1] - y_CT).mean())
    assert abs(float((predicted_CT[:, :-1] - y_CT).mean())) < 0.01
    assert naive > 0.05


@every_loss
def test_learning_raises_the_likelihood(loss: str, known: Known) -> None:
    """Of the training cells, epoch by epoch, and the members move."""
    learner = learner_of(known, loss)
    losses = [learner.epoch(epoch) for epoch in range(1, 9)]
    assert losses[-1] < losses[0] - 1e-3
    assert float(learner.network.last_EHR.detach().abs().max()) > 0


@pytest.mark.parametrize("theta", [0.5, 4.0, math.inf])
def test_the_size_of_the_negative_binomial_is_found(theta: float) -> None:
    """Most genes within a factor of two of the truth, or at a large size where counts are Poisson."""
    known = drawn(theta)
    found_T = np.array(THETAS)[learner_of(known).row_T[:-1].numpy()]
    near = found_T >= 8 if math.isinf(theta) else np.abs(np.log2(found_T / theta)) <= 1
    assert near.mean() > 0.7


def test_sizes_do_not_depend_on_what_the_learner_did_before(known: Known) -> None:
    """They are a function of module and counts, bounded by the table, and one for Poisson."""
    learner = learner_of(known)
    assert torch.equal(likeliest(learner), learner.row_T)
    assert 0 <= int(learner.row_T.min()) <= int(learner.row_T.max()) < len(THETAS)
    poisson = learner_of(known, "poisson")
    assert not poisson.row_T.any()
    assert poisson.link.theta_K.isinf().all()


@every_loss
def test_it_starts_where_other_losses_start_but_for_the_bend(loss: str, known: Known) -> None:
    """The same linear path; the floor is a tenth of the gene's mean."""
    settings = with_settings(loss=loss)
    (first, spec, chosen), (other, _, others) = (
        start(known.task, each) for each in (settings, with_settings(loss="mse"))
    )
    x_CL, _ = fresh_cells(known)
    torch.testing.assert_close(first.eval()(x_CL), above_zero(other.eval()(x_CL), first.floor))
    torch.testing.assert_close(first.floor, FLOOR * first.bias.detach().clamp(min=1e-3))
    assert spec.positive
    assert chosen == others


@every_loss
def test_head_and_linear_path_stay_and_predictions_are_positive(
    loss: str, known: Known, fits: dict[str, Fitted]
) -> None:
    """Only the members learn; a network of another loss has no floor."""
    module = fits[loss].module
    first = start(known.task, with_settings(loss=loss))[0]
    for name in ("A_LR", "B_RT", "bias", "floor"):
        assert torch.equal(module.state_dict()[name], first.state_dict()[name])
    assert (module(fresh_cells(known)[0]) > 0).all()
    assert "floor" not in fits["mse"].module.state_dict()


@every_loss
def test_held_back_cells_are_judged_by_their_squared_error(loss: str, known: Known, fits: dict[str, Fitted]) -> None:
    """Of what is predicted: that is what stops the training, and what is reported."""
    fitted = fits[loss]
    pairs = list(known.task.pairs(known.task.validation.in_order()))
    with torch.no_grad():
        error = float(torch.cat([(fitted.module(x_BL) - y_BT).square() for x_BL, y_BT in pairs]).mean())
    assert fitted.chosen["validation_mse"] == fitted.chosen["validation_loss"] == pytest.approx(error, rel=1e-5)
    assert fitted.best_step == min(fitted.history, key=lambda step: step.metrics["validation_mse"]).step


@every_loss
def test_slopes_apply_to_predictions_below_the_bend(loss: str, known: Known) -> None:
    """They stretch the head about the mean, and the error that is reported is that of the stretched module."""
    fitted = fit_network(known.task, with_settings(loss=loss, folds=3, max_epochs=2), Hooks())
    pairs = list(known.task.pairs(known.task.validation.in_order()))
    with torch.no_grad():
        error = float(torch.cat([(fitted.module(x_BL) - y_BT).square() for x_BL, y_BT in pairs]).mean())
    assert fitted.chosen["validation_mse"] == pytest.approx(error, rel=1e-5)
    assert 0.5 < fitted.chosen["slope"] < 1.5


def test_a_state_holds_the_sizes(known: Known) -> None:
    """Put back, they are those of the state, whatever was found again."""
    learner = learner_of(known)
    state = learner.state()
    want_T = state["row_T"].clone()
    other = learner_of(known)
    other.row_T.zero_()
    other.restore(state)
    assert torch.equal(other.row_T, want_T)


@every_loss
def test_without_counts_it_says_so(loss: str, known: Known) -> None:
    """Before anything is learned."""
    with pytest.raises(DataError, match="raw counts"):
        fit_network(replace(known.task, counts=None), with_settings(loss=loss), Hooks())


def test_other_losses_read_no_counts(known: Known) -> None:
    """Counts of nonsense do not matter to them."""
    nonsense = MemoryBatches(sparse.csr_matrix((3, 2), dtype=np.int32))
    task = replace(known.task, counts=nonsense)
    fitted = fit_network(task, with_settings(loss="mse", max_epochs=1), Hooks())
    assert isinstance(fitted.module, Network)
