"""Our network, whole: where it starts, how its loss is learned, and the slopes at the end."""

from __future__ import annotations

from typing import cast

from sclandmarks.learn.task import Hooks, Task
from sclandmarks.learn.train import train
from sclandmarks.params import NetworkPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.calibrate import stretch
from sclandmarks.predict.coded import CodedLearner
from sclandmarks.predict.counted import CountLearner
from sclandmarks.predict.kernel import solve
from sclandmarks.predict.modules import Network
from sclandmarks.predict.networks import finish
from sclandmarks.predict.residual import ResidualLearner, start


def fit_network(task: Task, settings: NetworkPredictor, hooks: Hooks) -> Fitted:
    """Train our network by AdamW, from a low-rank ridge regression on.

    The head is that of the Gaussian-kernel regression (`kernel.solve`), whose axes hold less noise than those of a
    linear fit; the linear path is the ridge regression of the targets' codes on those axes. Both stay. Members start
    at zero and learn side by side on the same batches, each by itself; the prediction is their mean, the weights are
    running means over steps. Where no epoch is better on the held-back cells, the fit is the linear path: epoch 0.

    With `folds`, every gene's predictions are then stretched or shrunk by the slope of the kernel regression's. With a
    loss on counts that is done before predictions are bent above zero: they are means of values there too, about the
    same mean.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    DataError
        If the loss is on counts, and the task has none or values that are not made of them.
    """
    module, spec, chosen = start(task, settings)
    learner = open_learner(module.to(task.device), task, settings)
    fitted = finish(spec, train(learner, settings, hooks, from_start=True))
    fitted.chosen.update(chosen)
    if settings.folds:
        part = cast(Network, fitted.module), task, lambda part: solve(part, settings)[0]
        fitted.chosen.update(stretch(*part, settings.folds, settings.seed))
    return fitted


def open_learner(module: Network, task: Task, settings: NetworkPredictor) -> ResidualLearner:
    """Return what learns by the loss of the settings."""
    if settings.on_counts:
        return CountLearner(module, task, settings)
    return (CodedLearner if settings.loss == "mse" else ResidualLearner)(module, task, settings)
