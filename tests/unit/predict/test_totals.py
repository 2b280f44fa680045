"""panel_total: the panel normalised by its own total, the same in batches and in the stored module."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import TypeAdapter, ValidationError
from scipy import sparse

from sclandmarks.errors import ParamsError
from sclandmarks.evaluate.studies.assay import panel_values
from sclandmarks.io.models import load_model, save_model
from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import OlsPredictor, PaperLinearPredictor, Predictor, ReducedRankPredictor, RidgePredictor
from sclandmarks.predict import PREDICTORS
from sclandmarks.predict.constant import fit_mean
from sclandmarks.predict.linear import fit_ridge
from sclandmarks.predict.modules import ByOwnTotal, LowRank, OwnTotal
from sclandmarks.predict.totals import OwnTotals, Panel, by_own_total, typical_total

RIDGE = RidgePredictor(method="ridge")
OWN = RIDGE.model_copy(update={"panel_total": True})
LN10 = math.log(10)
COUNTS = hnp.arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 8)), elements=st.integers(0, 300))


def task_of(planted: Any, landmarks: Any = None, log_base: Any = 10) -> Task:
    """300 training cells, 100 held back."""
    train, held_back = MemoryBatches(planted.values[:300], 64), MemoryBatches(planted.values[300:], 64)
    genes = split_genes(80, planted.positions if landmarks is None else landmarks)
    return Task(train, held_back, *genes, log_base=log_base)


def values_of(counts_CL: Any, scale: float = 1.0) -> torch.Tensor:
    """log10(1 + scale x counts), float32."""
    return torch.from_numpy(np.log10(1 + scale * np.asarray(counts_CL, dtype=np.float64))).float()


@given(COUNTS, st.floats(1e-3, 1e4))
def test_a_cells_scale_does_not_matter(counts_CL: np.ndarray, scale: float) -> None:
    """Raw counts, reads per 10,000 of the cell, or any other multiple: the same values."""
    total = OwnTotal(LN10, 700.0)
    torch.testing.assert_close(total(values_of(counts_CL, scale)), total(values_of(counts_CL)), rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(
        total(values_of(counts_CL, 16.0)), total(values_of(counts_CL, 0.5)), rtol=1e-5, atol=1e-5
    )


@given(COUNTS)
def test_it_is_what_the_study_of_realistic_input_feeds(counts_CL: np.ndarray) -> None:
    """Library-size normalisation of the panel's counts alone, and log; cells without reads stay zero."""
    assume(counts_CL.any())
    want_CL = panel_values(sparse.csr_matrix(counts_CL), 700.0, 10).toarray()
    np.testing.assert_allclose(OwnTotal(LN10, 700.0)(values_of(counts_CL)), want_CL, rtol=1e-5, atol=1e-6)
    assert not want_CL[counts_CL.sum(axis=1) == 0].any()


@given(COUNTS, st.data())
def test_batches_are_as_the_module_and_leave_other_genes(counts_CG: np.ndarray, data: st.DataObject) -> None:
    """Any panel of a block, stored zeros too; float32, and the block that was read is not changed."""
    is_panel_G = np.array(data.draw(st.lists(st.booleans(), min_size=counts_CG.shape[1], max_size=counts_CG.shape[1])))
    block = sparse.csr_matrix(values_of(counts_CG).numpy())
    block.data[::3] = 0
    before = block.copy()
    found_CG = Panel(is_panel_G, LN10).normalised(block, 300.0)
    assert found_CG.dtype == np.float32
    assert (block != before).nnz == 0
    dense_CG = torch.from_numpy(block.toarray())
    np.testing.assert_allclose(
        found_CG.toarray()[:, is_panel_G], OwnTotal(LN10, 300.0)(dense_CG[:, is_panel_G]), rtol=1e-6, atol=1e-7
    )
    np.testing.assert_array_equal(found_CG.toarray()[:, ~is_panel_G], dense_CG[:, ~is_panel_G])


def test_the_typical_total_is_the_median_of_training_cells(planted) -> None:
    """Of reads per 10,000 in the panel's genes; held-back cells do not count."""
    task = task_of(planted)
    fitted = PREDICTORS["ridge"](task, OWN, Hooks())
    counts_CG = planted.counts.X_CG[:300].toarray()
    want = np.median(1e4 * counts_CG[:, planted.positions].sum(1) / counts_CG.sum(1))
    assert fitted.module.total.typical.item() == pytest.approx(want, rel=1e-5)
    assert fitted.module.total.ln_base.item() == LN10


def test_cells_without_any_read_of_the_panel_are_left_out_of_the_median() -> None:
    """And where no cell has one, there is a number all the same."""
    X_CG = sparse.csr_matrix(np.log10(1 + np.array([[0, 9, 1], [2, 3, 0], [0, 0, 4], [6, 0, 0.0]])))
    assert typical_total(MemoryBatches(X_CG, 3), Panel(np.array([True, False, False]), LN10)) == pytest.approx(4)
    assert typical_total(MemoryBatches(X_CG[[0, 2]], 3), Panel(np.array([True, False, False]), LN10)) == 1


@pytest.mark.parametrize("base", [2, 10, "e"])
def test_the_base_is_that_of_the_values(planted, base: Any) -> None:
    """Predictions in another base are those of base 10 in another unit."""
    ratio = LN10 / (1.0 if base == "e" else math.log(base))
    other = planted._replace(values=(planted.values * ratio).astype(np.float32))
    settings = OlsPredictor(method="ols", panel_total=True)
    want = PREDICTORS["ols"](task_of(planted), settings, Hooks()).module(task_of(planted).example(5))
    task = task_of(other, log_base=base)
    found = PREDICTORS["ols"](task, settings, Hooks()).module(task.example(5))
    torch.testing.assert_close(found / ratio, want, rtol=1e-3, atol=1e-3)


def test_a_panel_of_one_gene_says_whether_it_is_seen(planted) -> None:
    """All cells with a read are alike, those without are another kind."""
    fitted = PREDICTORS["ridge"](task_of(planted, planted.positions[:1]), OWN, Hooks())
    predicted_BT = fitted.module(torch.tensor([[0.0], [0.3], [2.0], [0.0]]))
    assert predicted_BT.isfinite().all()
    torch.testing.assert_close(predicted_BT[1], predicted_BT[2])
    assert torch.equal(predicted_BT[0], predicted_BT[3])
    values = fitted.module.total(torch.tensor([[0.0], [0.3]]))
    torch.testing.assert_close(values, torch.tensor([[0.0], [math.log10(1 + fitted.module.total.typical)]]))


def test_the_fit_is_that_of_renormalised_values(planted) -> None:
    """The predictor sees values as if the matrix had been made so; its own module and choices are unchanged."""
    task = task_of(planted)
    fitted = PREDICTORS["reduced_rank"](
        task, ReducedRankPredictor(method="reduced_rank", max_rank=10, panel_total=True), Hooks()
    )
    X_CG = planted.values.toarray()
    panel = torch.from_numpy(X_CG[:, planted.positions])
    X_CG[:, planted.positions] = fitted.module.total(panel).numpy()
    made = planted._replace(values=sparse.csr_matrix(X_CG))
    want = PREDICTORS["reduced_rank"](task_of(made), ReducedRankPredictor(method="reduced_rank", max_rank=10), Hooks())
    assert isinstance(fitted.module, ByOwnTotal)
    assert isinstance(fitted.module.module, LowRank)
    assert fitted.chosen == pytest.approx(want.chosen, rel=1e-4)
    torch.testing.assert_close(
        fitted.module(task.example(9)), want.module(task_of(made).example(9)), rtol=1e-4, atol=1e-4
    )


def test_batches_keep_their_size_and_order(planted) -> None:
    """Epochs too: the same cells in the same places."""
    whole = MemoryBatches(planted.values[:50], 16, seed=3)
    is_panel_G = np.isin(np.arange(80), planted.positions)
    own = OwnTotals(whole, Panel(is_panel_G, LN10), 100.0)
    assert (own.n_cells, own.n_genes) == (50, 80)
    for found, want in ((own.in_order(), whole.in_order()), (own.epoch(2), whole.epoch(2))):
        for block, other in zip(found, want, strict=True):
            np.testing.assert_array_equal(block.toarray()[:, ~is_panel_G], other.toarray()[:, ~is_panel_G])


def test_mapped_batches_are_normalised_first(planted) -> None:
    """What a map is given are the cells as `epoch` yields them."""

    class Half:
        n_genes = 40

        def __call__(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
            return block[:, :40]

    panel = Panel(np.isin(np.arange(80), planted.positions), LN10)
    own = OwnTotals(MemoryBatches(planted.values[:50], 16, seed=3), panel, 100.0)
    mapped = own.mapped(Half())
    assert (mapped.n_cells, mapped.n_genes) == (50, 40)
    for found, want in ((mapped.in_order(), own.in_order()), (mapped.epoch(2), own.epoch(2))):
        for block, other in zip(found, want, strict=True):
            np.testing.assert_array_equal(block.toarray(), other.toarray()[:, :40])


def test_without_the_setting_the_predictor_is_called_as_it_is(planted) -> None:
    """The very result, bit for bit; predictors without a panel have no such setting."""
    task = task_of(planted, log_base=None)
    given_back = object()
    assert by_own_total(lambda *_: given_back)(task, RIDGE, Hooks()) is given_back
    found, want = PREDICTORS["ridge"](task, RIDGE, Hooks()), fit_ridge(task, RIDGE, Hooks())
    assert found.spec == want.spec
    assert not found.spec.panel_total
    assert all(torch.equal(value, want.module.state_dict()[name]) for name, value in found.module.state_dict().items())
    assert PREDICTORS["mean"].__wrapped__ is fit_mean


def test_settings_say_nothing_of_it_where_it_is_off() -> None:
    """So that keys of trainings, studies and results stay what they were."""
    assert "panel_total" not in RIDGE.model_dump()
    assert OWN.model_dump()["panel_total"] is True
    for settings in (RIDGE, OWN):
        assert RidgePredictor.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize("method", ["zero", "mean"])
def test_predictors_without_inputs_have_no_such_setting(method: str) -> None:
    """It is an unknown key there."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        TypeAdapter(Predictor).validate_python({"method": method, "panel_total": True})


@pytest.mark.parametrize("wrong", ["yes", 1, None])
def test_it_is_true_or_false(wrong: Any) -> None:
    """Nothing that only looks like it."""
    with pytest.raises(ValidationError, match="valid boolean"):
        RidgePredictor(method="ridge", panel_total=wrong)


def test_counts_are_refused() -> None:
    """Reads are normalised by nothing; the error says what to choose."""
    settings = {"method": "paper_linear", "seed": 0, "learning_rate": 0.5, "max_epochs": 2, "patience": 1}
    with pytest.raises(ValidationError, match=r"panel_total: expected false with scale: counts.*choose scale: log"):
        PaperLinearPredictor(**settings, scale="counts", panel_total=True)
    assert PaperLinearPredictor(**settings, scale="log", panel_total=True).unit == "log"


def test_a_task_without_a_base_is_refused(planted) -> None:
    """A wrong base would be wrong without a word."""
    with pytest.raises(ParamsError, match="log_base"):
        PREDICTORS["ridge"](task_of(planted, log_base=None), OWN, Hooks())


def test_counts_of_the_panel_alone_are_enough(planted, tmp_path: Path) -> None:
    """A stored model predicts from log(1 + counts) what it predicts from values of whole cells."""
    task = task_of(planted)
    fitted = PREDICTORS["ridge"](task, OWN, Hooks())
    save_model(tmp_path, fitted, planted.landmarks, [f"y{i}" for i in range(74)], {"scale": "log"})
    model = load_model(tmp_path)
    counts_CL = planted.counts.X_CG[300:].toarray()[:, planted.positions]
    values_CL = torch.from_numpy(planted.values[300:].toarray()[:, planted.positions])
    found_CT, want_CT = model.module(values_of(counts_CL)), fitted.module(values_CL)
    torch.testing.assert_close(found_CT, want_CT, rtol=1e-4, atol=1e-4)
