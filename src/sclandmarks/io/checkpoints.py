"""Checkpoints of a training in state/: an interrupted one goes on where it was."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sclandmarks.io.atomic import remove_left, write_aside

log = logging.getLogger(__name__)


class FileCheckpoint:
    """One file that is replaced whole.

    Parameters
    ----------
    folder : Path
    name : str
        Of the stage item, for people.
    key : str
        Hash of all that the training depends on; another key is another training.
    interval : float
        Seconds between two writes at least; an interruption costs no more than that.
    """

    def __init__(self, folder: Path, name: str, key: str, interval: float = 10.0) -> None:
        self.path = folder / f"{name}-{key[:16]}.pt"
        self.interval, self._written = interval, time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the last state, or None; a file that cannot be read is removed with a warning."""
        import torch

        if not self.path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, weights_only=True)
        except Exception as error:  # a cut or foreign file raises many kinds
            log.warning("checkpoint %s cannot be read (%s): training starts anew", self.path, error)
            self.remove()
            return None
        log.info("going on from checkpoint %s", self.path)
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state, at most every `interval` seconds."""
        import torch

        if time.monotonic() - self._written < self.interval:
            return
        with write_aside(self.path) as aside:
            torch.save(dict(state), aside)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Remove the file, after the result is written, and what was half-written beside it."""
        self.path.unlink(missing_ok=True)
        remove_left(self.path)


def training_key(settings: Mapping[str, Any], files: Iterable[Path]) -> str:
    """Hash of settings and of the bytes of input files."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
