"""What can be set for every reader: which columns label the cells, the genome, orthologs, normalised values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sclandmarks.params import Section

Column = Annotated[str, Field(min_length=1)]


class ReaderSettings(Section):
    """Base of the settings of all readers.

    Parameters
    ----------
    barcode, cell_type, donor, sample, tissue, condition : str, optional
        Columns of the table in the role `labels`, or, where that has none of the name, of the counts' file itself.
    genome : str, optional
        Of a file of several genomes, the one that is read: the prefix of its genes' names, such as `GRCh38` of
        `GRCh38_GAPDH`, or `Homo sapiens` or `Mus musculus` where Ensembl ids without prefix tell the genes apart.
    normalised : {"refuse", "recover"}
        What becomes of a matrix of fractions: an error, or the counts that it was made of, see `recover.recovered`.
    orthologs : Path, optional
        Table with the columns `mouse` and `human` that turns mouse genes into human ones, see `orthologs`; `~` is
        the home folder, a relative path starts at the root of the repository.
    """

    optional_roles: ClassVar[tuple[str, ...]] = ("labels",)

    barcode: Column | None = None
    cell_type: Column | None = None
    donor: Column | None = None
    sample: Column | None = None
    tissue: Column | None = None
    condition: Column | None = None
    genome: Column | None = None
    normalised: Literal["refuse", "recover"] = "refuse"
    orthologs: Path | None = None
