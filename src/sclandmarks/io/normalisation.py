"""How the values that a model takes and gives are made of counts, as its model.json says."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from sclandmarks.params import LogBase, Positive, PrepareParams, Section, Unit
from sclandmarks.params.base import Number


class Normalisation(Section):
    """How the values that a model takes and gives are made of counts: log(pseudocount + scale * count / total).

    Parameters
    ----------
    scale : float
        Reads of every cell.
    log_base : {2, 10, "e"}
    pseudocount : {1}
    n_genes : int
        Genes that a cell's total is taken over: all of the model, its landmarks and its targets.
    """

    scale: Annotated[Number, Field(gt=0)]
    log_base: LogBase
    pseudocount: Literal[1] = 1
    n_genes: Positive

    @property
    def ln_base(self) -> float:
        """Natural logarithm of the base."""
        return 1.0 if self.log_base == "e" else math.log(self.log_base)


def made_of(unit: Unit, prepare: PrepareParams, n_genes: int) -> dict[str, Any]:
    """What model.json keeps of how a model's values were made.

    Parameters
    ----------
    unit : {"log", "counts"}
        Scale of inputs and outputs.
    prepare : PrepareParams
    n_genes : int
        Of the processed matrix.
    """
    if unit == "counts":
        return {"scale": unit}
    made = Normalisation(scale=prepare.scale, log_base=prepare.log_base, n_genes=n_genes)
    return {"scale": unit, "normalisation": made.model_dump()}
