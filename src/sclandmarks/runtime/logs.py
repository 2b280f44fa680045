"""Logging, configured by entry points only."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sclandmarks.errors import SclandmarksError


@contextmanager
def plain_errors() -> Iterator[None]:
    """Log to stderr, and end with exit code 1 and one plain message on an error made for users."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for noisy in ("alembic", "mlflow", "httpx", "httpx2", "fontTools", "matplotlib", "torch"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        yield
    except SclandmarksError as error:
        sys.stderr.write("\n".join([f"error: {error}", *getattr(error, "__notes__", [])]) + "\n")
        raise SystemExit(1) from None


def run_stage(main: Callable[[], None]) -> None:
    """Run the main function of a stage script under `plain_errors`."""
    with plain_errors():
        main()
