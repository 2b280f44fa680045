"""Checkpoints: found again by the same training only, replaced whole, never trusted when cut."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from sclandmarks import paths, schema
from sclandmarks.errors import DataError
from sclandmarks.io.checkpoints import FileCheckpoint, training_key
from sclandmarks.io.learning import LearningData
from sclandmarks.io.matrices import write_matrix
from sclandmarks.io.tables import write_table
from sclandmarks.params import EpochParams, PaperLinearPredictor, TrainingParams

STATE = {"learner": {"W": torch.arange(6.0).reshape(2, 3)}, "history": [(1, {"loss": 0.25})], "best_step": 1}
SETTINGS = EpochParams(seed=0, learning_rate=0.1, max_epochs=3, patience=1)


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    """Tensors to the last bit, floats and steps beside them."""
    FileCheckpoint(tmp_path / "new", "fit", "key", interval=0).save(STATE)
    state = FileCheckpoint(tmp_path / "new", "fit", "key").load()
    assert torch.equal(state["learner"]["W"], STATE["learner"]["W"])
    assert (state["history"], state["best_step"]) == (STATE["history"], 1)


def test_another_training_finds_nothing(tmp_path: Path) -> None:
    """Neither another key nor another name, nor one whose file was removed."""
    checkpoint = FileCheckpoint(tmp_path, "fit", "key", interval=0)
    checkpoint.save(STATE)
    assert FileCheckpoint(tmp_path, "fit", "other").load() is None
    assert FileCheckpoint(tmp_path, "select", "key").load() is None
    checkpoint.remove()
    assert checkpoint.load() is None
    checkpoint.remove()


def test_not_more_often_than_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short trainings write none; longer ones one each interval, the newest."""
    now = [0.0]
    monkeypatch.setattr("sclandmarks.io.checkpoints.time.monotonic", lambda: now[0])
    checkpoint, kept = FileCheckpoint(tmp_path, "fit", "key", interval=10), []
    for now[0] in (5.0, 10.0, 19.0, 20.0):
        checkpoint.save({"at": now[0]})
        kept.append(state["at"] if (state := checkpoint.load()) else None)
    assert kept == [None, 10, 10, 20]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None], ids=["empty", "foreign", "cut"])
def test_an_unreadable_file_is_removed_with_a_warning(
    content: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The training starts anew rather than fails."""
    checkpoint = FileCheckpoint(tmp_path, "fit", "key", interval=0)
    checkpoint.save(STATE)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-40] if content is None else content)
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load() is None
    assert "starts anew" in caplog.text
    assert not checkpoint.path.exists()


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    """A file in state/ that would run code is refused like a cut one."""
    checkpoint = FileCheckpoint(tmp_path, "fit", "key")
    torch.save({"evil": Path("/")}, checkpoint.path)
    assert checkpoint.load() is None


def test_the_key_depends_on_settings_and_bytes(tmp_path: Path) -> None:
    """Not on the names of files or the order of settings."""
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"one")
    b.write_bytes(b"one")
    key = training_key({"x": 1, "y": 2}, [a])
    assert key == training_key({"y": 2, "x": 1}, [b])
    assert key != training_key({"x": 1, "y": 3}, [a])
    assert key != training_key({"x": 1, "y": 2}, [a, b])
    b.write_bytes(b"two")
    assert key != training_key({"x": 1, "y": 2}, [b])


@pytest.fixture
def data(planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LearningData:
    """The planted matrix on disk: cells by turns for training, validation and nothing."""
    monkeypatch.chdir(tmp_path)
    write_matrix(paths.EXPRESSION, planted.counts, planted.values)
    ids = planted.counts.cells["cell_id"].gather(np.flatnonzero(np.arange(400) % 3 < 2))
    subsets = pl.Series("subset", np.resize(["train", "validation"], len(ids)).tolist())
    write_table(paths.SPLIT, pl.DataFrame({"cell_id": ids, "subset": subsets}), schema.SPLIT)
    return LearningData()


def test_learning_reads_the_cells_of_a_subset(data: LearningData, planted) -> None:
    """Values or counts, as the settings say; in the order of the table of cells."""
    counts = PaperLinearPredictor(
        method="paper_linear", scale="counts", seed=0, learning_rate=0.1, max_epochs=1, patience=1
    )
    rows = [int(cell.split("/")[1]) for cell in data.cells("train")["cell_id"]]
    assert rows == [i for i in range(400) if i % 3 == 0]
    for settings, want in ((None, planted.values), (counts, planted.counts.X_CG)):
        blocks = list(data.batches("train", settings).in_order())
        np.testing.assert_array_equal(np.vstack([block.toarray() for block in blocks]), want[rows].toarray())


def test_batches_take_size_and_seed_from_the_settings(data: LearningData) -> None:
    """Where a section has them."""
    settings = TrainingParams(seed=7, learning_rate=0.1, max_epochs=1, patience=1, batch_size=32)
    batches, default = data.batches("train", settings), data.batches("train")
    assert (batches.batch_size, batches.seed) == (32, 7)
    assert (default.batch_size, default.seed) == (256, 0)


def test_a_subset_without_cells_is_an_error(data: LearningData) -> None:
    """For example when the filter removed all of them."""
    with pytest.raises(DataError, match="cells of the subset test"):
        data.batches("test")


def test_a_checkpoint_belongs_to_settings_matrix_split_and_panel(data: LearningData, planted, tmp_path: Path) -> None:
    """A change of any of them is another training."""
    panel = tmp_path / "panel"
    panel.write_text("a")
    seen = [data.checkpoint("fit", SETTINGS, [panel]).path]
    assert seen[0] == data.checkpoint("fit", SETTINGS, [panel]).path
    seen.append(data.checkpoint("fit", SETTINGS.model_copy(update={"seed": 1}), [panel]).path)
    panel.write_text("b")
    seen.append(data.checkpoint("fit", SETTINGS, [panel]).path)
    write_matrix(paths.EXPRESSION, planted.counts, planted.values * np.float32(2))
    seen.append(data.checkpoint("fit", SETTINGS, [panel]).path)
    write_table(paths.SPLIT, schema.SPLIT.empty(), schema.SPLIT)
    seen.append(data.checkpoint("fit", SETTINGS, [panel]).path)
    assert len(set(seen)) == 5
