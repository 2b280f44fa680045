"""Servers: alive, dead from the start, killed in the middle of a run."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sclandmarks.params import TrackingParams
from sclandmarks.tracking import ENVIRONMENT, open_tracker

SECONDS = 300  # nothing here takes a tenth of it


def settings(port: int) -> TrackingParams:
    return TrackingParams(enabled=True, uri=f"http://127.0.0.1:{port}", experiment="tests")


def kill(server: subprocess.Popen[bytes]) -> None:
    """End the server with its workers: the group that this test started."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(timeout=SECONDS)


def wait_until_up(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=SECONDS):
                return
        except OSError:
            time.sleep(0.25)
    raise TimeoutError("the server does not answer")


@pytest.fixture
def server(tmp_path: Path, reserve_port: Callable[[], int]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A real server on a free loopback port."""
    port = reserve_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        f"{tmp_path}/files",
    ]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_until_up(process, port)
        yield process, port
    finally:
        kill(process)


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)


def our_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = [record for record in caplog.records if record.name.startswith("sclandmarks")]
    return [record.message for record in ours if record.levelno >= logging.WARNING]


def stage(port: int) -> int:
    with open_tracker(settings(port), "fit") as tracker, tracker.run("a") as run:
        run.log_metrics({"mse": 0.1})
        run.log_text("a.txt", "a")
    return 42


def test_a_refusing_port_costs_a_warning(caplog: pytest.LogCaptureFixture, reserve_port: Callable[[], int]) -> None:
    assert stage(reserve_port()) == 42
    assert len(our_warnings(caplog)) == 1


def test_a_server_that_never_answers_costs_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # with the default of 5 this takes 10 s, here 2
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert stage(silent.getsockname()[1]) == 42
        assert n_waiting(silent) == 1 + int(ENVIRONMENT["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
    assert len(our_warnings(caplog)) == 1


def n_waiting(listening: socket.socket) -> int:
    """Connections that were made and not accepted so far."""
    listening.setblocking(False)
    n_accepted = 0
    with suppress(BlockingIOError):
        while True:
            listening.accept()[0].close()
            n_accepted += 1
    return n_accepted


def test_a_dead_server_is_noticed_in_about_ten_seconds() -> None:
    tries = 1 + int(ENVIRONMENT["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
    assert tries * int(ENVIRONMENT["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 10


def test_the_callers_exception_goes_through_a_dead_server(reserve_port: Callable[[], int]) -> None:
    with (
        pytest.raises(ValueError, match="mine"),
        open_tracker(settings(reserve_port()), "fit") as tracker,
        tracker.run("a"),
    ):
        raise ValueError("mine")


def test_a_server_keeps_runs_until_it_is_killed(
    server: tuple[subprocess.Popen[bytes], int], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(SECONDS))  # slow is not dead: this one answers, or refuses
    process, port = server
    assert stage(port) == 42
    client = MlflowClient(f"http://127.0.0.1:{port}")
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"mse": 0.1})
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["a.txt"]
    assert our_warnings(caplog) == []

    with open_tracker(settings(port), "fit") as tracker, tracker.run("b") as open_run:
        open_run.log_metrics({"mse": 0.1})
        kill(process)
        open_run.log_metrics({"mse": 0.2})
        open_run.log_text("a.txt", "a")
        result = 42
    assert result == 42
    assert len(our_warnings(caplog)) == 1
