"""How entry points log and fail."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from sclandmarks.errors import DataError
from sclandmarks.runtime.logs import plain_errors, run_stage


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put the root logger and all levels back."""
    root, loggers = logging.getLogger(), logging.Logger.manager.loggerDict
    handlers, level = root.handlers[:], root.level
    levels = {name: logger.level for name, logger in loggers.items() if isinstance(logger, logging.Logger)}
    yield
    root.handlers[:], root.level = handlers, level
    for name in list(loggers):
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))


def test_an_error_for_users_is_one_message_and_code_one(capsys: pytest.CaptureFixture[str]) -> None:
    """With its notes, without a traceback."""

    def main() -> None:
        error = DataError("cells", "none", "Add some.")
        error.add_note("file: here")
        raise error

    with pytest.raises(SystemExit) as caught:
        run_stage(main)
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: expected cells; got none. Add some.\nfile: here\n"


def test_any_other_error_keeps_its_traceback() -> None:
    """A fault of the program is not dressed up."""
    with pytest.raises(ZeroDivisionError), plain_errors():
        _ = 1 / 0


def test_ours_is_logged_and_noise_is_not() -> None:
    """Information of this package, warnings of others."""
    with plain_errors():
        assert logging.getLogger("mlflow.tracking").getEffectiveLevel() == logging.WARNING
        assert logging.getLogger("matplotlib.font_manager").getEffectiveLevel() == logging.WARNING


def test_a_stage_that_succeeds_returns() -> None:
    """And has run."""
    ran = []
    run_stage(lambda: ran.append(1))
    assert ran == [1]


def test_ctrl_c_ends_a_stage_with_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit code that shells know."""

    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_stage(main)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "stopped\n"
