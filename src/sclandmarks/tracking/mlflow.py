"""Runs kept by MLflow. The only importer of mlflow; its global state (active run, tracking URI) is not touched."""

from __future__ import annotations

import copy
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param
from mlflow.exceptions import MlflowException

from sclandmarks import paths
from sclandmarks.tracking import lineage
from sclandmarks.tracking.base import Kind, Run
from sclandmarks.tracking.guard import reason
from sclandmarks.tracking.ledger import Point
from sclandmarks.tracking.limits import LONGEST_TAG, clean_name, cut, flatten
from sclandmarks.tracking.orphans import end_orphans, process_tags

if TYPE_CHECKING:
    import polars as pl
    import torch

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
LOCK_SECONDS = 120
MOST_METRICS, MOST_PARAMS = 1000, 100  # in one log_batch, MLflow's own limits
FLUSH_POINTS, FLUSH_SECONDS = 500, 5.0
AXES, FEWEST_ROWS, EXAMPLE_ROWS = 2, 2, 4  # of the example kept with a model

_T = TypeVar("_T")


class MlflowTracker:
    """Keeps runs in one experiment of an MLflow store. Not guarded: `open_tracker` does that.

    Runs that a killed process left open are ended first, see `orphans`.

    Parameters
    ----------
    uri : str or None
        A server (http), or a database (sqlite:///..., postgresql://...). None is SQLite in state/.
    experiment : str
        Made when it is not there.
    stage : str
        A tag of every run.

    Attributes
    ----------
    client : MlflowClient
    experiment_id : str
    tags : dict of str to str
        Those of every run: stage and commit.

    Raises
    ------
    mlflow.exceptions.MlflowException
        If the server does not answer, or refuses.
    sqlalchemy.exc.SQLAlchemyError
        If the database does not open.
    filelock.Timeout
        If another process holds the database's creation for longer than two minutes.
    """

    def __init__(self, uri: str | None, experiment: str, stage: str) -> None:
        uri = uri or f"sqlite:///{paths.MLFLOW_DATABASE.resolve()}"
        with _creation(uri):  # two processes that create or migrate one database at once break it
            self.client = MlflowClient(uri)
            self.experiment_id = _experiment_id(self.client, experiment, _artifacts(uri))
        end_orphans(self.client, self.experiment_id)
        self._folder = lineage.root()
        self.tags = {"stage": stage, **lineage.stage_tags(), **lineage.git_tags(self._folder)}

    @contextmanager
    def run(
        self,
        name: str,
        *,
        kind: Kind = "stage",
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        inputs: Iterable[Path] = (),
    ) -> Iterator[Run]:
        """Open a run, see `Tracker`."""
        hashes = lineage.input_hashes(inputs, self._folder)
        all_tags = self.tags | {f"dvc.md5.{path}": md5 for path, md5 in hashes.items()} | dict(tags or {})
        run = MlflowRun.create(self.client, self.experiment_id, name, all_tags | process_tags() | {"kind": kind})
        try:
            run.log_params(params or {})
            run.log_inputs(hashes)
            yield run
            run.flush()
        except BaseException as error:
            run.close("FAILED" if isinstance(error, Exception) else "KILLED", error)
            raise
        run.close("FINISHED")


class MlflowRun:
    """One run of an MLflow store.

    Parameters
    ----------
    client : MlflowClient
    experiment_id, run_id : str
    """

    def __init__(self, client: MlflowClient, experiment_id: str, run_id: str) -> None:
        self._client, self._experiment_id, self.run_id = client, experiment_id, run_id
        self._points: list[Metric] = []
        self._flushed = time.monotonic()

    @classmethod
    def create(
        cls, client: MlflowClient, experiment_id: str, name: str, tags: Mapping[str, str], started: int | None = None
    ) -> MlflowRun:
        """Start a run of that name with these tags, at this time (milliseconds) or now."""
        clean = {clean_name(key): cut(str(value), LONGEST_TAG) for key, value in tags.items()}
        run = client.create_run(experiment_id, start_time=started, tags=clean, run_name=name)
        return cls(client, experiment_id, run.info.run_id)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record settings, nested sections joined by dots."""
        for part in _parts([Param(key, value) for key, value in flatten(params).items()], MOST_PARAMS):
            self._client.log_batch(self.run_id, params=part)

    def log_inputs(self, hashes: Mapping[str, str]) -> None:
        """Record what was read: path -> md5, as MLflow's dataset inputs."""
        context = [InputTag("mlflow.data.context", "dvc")]
        datasets = [Dataset(path, md5, "local", json.dumps({"uri": path})) for path, md5 in hashes.items()]
        if datasets:
            self._client.log_inputs(self.run_id, [DatasetInput(dataset, context) for dataset in datasets])

    def log_metrics(self, values: Mapping[str, float | None], step: int | None = None) -> None:
        """Record figures, see `Run`."""
        now = datetime.now()
        known = [Point(name, float(value), step or 0, now) for name, value in values.items() if value is not None]
        self._points += _metrics(known)
        waited = time.monotonic() - self._flushed
        if step is None or len(self._points) >= FLUSH_POINTS or waited > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the figures that wait."""
        points, self._points, self._flushed = self._points, [], time.monotonic()
        self._send(points)

    def log_points(self, points: Iterable[Point]) -> None:
        """Send figures, each with its own time."""
        self._send(_metrics(points))

    def _send(self, points: list[Metric]) -> None:
        for part in _parts(points, MOST_METRICS):
            self._client.log_batch(self.run_id, metrics=part)

    def log_table(self, name: str, frame: pl.DataFrame) -> None:
        """Keep a table, see `Run`."""
        self._client.log_table(self.run_id, frame.to_dict(as_series=False), f"tables/{name}.json")
        self.log_text(f"tables/{name}.csv", frame.write_csv())

    def log_text(self, name: str, text: str) -> None:
        """Keep a text, see `Run`."""
        self._client.log_text(self.run_id, text, name)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Keep a file, see `Run`."""
        self._client.log_artifact(self.run_id, str(path), folder)

    def log_figure(self, path: Path) -> None:
        """Keep a figure, see `Run`."""
        self.log_file(path, "figures")

    def log_model(self, module: torch.nn.Module, example: torch.Tensor, best_step: int) -> None:
        """Keep a network as the logged model "model" and its weights as weights/model.safetensors, see `Run`.

        Raises
        ------
        ValueError
            If `example` is not a float32 matrix of two rows or more.
        """
        rows = _checked(example)
        frozen = copy.deepcopy(module).cpu().eval()
        self.flush()
        with tempfile.TemporaryDirectory() as folder:
            self._log_weights(frozen, Path(folder) / "model.safetensors")
            self._log_program(frozen, rows, best_step, Path(folder) / "model")

    def _log_weights(self, module: torch.nn.Module, path: Path) -> None:
        from safetensors.torch import save_model  # late: imports torch

        save_model(module, str(path))
        self.log_file(path, "weights")

    def _log_program(self, module: torch.nn.Module, rows: torch.Tensor, step: int, path: Path) -> None:
        """Do what mlflow.pytorch.log_model does, by the client: that one needs a global run, and would end ours."""
        model = self._client.create_logged_model(self._experiment_id, "model", self.run_id)
        try:
            _save_program(module, rows, path, model_id=model.model_id, run_id=self.run_id)
            self._client.log_model_artifacts(model.model_id, str(path))
        except BaseException:
            self._client.finalize_logged_model(model.model_id, "FAILED")
            raise
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step)])
        self._client.log_batch(self.run_id, metrics=self._points_of(model.model_id, step))

    def _points_of(self, model_id: str, step: int) -> list[Metric]:
        """Figures of one step, once more and now as the model's own."""
        names = self._client.get_run(self.run_id).data.metrics
        return [
            Metric(point.key, point.value, point.timestamp, point.step, model_id=model_id, run_id=self.run_id)
            for name in names
            for point in self._client.get_metric_history(self.run_id, name)
            if point.step == step
        ]

    def close(self, status: str, error: BaseException | None = None) -> None:
        """End the run; `error` becomes the tag "error". First things first: the store may be about to fail."""
        self._client.set_terminated(self.run_id, status)
        if error is not None:
            self._client.set_tag(self.run_id, "error", reason(error))
        self.flush()


def _save_program(module: torch.nn.Module, rows: torch.Tensor, path: Path, *, model_id: str, run_id: str) -> None:
    """Write a network by torch.export: no pickle, free batch size, signature and example inside."""
    import mlflow.pytorch  # late: imports torch
    import torch  # late: imported by whoever has a module
    from mlflow.models import Model, infer_signature  # late: half a second

    with torch.no_grad():
        output = module(rows).numpy()
    mlflow.pytorch.save_model(
        module,
        str(path),
        mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
        signature=infer_signature(rows.numpy(), output),
        input_example=rows.numpy(),
        pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in ("mlflow", "numpy", "torch")],
        serialization_format="pt2",
    )


def _checked(example: torch.Tensor) -> torch.Tensor:
    rows = example[:EXAMPLE_ROWS].detach().cpu()
    if rows.ndim != AXES or len(rows) < FEWEST_ROWS or str(rows.dtype) != "torch.float32":
        got = f"{example.dtype} of shape {tuple(example.shape)}"
        raise ValueError(f"expected a float32 example of at least two rows; got {got}. Pass a few training cells.")
    return rows


@contextmanager
def _creation(uri: str) -> Iterator[None]:
    """Let one process at a time create or migrate a database, and only one that opens; servers do it on their own."""
    if not uri.startswith(DATABASES):
        yield
        return
    stores = import_module("mlflow.store.tracking.sqlalchemy_store")  # over a second: better spent before the lock
    database = _sqlite_file(uri)
    lock = database.with_name(f"{database.name}.lock") if database else paths.STATE / "mlflow.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock, timeout=LOCK_SECONDS):
        if database and not (database.exists() and database.stat().st_size):
            _make_whole(database, stores.SqlAlchemyStore)
        _check_opens(uri)
        yield


def _make_whole(database: Path, store: Any) -> None:
    """Make a database aside, then rename it: a process that is killed meanwhile leaves no half-migrated one."""
    aside = database.with_name(f"{database.name}.part")
    for file in (aside, aside.with_name(f"{aside.name}-journal")):
        file.unlink(missing_ok=True)
    uri = f"sqlite:///{database}"
    store(f"sqlite:///{aside}", _artifacts(uri)).engine.dispose()
    aside.replace(database)


def _check_opens(uri: str) -> None:
    """Connect once: on a database that does not open, MLflow itself would go on trying for 100 seconds."""
    engine = import_module("mlflow.store.db.utils").create_sqlalchemy_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _artifacts(uri: str) -> str | None:
    """Where a new experiment keeps its files: beside an SQLite file; None leaves it to the server."""
    if not uri.startswith(DATABASES):
        return None
    database = _sqlite_file(uri)
    folder = database.parent / paths.MLFLOW_ARTIFACTS.name if database else paths.MLFLOW_ARTIFACTS
    return folder.resolve().as_uri()


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.partition("?")[0].removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _experiment_id(client: MlflowClient, name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=artifacts)
        except MlflowException:
            found = client.get_experiment_by_name(name)  # made by another client in between
            if found is None:
                raise
    return str(found.experiment_id)


def _parts(items: list[_T], size: int) -> Iterator[list[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def milliseconds(time: datetime) -> int:
    """A time as MLflow counts it; one without zone is local."""
    return int(time.timestamp() * 1000)


def _metrics(points: Iterable[Point]) -> list[Metric]:
    return [Metric(clean_name(name), value, milliseconds(time), step) for name, value, step, time in points]
