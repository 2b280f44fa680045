"""Controls from what is known of a cell: library size alone, and means of cell types."""

from __future__ import annotations

from typing import get_args

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import polynomial
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.evaluate.controls import CONTROLS, WithFeatures, fit_cell_type_mean, fit_library_size
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import ControlName

RNG = np.random.default_rng(0)
N = 120
CELLS = pl.DataFrame(
    {
        "library_size": RNG.lognormal(8, 0.7, N).astype(np.int64),
        "cell_type": [*RNG.choice(["alpha", "beta", "Unknown"], N - 2).tolist(), "rare", "rare"],
    }
)
VALUES = sparse.csr_matrix(np.maximum(RNG.normal(0.3, 1, (N, 7)), 0).astype(np.float32))


def batches(values: sparse.csr_matrix = VALUES, size: int = 32) -> MemoryBatches:
    return MemoryBatches(values, size)


def test_library_size_is_a_cubic_fit_of_its_logarithm() -> None:
    """Reference: numpy's polyfit of every gene."""
    z = np.log(CELLS["library_size"].to_numpy())
    z = z - z.mean()
    expected = polynomial.polyval(z, polynomial.polyfit(z, VALUES.toarray(), 3)).T
    np.testing.assert_allclose(fit_library_size(batches(), CELLS).predict(CELLS), expected, atol=1e-5)


def test_depth_alone_is_found_and_nothing_else() -> None:
    """A gene that follows the library size is predicted, one of another cause stays at its mean."""
    z = np.log(CELLS["library_size"].to_numpy())
    other = RNG.permutation(np.repeat([0.0, 1.0], N // 2))
    found = fit_library_size(batches(sparse.csr_matrix(np.stack([z, other], 1))), CELLS).predict(CELLS).numpy()
    np.testing.assert_allclose(found[:, 0], z, rtol=1e-4)
    assert found[:, 1].std() < 0.15


def test_beyond_the_training_sizes_a_cubic_is_not_continued() -> None:
    """A cell ten times as deep as any gets what the deepest gets."""
    control, sizes = fit_library_size(batches(), CELLS), CELLS["library_size"]
    far = pl.DataFrame({"library_size": [sizes.max(), sizes.max() * 10, sizes.min(), 1]})  # type: ignore[operator]
    found = control.predict(far).numpy()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    np.testing.assert_allclose(found[2], found[3], rtol=1e-5)


def test_one_library_size_gives_the_mean() -> None:
    """Nothing to regress on: least squares of least norm is the mean of every gene."""
    same = pl.DataFrame({"library_size": [3000] * N})
    found = fit_library_size(batches(), same).predict(same[:1])
    np.testing.assert_allclose(found[0], VALUES.toarray().mean(0), atol=1e-5)


def test_types_get_their_means() -> None:
    """Reference: group by; a rare or unseen type gets the mean of all."""
    control = fit_cell_type_mean(batches(), CELLS)
    asked = pl.DataFrame({"cell_type": ["beta", "Unknown", "rare", "never seen"]})
    labels, dense = np.array(CELLS["cell_type"]), VALUES.toarray()
    expected = [dense[labels == "beta"], dense[labels == "Unknown"], dense, dense]
    np.testing.assert_allclose(control.predict(asked), [part.mean(axis=0) for part in expected], atol=1e-5)


@pytest.mark.parametrize("name", CONTROLS)
def test_genes_and_blocks_are_parts_of_the_whole(name: str) -> None:
    """Chosen genes in their order; blocks as the batches give them; float32."""
    control, genes = CONTROLS[name](batches(), CELLS), torch.tensor([5, 0])
    whole = control.predict(CELLS)
    assert control.name == name
    assert whole.dtype == torch.float32
    torch.testing.assert_close(control.predict(CELLS, genes), whole[:, genes])
    parts = list(control.blocks(CELLS, batches(size=50), genes))
    assert [len(part) for part in parts] == [50, 50, 20]
    torch.testing.assert_close(torch.cat(parts), whole[:, genes])


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(CONTROLS)), st.integers(0, 10**6), st.integers(1, 130))
def test_order_and_blocks_do_not_matter(name: str, seed: int, size: int) -> None:
    """Shuffled training cells, other blocks: the same predictions; genes move along."""
    rng = np.random.default_rng(seed)
    cells, genes = rng.permutation(N), rng.permutation(7)
    mixed = CONTROLS[name](batches(VALUES[cells][:, genes].tocsr(), size), CELLS[cells]).predict(CELLS)
    whole = CONTROLS[name](batches(), CELLS).predict(CELLS)[:, torch.from_numpy(genes)]
    torch.testing.assert_close(mixed, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", CONTROLS)
def test_cells_that_do_not_match_are_refused(name: str) -> None:
    """A table of other cells, or no cell."""
    for cells in (CELLS[:-1], pl.concat([CELLS, CELLS])):
        with pytest.raises(DataError, match="cells of the matrix"):
            CONTROLS[name](batches(), cells)
    with pytest.raises(DataError, match="cells"):
        CONTROLS[name](batches(VALUES[:0]), CELLS[:0])


def test_a_cell_without_reads_is_refused() -> None:
    """Its logarithm is not finite."""
    with pytest.raises(DataError, match="without reads"):
        fit_library_size(batches(), CELLS.with_columns(pl.lit(0).alias("library_size")))


def test_without_types_the_oracle_is_the_mean() -> None:
    """All cells are of the one type Unknown."""
    cells = CELLS.with_columns(cell_type=pl.lit("Unknown"))
    found = fit_cell_type_mean(batches(), cells).predict(cells)
    np.testing.assert_allclose(found, np.broadcast_to(VALUES.toarray().mean(0), found.shape), atol=1e-5)


@pytest.mark.parametrize("name", CONTROLS)
def test_as_a_module_over_features_it_predicts_the_same(name: str) -> None:
    """Features stand behind the genes, block by block; the random stream is left alone."""
    control, genes = CONTROLS[name](batches(), CELLS), torch.tensor([5, 0, 3])
    features = control.encode(CELLS)
    state = torch.random.get_rng_state()
    module = control.module(genes)
    assert torch.equal(state, torch.random.get_rng_state())
    blocks = list(WithFeatures(batches(size=50), features).in_order())
    assert [block.shape for block in blocks] == [(n, 7 + features.shape[1]) for n in (50, 50, 20)]
    whole = torch.from_numpy(sparse.vstack(blocks).toarray())
    np.testing.assert_array_equal(whole[:, :7], VALUES.toarray())
    torch.testing.assert_close(module(whole[:, 7:]), control.predict(CELLS, genes), atol=1e-5, rtol=1e-5)


def test_the_settings_know_every_control() -> None:
    """By the names they have here."""
    assert set(get_args(ControlName)) == set(CONTROLS)
