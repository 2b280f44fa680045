"""The corpus of bad files through what the stage does: an error that names the file, nothing half-written."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from corpus import CASES, PICKLE, PLAIN, RDATA, RIGHT, TEXT, R, file_of, forbidden, h5, inside
from fuzz_samples import Sample, counts, samples
from pydantic import TypeAdapter

from sclandmarks import paths
from sclandmarks.errors import DataError, SclandmarksError
from sclandmarks.io import cohorts
from sclandmarks.io.ingest import ingest
from sclandmarks.io.matrices import read_matrix
from sclandmarks.io.raw import READERS, Reader
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.isolated import read_isolated
from sclandmarks.io.registry.datasets import Dataset, Recipe
from sclandmarks.io.registry.places import FileSource
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.matrix import ExpressionMatrix

REPOSITORY = Path(__file__).parents[2]
BOMB_BYTES = 50_000_000
BOMBS = 30


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    return samples(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dataset(sample: Sample) -> Dataset:
    source = FileSource(kind="file", path=sample.files["counts"])
    words = {"title": "t", "organism": "Homo sapiens", "tissue": "colon", "citation": "c", "licence": "l"}
    return Dataset.model_validate(words | {"source": source, "reader": sample.settings})


def read_here(files: dict[str, Path], settings: Any, origin: Origin) -> ExpressionMatrix:
    return READERS[settings.format](files, settings, origin)


def ingest_sample(monkeypatch: pytest.MonkeyPatch, sample: Sample, reads: Callable[..., Any] = read_here) -> None:
    """What the stage does, with the files of the sample; readers in this process unless told otherwise."""
    monkeypatch.setattr(cohorts, "files_of", lambda *_: sample.files)
    monkeypatch.setattr(cohorts, "read_isolated", reads)
    entry = dataset(sample)
    ingest(Recipe("mine", entry, {"mine": entry}), paths.raw("mine"), Fetched())


def check_refused(error: SclandmarksError, sample: Sample, says: str) -> None:
    text = "\n".join([str(error), *error.__notes__])
    assert re.search(says, text), text
    assert any(str(path) in text for path in (*sample.files.values(), *sample.paths)), text
    assert not list(paths.RAW.rglob("*"))


def check_matrix() -> None:
    matrix = read_matrix(paths.raw("mine"), "count")
    np.testing.assert_array_equal(matrix.X_CG.toarray(), counts())
    assert matrix.cells["cell_id"].to_list() == [f"mine/AAC{i}-1" for i in range(9)]


@pytest.mark.parametrize("name", CASES)
def test_a_bad_file_is_refused_or_read_right(
    sound: dict[str, Sample], place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    case = CASES[name]
    sample = sound[case.sample].copy(place / "own")
    case.edit(sample)
    if case.says == RIGHT:
        ingest_sample(monkeypatch, sample)
        check_matrix()
    else:
        with pytest.raises(SclandmarksError) as caught:
            ingest_sample(monkeypatch, sample)
        check_refused(caught.value, sample, case.says)
    assert not list(place.rglob("executed"))
    assert not list(place.rglob("escaped.txt"))


def test_the_corpus_is_large_and_of_every_reader(sound: dict[str, Sample]) -> None:
    assert len(CASES) >= 60
    assert {sound[case.sample].settings["format"] for case in CASES.values()} == set(READERS)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Be a user without rights, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["table, genes x cells", "h5ad, X, CSR", "loom", "tenx_h5, version 3", RDATA, PLAIN])
def test_no_permission_is_said_with_the_file(
    sound: dict[str, Sample], tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    sample = sound[name].copy(tmp_path / "own")
    forbidden(sample)
    settings: Any = TypeAdapter(Reader).validate_python(sample.settings)
    request.getfixturevalue("nobody")
    with pytest.raises(DataError, match=r"[Pp]ermission denied(.|\n)*counts\."):
        READERS[settings.format](sample.files, settings, Origin("mine", "colon"))


def bomb(beginning: bytes) -> bytes:
    """A small gzip file of BOMBS x BOMB_BYTES, without a line's end."""
    return gzip.compress(beginning) + gzip.compress(b"1" * BOMB_BYTES, 1) * BOMBS


@pytest.mark.parametrize(
    ("name", "member", "beginning"),
    [
        (TEXT, "counts", b"g,a\nA1BG,1\n"),
        (PLAIN, "counts", b"%%MatrixMarket matrix coordinate integer general\n"),
        (PLAIN, "barcodes", b"AAC0-1\n"),
        (RDATA, "counts", R["HEADERS"][3]),
    ],
)
def test_a_gzip_bomb_ends_at_the_limit(
    sound: dict[str, Sample], place: Path, monkeypatch: pytest.MonkeyPatch, name: str,
    member: str, beginning: bytes,
) -> None:  # fmt: skip
    sample = sound[name].copy(place / "own")
    file_of(sample, member).write_bytes(bomb(beginning))
    monkeypatch.setenv("SCLANDMARKS_READ_GB", "0.5")
    with pytest.raises(DataError) as caught:
        ingest_sample(monkeypatch, sample, read_isolated)
    check_refused(caught.value, sample, "at most 0.5 GB of memory|at most|2\\^|shape|rows, columns")


def test_an_r_workspace_with_a_call_is_data(sound: dict[str, Sample], place: Path) -> None:
    """`sm` is the call system("touch executed"), as R would keep it unevaluated, or run it as a promise."""
    call = R["ints"](6) + R["ints"](1) + R["char"]("system") + R["ints"](2) + R["char_vector"](["touch executed"])
    promise = R["ints"](5) + R["ints"](254) + R["ints"](254) + call + R["ints"](254)
    sample = sound[RDATA].copy(place / "own")
    for code in (call + R["ints"](254), promise):
        made = R["HEADERS"][3] + R["pairs"]({"sm": code})
        file_of(sample).write_bytes(gzip.compress(made))
        settings: Any = TypeAdapter(Reader).validate_python(sample.settings)
        with pytest.raises(DataError, match=r"counts\.RData"):
            READERS["panglaodb"](sample.files, settings, Origin("mine", "colon"))
    assert not list(place.rglob("executed"))


REAL = {
    "cut": inside(lambda data: data[: len(data) // 2]),
    "pickle": h5(lambda file: (file.__delitem__("X"), file.__setitem__("X", np.void(PICKLE)))),
    "another format": lambda sample: file_of(sample).write_text("gene,c1\nA1BG,1\n"),
}


@pytest.mark.parametrize("name", REAL)
def test_the_stage_itself_says_it_in_plain_words(
    sound: dict[str, Sample], place: Path, name: str, tmp_path: Path
) -> None:
    sample = sound["h5ad, X, CSR"].copy(place / "own")
    REAL[name](sample)
    text = (REPOSITORY / "params.yaml").read_text()
    paths.PARAMS.write_text(re.sub(r"datasets: \[.*?\]", "datasets: [mine]", text))
    paths.DATASETS.write_text(yaml.safe_dump({"mine": dataset(sample).model_dump(mode="json")}))
    command = [sys.executable, "-P", str(REPOSITORY / "pipelines/ingest.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(r"^error: expected .*\ndata set mine, file .*own/counts\.h5ad$", done.stderr, re.MULTILINE)
    assert not list(paths.RAW.rglob("*.*"))
    assert not list(place.rglob("executed"))
