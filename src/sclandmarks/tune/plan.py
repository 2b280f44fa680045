"""A study's plan: all that a worker needs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter

from sclandmarks import paths
from sclandmarks.errors import DataError
from sclandmarks.params import (
    FitSearch,
    NoiseParams,
    Panel,
    Params,
    Predictor,
    PrepareParams,
    RuntimeParams,
    Section,
    SelectSearch,
)
from sclandmarks.tune.base import check_space, find_base

if TYPE_CHECKING:
    import polars as pl

Task = Literal["fit", "select"]
BUDGET = ("trials", "workers", "timeout", "trial_timeout", "storage", "sampler", "pruner", "max_retries", "seed")


class Context(Section):
    """Settings beside the search's own that a trial depends on."""

    prepare: PrepareParams
    noise: NoiseParams
    runtime: RuntimeParams


@dataclass(frozen=True)
class Plan:
    """All that a worker needs.

    Parameters
    ----------
    name : str
        Of the study.
    task : {"fit", "select"}
    storage : str
        `journal:PATH`, `sqlite:///PATH`, `postgresql://...` or `grpc://HOST:PORT`.
    folder : str
        Of the study, relative to `root`; files of a trial are in `folder`/trials/NUMBER.
    trials : int
        Of the whole study: every trial but failed ones that were enqueued again.
    workers : int
        Processes.
    search : FitSearch or SelectSearch
    base : Section
        The predictor or panel whose settings are searched, as in params.yaml.
    n_landmarks : int, optional
        Size of the panel that a selection starts from.
    context : Context
    root : str
        Root of the repository, where workers run.
    fingerprint : str
        Hash of all that a score depends on: data, split, panel, base, space and objectives, not the budget. A study
        of another fingerprint is refused.
    """

    name: str
    task: Task
    storage: str
    folder: str
    trials: int
    workers: int
    search: FitSearch | SelectSearch
    base: Section
    n_landmarks: int | None
    context: Context
    root: str
    fingerprint: str

    @property
    def trial_folder(self) -> Path:
        """Parent of the folders of the trials."""
        return Path(self.folder) / "trials"

    def to_json(self) -> str:
        """Return the plan as JSON, which `from_json` reads."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {
            key: value.model_dump(mode="json") if isinstance(value, Section) else value for key, value in values.items()
        }
        return json.dumps(plain, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        search = FitSearch if values["task"] == "fit" else SelectSearch
        read = {
            "search": search.model_validate(values["search"]),
            "base": parse_base(values["task"], values["base"]),
            "context": Context.model_validate(values["context"]),
        }
        return cls(**values | read)


def parse_base(task: Task, settings: Mapping[str, Any]) -> Section:
    """Section of a predictor (fit) or a panel (select) from its settings."""
    adapter: TypeAdapter[Any] = TypeAdapter(Predictor if task == "fit" else Panel)
    section: Section = adapter.validate_python(settings)
    return section


def make_plan(
    params: Params,
    task: Task,
    name: str,
    *,
    storage: str | None = None,
    trials: int | None = None,
    workers: int | None = None,
) -> Plan:
    """Plan a study in the repository of the working directory; what is not given is as params.yaml says.

    Raises
    ------
    ParamsError
        As `base.find_base` and `base.check_space`.
    SclandmarksError
        If the data or the panel of the study are not there.
    """
    from sclandmarks.io.learning import LearningData

    search: FitSearch | SelectSearch = params.tune.fit if task == "fit" else params.tune.select
    base = find_base(params, task)
    data, folder = LearningData(), paths.STATE / "tune" / name
    n_landmarks = _size(params, data.genes) if task == "select" else None
    check_space(f"tune.{task}.space", search.space, base, n_landmarks)
    context = Context(prepare=params.prepare, noise=params.noise, runtime=params.runtime)
    return Plan(
        name=name,
        task=task,
        storage=storage or search.storage or f"journal:{folder / 'journal.log'}",
        folder=str(folder),
        trials=trials or search.trials,
        workers=workers or search.workers,
        search=search,
        base=base,
        n_landmarks=n_landmarks,
        context=context,
        root=str(Path.cwd()),
        fingerprint=_fingerprint(search, base, n_landmarks, context, data.file.path),
    )


def _size(params: Params, genes: pl.DataFrame) -> int:
    from sclandmarks.select import panel_size

    search = params.tune.select
    return search.n_landmarks or panel_size(params.panels[search.panel], params.select, genes)


def _fingerprint(
    search: FitSearch | SelectSearch, base: Section, n_landmarks: int | None, context: Context, matrix: Path
) -> str:
    from sclandmarks.io.checkpoints import training_key

    settings = {
        "search": search.model_dump(mode="json", exclude=set(BUDGET)),
        "base": base.model_dump(mode="json"),
        "n_landmarks": n_landmarks,
        "context": context.model_dump(mode="json", exclude={"runtime"}),
    }
    panel = [paths.panel(search.panel)] if isinstance(search, FitSearch) else []
    for path in [matrix, paths.SPLIT, *panel]:
        if not path.is_file():
            raise DataError(f"a file {path}", "none", "Run `dvc repro` first, or `dvc pull`.")
    return training_key(settings, [matrix, paths.SPLIT, *panel])[:16]
