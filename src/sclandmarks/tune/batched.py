"""Several trials' networks trained at once in one process, where their shapes agree."""

from __future__ import annotations

from collections.abc import Sequence

from sclandmarks.errors import ParamsError
from sclandmarks.learn.task import Hooks, Step, Task
from sclandmarks.learn.train import Trained, advance, check_finite
from sclandmarks.params import PaperNetworkPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.networks import finish, spec_of
from sclandmarks.tune.stacked import Stack

SHARED = ("method", "width", "depth", "batch_size", "loss")  # settings that members must agree in


def fit_together(
    task: Task, settings: Sequence[PaperNetworkPredictor], hooks: Sequence[Hooks]
) -> list[Fitted | Exception]:
    """Train networks side by side, each with its own learning rate, weight decay, dropout, seed and early stopping.

    All see the cells in the task's order. A member whose loss is not finite, or whose `on_epoch` raises (a pruner),
    ends alone; the others go on. Checkpoints are not kept.

    Parameters
    ----------
    task : Task
    settings : sequence of PaperNetworkPredictor
        Equal in method, width, depth, batch size and loss.
    hooks : sequence of Hooks
        One a member.

    Returns
    -------
    list of Fitted or Exception
        For each member, what separate training would give or raise.

    Raises
    ------
    ParamsError
        If the shapes do not agree, or a panel is normalised by its own total.
    """
    _check_shared(settings)
    done: list[Trained | Exception] = [Trained({}, [], 0) for _ in settings]
    stack, live, epoch = Stack(task, settings), list(range(len(settings))), 1
    while live:
        losses, figures = stack.epoch(epoch), stack.validate()
        for k, member in enumerate(live):
            step = {"train_loss": losses[k], **{f"validation_{name}": value for name, value in figures[k].items()}}
            done[member] = _advance(done[member], Step(epoch, step), stack, k, hooks[member])
        stays = [k for k, member in enumerate(live) if _goes_on(done[member], settings[member], epoch)]
        if 0 < len(stays) < len(live):
            stack.keep(stays)
        live, epoch = [live[k] for k in stays], epoch + 1
    return [
        each if isinstance(each, Exception) else finish(spec_of(task, own), each)
        for each, own in zip(done, settings, strict=True)
    ]


def _advance(done: Trained | Exception, step: Step, stack: Stack, k: int, hooks: Hooks) -> Trained | Exception:
    """Add an epoch to member k, or the reason why it ends."""
    if isinstance(done, Exception):
        return done
    metrics = step.metrics
    try:
        check_finite(step.step, stack.settings[k].learning_rate, metrics["train_loss"], metrics["validation_loss"])
        done = advance(done, step, stack.weights(k))
        hooks.on_epoch(metrics, step.step)
    except Exception as error:
        return error
    return done


def _goes_on(done: Trained | Exception, settings: PaperNetworkPredictor, epoch: int) -> bool:
    if isinstance(done, Exception) or epoch >= settings.max_epochs:
        return False
    return epoch - done.best_step < settings.patience


def _check_shared(settings: Sequence[PaperNetworkPredictor]) -> None:
    for name in SHARED:
        values = {getattr(each, name) for each in settings}
        if len(values) != 1:
            raise ParamsError(f"one {name} for networks trained at once", f"{sorted(values)}", "Train them apart.")
    if any(each.panel_total for each in settings):
        raise ParamsError("panel_total: false for networks trained at once", "true", "Train them apart.")
