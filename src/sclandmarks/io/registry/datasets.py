"""The registry of data sets: datasets.yaml, typed. Where each comes from, how its files are read, and cohorts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from sclandmarks import paths, schema
from sclandmarks.errors import ParamsError
from sclandmarks.io.raw import Reader
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.organism import HUMAN, MOUSE
from sclandmarks.io.raw.panglaodb import PanglaodbSettings
from sclandmarks.io.registry.places import PanglaodbSource, Source, Text
from sclandmarks.params import CohortParams, Name, Section, describe, read_yaml

DESCRIPTIVE = {"title", "citation", "licence"}


class _Entry(Section):
    """What every entry of datasets.yaml says for people and reports."""

    title: Text
    organism: Text
    tissue: Text
    citation: Text
    licence: Text


class Dataset(_Entry):
    """An entry of datasets.yaml with a source and a reader.

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
        return Origin(name, self.tissue, self.donor, self.sample, self.condition, self.organism)

    @property
    def organisms(self) -> set[str]:
        """Organisms that its genes can be of: its own, and man where the reader turns mouse genes into human ones."""
        return {self.organism} | ({HUMAN} if self.reader.orthologs and self.organism == MOUSE else set())

    def digest(self) -> str:
        """SHA-256 of all that decides the data: the canonical JSON of the entry and the version of the tables.

        Title, citation and licence can be reworded without reading the data again.
        """
        return _digest(self.model_dump(mode="json", exclude=DESCRIPTIVE) | {"schema": schema.VERSION})


def _digest(decisive: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class PanglaodbMember(PanglaodbSource):
    """Samples of PanglaoDB as a member of a cohort, see `PanglaodbSource` and the reader's `unclustered`."""

    unclustered: Literal["keep", "drop"] = "keep"


def _kind_of_member(member: Any) -> str:
    return "entry" if isinstance(member, str) else "panglaodb"


Member = Annotated[
    Annotated[Name, Tag("entry")] | Annotated[PanglaodbMember, Tag("panglaodb")], Discriminator(_kind_of_member)
]


class CohortSection(CohortParams):
    """A cohort: its members, and what is kept of them, see `CohortParams`.

    Parameters
    ----------
    members : tuple
        Names of other entries, and samples of PanglaoDB.
    """

    members: Annotated[tuple[Member, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _once(self) -> CohortSection:
        if len(set(self.members)) < len(self.members):
            raise ValueError("each member once")
        return self


class CohortEntry(_Entry):
    """An entry of datasets.yaml with a cohort in place of source and reader.

    Parameters
    ----------
    title, organism, tissue, citation, licence : str
        For people and reports; cells have the tissues of the members.
    cohort : CohortSection
    """

    cohort: CohortSection


Entry = Dataset | CohortEntry


@dataclass(frozen=True)
class Recipe:
    """An entry that was chosen, and the data sets it is made of.

    Parameters
    ----------
    name : str
        Of the entry.
    entry : Dataset or CohortEntry
    members : dict of str to Dataset
        By name; a data set is its own member.
    """

    name: str
    entry: Entry
    members: dict[str, Dataset]

    @property
    def cohort(self) -> CohortParams | None:
        """How samples are made one; None for a data set that is one file, all of which is kept."""
        if isinstance(self.entry, CohortEntry):
            return self.entry.cohort
        source = self.entry.source
        return CohortParams() if isinstance(source, PanglaodbSource) and not source.is_one else None

    def digest(self) -> str:
        """SHA-256 of all that decides the data, see `Dataset.digest`."""
        if isinstance(self.entry, Dataset):
            return self.entry.digest()
        members = {name: member.digest() for name, member in self.members.items()}
        settings = self.entry.cohort.model_dump(mode="json", exclude={"members"})
        return _digest({"cohort": settings, "members": list(members.items()), "schema": schema.VERSION})


def load_registry(path: Path = paths.DATASETS) -> dict[str, Entry]:
    """Read and check datasets.yaml.

    Returns
    -------
    dict of str to Dataset or CohortEntry
        By the name that params.yaml uses.

    Raises
    ------
    ParamsError
        If the file is missing, is not YAML, has unknown keys or impossible values, or a cohort has members that
        cannot be; every fault is listed.
    """
    return parse_registry(read_yaml(path), path)


_ENTRIES: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[Name, Any])


def parse_registry(values: Any, path: Path = paths.DATASETS) -> dict[str, Entry]:
    """Check entries that were read from `path`, see `load_registry`."""
    faults: list[str] = []
    entries: dict[str, Entry] = {}
    try:
        named = _ENTRIES.validate_python(values)
    except ValidationError as error:
        named, faults = {}, describe(error).splitlines()
    for name, value in named.items():
        kind = CohortEntry if isinstance(value, dict) and "cohort" in value else Dataset
        try:
            entries[name] = kind.model_validate(value)
        except ValidationError as error:
            faults += describe(error, name).splitlines()
    faults += [] if faults else [f"  {fault}" for name in entries for fault in _wrong_members(name, entries)]
    if faults:
        listed = "\n".join(["", *filter(None, faults), ""])
        raise ParamsError(f"valid entries in {path}", listed, "Mend the keys named above.")
    return entries


def _wrong_members(name: str, entries: Mapping[str, Entry]) -> Iterator[str]:
    entry = entries[name]
    for member in entry.cohort.members if isinstance(entry, CohortEntry) else ():
        other = entries.get(member) if isinstance(member, str) else None
        place = f"{name}.cohort.members: {member}"
        if isinstance(other, CohortEntry):
            yield f"{place} is a cohort itself; name its members"
        elif isinstance(member, str) and other is None:
            single = [key for key, one in entries.items() if isinstance(one, Dataset)]
            yield f"{place} is no entry; expected one of {', '.join(single) or 'none'}"
        elif isinstance(other, Dataset) and entry.organism not in other.organisms:
            yield f"{place} is of {other.organism}, the cohort of {entry.organism}{_help(other)}"


def _help(other: Dataset) -> str:
    return "; set its reader.orthologs to take its human orthologs" if other.organism == MOUSE else ""


def choose(registry: Mapping[str, Entry], names: Sequence[str]) -> dict[str, Recipe]:
    """Entries by name with their members, in the order asked for.

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
    return {name: Recipe(name, registry[name], _members(name, registry)) for name in names}


def _members(name: str, registry: Mapping[str, Entry]) -> dict[str, Dataset]:
    entry = registry[name]
    if isinstance(entry, Dataset):
        return {name: entry}
    members: dict[str, Dataset] = {}
    for member in entry.cohort.members:
        if isinstance(member, PanglaodbMember):
            members[f"panglaodb-{len(members)}" if "panglaodb" in members else "panglaodb"] = _inline(member, entry)
        elif isinstance(other := registry[member], Dataset):
            members[member] = other
    return members


def _inline(member: PanglaodbMember, entry: CohortEntry) -> Dataset:
    """Data set of samples that stand in the cohort itself."""
    reader = PanglaodbSettings(format="panglaodb", unclustered=member.unclustered)
    about = {key: getattr(entry, key) for key in _Entry.model_fields}
    source = PanglaodbSource.model_validate(member.model_dump(exclude={"unclustered"}))
    return Dataset(**about, source=source, reader=reader)
