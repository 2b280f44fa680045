"""The process in which a foreign file is looked at: `python -P -m sclandmarks.io.inspect.worker PARENT FD`.

The job comes as JSON on standard input. What is said goes, a line of JSON each, to the open file the command names.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sclandmarks.io.inspect import inspect
from sclandmarks.io.raw.worker import at_work


def look(job: dict[str, Any]) -> dict[str, Any]:
    """Fields of the Inspection of `path`, which `files`, role -> path, belong to; they can be written as JSON."""
    return vars(inspect(Path(job["path"]), {role: Path(file) for role, file in job["files"].items()}))


if __name__ == "__main__":
    at_work(sys.argv[1:], lambda job, _: look(job))
