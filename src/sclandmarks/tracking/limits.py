"""What MLflow takes as a name or a value, and how ours are made to fit."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping

LONGEST_NAME = 250
LONGEST_PARAM = 6000
LONGEST_TAG = 8000


def clean_name(name: str) -> str:
    """Make a name that MLflow takes for a metric, param or tag.

    Letters, digits and ``_ - . : /`` and blanks stay, all else becomes ``_``; so does ``/`` where the name would be
    no plain relative path.

    Examples
    --------
    >>> clean_name("r2@10 [test]")
    'r2_10 _test_'
    >>> clean_name("val/mse")
    'val/mse'
    """
    name = re.sub(r"[^\w/.\- :]", "_", name)[:LONGEST_NAME]
    if posixpath.normpath(name) != name or name.startswith((".", "/")):
        name = "_" + name.replace("/", "_").lstrip("._")
    return name


def cut(value: str, longest: int) -> str:
    """Shorten a value to `longest` characters, with a marker that says how long it was.

    Examples
    --------
    >>> cut("short", 40)
    'short'
    >>> cut("a" * 100, 40)
    'aaaaaaaaaaaaaa ... [cut: 100 characters]'
    """
    if len(value) <= longest:
        return value
    marker = f" ... [cut: {len(value)} characters]"
    return value[: max(longest - len(marker), 0)].rstrip() + marker


def flatten(params: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Join nested sections by dots; write values as JSON, text as it is.

    Examples
    --------
    >>> flatten({"train": {"lr": 0.1, "loss": "mse"}, "threads": None, "seeds": [0, 1]})
    {'train.lr': '0.1', 'train.loss': 'mse', 'threads': 'null', 'seeds': '[0, 1]'}
    """
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            flat[clean_name(f"{prefix}{key}")] = cut(text, LONGEST_PARAM)
    return flat
