"""Networks trained at once learn what each would learn alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from sclandmarks.errors import ParamsError, TrainingError
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import PaperNetworkPredictor
from sclandmarks.predict import PREDICTORS, Fitted
from sclandmarks.tune.batched import fit_together
from sclandmarks.tune.stacked import Mask, masked

SHAPE = {"method": "paper_network", "width": 10, "depth": 2, "loss": "mse"}
EPOCHS = {"batch_size": 64, "max_epochs": 12, "patience": 3}


def settings_of(**changes: Any) -> PaperNetworkPredictor:
    """Make settings of a small network."""
    values = {**SHAPE, **EPOCHS, "seed": 0, "dropout": 0.0, "learning_rate": 1e-2, **changes}
    return PaperNetworkPredictor.model_validate(values)


@pytest.fixture(scope="module")
def task(planted: Any) -> Task:
    """Six landmarks in, 74 genes out."""
    train, validation = MemoryBatches(planted.values[:320], 64, seed=5), MemoryBatches(planted.values[320:], 64)
    return Task(train, validation, *split_genes(80, planted.positions))


def quiet(n: int) -> list[Hooks]:
    """Report nothing."""
    return [Hooks() for _ in range(n)]


def fitted(result: Fitted | Exception) -> Fitted:
    """Expect success."""
    assert isinstance(result, Fitted), result
    return result


def assert_alike(together: Fitted, alone: Fitted, tolerance: float = 2e-4) -> None:
    """Compare best epochs, curves and weights."""
    assert together.spec == alone.spec
    assert [step.step for step in together.history] == [step.step for step in alone.history]
    assert together.best_step == alone.best_step
    for ours, theirs in zip(together.history, alone.history, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, rel=tolerance)
    for name, value in alone.module.state_dict().items():
        torch.testing.assert_close(together.module.state_dict()[name], value, rtol=1e-2, atol=tolerance)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("loss", ["mse", "weighted_mse"])
def test_each_learns_what_it_would_learn_alone(loss: str, dropout: float, task: Task) -> None:
    changes: list[dict[str, Any]] = [{}, {"learning_rate": 2e-3}, {"seed": 7}, {"learning_rate": 0.05, "patience": 1}]
    settings = [settings_of(loss=loss, dropout=dropout, **change) for change in changes]
    together = [fitted(result) for result in fit_together(task, settings, quiet(4))]
    for result, own in zip(together, settings, strict=True):
        assert_alike(result, PREDICTORS["paper_network"](task, own, Hooks()))
    assert len({len(result.history) for result in together}) > 1  # early stopping is each member's own


def test_dropouts_differ_within_a_stack(task: Task) -> None:
    settings = [settings_of(dropout=rate) for rate in (0.0, 0.2, 0.6)]
    for result, own in zip(fit_together(task, settings, quiet(3)), settings, strict=True):
        assert_alike(fitted(result), PREDICTORS["paper_network"](task, own, Hooks()))


def test_epochs_are_reported_to_their_own_hooks(task: Task) -> None:
    settings = [settings_of(max_epochs=n) for n in (2, 4)]
    seen: list[list[int]] = [[], []]

    def noting(k: int) -> Hooks:
        return Hooks(lambda metrics, step: seen[k].append(step))

    results = fit_together(task, settings, [noting(0), noting(1)])
    assert seen == [[1, 2], [1, 2, 3, 4]]
    assert [[step.step for step in fitted(result).history] for result in results] == seen


def test_a_pruned_member_ends_alone(task: Task) -> None:
    class Pruned(Exception):
        """Stands for optuna.TrialPruned."""

    def prune(metrics: Mapping[str, float], step: int) -> None:
        if step == 2:
            raise Pruned

    settings = [settings_of(seed=seed) for seed in (0, 1, 2)]
    first, second, third = fit_together(task, settings, [Hooks(), Hooks(prune), Hooks()])
    assert isinstance(second, Pruned)
    assert_alike(fitted(first), PREDICTORS["paper_network"](task, settings[0], Hooks()))
    assert_alike(fitted(third), PREDICTORS["paper_network"](task, settings[2], Hooks()))


def test_a_member_that_diverges_harms_nobody(task: Task) -> None:
    settings = [settings_of(), settings_of(learning_rate=999.0, depth=2)]
    broken = settings[1].model_copy(update={"learning_rate": 1e30})
    good, bad = fit_together(task, [settings[0], broken], quiet(2))
    assert isinstance(bad, TrainingError)
    assert_alike(fitted(good), PREDICTORS["paper_network"](task, settings[0], Hooks()))


def test_one_member_alone_is_a_stack_too(task: Task) -> None:
    own = settings_of(dropout=0.3)
    assert_alike(fitted(fit_together(task, [own], quiet(1))[0]), PREDICTORS["paper_network"](task, own, Hooks()))


@pytest.mark.parametrize("change", [{"width": 11}, {"depth": 1}, {"batch_size": 32}, {"loss": "weighted_mse"}])
def test_shapes_that_differ_are_refused(change: dict[str, Any], task: Task) -> None:
    settings = [settings_of(), settings_of(**change)]
    with pytest.raises(ParamsError, match=f"one {next(iter(change))} for networks trained at once"):
        fit_together(task, settings, quiet(2))


def test_panels_of_their_own_total_are_refused(task: Task) -> None:
    """Their step before the module is not built here."""
    with pytest.raises(ParamsError, match="panel_total: false for networks trained at once"):
        fit_together(task, [settings_of(), settings_of(panel_total=True)], quiet(2))


def test_interruption_passes_through(task: Task) -> None:
    def interrupt(metrics: Mapping[str, float], step: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_together(task, [settings_of()] * 2, [Hooks(), Hooks(interrupt)])


def test_masks_take_the_place_of_dropouts_and_leave_the_original() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout(0.5), torch.nn.Linear(2, 1))
    twin = masked(module)
    assert [type(child) for child in twin.children()] == [torch.nn.Linear, Mask, torch.nn.Linear]
    assert isinstance(module[1], torch.nn.Dropout)
