"""Every reader over damaged files: one of the project's errors with the file's name, or a right matrix.

Readers run in a process that outlives many cases, since libhdf5 faults on some; `python benchmarks/fuzz.py` does the
same by chance for minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz_child import Child, Outcome
from fuzz_judge import Court, court
from fuzz_mutations import KINDS, LONGEST, SCALE, Damage, Mutation, damaged, mutated
from fuzz_samples import CONTRACT, PACKED, samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sclandmarks.errors import DataError
from sclandmarks.io.raw import READERS, Reader
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.isolated import Limits, read_isolated

CASES = 10
NAMES = [*CONTRACT["WRITERS"], *PACKED]
mutations = st.builds(
    Mutation, st.sampled_from(KINDS), st.integers(0, SCALE - 1), st.integers(1, LONGEST), st.integers(0, 255)
)
damages = st.builds(Damage, st.integers(0, 50), st.booleans(), st.lists(mutations, min_size=1, max_size=3).map(tuple))


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    folder = tmp_path_factory.mktemp("fuzz")
    with court(samples(folder / "samples"), folder / "case") as made:
        yield made


def test_every_reader_has_a_sample(judges: Court) -> None:
    assert {one.settings["format"] for one in judges.samples.values()} == set(READERS)


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_an_error_or_a_right_matrix(judges: Court, name: str) -> None:
    @settings(max_examples=CASES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(damages)
    def judge(damage: Damage) -> None:
        judged = judges.judge(name, damage)
        assert judged.verdict in ("error", "same", "other", "crash", "memory", "hang"), judged.why
        if judged.verdict in ("crash", "memory", "hang"):
            check_contained(judged.case)

    judge()


def check_contained(case: Any) -> None:
    """What kills its process is an error where the stage reads it; seldom, its memory being laid out anew, a matrix."""
    try:
        read_isolated(
            case.files,
            TypeAdapter(Reader).validate_python(case.settings),
            Origin("mine", "colon"),
            Limits(3 * 10**9, 10.0),
        )
    except DataError as error:
        assert str(case.files["counts"]) in "".join(error.__notes__)


@pytest.mark.parametrize("name", NAMES)
def test_sound_files_give_the_matrix_that_was_written(judges: Court, name: str, tmp_path: Path) -> None:
    sample = judges.samples[name].copy(tmp_path / "sound")
    outcome = judges.child.read(sample.files, sample.settings)
    assert (outcome.kind, outcome.shape) == ("matrix", (9, 12)), outcome.text


def test_damage_is_the_same_for_the_same_seed() -> None:
    whole = bytes(range(256)) * 4
    flipped = mutated(whole, [Mutation("flip", SCALE // 2, 1, 3)])
    assert [i for i, pair in enumerate(zip(whole, flipped, strict=True)) if pair[0] != pair[1]] == [512]
    for kind in KINDS:
        mutation = Mutation(kind, SCALE // 3, 40, 7)
        assert mutated(whole, [mutation]) == mutated(whole, [mutation]) != whole


def test_damage_inside_is_packed_again(judges: Court) -> None:
    import gzip

    cut = Damage(0, True, (Mutation("cut", SCALE // 2, 1, 0),))
    assert damaged(gzip.compress(b"abcd"), cut)[1]
    assert gzip.decompress(damaged(gzip.compress(b"abcd"), cut)[0]) == b"ab"
    assert damaged(b"abcd", cut) == (b"ab", False)


def test_a_child_that_is_killed_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("gene,c1\nA1BG,1\n")
    table = {"format": "table", "orientation": "genes_by_cells"}
    with Child() as child:
        first = child.read({"counts": path}, table)
        assert (first.kind, first.shape) == ("matrix", (1, 1))
        assert child.process is not None
        child.process.kill()
        child.process.wait()
        child.process = None
        assert child.read({"counts": path}, table) == first
        assert child.read({"counts": tmp_path}, table) != first


@pytest.mark.parametrize("outcome", [Outcome("wrong", "KeyError"), Outcome("error", "DataError: without a name")])
def test_what_is_wrong_is_found(judges: Court, outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges.child, "read", lambda *_: outcome)
    name = NAMES[0]
    assert judges.judge(name, Damage(0, False, ())).verdict == "wrong"
    judges.sound.pop(name)
