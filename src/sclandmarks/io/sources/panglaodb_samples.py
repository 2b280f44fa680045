"""Which samples of PanglaoDB a source names, and the cell types of their clusters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sclandmarks.errors import SourceError
from sclandmarks.io.registry.places import PanglaodbSource
from sclandmarks.io.sources import panglaodb
from sclandmarks.io.sources.panglaodb import PACKAGED, Sample, read_annotations, read_cell_types, read_metadata

Get = Callable[[str], Path]


def is_address(place: str) -> bool:
    """Whether a table is on a web server; else it is a path, or comes with this package."""
    return "://" in place


def samples_of(source: PanglaodbSource, get: Get) -> list[Sample]:
    """Samples that a source names, in the order of its list or of PanglaoDB's table.

    Parameters
    ----------
    source : PanglaodbSource
    get : callable
        Gives the file of an address.

    Raises
    ------
    SourceError
        If a table is not there or broken, has no sample of a tissue or none of a number, or `exclude` names a sample
        that is not among them or leaves none.
    """
    samples = _listed(source, get)
    names = [f"{sample.sra}/{sample.srs}" for sample in samples]
    if strange := sorted(set(source.exclude) - set(names)):
        raise SourceError(f"exclude among the {len(names)} samples", ", ".join(strange), "Correct `exclude`.")
    kept = [sample for sample, name in zip(samples, names, strict=True) if name not in source.exclude]
    if not kept:
        raise SourceError("samples that are not excluded", f"all {len(names)} excluded", "Exclude fewer.")
    return kept


def one_of(source: PanglaodbSource, sample: Sample) -> PanglaodbSource:
    """Source of one sample of several."""
    single = {"sra": sample.sra, "srs": sample.srs, "species": None, "metadata": None}
    return source.model_copy(update=single | {"samples": (), "tissue": (), "exclude": ()})


def cell_types_of(source: PanglaodbSource, sra: str, srs: str, get: Get) -> dict[str, str]:
    """Cluster -> cell type of a sample, from the table of annotations or from the sample's own page.

    Raises
    ------
    SourceError
        If the file is not there or broken.
    """
    if source.annotations is None:
        return read_cell_types(get(source.addresses(sra, srs)["annotations"]))
    return read_annotations(local(source.annotations, get)).get((sra, srs), {})


def local(place: str, get: Get) -> Path:
    """File of a table: `get` has those of addresses, others are where their path says."""
    return get(place) if is_address(place) else Path(place).expanduser()


def _listed(source: PanglaodbSource, get: Get) -> list[Sample]:
    known = _known(source.table, get)
    if source.species:
        return panglaodb.select_samples(known, source.species, source.tissue)
    pairs = [tuple(name.split("/")) for name in source.samples] or [(str(source.sra), str(source.srs))]
    by_numbers = {(sample.sra, sample.srs): sample for sample in known}
    absent = ["/".join(pair) for pair in pairs if pair not in by_numbers]
    if known and absent:
        raise SourceError(f"samples in {source.table}", f"none for {', '.join(absent)}", "Correct the numbers.")
    return [by_numbers.get((sra, srs)) or Sample(sra, srs, *[None] * 10) for sra, srs in pairs]


def _known(table: str | None, get: Get) -> list[Sample]:
    if table is None:
        return []
    return panglaodb.packaged_samples() if table == PACKAGED else read_metadata(local(table, get))
