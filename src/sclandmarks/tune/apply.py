"""The winner of a study, put into params.yaml: only the values that differ are replaced, all else stays as it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sclandmarks import paths
from sclandmarks.errors import ParamsError, StudyError
from sclandmarks.params import Params, Section, load_params, parse_params
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.space import settled

Scalar = bool | int | float | str | None
MEND = "Write the values in by hand: `sclandmarks tune best` shows them."


class Splice(NamedTuple):
    """Characters first to last of a text are replaced."""

    first: int
    last: int
    text: str


def place_of(plan: Plan) -> tuple[str, str]:
    """Section and name in params.yaml of the settings that were searched."""
    search = plan.search
    return ("predictors", str(getattr(search, "predictor"))) if plan.task == "fit" else ("panels", search.panel)  # noqa: B009


def changes(plan: Plan, params: Params, settings: Mapping[str, Any]) -> dict[str, Scalar]:
    """Settings that differ between params.yaml and a trial.

    Parameters
    ----------
    plan : Plan
    params : Params
        As params.yaml is at this moment.
    settings : mapping
        Of the trial.

    Returns
    -------
    dict
        Empty where params.yaml has them all.

    Raises
    ------
    StudyError
        If the base in params.yaml is neither the one that was searched nor the trial's.
    """
    section, name = place_of(plan)
    present: Section | None = getattr(params, section).get(name)
    if present == settled(plan.base, settings):
        return {}
    if present != plan.base:
        raise StudyError(
            f"{section}.{name} in {paths.PARAMS} as it was when study {plan.name} began",
            _differences(plan.base, present),
            f"Put it back (`git log -p {paths.PARAMS}`), or start another study.",
        )
    own = plan.base.model_dump()
    return {key: value for key, value in settings.items() if own[key] != value or type(own[key]) is not type(value)}


def _differences(base: Section, present: Section | None) -> str:
    if present is None:
        return "no such entry"
    before, after = base.model_dump(), present.model_dump()
    keys = [key for key in before | after if before.get(key) != after.get(key)]
    return ", ".join(f"{key} {after.get(key)}, not {before.get(key)}" for key in keys)


def edited(text: str, place: tuple[str, ...], values: Mapping[str, Scalar]) -> str:
    """Replace values of a mapping in YAML; comments, order, layout and all other lines stay.

    Parameters
    ----------
    text : str
        Of the file.
    place : tuple of str
        Keys down to the mapping.
    values : mapping of str to scalar
        Its new values; a key that it lacks is added.

    Raises
    ------
    ParamsError
        If there is no such mapping, or more than these values would change (an anchor that others use).
    """
    try:
        splices = list(_splices(_mapping(yaml.compose(text, Loader=yaml.SafeLoader), place), values))
        result = text
        for splice in sorted(splices, reverse=True):
            result = result[: splice.first] + splice.text + result[splice.last :]
        as_wished = yaml.safe_load(result) == _wished(yaml.safe_load(text), place, values)
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ParamsError(f"a mapping {'.'.join(place)} in YAML", str(error), MEND) from error
    if not as_wished:
        raise ParamsError(f"{'.'.join(place)} apart from all else", "an anchor or alias that others share", MEND)
    return result


def _wished(loaded: Any, place: tuple[str, ...], new: Mapping[str, Scalar]) -> Any:
    values = mapping = _apart(loaded)
    for key in place:
        mapping = mapping[key]
    mapping.update(new)
    return values


def _apart(value: Any) -> Any:
    """Copy in which no two places share an object, as they do in YAML with aliases."""
    if isinstance(value, dict):
        return {key: _apart(part) for key, part in value.items()}
    return [_apart(part) for part in value] if isinstance(value, list) else value


def _mapping(node: yaml.Node | None, place: tuple[str, ...]) -> yaml.MappingNode:
    for key in place:
        if not isinstance(node, yaml.MappingNode):
            raise KeyError(f"no mapping above {key}")
        node = next((value for name, value in node.value if name.value == key), None)
    if not isinstance(node, yaml.MappingNode):
        raise KeyError(f"no mapping {'.'.join(place)}")
    return node


def _splices(mapping: yaml.MappingNode, values: Mapping[str, Scalar]) -> Iterator[Splice]:
    there = {name.value: node for name, node in mapping.value}
    for key, value in values.items():
        if key in there:
            first, last = there[key].start_mark.index, there[key].end_mark.index
            yield Splice(first, last, written(value) if last > first else f" {written(value)}")
    added = [f"{key}: {written(value)}" for key, value in values.items() if key not in there]
    if added:
        yield _addition(mapping, added)


def _addition(mapping: yaml.MappingNode, added: list[str]) -> Splice:
    """Behind the last value on one line, or as lines of their own before the first."""
    if mapping.flow_style:
        last = mapping.value[-1][1].end_mark.index if mapping.value else mapping.start_mark.index + 1
        return Splice(last, last, ", " * bool(mapping.value) + ", ".join(added))
    first = mapping.value[0][0].start_mark
    return Splice(first.index, first.index, "".join(f"{line}\n{' ' * first.column}" for line in added))


def written(value: Scalar) -> str:
    """A scalar as YAML 1.1 and 1.2 both read it: 1.0e-05, not 1e-05, which PyYAML takes for text."""
    if isinstance(value, float):
        digits, _, exponent = repr(value).partition("e")
        return f"{digits if '.' in digits else digits + '.0'}e{exponent}" if exponent else digits
    return yaml.safe_dump([value], default_flow_style=True, width=10**6, allow_unicode=True).strip()[1:-1]


def proposal(plan: Plan, settings: Mapping[str, Any], path: Path = paths.PARAMS) -> tuple[str, str]:
    """Return params.yaml as it is and as it would be with a trial's settings; both are the same where nothing differs.

    Raises
    ------
    StudyError
        As `changes`.
    ParamsError
        As `edited`, or if params.yaml is not valid before or after.
    """
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    new = changes(plan, load_params(path), settings)
    result = edited(text, place_of(plan), new) if new else text
    parse_params(yaml.safe_load(result), path)
    return text, result


def diff(old: str, new: str, path: Path = paths.PARAMS) -> str:
    """Unified diff between two texts of a file."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}", n=1
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
