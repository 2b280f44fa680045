"""Errors say what was expected, what came and what to do, also across processes."""

from __future__ import annotations

import pickle  # noqa: TID251

import pytest

from sclandmarks import errors

KINDS = [errors.ParamsError, errors.SourceError, errors.DataError, errors.SchemaError, errors.PanelError]
KINDS.append(errors.TrainingError)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_carries_its_three_parts(kind: type[errors.SclandmarksError]) -> None:
    """One `except SclandmarksError` catches all, and the text holds all a user needs."""
    with pytest.raises(errors.SclandmarksError) as caught:
        raise kind("counts", "fractions", "Give raw counts.")
    assert str(caught.value) == "expected counts; got fractions. Give raw counts."
    assert (caught.value.expected, caught.value.got, caught.value.remedy) == ("counts", "fractions", "Give raw counts.")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_crosses_process_borders(kind: type[errors.SclandmarksError]) -> None:
    """Pickling keeps kind, parts and text."""
    error = pickle.loads(pickle.dumps(kind("a", "b", "c")))  # noqa: S301
    assert type(error) is kind
    assert (error.expected, error.got, error.remedy, str(error)) == ("a", "b", "c", "expected a; got b. c")
