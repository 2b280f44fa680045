"""Entries of datasets.yaml to matrices: one file as it is, or several read one by one and joined to a cohort."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import polars as pl

from sclandmarks import schema
from sclandmarks.io.matrices import write_matrix
from sclandmarks.io.own.files import content_sha256
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.isolated import read_isolated
from sclandmarks.io.registry.datasets import Dataset, Recipe
from sclandmarks.io.registry.places import FileSource, PanglaodbSource, PypiSource, UrlSource
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import TABLES, files_of
from sclandmarks.io.sources.panglaodb import Sample, named, tissue_asked
from sclandmarks.io.sources.panglaodb_samples import one_of, samples_of
from sclandmarks.io.tables import write_table
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.prep.cohort import Cohort, Gatherer
from sclandmarks.schema import UNKNOWN

EXCLUDED = "exclude in datasets.yaml"
N_SHOWN = 20
logger = logging.getLogger(__name__)


class Made(NamedTuple):
    """What an entry gives: its matrix, and for several samples the tables of `sources.TABLES` by name."""

    matrix: ExpressionMatrix
    tables: dict[str, pl.DataFrame]


class Part(NamedTuple):
    """One file of counts: the member it belongs to, how it is read, and what PanglaoDB says of it."""

    member: str
    dataset: Dataset
    origin: Origin
    sample: Sample | None = None


def make(recipe: Recipe, fetched: Fetched) -> Made:
    """Read what an entry of datasets.yaml names; nothing is asked of the network.

    Of several samples one is read after another, and the cells that the cohort keeps alone stay in memory.

    Parameters
    ----------
    recipe : Recipe
    fetched : Fetched
        What came from the network.

    Raises
    ------
    SourceError
        If a file is not there.
    DataError
        If a file is broken, or no cell or gene is left.
    """
    parts = [part for name, dataset in recipe.members.items() for part in parts_of(name, dataset, fetched)]
    if recipe.cohort is None:
        return Made(_read(parts[0], fetched), {})
    gatherer = Gatherer(recipe.name, recipe.cohort)
    about: list[pl.DataFrame] = []
    for part in parts:
        matrix = _with_own_samples(_read(part, fetched), part)
        about.append(_about(part, matrix, fetched))
        logger.info("%s: %d cells x %d genes read", part.origin.dataset, matrix.n_cells, matrix.n_genes)
        gatherer.add(part.member, matrix)
    cohort = gatherer.finish()
    _say(recipe.name, cohort)
    return Made(cohort.matrix, _tables(cohort, pl.concat(about), _excluded(recipe)))


def parts_of(member: str, dataset: Dataset, fetched: Fetched) -> list[Part]:
    """Files of counts of a data set, in order: one, or one for each sample of PanglaoDB."""
    source = dataset.source
    if not isinstance(source, PanglaodbSource):
        return [Part(member, dataset, dataset.origin(member))]
    return [
        Part(
            member,
            dataset.model_copy(update={"source": one_of(source, sample)}),
            dataset.origin(member if source.is_one else sample.name)._replace(
                tissue=tissue_asked(sample, source.tissue) or sample.tissue or dataset.tissue,
                sample=dataset.sample or sample.name if source.is_one else sample.name,
            ),
            sample,
        )
        for sample in samples_of(source, fetched.path)
    ]


def write(folder: Path, made: Made) -> None:
    """Write the matrix, and beside it the tables that a cohort has.

    Raises
    ------
    SchemaError
        If a table does not follow its schema.
    """
    for table in TABLES if made.tables else ():
        write_table(folder / f"{table.name}.parquet", made.tables[table.name], table)
    write_matrix(folder, made.matrix)


def _read(part: Part, fetched: Fetched) -> ExpressionMatrix:
    with TemporaryDirectory(prefix="ingest-") as temporary:
        files = files_of(part.dataset, Path(temporary), fetched)
        return read_isolated(files, part.dataset.reader, part.origin)


def _with_own_samples(matrix: ExpressionMatrix, part: Part) -> ExpressionMatrix:
    """Name samples by their member, so that those of two members are never taken for one; PanglaoDB's are unique."""
    if part.sample is not None:
        return matrix
    known = pl.concat_str(pl.lit(f"{part.member}/"), "sample")
    named = pl.when(pl.col("sample") == UNKNOWN).then(pl.lit(part.member)).otherwise(known)
    return replace(matrix, cells=matrix.cells.with_columns(sample=named))


def _about(part: Part, matrix: ExpressionMatrix, fetched: Fetched) -> pl.DataFrame:
    """What the table of provenance says of each sample of a file."""
    address, sha256 = _address(part.dataset, fetched)
    return pl.DataFrame(
        {
            "member": part.member,
            "sample": matrix.cells["sample"].unique(maintain_order=True),
            "source": part.dataset.source.kind,
            "address": address,
            "sha256": sha256,
            "protocol": part.sample.protocol if part.sample else None,
            "tissue": (part.sample.tissue if part.sample else None) or part.origin.tissue,
        },
        schema={name: schema.PROVENANCE.dtypes[name] for name in list(schema.PROVENANCE.dtypes)[:7]},
    )


def _address(dataset: Dataset, fetched: Fetched) -> tuple[str, str]:
    """Where the counts come from, and their SHA-256; that of the archive where they are in one.

    That of a folder is of the names and contents of its files.
    """
    source = dataset.source
    if isinstance(source, PypiSource):
        return f"{source.package}=={source.version}/{source.file}: {source.members['counts']}", source.sha256
    if isinstance(source, FileSource):
        return str(source.path), content_sha256(source.files["counts"])
    if isinstance(source, UrlSource):
        url = source.addresses["counts"]
    else:
        url = source.addresses(str(source.sra), str(source.srs))["counts"]
    return url, fetched.sha256(url) or ""


def _excluded(recipe: Recipe) -> pl.DataFrame:
    """Samples that were not read because the entry says so."""
    rows = [
        (name, named(*sample.split("/")), "all", EXCLUDED, 0)
        for name, dataset in recipe.members.items()
        if isinstance(dataset.source, PanglaodbSource)
        for sample in dataset.source.exclude
    ]
    return pl.DataFrame(rows, schema=schema.DROPPED.dtypes, orient="row")


def _tables(cohort: Cohort, about: pl.DataFrame, excluded: pl.DataFrame) -> dict[str, pl.DataFrame]:
    columns = list(schema.PROVENANCE.dtypes)
    provenance = about.join(cohort.sizes, on=["member", "sample"], how="left", maintain_order="left").select(columns)
    dropped = pl.concat([cohort.dropped, excluded])
    return {"provenance": provenance, "dropped": dropped, "measured": cohort.measured}


def _say(name: str, cohort: Cohort) -> None:
    types = cohort.matrix.cells["cell_type"].value_counts().sort("count", "cell_type", descending=[True, False])
    shown = "; ".join(f"{kind}: {n}" for kind, n in types.head(N_SHOWN).iter_rows())
    logger.info("%s: %d cells of %d samples, %s", name, cohort.matrix.n_cells, _n_samples(cohort), shown)
    for reason, n in cohort.dropped.group_by("reason").agg(pl.col("n_cells").sum()).sort("reason").iter_rows():
        logger.info("%s: %d cells dropped: %s", name, n, reason)
    measured, n_samples = cohort.measured, _n_samples(cohort)
    n_common = measured.filter(pl.col("n_samples") == n_samples).height
    n_lost = measured.filter(~pl.col("is_kept")).height
    logger.info("%s: %d genes, %d of them in all samples; %d dropped", name, cohort.matrix.n_genes, n_common, n_lost)


def _n_samples(cohort: Cohort) -> int:
    """Samples of which cells are kept."""
    return cohort.sizes.filter(pl.col("cells_kept") > 0).height
