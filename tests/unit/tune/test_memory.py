"""Memory of trials: peaks, what would not fit, and who waits for whom."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from sclandmarks.tune import memory

SPACE = {
    "width": IntDistribution(1, 512, log=True),
    "batch_size": CategoricalDistribution([64, 128, 256]),
    "dropout": FloatDistribution(0.0, 0.7),
}


def tried(width: int, batch: int, too_big: dict[str, float] | None = None) -> FrozenTrial:
    """A trial with these sizes."""
    params = {"width": width, "batch_size": batch, "dropout": 0.1}
    attributes = {} if too_big is None else {"too_big": too_big}
    return create_trial(state=TrialState.PRUNED, params=params, distributions=SPACE, user_attrs=attributes)


def test_settings_with_no_size_below_one_that_failed_do_not_fit() -> None:
    limits = memory.limits([tried(8, 64), tried(256, 128, {"width": 256, "batch_size": 128})])
    assert len(limits) == 1
    assert memory.limit_of({"width": 256, "batch_size": 128, "dropout": 0.5}, limits) is limits[0]
    assert memory.limit_of({"width": 512, "batch_size": 256}, limits) is limits[0]
    assert memory.limit_of({"width": 255, "batch_size": 256}, limits) is None
    assert memory.limit_of({"width": 512, "batch_size": 64}, limits) is None
    assert memory.limit_of({"dropout": 0.5}, limits) is None


def test_a_trial_without_sizes_limits_nothing() -> None:
    assert memory.limits([tried(8, 64, {})]) == []


def test_a_trial_is_shrunk_to_half_of_the_limit_within_its_ranges() -> None:
    limit = {"width": 256.0, "batch_size": 128.0, "depth": 2.0}
    smaller = memory.shrink(tried(400, 256), limit)
    assert smaller == {"width": 128, "batch_size": 64, "dropout": 0.1}


def test_what_cannot_be_smaller_is_not_shrunk() -> None:
    assert memory.shrink(tried(1, 64), {"width": 1, "batch_size": 64}) is None
    assert memory.shrink(tried(1, 64), {"depth": 2}) is None


@given(st.integers(1, 512), st.sampled_from([64, 128, 256]), st.integers(2, 512), st.sampled_from([64, 128, 256]))
def test_what_is_shrunk_fits(width: int, batch: int, most: int, most_batch: int) -> None:
    limit = tried(most, most_batch, {"width": most, "batch_size": most_batch})
    smaller = memory.shrink(tried(width, batch), limit.user_attrs["too_big"])
    assert smaller is not None
    assert memory.limit_of(smaller, [limit]) is None
    assert all(SPACE[name]._contains(SPACE[name].to_internal_repr(value)) for name, value in smaller.items())


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_apart(error: BaseException, is_memory: bool) -> None:
    assert memory.is_out_of_memory(error) == is_memory


def test_the_peak_is_that_since_the_last_reset() -> None:
    memory.reset_peak()
    before = memory.read_peak()
    block = bytearray(200 << 20)
    block[::4096] = b"x" * len(block[::4096])
    high = memory.read_peak()
    assert high > before + (150 << 20)
    del block
    memory.free_memory()
    memory.reset_peak()
    assert memory.read_peak() < high - (100 << 20)


def test_one_that_wants_the_device_alone_waits_for_the_others_and_holds_up_the_next(tmp_path: Path) -> None:
    floor, order = memory.Floor(tmp_path, "cuda:GPU-1/2"), []
    with floor.shared(), floor.shared():
        alone = threading.Thread(target=_enter, args=(floor.alone, order, "alone"))
        alone.start()
        while not _is_held(floor._gate):
            time.sleep(0.01)
        late = threading.Thread(target=_enter, args=(floor.shared, order, "late"))
        late.start()
        late.join(0.2)
        order.append("done")
    alone.join()
    late.join()
    assert order == ["done", "alone", "late"]


def _is_held(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _enter(room: object, order: list[str], name: str) -> None:
    with room():  # type: ignore[operator]
        order.append(name)
