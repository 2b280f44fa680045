"""Errors that a user can act on: what was expected, what came, what to do."""

from __future__ import annotations


class SclandmarksError(Exception):
    """Base of every error this package raises on purpose.

    Parameters
    ----------
    expected, got, remedy : str
        What was expected, what came instead, and what to do about it.
    """

    def __init__(self, expected: str, got: str, remedy: str) -> None:
        self.expected, self.got, self.remedy = expected, got, remedy
        super().__init__(f"expected {expected}; got {got}. {remedy}")

    def __reduce__(self) -> tuple[type[SclandmarksError], tuple[str, str, str]]:
        """Pickle by the three parts, so that the error crosses process borders."""
        return type(self), (self.expected, self.got, self.remedy)


class ParamsError(SclandmarksError):
    """A setting in params.yaml or datasets.yaml is unknown, impossible or contradictory."""


class SourceError(SclandmarksError):
    """A data set cannot be fetched, or is not the file its sha256 promises."""


class DataError(SclandmarksError):
    """Counts, cells or genes are not what a count matrix holds."""


class SchemaError(SclandmarksError):
    """A table on disk or about to be written does not follow its schema."""


class PanelError(SclandmarksError):
    """A panel cannot be chosen from, or does not fit, the genes at hand."""


class TrainingError(SclandmarksError):
    """Training cannot go on, for example because the loss is not finite."""


class StudyError(SclandmarksError):
    """A study cannot be opened, or cannot go on."""
