"""The panel or predictor whose settings are searched: found in params.yaml, and its space checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import ValidationError

from sclandmarks import paths
from sclandmarks.errors import ParamsError
from sclandmarks.params import Params, Range, Section, Space

FIXED = ("selector", "method", "scale", "panel_total")  # another section, scale of the score, or input


def find_base(params: Params, task: Literal["fit", "select"]) -> Section:
    """Section of the predictor (fit) or the panel (select) that the search names.

    Stages that search nothing load params.yaml as well: so its names are looked up here, not when it is loaded.

    Raises
    ------
    ParamsError
        If it, or the panel of a fit, is not in params.yaml, or `captured` is asked for on the scale of counts.
    """
    fit, panels = params.tune.fit, params.panels
    if task == "select":
        return _known("tune.select.panel", params.tune.select.panel, panels)
    _known("tune.fit.panel", fit.panel, panels)
    predictor = _known("tune.fit.predictor", fit.predictor, params.predictors)
    if fit.objective == "captured" and getattr(predictor, "unit", "log") != "log":
        raise ParamsError(
            "tune.fit.objective mse for a predictor of counts, as noise is known on the log scale alone",
            f"captured, of {fit.predictor}",
            f"Mend it in {paths.PARAMS}.",
        )
    return predictor


def check_space(place: str, space: Space, base: Section, n_landmarks: int | None = None) -> None:
    """Check that every dimension is a setting of the base, accepts every bound, and holds the base's own value.

    Parameters
    ----------
    place : str
        Key of the space, for the error.
    space : Space
    base : Section
        A panel or a predictor.
    n_landmarks : int, optional
        Size of the base panel.

    Raises
    ------
    ParamsError
        Naming the key.
    """
    own = base.model_dump() | ({} if n_landmarks is None else {"n_landmarks": n_landmarks})
    settings = [name for name in type(base).model_fields if name not in FIXED]
    for name, dimension in space.items():
        key = f"{place}.{name}"
        if name not in settings:
            raise _fault(f"{key} to be a setting of the base ({', '.join(settings) or 'it has none'})", name)
        for end, value in dimension.ends.items():
            for says in _faults(base, name, value):
                raise _fault(f"{key}.{end} that the base accepts ({says})", value)
        if isinstance(own[name], float) and isinstance(dimension, Range) and dimension.whole:
            raise _fault(f"{key} in decimals, such as {dimension.low}.0", f"{dimension.low} to {dimension.high}")
        if not dimension.holds(own[name]):
            raise _fault(f"{key} with the base's own value in it, as that is the first trial", own[name])


def _known(key: str, name: str, sections: Mapping[str, Section]) -> Section:
    if name not in sections:
        raise _fault(f"{key} to be one of {', '.join(sections)}", name)
    return sections[name]


def _fault(expected: str, got: object) -> ParamsError:
    return ParamsError(expected, str(got), f"Mend it in {paths.PARAMS}.")


def _faults(base: Section, name: str, value: object) -> Iterator[str]:
    """What the base's section says to a value of one setting."""
    try:
        type(base).model_validate({**base.model_dump(), name: value})
    except ValidationError as error:
        yield from (fault["msg"] for fault in error.errors() if fault["loc"][:1] == (name,))
