"""Logging, configured by entry points only."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sclandmarks.errors import SclandmarksError
from sclandmarks.runtime.leash import end_with_dvc

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


@contextmanager
def plain_errors() -> Iterator[None]:
    """Log to stderr; end with exit code 1 and one plain message on an error made for users, or a file not written."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for noisy in ("alembic", "mlflow", "httpx", "httpx2", "fontTools", "matplotlib", "torch"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of each retry; the record of runs warns once
    try:
        yield
    except (SclandmarksError, OSError) as error:
        notes = getattr(error, "__notes__", [])
        if isinstance(error, OSError):
            if not notes:  # not of `write_aside`: nobody knows what to do about it
                raise
            notes = [*notes, "Free space on the disk, or mend the permissions of the folder, and run again."]
        sys.stderr.write("\n".join([f"error: {error}", *notes]) + "\n")
        raise SystemExit(1) from None


def run_stage(main: Callable[[], None]) -> None:
    """Run the main function of a stage script under `plain_errors`, as long as the DVC that started it lives.

    Ctrl-C ends it with exit code 130 and one word.
    """
    end_with_dvc()
    with plain_errors():
        try:
            main()
        except KeyboardInterrupt:
            sys.stderr.write("stopped\n")
            raise SystemExit(INTERRUPTED) from None
