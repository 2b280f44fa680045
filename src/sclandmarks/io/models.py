"""A fitted predictor on disk: model.json, weights.safetensors, history.parquet. No pickle anywhere."""

from __future__ import annotations

import hashlib
import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from sclandmarks import schema
from sclandmarks.errors import ParamsError, SchemaError
from sclandmarks.io.atomic import write_aside
from sclandmarks.io.model_facts import ModelFacts, check_facts
from sclandmarks.io.normalisation import Normalisation
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
        Panel, predictor, scale and what was chosen.
    unit : {"log", "counts"}
        Scale of inputs and outputs.
    normalisation : Normalisation or None
        How its values are made of counts; None of a model of counts, and where model.json does not say.
    """

    module: nn.Module
    landmarks: list[str]
    targets: list[str]
    about: dict[str, Any]
    unit: Unit = "log"
    normalisation: Normalisation | None = None

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
        If a file is missing or cut, model.json contradicts itself or the weights, weights are not finite, or the
        module had another shape in the version that wrote it.
    """
    about = read_json(folder / ABOUT)
    try:
        _check_version(about, folder)
        facts = check_facts(about)
        module = _filled(facts, folder)
    except (ValueError, OSError, SafetensorError) as error:
        got = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise SchemaError(f"a predictor in {folder}", got, _remedy(folder)) from error
    kept = {key: value for key, value in about.items() if key not in ("spec", "landmarks", "targets")}
    return SavedModel(module, facts.landmarks, facts.targets, kept, facts.scale, facts.normalisation)


def _remedy(folder: Path) -> str:
    return f"Delete {folder} and run `dvc repro`, or `dvc pull`."


def _check_version(about: Mapping[str, Any], folder: Path) -> None:
    spec = about.get("spec")
    version = spec.get("version", 1) if isinstance(spec, dict) else SHAPES
    if version != SHAPES:
        expected = f"a predictor of shapes version {SHAPES} in {folder}"
        raise SchemaError(expected, f"version {reprlib.repr(version)}", _remedy(folder))


def _filled(facts: ModelFacts, folder: Path) -> nn.Module:
    """Build the module and fill it, once its weights are known to be those that model.json names, of its shapes."""
    from safetensors.torch import load_file

    if weights_hash(folder) != facts.sha256:
        raise SchemaError(f"the weights that {folder / ABOUT} names", "a file with another hash", _remedy(folder))
    weights = load_file(folder / WEIGHTS)
    _check_shapes(facts.spec, weights)
    endless = [name for name, value in weights.items() if not bool(value.isfinite().all())]
    if endless:
        raise ValueError(f"weights that are not finite in {', '.join(endless[:3])}")
    module = build(facts.spec)
    module.load_state_dict(weights)
    _check_bases(module, facts.normalisation)
    return module.eval()


def _check_shapes(spec: Spec, weights: Mapping[str, Tensor]) -> None:
    """Compare with a module on no device, which takes no memory; each layer has weights of its own."""
    if spec.depth > len(weights):
        raise ValueError(f"spec.depth {spec.depth}, and {len(weights)} arrays of weights")
    try:
        with torch.device("meta"):
            wanted = build(spec).state_dict()
    except (RuntimeError, TypeError, OverflowError) as error:
        raise ValueError(f"a spec that cannot be built: {error}") from error
    for name in sorted({*wanted, *weights}):
        shapes = [f"{value.dtype} {tuple(value.shape)}" if value is not None else "none"
                  for value in (wanted.get(name), weights.get(name))]  # fmt: skip
        if shapes[0] != shapes[1]:
            raise ValueError(f"a spec with weights {name} of {shapes[0]}, and a file with {shapes[1]}")


def _check_bases(module: nn.Module, normalisation: Normalisation | None) -> None:
    """Panels that are normalised by their own total keep the base of the logarithm among the weights."""
    if not isinstance(module, ByOwnTotal):
        return
    ln_base, typical = float(module.total.ln_base), float(module.total.typical)
    if ln_base <= 0 or typical <= 0:
        raise ValueError(f"weights total.ln_base {ln_base} and total.typical {typical}, of which one is not positive")
    if normalisation and not math.isclose(ln_base, normalisation.ln_base, rel_tol=1e-6):
        raise ValueError(f"normalisation.log_base {normalisation.log_base}, and weights with total.ln_base {ln_base}")


def weights_hash(folder: Path) -> str:
    """SHA-256 of the weights of a saved model."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
