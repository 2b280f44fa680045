"""A process that reads one damaged file after the other; started again when one of them kills it.

Run as a script it is that process: a job comes as a line of JSON, what became of it goes back as one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import select
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np

MEMORY = 3 << 30
PATIENCE_S = 60.0
TICK_S = 0.02


class Outcome(NamedTuple):
    """What reading a file came to.

    Parameters
    ----------
    kind : str
        `matrix`, `error` of the project, `wrong` (any other error, or a matrix that is not sound), `crash`, `hang`,
        `memory`.
    text : str
        The digest of the matrix, or what the error says.
    shape : tuple of int
        Of the matrix.
    """

    kind: str
    text: str
    shape: tuple[int, ...] = ()


class Child:
    """The process that reads; a context manager."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def read(self, files: dict[str, Path], settings: dict[str, Any]) -> Outcome:
        """Read files, in the process that is there or a fresh one."""
        process = self._running()
        job = {"files": {role: str(path) for role, path in files.items()}, "settings": settings}
        cast(IO[bytes], process.stdin).write(json.dumps(job).encode() + b"\n")
        cast(IO[bytes], process.stdin).flush()
        end = time.monotonic() + PATIENCE_S
        answer = cast(IO[bytes], process.stdout)
        while not select.select([answer], [], [], TICK_S)[0]:
            if _resident(process.pid) > MEMORY:
                return self._killed("memory")
            if time.monotonic() > end:
                return self._killed("hang")
        line = answer.readline()
        try:
            kind, text, shape = json.loads(line)
        except ValueError:
            process.wait()
            return self._killed("crash")
        return Outcome(kind, text, tuple(shape))

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            command = [sys.executable, "-P", __file__]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self.process

    def _killed(self, why: str) -> Outcome:
        code = cast("subprocess.Popen[bytes]", self.process).poll()
        self.stop()
        return Outcome(why, f"ended with {code}")


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def faults(matrix: Any, dataset: str) -> list[str]:
    """Say what is wrong with a matrix, by other means than the package's own checks."""
    X, cells, genes = matrix.X_CG, matrix.cells, matrix.genes
    steps = np.diff(X.indptr)
    inside = np.ones(X.nnz, dtype=bool)
    inside[X.indptr[:-1][steps > 0]] = False
    checks = {
        "int32 CSR": X.format == "csr" and X.dtype == np.int32,
        "shape of the tables": X.shape == (cells.height, genes.height) and min(X.shape) > 0,
        "rising starts": X.indptr[0] == 0 and X.indptr[-1] == X.nnz == len(X.indices) and bool((steps >= 0).all()),
        "indices in range": X.nnz > 0 and X.indices.min() >= 0 and X.indices.max() < X.shape[1],
        "sorted, distinct indices": bool((np.diff(X.indices)[inside[1:]] > 0).all()),
        "positive counts": bool((X.data > 0).all()),
        "names once": cells["cell_id"].is_unique().all() and genes["gene_id"].is_unique().all(),
        "the data set": set(cells["dataset"]) == {dataset},
        "library sizes": cells["library_size"].to_list() == [
            int(X.data[a:b].astype(np.int64).sum()) for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)
        ],
        "no empty names": "" not in genes["gene_id"].to_list() and f"{dataset}/" not in cells["cell_id"].to_list(),
    }  # fmt: skip
    return [name for name, holds in checks.items() if not holds]


def digest(matrix: Any) -> str:
    """Hash of all that is in a matrix."""
    parts = [np.asarray(part, dtype=np.int64).tobytes() for part in (matrix.X_CG.data, matrix.X_CG.indices)]
    parts += [np.asarray(matrix.X_CG.indptr, dtype=np.int64).tobytes()]
    parts += [matrix.cells.write_csv().encode(), matrix.genes.write_csv().encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def answer(job: dict[str, Any]) -> Outcome:
    """Read files with the reader itself, in this process."""
    from pydantic import TypeAdapter

    from sclandmarks.errors import SclandmarksError
    from sclandmarks.io.raw import READERS, Reader
    from sclandmarks.io.raw.common import Origin

    settings = TypeAdapter(Reader).validate_python(job["settings"])
    try:
        files = {role: Path(path) for role, path in job["files"].items()}
        matrix = READERS[settings.format](files, settings, Origin("mine", "colon"))
        wrong = faults(matrix, "mine")
    except SclandmarksError as error:
        return Outcome("error", "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])]))
    except BaseException:
        return Outcome("wrong", traceback.format_exc())
    if wrong:
        return Outcome("wrong", f"a matrix without {', '.join(wrong)}")
    return Outcome("matrix", digest(matrix), matrix.X_CG.shape)


def main() -> None:
    """Answer one line after the other; libraries may print what they like."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        channel.write(json.dumps(answer(json.loads(line))) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
