"""datasets.yaml and params.yaml as text: an entry added, replaced, or named, and every other byte kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from sclandmarks.errors import ParamsError

MEND = "Mend the file by hand."


def with_entry(text: str, name: str, lines: str, *, replace: bool = False) -> str:
    """Add an entry at the end of datasets.yaml, or put it where the entry of this name is.

    Parameters
    ----------
    text : str
        Of datasets.yaml.
    name : str
    lines : str
        The entry with its name, as YAML.
    replace : bool
        Whether an entry of this name may be there; comments inside it go with it, all others stay.

    Raises
    ------
    ParamsError
        If the text is no mapping in YAML's block form, or the name is there and not to be replaced.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = lines.rstrip("\n").replace("\n", newline) + newline
    place = _place(text, name)
    if place is None:
        gap = "" if not text or text.endswith(newline * 2) else newline if text.endswith(newline) else newline * 2
        return _checked(text + gap + lines, name)
    if not replace:
        remedy = "Choose another name, or replace it on purpose with --replace."
        raise ParamsError(
            f"a name without an entry in datasets.yaml, or --replace for {name}", "one with an entry", remedy
        )
    return _checked(text[: place[0]] + lines + text[place[1] :], name)


def with_datasets(text: str, names: Sequence[str]) -> str:
    """Set `data.datasets` of params.yaml.

    Raises
    ------
    ParamsError
        If there is no such key.
    """
    data = _value(_mapping(text, "params.yaml"), "data")
    node = _value(data, "datasets") if isinstance(data, yaml.MappingNode) else None
    if not isinstance(node, yaml.SequenceNode):
        raise ParamsError("a list data.datasets in params.yaml", "none", MEND)
    end = node.end_mark.index if node.flow_style or not node.value else node.value[-1].end_mark.index
    listed = yaml.safe_dump(list(names), default_flow_style=True, width=float("inf")).strip()
    listed = listed if node.flow_style else f"  {listed}"  # a list in lines may stand where its key does
    return text[: node.start_mark.index] + listed + _aligned(text[end:], end - node.start_mark.index - len(listed))


def _aligned(rest: str, shorter: int) -> str:
    """What stands behind a value, a comment in the column where it was."""
    bare = rest.lstrip(" ")
    if not bare.startswith("#"):
        return rest
    return " " * max(len(rest) - len(bare) + shorter, 2) + bare


def names_in(text: str) -> list[str]:
    """Names of the entries of datasets.yaml, or keys of params.yaml."""
    node = _mapping(text, "datasets.yaml")
    return [str(key.value) for key, _ in node.value] if node else []


def _mapping(text: str, what: str) -> yaml.MappingNode | None:
    try:
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ParamsError(f"YAML in {what}", str(error), MEND) from error
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise ParamsError(f"`name: entry` in {what}", f"a {node.id}", MEND)
    return node


def _value(mapping: yaml.MappingNode | None, name: str) -> yaml.Node | None:
    return next((value for key, value in mapping.value if key.value == name), None) if mapping else None


def _place(text: str, name: str) -> tuple[int, int] | None:
    """Where an entry begins and ends; comments and blank lines behind it belong to the next."""
    node = _mapping(text, "datasets.yaml")
    keys = [key for key, _ in node.value] if node else []
    at = next((i for i, key in enumerate(keys) if key.value == name), None)
    if at is None:
        return None
    start, end = keys[at].start_mark.index, keys[at + 1].start_mark.index if at + 1 < len(keys) else len(text)
    lines = text[start:end].splitlines(keepends=True)
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].startswith("#")):
        lines.pop()
    return start, start + len("".join(lines))


def _checked(text: str, name: str) -> str:
    if name not in names_in(text):
        raise ParamsError("datasets.yaml in block form, an entry below the other", "another form", MEND)
    return text
