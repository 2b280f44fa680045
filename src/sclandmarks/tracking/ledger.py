"""Runs that are written whole, after the fact, and found again by their tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from sclandmarks.tracking.base import Kind, Run

if TYPE_CHECKING:
    import polars as pl

Status = Literal["RUNNING", "FINISHED", "KILLED", "FAILED"]


class Point(NamedTuple):
    """One figure at one step.

    Parameters
    ----------
    name : str
    value : float
        Finite.
    step : int
    time : datetime
        When it was so. The same point written twice is one point.
    """

    name: str
    value: float
    step: int
    time: datetime


@dataclass(frozen=True)
class Entry:
    """A run to be written.

    Parameters
    ----------
    name : str
        For people; need not be unique.
    kind : {"stage", "study", "trial", "final"}
    tags : mapping of str to str
        By which it is found again.
    status : {"RUNNING", "FINISHED", "KILLED", "FAILED"}
    started : datetime
    ended : datetime, optional
        None for a run that goes on.
    params : mapping
        Nested sections are joined by dots.
    points : tuple of Point
    tables : mapping of str to polars.DataFrame
        Kept under tables/, see `Run.log_table`.
    parent : str, optional
        Id of the run it stands under.
    """

    name: str
    kind: Kind
    tags: Mapping[str, str]
    status: Status
    started: datetime
    ended: datetime | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    parent: str | None = None


@dataclass(frozen=True)
class Found:
    """A run as the record has it; a figure with steps by its last one."""

    run_id: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    parent: str | None = None


class Ledger(Protocol):
    """A record whose runs can be found and completed by a later process. Nothing is guarded: its errors are raised."""

    def find(self, tags: Mapping[str, str]) -> list[Found]:
        """Runs that have all these tags and were not removed, oldest first."""

    def write(self, entry: Entry) -> str:
        """Write a run, its status last; return its id.

        Whoever is killed on the way leaves a run that is RUNNING: of an entry with another status it is half of one.
        """

    def remove(self, run_id: str) -> None:
        """Take a run out of the record."""

    def edit(self, run_id: str) -> Run:
        """A run to add to; files of the same name are replaced, models are not."""

    def add(self, run_id: str, params: Mapping[str, object], points: Iterable[Point]) -> None:
        """Add settings and figures; those that are there already stay once.

        Raises
        ------
        Exception
            If the run has another value for a setting.
        """

    def mark(self, run_id: str, status: Status, tags: Mapping[str, str]) -> None:
        """Set tags, then the status."""

    def remove_models(self, run_id: str) -> None:
        """Take the logged models of a run out of the record."""
