"""What all sections share: types, the base class, reading YAML, faults in the user's terms."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sclandmarks.errors import ParamsError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Whole = Annotated[int, Field(strict=True)]  # `true` is no number
Number = Annotated[float, Field(strict=True)]
Positive = Annotated[Whole, Field(ge=1)]
Count = Annotated[Whole, Field(ge=0)]
Seed = Annotated[Whole, Field(ge=0, lt=2**32)]
Fraction = Annotated[Number, Field(gt=0, lt=1)]
Rate = Annotated[Number, Field(gt=0, lt=1e3)]
Unit = Literal["log", "counts"]
LogBase = Literal[2, 10, "e"]
UNITS: tuple[Unit, ...] = get_args(Unit)
Dropout = Annotated[Number, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Base of every section: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _UniqueKeys(yaml.SafeLoader):
    """YAML as DVC reads it: a key given twice is a fault, not an override."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises
    ------
    ParamsError
        If the file is missing, is not YAML or gives a key twice.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise ParamsError(f"a readable file {path}", str(error), "Run from the root of the repository.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"YAML in {path}", str(error), "Mend the line it names.") from error


def _without_tag(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Leave out the kind of panel, predictor, source, reader or dimension that pydantic adds behind the name."""
    for i, part in enumerate(place):
        behind = {"panels": 2, "predictors": 2, "source": 1, "reader": 1, "space": 2}.get(str(part))
        if behind and len(place) > i + behind + 1:
            return place[: i + behind] + _without_tag(place[i + behind + 1 :])
    return place


def _without_password(text: str) -> str:
    return re.sub(r"://[^/@\s]+@", "://***@", text)


def describe(error: ValidationError, place: str = "") -> str:
    """List the faults of a validation, a line each, in the terms of the file; `place`: the key of what was checked.

    A password in an address is not repeated.
    """
    lines = []
    for fault in error.errors():
        key = ".".join([place] * bool(place) + [str(part) for part in _without_tag(fault["loc"])])
        message = fault["msg"].removeprefix("Value error, ")
        got = "" if isinstance(fault["input"], dict | BaseModel) else f" (got {fault['input']!r})"
        lines.append(_without_password(f"{key}: {message}{got}" if key else message))
    return "\n  " + "\n  ".join(lines) + "\n"
