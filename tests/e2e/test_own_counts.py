"""`sclandmarks inspect` and `ingest` as people run them: real processes, bad files, two at once, a web server."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from sclandmarks.io.registry.datasets import choose, load_registry
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.io.sources.files import is_current

REPOSITORY = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = [sys.executable, "-c", "from sclandmarks.cli import main; main()"]
COUNTS = "gene,c1,c2,c3\nGAPDH,1,0,2\nCDK4,0,7,1\nA1BG,0,0,3\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    for name in ("params.yaml", "datasets.yaml"):
        (project / name).write_text((REPOSITORY / name).read_text())
    (tmp_path / "counts.csv").write_text(COUNTS)
    return project


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def run(root: Path) -> Run:
    def start(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, *map(str, arguments)]
        return subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, timeout=600)

    return start


def current(name: str) -> bool:
    return is_current(Path("data/raw") / name, choose(load_registry(), [name])[name], Fetched())


def test_a_file_is_inspected_and_taken_in(run: Run, root: Path, tmp_path: Path) -> None:
    done = run("inspect", tmp_path / "counts.csv")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "3 cells x 3 genes" in done.stdout
    assert "2 of the 978 of L1000" in done.stdout
    lines = done.stdout.partition("`:\n\n")[2]
    assert next(iter(yaml.safe_load(lines).values()))["reader"] == {"format": "table", "orientation": "genes_by_cells"}
    found = json.loads(run("inspect", "--json", tmp_path / "counts.csv").stdout)
    assert (found["n_cells"], found["fit"], found["yaml"]) == (3, True, lines)

    done = run("ingest", tmp_path / "counts.csv", "--name", "mine", "--tissue", "colon", "--donor", "D1", "--use")
    assert done.returncode == 0, done.stderr
    assert "mine: 3 cells x 3 genes, 0 cell types, 2 landmarks of L1000" in done.stdout
    assert current("mine")
    entry = yaml.safe_load((root / "datasets.yaml").read_text())["mine"]
    assert (entry["tissue"], entry["donor"], entry["source"]["path"]) == ("colon", "D1", "own/mine/counts.csv")
    assert yaml.safe_load((root / "params.yaml").read_text())["data"]["datasets"] == ["mine"]

    stage = [sys.executable, "-P", str(REPOSITORY / "pipelines" / "ingest.py")]
    again = subprocess.run(stage, cwd=root, env=environment(), capture_output=True, text=True, timeout=600)
    assert "mine is there already" in again.stderr, again.stderr


def test_without_use_the_user_is_told_what_is_next(run: Run, root: Path, tmp_path: Path) -> None:
    done = run("ingest", tmp_path / "counts.csv", "--name", "mine", "--in-place")
    assert done.returncode == 0, done.stderr
    assert "datasets: [mine]" in done.stdout
    assert "removes data/raw/mine as long as it is not named there" in done.stdout
    assert not (root / "own").exists()
    assert "mine, " in run("ingest", tmp_path / "counts.csv", "--name", "mine").stderr.replace("mine;", "mine, ")


BAD = {
    "empty.csv": b"", "prose.txt": b"Once upon a time.\nThere was a cell.\n", "plot.h5ad": b"%PDF-1.4\n",
    "logs.csv": b"gene,c1,c2\nGAPDH,0.5,1.2\nCDK4,0,1\n", "cut.csv.gz": b"\x1f\x8b\x08\x00",
    "cut.h5": b"\x89HDF\r\n\x1a\n" + bytes(50), "book.csv": b"PK\x03\x04rubbish", "r.RData": b"RDX3\nX\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_message_and_nothing_is_left(name: str, run: Run, root: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(BAD[name])
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for arguments in (["inspect", tmp_path / name], ["ingest", tmp_path / name, "--name", "mine", "--use"]):
        done = run(*arguments)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr + done.stdout
        assert name in done.stderr + done.stdout
    assert done.stderr.startswith("error: expected ")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["my counts; $(touch x).csv", "-h.csv"])
def test_the_command_it_shows_takes_in_that_very_file(run: Run, root: Path, name: str) -> None:
    (root / name).write_text(COUNTS)
    shown = run("inspect", "--", name).stdout
    command = shlex.split(shown.partition("run `")[2].partition("`:")[0])
    assert run(*command[1:]).returncode == 0
    assert current(command[-1])


def test_two_at_once_lose_no_entry(root: Path, tmp_path: Path) -> None:
    names = ["one", "two", "three"]
    commands = [[*COMMAND, "ingest", str(tmp_path / "counts.csv"), "--name", name] for name in names]
    started = [
        subprocess.Popen(command, cwd=root, env=environment(), stdout=subprocess.DEVNULL) for command in commands
    ]
    assert [process.wait(timeout=600) for process in started] == [0, 0, 0]
    assert set(names) <= set(load_registry())
    assert all(current(name) for name in names)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_command_leaves_nothing(root: Path, tmp_path: Path, how: signal.Signals) -> None:
    pipe = tmp_path / "slow.csv"
    pipe.write_text(COUNTS)
    wait = "lambda *_: (print('reading', flush=True), time.sleep(600))"
    slow = f"import time, sclandmarks.io.own.adopt as a\na.ingest = {wait}\n"
    heard = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # under nohup it would be ignored
    command = [sys.executable, "-c", f"{heard}{slow}from sclandmarks.cli import main; main()", "ingest", str(pipe)]
    with subprocess.Popen([*command, "--name", "mine"], cwd=root, env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"reading\n"
        assert (root / "own" / "mine" / "slow.csv").is_file()
        process.send_signal(how)
        for _ in range(6000):
            if process.poll() is not None:
                break
            time.sleep(0.1)
        assert process.returncode == 128 + how
    assert list((root / "own").iterdir()) == []
    assert "mine" not in load_registry()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def test_an_address_becomes_a_data_set_or_leaves_nothing(run: Run, root: Path, tmp_path: Path, server: str) -> None:
    done = run("ingest", f"{server}/counts.csv", "--name", "web", "--use")
    assert done.returncode == 0, done.stderr
    assert load_registry()["web"].source.url == f"{server}/counts.csv"  # type: ignore[union-attr]
    assert f"{server}/counts.csv" in (root / "datasets.lock.json").read_text()
    (tmp_path / "prose.txt").write_text("Once upon a time.\nThere was a cell.\n")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"}
    done = run("ingest", f"{server}/prose.txt", "--name", "prose")
    assert done.returncode == 1
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert after == before
    (tmp_path / "counts.csv").unlink()
    for stage in ("fetch", "ingest"):
        command = [sys.executable, "-P", str(REPOSITORY / "pipelines" / f"{stage}.py")]
        again = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, timeout=600)
        assert again.returncode == 0, again.stderr
    assert "web is there already" in again.stderr
