"""What a stage says to the record of runs, and the record that keeps nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import polars as pl
    import torch

Kind = Literal["stage", "study", "trial", "final"]


class Run(Protocol):
    """One open run. Nothing it is told ever changes the result of the caller."""

    def log_metrics(self, values: Mapping[str, float | None], step: int | None = None) -> None:
        """Record figures.

        Parameters
        ----------
        values : mapping of str to float
            A None is left out.
        step : int, optional
            Epoch, or place on a path. With a step the figures may wait and go out together; without, they are final
            (recorded at step 0) and go out at once.
        """

    def log_table(self, name: str, frame: pl.DataFrame) -> None:
        """Keep a table as tables/<name>.json (shown by the UI) and tables/<name>.csv (for people).

        Parameters
        ----------
        name : str
            Without ending, once a run.
        frame : polars.DataFrame
            Flat columns only. Gene lists belong here, never in params or tags.
        """

    def log_text(self, name: str, text: str) -> None:
        """Keep `text` as the file `name` (ending included, folders allowed)."""

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file, in `folder` where given."""

    def log_figure(self, path: Path) -> None:
        """Keep a copy of a figure (png or svg) under figures/."""

    def log_model(self, module: torch.nn.Module, example: torch.Tensor, best_step: int) -> None:
        """Keep a fitted network, as a program that loads without pickle and as plain weights.

        Parameters
        ----------
        module : torch.nn.Module
            Maps (n_cells, n_inputs) float32 to (n_cells, n_outputs). A copy on the CPU in evaluation mode is kept;
            `module` itself is left as it is.
        example : torch.Tensor
            Float32, shape (n_cells, n_inputs), at least two rows: with one, the batch size would be frozen at one.
        best_step : int
            The step whose weights these are; its figures are shown with the model.
        """


class Tracker(Protocol):
    """A record of runs."""

    def run(
        self,
        name: str,
        *,
        kind: Kind = "stage",
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        inputs: Iterable[Path] = (),
    ) -> AbstractContextManager[Run]:
        """Open a run; it ends with the block.

        It ends FINISHED, or FAILED when the block raises, or KILLED when the block is interrupted or exits; what was
        raised goes on unchanged.

        Parameters
        ----------
        name : str
            For people; need not be unique.
        kind : {"stage", "study", "trial", "final"}
        params : mapping, optional
            Nested sections are joined by dots; values too long for the record are cut, visibly.
        tags : mapping of str to str, optional
            For example dataset, panel, predictor.
        inputs : iterable of Path
            Files or folders read; their hashes are taken from dvc.lock where it has them.
        """


class NullRun:
    """A run that keeps nothing."""

    def log_metrics(self, values: Mapping[str, float | None], step: int | None = None) -> None:
        """Do nothing."""

    def log_table(self, name: str, frame: pl.DataFrame) -> None:
        """Do nothing."""

    def log_text(self, name: str, text: str) -> None:
        """Do nothing."""

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Do nothing."""

    def log_figure(self, path: Path) -> None:
        """Do nothing."""

    def log_model(self, module: torch.nn.Module, example: torch.Tensor, best_step: int) -> None:
        """Do nothing."""


class NullTracker:
    """A record that keeps nothing."""

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
        """Open a run that keeps nothing."""
        yield NullRun()
