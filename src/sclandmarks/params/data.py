"""Sections of the stages that make the processed matrix."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sclandmarks.params.base import Count, Fraction, LogBase, Name, Number, Positive, Section, Seed, Whole
from sclandmarks.schema import UNKNOWN


class DataParams(Section):
    """Which data sets of datasets.yaml are used; several are joined on their common genes."""

    datasets: tuple[Name, ...] = Field(min_length=1)

    @property
    def label(self) -> str:
        """The data sets in one word, for titles and tags."""
        return "+".join(self.datasets)

    @model_validator(mode="after")
    def _no_duplicates(self) -> DataParams:
        if len(set(self.datasets)) < len(self.datasets):
            raise ValueError(f"each data set once, got {list(self.datasets)}")
        return self


class SplitParams(Section):
    """Fractions of cells: test of all, validation of the rest.

    Parameters
    ----------
    seed : int
    test, validation : float
        Of all cells, and of those that are left.
    by : str
        `cell` divides each data set and cell type alike; a column of the cells sends whole groups to test.
    test_groups : tuple of str
        The groups that go to test, in place of a seeded choice of about `test`.
    """

    seed: Seed
    test: Fraction
    validation: Fraction
    by: Literal["cell", "dataset", "donor", "sample", "tissue", "cell_type", "condition"] = "cell"
    test_groups: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _groups_fit(self) -> SplitParams:
        if self.test_groups and self.by == "cell":
            raise ValueError("test_groups need split.by: dataset, donor, sample, tissue, cell_type or condition")
        if UNKNOWN in self.test_groups:
            raise ValueError("Unknown is no group: cells whose group is not known are never test cells")
        if len(set(self.test_groups)) < len(self.test_groups):
            raise ValueError(f"each of test_groups once, got {list(self.test_groups)}")
        return self


class PrepareParams(Section):
    """Filters and normalisation; the defaults in params.yaml are the study's."""

    min_library_size: Count
    min_reads: Positive
    min_cells: Positive
    scale: Annotated[Number, Field(gt=0)]
    log_base: LogBase


class ExploreParams(Section):
    """PCA and t-SNE of the processed cells."""

    seed: Seed
    n_components: Annotated[Whole, Field(ge=2)]
    perplexity: Annotated[Number, Field(gt=1)]
    max_cells: Annotated[Whole, Field(ge=10)]
