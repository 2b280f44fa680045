"""What every tracker promises: the block's result and the block's exceptions are never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from sclandmarks.tracking import GuardedTracker, NullTracker, Run, Tracker
from sclandmarks.tracking.mlflow import MlflowTracker


class BrokenRun:
    """Every method fails."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def fail(*_: Any, **__: Any) -> None:
            raise ConnectionError(name)

        return fail


class BrokenTracker:
    """Opens runs of which every method fails, and closing too."""

    @contextmanager
    def run(self, name: str, **_: Any) -> Iterator[Run]:
        try:
            yield BrokenRun()
        finally:
            raise ConnectionError("close")


class DeadTracker:
    """Opens nothing."""

    def run(self, name: str, **_: Any) -> Any:
        raise ConnectionError("open")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/runs.db"


@pytest.fixture(params=["null", "mlflow", "guarded mlflow", "guarded broken", "guarded dead"])
def tracker(request: pytest.FixtureRequest, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.chdir(tmp_path)
    makers: dict[str, Callable[[], Tracker]] = {
        "null": NullTracker,
        "mlflow": lambda: MlflowTracker(uri, "contract", "fit"),
        "guarded mlflow": lambda: GuardedTracker(lambda: MlflowTracker(uri, "contract", "fit")),
        "guarded broken": lambda: GuardedTracker(BrokenTracker),
        "guarded dead": lambda: GuardedTracker(DeadTracker),
    }
    return makers[request.param]()


CALLS: dict[str, Callable[[Run, Path], None]] = {
    "final metrics": lambda run, _: run.log_metrics({"mse": 0.1, "none": None}),
    "step metrics": lambda run, _: run.log_metrics({"mse": 0.1}, step=3),
    "table": lambda run, _: run.log_table("panel", pl.DataFrame({"gene_id": ["a"], "score": [None]})),
    "text": lambda run, _: run.log_text("a/b.md", "text"),
    "file": lambda run, path: run.log_file(path, folder="files"),
    "figure": lambda run, path: run.log_figure(path),
    "model": lambda run, _: run.log_model(torch.nn.Linear(3, 2), torch.randn(4, 3), best_step=0),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_taken(tracker: Tracker, call: str, tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    path.write_text("<svg/>")
    with tracker.run("a", kind="trial", params={"a": {"b": 1}}, tags={"dataset": "x"}, inputs=[path]) as run:
        CALLS[call](run, path)
        CALLS["final metrics"](run, path)
        result = 42
    assert result == 42


def test_runs_follow_each_other(tracker: Tracker) -> None:
    for name in ("a", "b"):
        with tracker.run(name) as run:
            run.log_metrics({"mse": 0.1})


@pytest.mark.parametrize("kind", [ValueError, ConnectionError, KeyboardInterrupt, SystemExit])
def test_the_blocks_exception_is_the_one_that_comes_out(tracker: Tracker, kind: type[BaseException]) -> None:
    raised = kind("mine")
    with pytest.raises(kind) as caught, tracker.run("a") as run:
        run.log_metrics({"mse": 0.1})
        raise raised
    assert caught.value is raised


def test_the_module_stays_as_it_was(tracker: Tracker) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with tracker.run("a") as run:
        run.log_model(module, torch.randn(4, 3), best_step=0)
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
