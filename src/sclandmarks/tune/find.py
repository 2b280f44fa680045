"""A study found again by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sclandmarks import paths
from sclandmarks.errors import StudyError
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.storage import check_there, open_store, without_password
from sclandmarks.tune.study import read_study

if TYPE_CHECKING:
    from optuna import Study


def find_study(name: str, storage: str | None = None) -> tuple[Study, Plan]:
    """Open a study, for looking at it.

    Parameters
    ----------
    name : str
    storage : str, optional
        Where it is kept; without it, where the plan in state/tune says.

    Raises
    ------
    StudyError
        If there is none of that name, or its plan cannot be read.
    """
    plan = find_plan(name, storage)
    return read_study(plan), plan


def find_plan(name: str, storage: str | None = None) -> Plan:
    """Plan of a study, see `find_study`."""
    if storage is not None:
        return _kept_plan(name, storage)
    file = paths.SEARCHES / name / "plan.json"
    if not file.is_file():
        there = ", ".join(study_names()) or "none"
        remedy = "Name one of these; or add --storage for a study that another machine began."
        raise StudyError(f"a study in {paths.SEARCHES}", f"{name}; there: {there}", remedy)
    return _read_plan(file)


def _read_plan(file: Path) -> Plan:
    try:
        return Plan.from_json(file.read_text(encoding="utf-8"))
    except (ValueError, TypeError, LookupError) as error:
        said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        remedy = "The command that began the study writes it again: `sclandmarks tune fit`, or `tune select`."
        raise StudyError(f"the plan of a study in {file}", f"what cannot be read as one ({said})", remedy) from None


def study_names() -> list[str]:
    """Names of the studies that were begun in this repository."""
    return sorted(file.parent.name for file in paths.SEARCHES.glob("*/plan.json"))


def _kept_plan(name: str, storage: str) -> Plan:
    """Plan as the study itself keeps it."""
    import optuna

    check_there(storage)
    store = open_store(storage, name, paths.SEARCHES / name)
    try:
        text = optuna.load_study(study_name=name, storage=store.storage).user_attrs["plan"]
    except KeyError:
        there = ", ".join(sorted(optuna.get_all_study_names(store.storage))) or "none"
        shown = without_password(storage)
        raise StudyError(f"a study of this package in {shown}", f"{name}; there: {there}", "Mend --study.") from None
    return replace(Plan.from_json(text), storage=storage)
