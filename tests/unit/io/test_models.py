"""A predictor on disk: read back the same, or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch

from sclandmarks import schema
from sclandmarks.errors import ParamsError, SchemaError
from sclandmarks.io.models import ABOUT, HISTORY, WEIGHTS, load_model, save_model
from sclandmarks.io.tables import read_json, read_table, write_json
from sclandmarks.learn.task import Step
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import Spec, build

LANDMARKS, TARGETS = ["b", "a"], ["x", "y", "z"]
SPECS = [
    Spec("constant", 2, 3),
    Spec("linear", 2, 3),
    Spec("low_rank", 2, 3, rank=1),
    Spec("kernel", 2, 3, width=4, rank=2, axes=2),
    Spec("paper_network", 2, 3, width=4, depth=2, dropout=0.5),
    Spec("d_gex", 2, 3, width=4, depth=1, dropout=0.5),
    Spec("network", 2, 3, width=4, depth=1, rank=2, dropout=0.5, members=2),
    Spec("low_rank", 2, 3, rank=1, panel_total=True),
    Spec("network", 2, 3, width=4, depth=1, rank=2, members=2, positive=True),
]


def fitted(spec: Spec, seed: int = 0) -> Fitted:
    """A predictor with random weights."""
    module = build(spec)
    generator = torch.Generator().manual_seed(seed)
    module.load_state_dict({k: torch.rand(v.shape, generator=generator) for k, v in module.state_dict().items()})
    history = [Step(1, {"loss": 2.0}), Step(2, {"loss": 1.0})]
    return Fitted(module.eval(), spec, history, 2, {"lambda": 0.5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved linear predictor."""
    save_model(tmp_path / "model", fitted(SPECS[1]), LANDMARKS, TARGETS, {"panel": "p"})
    return tmp_path / "model"


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}{spec.panel_total:d}")
def test_read_back_it_predicts_the_same(spec: Spec, tmp_path: Path) -> None:
    """To the last bit, in eval mode, with the names of its genes in order and what was chosen."""
    before = fitted(spec)
    save_model(tmp_path, before, LANDMARKS, TARGETS, {"panel": "p", "scale": "log"})
    saved = load_model(tmp_path)
    x_BL = torch.rand(5, 2)
    assert torch.equal(saved.module(x_BL), before.module(x_BL))
    assert not saved.module.training
    assert (saved.landmarks, saved.targets) == (LANDMARKS, TARGETS)
    facts = {"panel": "p", "scale": "log", "chosen": {"lambda": 0.5}, "best_step": 2}
    assert {name: saved.about[name] for name in facts} == facts
    assert read_table(tmp_path / HISTORY, schema.HISTORY).rows() == [(1, "loss", 2.0), (2, "loss", 1.0)]


def test_a_network_of_before_losses_on_counts_is_read(tmp_path: Path) -> None:
    """Its spec says nothing of what is bent above zero: nothing is."""
    before = fitted(Spec("network", 2, 3, width=4, depth=1, rank=2, members=2))
    save_model(tmp_path, before, LANDMARKS, TARGETS, {})
    about = read_json(tmp_path / ABOUT)
    assert about["spec"].pop("positive") is False
    write_json(tmp_path / ABOUT, about)
    x_BL = torch.rand(5, 2)
    assert torch.equal(load_model(tmp_path).module(x_BL), before.module(x_BL))


def test_saving_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Neither time nor host is in a file that DVC hashes."""
    save_model(tmp_path / "again", fitted(SPECS[1]), LANDMARKS, TARGETS, {"panel": "p"})
    for name in (ABOUT, WEIGHTS, HISTORY):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_loading_leaves_torchs_random_stream(folder: Path) -> None:
    """Building a module to fill it draws nothing from it."""
    before = torch.get_rng_state()
    load_model(folder)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", [ABOUT, WEIGHTS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    """For example a folder that was written half, or not pulled."""
    (folder / name).unlink()
    with pytest.raises(SchemaError, match=name.replace(".", r"\.")):
        load_model(folder)


@pytest.mark.parametrize("name", [ABOUT, WEIGHTS])
@pytest.mark.parametrize("kept", [0, 20, 0.9])
def test_a_cut_file_is_refused(folder: Path, name: str, kept: float) -> None:
    """Empty, a beginning, or almost all of it."""
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(kept * len(whole)) if kept < 1 else int(kept)])
    with pytest.raises(SchemaError):
        load_model(folder)


def test_swapped_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    """Weights of the same shape, from another fit: only the hash can tell."""
    save_model(tmp_path / "other", fitted(SPECS[1], seed=1), LANDMARKS, TARGETS, {"panel": "p"})
    shutil.copy(tmp_path / "other" / WEIGHTS, folder / WEIGHTS)
    with pytest.raises(SchemaError, match="another hash"):
        load_model(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"kind": "linear", "version": 3}},
        {"spec": {"kind": "linear", "n_landmarks": 2, "n_targets": 4, "version": 3}},
        {"spec": 3},
    ],
    ids=["incomplete spec", "another shape", "no spec"],
)
def test_a_spec_that_does_not_fit_is_refused(folder: Path, change: dict[str, object]) -> None:
    """model.json and the weights must describe one module."""
    about = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps(about | change))
    with pytest.raises(SchemaError, match="a predictor in"):
        load_model(folder)


@pytest.mark.parametrize("version", [None, 1, 99])
def test_a_model_of_another_version_is_refused_with_a_remedy(folder: Path, version: int | None) -> None:
    """Its weights would not fit, or worse: they would, and mean something else."""
    about = json.loads((folder / ABOUT).read_text())
    about["spec"].pop("version") if version is None else about["spec"].update(version=version)
    (folder / ABOUT).write_text(json.dumps(about))
    with pytest.raises(SchemaError, match=f"(?s)shapes version 3.*version {version or 1}.*dvc repro"):
        load_model(folder)


def test_an_interrupted_save_leaves_no_whole_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """model.json goes first and comes last: old text never stands beside new weights."""
    monkeypatch.setattr("safetensors.torch.save_file", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_model(folder, fitted(SPECS[1], seed=1), LANDMARKS, TARGETS, {})
    with pytest.raises(SchemaError, match=r"model\.json"):
        load_model(folder)


def test_a_history_without_epochs_is_a_table(tmp_path: Path) -> None:
    """Controls have none."""
    spec = SPECS[0]
    save_model(tmp_path, Fitted(build(spec), spec), LANDMARKS, TARGETS, {})
    assert read_table(tmp_path / HISTORY, schema.HISTORY).equals(pl.DataFrame(schema=schema.HISTORY.dtypes))


def test_counts_of_a_panel_alone_are_predicted_from(tmp_path: Path) -> None:
    """Where it is normalised by its own total, at any depth; the numbers are those of normalised values."""
    save_model(tmp_path, fitted(Spec("low_rank", 2, 3, rank=1, panel_total=True)), LANDMARKS, TARGETS, {"scale": "log"})
    model, counts_BL = load_model(tmp_path), torch.tensor([[3, 9], [0, 0], [30, 90]])
    values_BL = torch.log1p(250.0 * counts_BL) / model.module.total.ln_base.float()
    predicted_BT = model.predict_counts(counts_BL)
    torch.testing.assert_close(predicted_BT, model.module(values_BL).detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(predicted_BT[0], predicted_BT[2])
    assert not predicted_BT.requires_grad


def test_a_model_of_counts_takes_them_as_they_are(tmp_path: Path) -> None:
    """And returns counts."""
    save_model(tmp_path, fitted(SPECS[1]), LANDMARKS, TARGETS, {"scale": "counts"})
    model, counts_BL = load_model(tmp_path), torch.tensor([[3, 9], [0, 1]])
    assert torch.equal(model.predict_counts(counts_BL), model.module(counts_BL.float()))


def test_a_model_of_whole_cells_refuses_counts_of_a_panel(folder: Path) -> None:
    """What is missing, and which setting to fit with."""
    with pytest.raises(ParamsError, match=r"all reads of a cell.*panel_total: true"):
        load_model(folder).predict_counts(torch.ones(1, 2))
