"""How a cohort is made of several samples: settings of `cohort` in datasets.yaml, apart from its members."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sclandmarks.params.base import Positive, Section, Seed

CellType = Annotated[str, Field(min_length=1)]


class Balance(Section):
    """About equal numbers of cells of each type.

    Parameters
    ----------
    per_type : int or "auto"
        Cells of each type, or all where a type has fewer; `auto`: as many as the smallest type that is kept has.
    floor : int
        Types with fewer cells are dropped.
    cap : int, optional
        No type has more cells.
    seed : int
    """

    per_type: Positive | Literal["auto"] = "auto"
    floor: Positive = 1
    cap: Positive | None = None
    seed: Seed = 0

    @model_validator(mode="after")
    def _floor_is_below(self) -> Balance:
        if self.bound is not None and self.floor > self.bound:
            raise ValueError(f"floor {self.floor} is above the most cells of a type, {self.bound}")
        return self

    @property
    def bound(self) -> int | None:
        """Most cells of a type; None where only the samples limit them."""
        limits = [limit for limit in (self.per_type, self.cap) if isinstance(limit, int)]
        return min(limits, default=None)


class CohortParams(Section):
    """Which genes and cells of the samples are kept.

    Parameters
    ----------
    genes : {"union", "intersection"}
        Genes of any sample, where one without a gene has zeros; or genes that every sample measured.
    rename : dict of str to str
        Cell type in a sample -> in the cohort; it comes before `cell_types`.
    cell_types : tuple of str
        Types that are kept; none named keeps all.
    min_library_size : int
        Cells with fewer reads are dropped before types are balanced.
    balance : Balance, optional
        Without it all cells are kept.
    """

    genes: Literal["union", "intersection"] = "union"
    rename: dict[CellType, CellType] = Field(default_factory=dict)
    cell_types: tuple[CellType, ...] = ()
    min_library_size: int = Field(default=0, ge=0)
    balance: Balance | None = None

    @model_validator(mode="after")
    def _types_fit(self) -> CohortParams:
        strange = sorted(set(self.rename.values()) - set(self.cell_types)) if self.cell_types else []
        if strange:
            raise ValueError(f"rename to types among cell_types; got {', '.join(strange)}")
        if len(set(self.cell_types)) < len(self.cell_types):
            raise ValueError(f"each of cell_types once, got {list(self.cell_types)}")
        return self
