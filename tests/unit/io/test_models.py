"""A predictor on disk: read back the same, or refused."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sclandmarks import schema
from sclandmarks.errors import ParamsError, SchemaError
from sclandmarks.io import models
from sclandmarks.io.models import ABOUT, HISTORY, WEIGHTS, load_model, save_model
from sclandmarks.io.normalisation import Normalisation, made_of
from sclandmarks.io.tables import read_json, read_table, write_json
from sclandmarks.learn.task import Step
from sclandmarks.params import PrepareParams
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


def edit(folder: Path, **changes: object) -> None:
    """Change model.json by hand; a key with __ is one of spec or normalisation, and `...` takes it away."""
    about = json.loads((folder / ABOUT).read_text())
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        place = about[section] if section else about
        if value is ...:
            del place[name]
        else:
            place[name] = value
    (folder / ABOUT).write_text(json.dumps(about))


MADE = {"scale": 1e4, "log_base": 10, "pseudocount": 1, "n_genes": 5}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a landmark too few": ({"landmarks": ["b"]}, r"spec\.n_landmarks: expected 1, got 2"),
    "a target too many": ({"targets": ["x", "y", "z", "w"]}, r"spec\.n_targets: expected 4, got 3"),
    "no landmarks": ({"landmarks": []}, "landmarks: .*at least 1"),
    "a landmark twice": ({"landmarks": ["b", "b"]}, "landmarks: expected each gene once, 'b' stands 2 times"),
    "a target twice": ({"targets": ["x", "y", "x"]}, "targets: expected each gene once, 'x' stands 2 times"),
    "landmark and target": ({"targets": ["x", "a", "z"]}, "'a' is both"),
    "a gene without a name": ({"landmarks": ["b", ""]}, r"landmarks\.1: .*at least 1 char"),
    "a gene that is a number": ({"landmarks": ["b", 7]}, r"landmarks\.1: .*string \(got 7\)"),
    "genes in a text": ({"landmarks": "ba"}, "landmarks: .*list"),
    "half a letter": ({"landmarks": ["b", "\ud800"]}, r"landmarks\.1: .*(string|unicode)"),
    "landmarks missing": ({"landmarks": ...}, "landmarks: Field required"),
    "spec missing": ({"spec": ...}, "spec: Field required"),
    "spec of a list": ({"spec": [1]}, "spec: "),
    "an unknown kind": ({"spec__kind": "oracle"}, r"spec\.kind: .*got 'oracle'"),
    "another kind": ({"spec__kind": "constant"}, "a spec with weights .*bias|a spec with weights weight"),
    "an unknown size": ({"spec__heads": 3}, r"spec\.heads: "),
    "a size of a text": ({"spec__width": "4"}, r"spec\.width: .*got '4'"),
    "a size that is true": ({"spec__rank": True}, r"spec\.rank: "),
    "a size below zero": ({"spec__depth": -1}, r"spec\.depth: "),
    "no switch": ({"spec__panel_total": 1}, r"spec\.panel_total: "),
    "dropout of all": ({"spec__dropout": 1.0}, r"spec\.dropout: "),
    "dropout that is no number": ({"spec__dropout": float("nan")}, r"spec\.dropout: "),
    "a scale of its own": ({"scale": "square root"}, "scale: .*got 'square root'"),
    "no hash": ({"sha256": 3}, "sha256: "),
    "normalisation of a list": ({"normalisation": [10]}, "normalisation: "),
    "normalisation, half of it": ({"normalisation": {"scale": 1e4}}, r"normalisation\.log_base: "),
    "a scale of zero": ({"normalisation": MADE | {"scale": 0.0}}, r"normalisation\.scale: "),
    "an endless scale": ({"normalisation": MADE | {"scale": float("inf")}}, r"normalisation\.scale: "),
    "an odd base": ({"normalisation": MADE | {"log_base": 3}}, r"normalisation\.log_base: "),
    "an odd pseudo-count": ({"normalisation": MADE | {"pseudocount": 0.5}}, r"normalisation\.pseudocount: "),
    "a total over other genes": (
        {"normalisation": MADE | {"n_genes": 9}},
        r"normalisation\.n_genes: expected 5, got 9",
    ),
    "counts that are normalised": ({"scale": "counts", "normalisation": MADE}, "no normalisation .*scale: counts"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_contradicts_itself_is_refused(folder: Path, name: str) -> None:
    """Edited by hand, or mixed from two models: one error that names the key, and says what to do."""
    changes, says = WRONG[name]
    edit(folder, **changes)
    with pytest.raises(SchemaError, match=rf"(?s)a predictor in {folder}; got .*({says}).*dvc repro") as caught:
        load_model(folder)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("size", [10**6, 10**12, 10**30])
@pytest.mark.parametrize("key", ["n_landmarks", "n_targets", "width", "depth", "rank", "axes", "members"])
@pytest.mark.parametrize("spec", SPECS[2:7], ids=lambda spec: spec.kind)
def test_absurd_sizes_take_no_memory(
    spec: Spec, key: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No module is built on a device before its shapes are those of the weights."""
    save_model(tmp_path, fitted(spec), LANDMARKS, TARGETS, {})

    def built(wanted: Spec) -> nn.Module:
        assert torch.empty(0).is_meta or getattr(wanted, key) < size, "memory was asked for"
        return build(wanted)

    monkeypatch.setattr(models, "build", built)
    edit(tmp_path, **{f"spec__{key}": size})
    has_it = {
        "low_rank": ("rank",),
        "kernel": ("width", "rank", "axes"),
        "paper_network": ("width", "depth"),
        "d_gex": ("width", "depth"),
        "network": ("width", "depth", "rank", "members"),
    }[spec.kind]
    if key in (*has_it, "n_landmarks", "n_targets", "depth"):
        with pytest.raises(SchemaError, match="a predictor in"):
            load_model(tmp_path)


def resave(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the weights, and their hash in model.json."""
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    edit(folder, sha256=models.weights_hash(folder))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    """Whatever the hash says."""
    resave(folder, lambda weights: weights["bias"].__setitem__(1, value))
    with pytest.raises(SchemaError, match="weights that are not finite in bias"):
        load_model(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights.pop("bias"),
        lambda weights: weights.update(more=torch.ones(1)),
        lambda weights: weights.update(bias=weights["bias"].double()),
        lambda weights: weights.update(weight=weights["weight"].T.contiguous()),
    ],
    ids=["missing", "needless", "of another type", "turned"],
)
def test_weights_of_other_shapes_are_refused(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """With both shapes."""
    resave(folder, change)
    with pytest.raises(SchemaError, match=r"a spec with weights .* of .*, and a file with "):
        load_model(folder)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (Spec("nearest", 2, 3, width=4, rank=5), r"spec\.rank: expected 1 to 4"),
        (Spec("nearest", 2, 3, width=4, rank=0), r"spec\.rank: expected 1 to 4"),
        (Spec("network", 2, 3, width=4, depth=1, rank=2, members=0), r"spec\.members: expected 1 or more"),
    ],
)
def test_what_could_not_predict_is_refused(spec: Spec, says: str, tmp_path: Path) -> None:
    """More neighbours than cells, or the mean of no members."""
    save_model(tmp_path, Fitted(build(spec).eval(), spec), LANDMARKS, TARGETS, {})
    with pytest.raises(SchemaError, match=says):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("total.ln_base", 0.0, "not positive"),
        ("total.typical", -3.0, "not positive"),
        ("total.ln_base", 0.7, "normalisation.log_base 10, and weights with"),
    ],
)
def test_a_panels_own_total_has_the_base_of_its_values(tmp_path: Path, name: str, value: float, says: str) -> None:
    """A module that undoes another logarithm than the one that was taken is refused."""
    spec = Spec("low_rank", 2, 3, rank=1, panel_total=True)
    save_model(tmp_path, fitted(spec), LANDMARKS, TARGETS, {"normalisation": MADE})
    resave(tmp_path, lambda weights: weights["total.ln_base"].fill_(math.log(10)))
    assert load_model(tmp_path).by_own_total
    resave(tmp_path, lambda weights: weights[name].fill_(value))
    with pytest.raises(SchemaError, match=says):
        load_model(tmp_path)


def test_own_totals_of_counts_are_refused(tmp_path: Path) -> None:
    """Counts are normalised by nothing."""
    save_model(tmp_path, fitted(SPECS[7]), LANDMARKS, TARGETS, {"scale": "counts"})
    with pytest.raises(SchemaError, match="no panel_total with scale: counts"):
        load_model(tmp_path)


def test_nested_without_end_is_refused(folder: Path) -> None:
    """JSON that no parser can go down."""
    (folder / ABOUT).write_text('{"spec":' * 100_000)
    with pytest.raises(SchemaError, match="JSON at"):
        load_model(folder)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"spec"'])
def test_what_is_no_object_is_refused(folder: Path, text: str) -> None:
    """Sound JSON of another kind."""
    (folder / ABOUT).write_text(text)
    with pytest.raises(SchemaError, match="a JSON object at"):
        load_model(folder)


def test_it_keeps_how_its_values_were_made(tmp_path: Path) -> None:
    """As `made_of` says; a model of counts, and one that does not say, have none."""
    prepare = PrepareParams(min_library_size=1, min_reads=1, min_cells=1, scale=5000, log_base="e")
    for name, about in {"log": made_of("log", prepare, 5), "counts": made_of("counts", prepare, 5), "old": {}}.items():
        save_model(tmp_path / name, fitted(SPECS[1]), LANDMARKS, TARGETS, about)
    made = load_model(tmp_path / "log").normalisation
    assert made == Normalisation(scale=5000, log_base="e", n_genes=5)
    assert (made.ln_base, made.pseudocount) == (1, 1)
    assert Normalisation(scale=1, log_base=2, n_genes=5).ln_base == math.log(2)
    others = [load_model(tmp_path / name) for name in ("counts", "old")]
    assert [(one.unit, one.normalisation) for one in others] == [("counts", None), ("log", None)]


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
