"""A broken backend costs one warning; the caller's own exceptions go through."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from sclandmarks.tracking import GuardedTracker, NullRun, Tracker
from sclandmarks.tracking.guard import reason


class Recorder(NullRun):
    """Notes what it is told; fails in the methods named."""

    def __init__(self, *broken: str) -> None:
        self.calls: list[str] = []
        self.ended: list[str] = []
        self.broken = broken

    def note(self, name: str) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise ConnectionError(f"{name} does not work")

    def log_metrics(self, values: Any, step: int | None = None) -> None:
        self.note("log_metrics")

    def log_text(self, name: str, text: str) -> None:
        self.note("log_text")

    @contextmanager
    def run(self, name: str, **_: Any) -> Iterator[Recorder]:
        self.note("open")
        try:
            yield self
        except BaseException as error:
            self.ended.append(type(error).__name__)
            self.note("close")
            raise
        self.ended.append("whole")
        self.note("close")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def use(tracker: Tracker) -> int:
    """A stage in small: two runs, and a result."""
    for name in ("first", "second"):
        with tracker.run(name) as run:
            run.log_metrics({"mse": 1.0})
            run.log_text("a.txt", "a")
    return 42


def test_a_whole_backend_is_told_everything(caplog: pytest.LogCaptureFixture) -> None:
    backend = Recorder()
    assert use(GuardedTracker(lambda: backend)) == 42
    assert backend.calls == ["open", "log_metrics", "log_text", "close"] * 2
    assert warnings(caplog) == []


@pytest.mark.parametrize("broken", ["open", "log_metrics", "log_text", "close"])
def test_one_warning_then_silence(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    backend = Recorder(broken)
    assert use(GuardedTracker(lambda: backend)) == 42
    assert len(warnings(caplog)) == 1
    assert f"{broken} does not work" in warnings(caplog)[0]
    assert backend.calls.count("open") == 1
    assert "second" not in backend.calls


def test_a_backend_that_cannot_be_made(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Tracker:
        raise ImportError("no mlflow")

    assert use(GuardedTracker(make)) == 42
    assert len(warnings(caplog)) == 1


def test_an_incomplete_record_does_not_end_whole() -> None:
    backend = Recorder("log_metrics")
    use(GuardedTracker(lambda: backend))
    assert backend.ended == ["ConnectionError"]


@pytest.mark.parametrize("broken", [(), ("log_text",), ("close",), ("log_text", "close")])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_callers_exception_goes_through(broken: tuple[str, ...], kind: type[BaseException]) -> None:
    backend, raised = Recorder(*broken), kind("mine")
    with pytest.raises(kind) as caught, GuardedTracker(lambda: backend).run("a") as run:
        run.log_text("a.txt", "a")
        raise raised
    assert caught.value is raised
    assert backend.ended == [kind.__name__]


def test_an_interrupt_inside_the_backend_goes_through() -> None:
    class Interrupted(Recorder):
        def log_text(self, name: str, text: str) -> None:
            raise KeyboardInterrupt

    backend = Interrupted()
    with pytest.raises(KeyboardInterrupt), GuardedTracker(lambda: backend).run("a") as run:
        run.log_text("a.txt", "a")
    assert backend.ended == ["KeyboardInterrupt"]


def test_a_backend_that_swallows_does_not_hide_the_callers_exception() -> None:
    class Swallowing(NullRun):
        @contextmanager
        def run(self, name: str, **_: Any) -> Iterator[NullRun]:
            with suppress(ValueError):
                yield self

    with pytest.raises(ValueError, match="mine"), GuardedTracker(Swallowing).run("a"):
        raise ValueError("mine")


def test_a_reason_is_one_short_line_without_credentials() -> None:
    error = OSError("no answer\nfrom http://me:secret@host/api " + "x" * 9999)
    assert "secret" not in reason(error)
    assert "\n" not in reason(error)
    assert len(reason(error)) < 600


def test_other_methods_reach_the_backend(tmp_path: Path) -> None:
    reached: list[str] = []

    class Every(NullRun):
        def log_table(self, name: str, frame: Any) -> None:
            reached.append("table")

        def log_file(self, path: Path, folder: str | None = None) -> None:
            reached.append("file")

        def log_figure(self, path: Path) -> None:
            reached.append("figure")

        def log_model(self, module: Any, example: Any, best_step: int) -> None:
            reached.append("model")

        @contextmanager
        def run(self, name: str, **_: Any) -> Iterator[NullRun]:
            yield self

    frame: Any = None
    with GuardedTracker(Every).run("a") as run:
        run.log_table("t", frame)
        run.log_file(tmp_path)
        run.log_figure(tmp_path)
        run.log_model(frame, frame, 0)
    assert reached == ["table", "file", "figure", "model"]
