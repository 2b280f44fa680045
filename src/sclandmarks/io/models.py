"""A fitted predictor on disk: model.json, weights.safetensors, history.parquet. No pickle anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from sclandmarks import schema
from sclandmarks.errors import ParamsError, SchemaError
from sclandmarks.io.atomic import write_aside
from sclandmarks.io.tables import read_json, write_json, write_table
from sclandmarks.learn.task import history_table
from sclandmarks.params import Unit
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import SHAPES, ByOwnTotal, Spec, build

WEIGHTS = "weights.safetensors"
ABOUT = "model.json"
HISTORY = "history.parquet"


@dataclass(frozen=True)
class SavedModel:
    """A predictor read back.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode, on the CPU.
    landmarks, targets : list of str
        Gene ids of its inputs and outputs, in order.
    about : dict
        Panel, predictor, scale, normalisation and what was chosen.
    """

    module: nn.Module
    landmarks: list[str]
    targets: list[str]
    about: dict[str, Any]

    @property
    def unit(self) -> Unit:
        """Scale of inputs and outputs: log or counts."""
        return "counts" if self.about.get("scale") == "counts" else "log"

    @property
    def by_own_total(self) -> bool:
        """Whether the panel is normalised by its own total, so that its raw counts are enough."""
        return isinstance(self.module, ByOwnTotal)

    @torch.no_grad()
    def predict_counts(self, counts_BL: Tensor) -> Tensor:
        """Predict from raw counts of the panel alone, as an assay of the panel has them.

        Parameters
        ----------
        counts_BL : torch.Tensor, shape (B, n_landmarks)
            Columns in the order of `landmarks`; of any depth where the panel is normalised by its own total.

        Returns
        -------
        torch.Tensor, shape (B, n_targets)
            On the scale of the model: processed values of whole cells, or counts.

        Raises
        ------
        ParamsError
            If the model takes values that are normalised by all reads of a cell.
        """
        if self.unit == "counts":
            predicted_BT: Tensor = self.module(counts_BL.float())
            return predicted_BT
        if not isinstance(self.module, ByOwnTotal):
            raise ParamsError(
                "a model of panels that are normalised by their own total",
                "one whose values are normalised by all reads of a cell, which the panel alone does not tell",
                "Fit with panel_total: true of the predictor in params.yaml, or give its module normalised values.",
            )
        values_BL = torch.log1p(counts_BL.double()) / self.module.total.ln_base
        return cast(Tensor, self.module(values_BL.float()))


def save_model(
    folder: Path, fitted: Fitted, landmarks: Iterable[str], targets: Iterable[str], about: dict[str, Any]
) -> None:
    """Write a fitted predictor; model.json comes last and carries the hash of the weights."""
    from safetensors.torch import save_file

    (folder / ABOUT).unlink(missing_ok=True)
    write_table(folder / HISTORY, history_table(fitted.history), schema.HISTORY)
    with write_aside(folder / WEIGHTS) as aside:
        try:
            save_file({name: value.contiguous() for name, value in fitted.module.state_dict().items()}, aside)
        except SafetensorError as error:
            raise OSError(str(error)) from error
    facts = {
        **about,
        "spec": asdict(fitted.spec),
        "landmarks": list(landmarks),
        "targets": list(targets),
        "chosen": fitted.chosen,
        "best_step": fitted.best_step,
        "sha256": weights_hash(folder),
    }
    write_json(folder / ABOUT, facts)


def load_model(folder: Path) -> SavedModel:
    """Read a fitted predictor.

    Raises
    ------
    SchemaError
        If a file is missing or cut, weights and model.json do not belong together, or the module had another shape
        in the version that wrote it.
    """
    from safetensors.torch import load_file

    about = read_json(folder / ABOUT)
    remedy = f"Delete {folder} and run `dvc repro`, or `dvc pull`."
    try:
        spec = _spec(about.pop("spec"), folder, remedy)
        landmarks, targets, want = about.pop("landmarks"), about.pop("targets"), about["sha256"]
        if weights_hash(folder) != want:
            raise SchemaError(f"the weights that {folder / ABOUT} names", "a file with another hash", remedy)
        module = build(spec)
        module.load_state_dict(load_file(folder / WEIGHTS))
    except (KeyError, TypeError, OSError, RuntimeError, SafetensorError) as error:
        raise SchemaError(f"a predictor in {folder}", f"{type(error).__name__}: {error}", remedy) from error
    return SavedModel(module.eval(), landmarks, targets, about)


def _spec(facts: dict[str, Any], folder: Path, remedy: str) -> Spec:
    version = dict(facts).pop("version", 1)
    if version != SHAPES:
        raise SchemaError(f"a predictor of shapes version {SHAPES} in {folder}", f"version {version}", remedy)
    return Spec(**facts)


def weights_hash(folder: Path) -> str:
    """SHA-256 of the weights of a saved model."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
