"""A selection in a process of its own: its costs, its limit, and that it is not done twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

FORKS = """
import subprocess, sys, pathlib
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
child.wait()
"""

PARENT = r"""
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from peers.child import used
before = used()
work = "import time\nwhile time.process_time() < 1: pass\nprint(flush=True); input()"
worker = subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
worker.stdout.readline()  # it has worked a second, and lives
alive = used()
worker.communicate(b"\n")
print(before, alive, used())
"""


@pytest.fixture
def launch() -> Any:
    return import_module("peers.launch")


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def test_costs_are_of_the_child(launch: Any, tmp_path: Path) -> None:
    setup = launch.Setup(Path(sys.executable), limit=60)
    small = launch.run(setup, python("pass"), tmp_path / "log")
    large = launch.run(setup, python("sum(range(8_000_000))"), tmp_path / "log")
    assert small["status"] == large["status"] == "ok"
    assert large["process_cpu"] > small["process_cpu"]


def test_peak_is_of_the_process_itself(tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); from peers.child import peak; x = bytearray(300 << 20); "
    benchmarks = str(Path(import_module("peers.child").__file__).parents[1])
    said = subprocess.run(python(code + "print(peak())", benchmarks), check=True, capture_output=True, text=True).stdout
    assert 300 < float(said) < 450


def test_work_of_living_children_is_counted() -> None:
    """In a process that has no other children."""
    benchmarks = str(Path(import_module("peers.child").__file__).parents[1])
    said = subprocess.run(python(PARENT, benchmarks), check=True, capture_output=True, text=True).stdout
    before, alive, ended = map(float, said.split())
    assert alive - before > 0.5
    assert abs(ended - alive) < 0.5  # and is not counted twice, nor lost, once it has ended


def test_a_failure_says_why(launch: Any, tmp_path: Path) -> None:
    found = launch.run(launch.Setup(Path(sys.executable)), python("raise ValueError('no such gene')"), tmp_path / "log")
    assert found["status"] == "failed"
    assert found["why"] == "ValueError: no such gene"


def test_over_the_limit_ends_its_children_too(launch: Any, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    found = launch.run(launch.Setup(Path(sys.executable), limit=1.5), python(FORKS, str(note)), tmp_path / "log")
    assert found["status"] == "over"
    end = time.monotonic() + 300
    while not is_gone(int(note.read_text())):
        assert time.monotonic() < end, "the child's child still runs"
        time.sleep(0.1)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_threads_are_bounded(launch: Any, tmp_path: Path) -> None:
    code = "import os, sys; sys.exit(os.environ['OMP_NUM_THREADS'] != '3')"
    assert launch.run(launch.Setup(Path(sys.executable), threads=3), python(code), tmp_path / "log")["status"] == "ok"


def write_genes(launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a selection be a script that writes two genes where the child would."""

    def command(setup: Any, folder: Path, name: str, size: int, out: Path) -> list[str]:
        code = "import json, sys; json.dump({'genes': ['a', 'b'], 'seconds': 1, 'cpu': 2}, open(sys.argv[1], 'w'))"
        return python(code, str(out))

    monkeypatch.setattr(launch, "command", command)


def test_a_result_is_kept_and_not_done_again(launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_genes(launch, monkeypatch)
    setup = launch.Setup(Path(sys.executable))
    first = launch.select(setup, tmp_path, "greedy", 910)
    assert first["genes"] == ["a", "b"]
    assert first["ranks"] is True
    monkeypatch.setattr(launch, "run", lambda *_: pytest.fail("done again"))
    assert launch.select(setup, tmp_path, "greedy", 910) == first
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["greedy-910.json"]


def test_a_result_of_other_settings_is_done_again(launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_genes(launch, monkeypatch)
    path = launch.result_path(tmp_path, "greedy", 910)
    path.parent.mkdir()
    path.write_text(json.dumps({"settings": "others", "status": "ok", "genes": []}))
    assert not launch.is_done(path, "greedy")
    assert launch.select(launch.Setup(Path(sys.executable)), tmp_path, "greedy", 910)["genes"] == ["a", "b"]
    assert launch.is_done(path, "greedy")


def test_what_failed_is_tried_again(launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = launch.Setup(Path(sys.executable))
    monkeypatch.setattr(launch, "command", lambda *_: python("raise SystemExit(3)"))
    assert launch.select(setup, tmp_path, "greedy", 910)["status"] == "failed"
    assert launch.has_run(launch.result_path(tmp_path, "greedy", 910), "greedy")
    write_genes(launch, monkeypatch)
    assert launch.select(setup, tmp_path, "greedy", 910)["status"] == "ok"


def test_a_larger_panel_is_not_tried_after_one_over_the_limit(launch: Any, tmp_path: Path, keep_result: Any) -> None:
    keep_result(tmp_path, "scmer", 50, ["a"])
    keep_result(tmp_path, "scmer", 100, None)
    keep_result(tmp_path, "scmer", 300, None)
    keep_result(tmp_path, "skglm", 100, None, settings="others")
    keep_result(tmp_path, "spapros_pca", 50, None)  # another peer, whose name begins alike
    assert launch.over_below(tmp_path, "scmer", 910) == 100
    assert launch.over_below(tmp_path, "scmer", 100) is None
    assert launch.over_below(tmp_path, "skglm", 910) is None
    assert launch.over_below(tmp_path, "spapros", 910) is None


def test_ours_and_peers_run_in_their_own_interpreters(launch: Any, tmp_path: Path) -> None:
    setup = launch.Setup(Path("/side/bin/python"))
    assert launch.command(setup, tmp_path, "greedy", 5, tmp_path)[0] == sys.executable
    assert launch.command(setup, tmp_path, "scmer", 5, tmp_path)[:2] == ["/side/bin/python", "-m"]


def test_a_whole_selection_of_ours(launch: Any, planted: Any, planted_folder: Path) -> None:
    found = launch.select(launch.Setup(Path(sys.executable), threads=1), planted_folder, "top_variance", 6)
    assert found["status"] == "ok", found["why"]
    assert len(set(found["genes"])) == 6
    assert found["peak_mib"] > 0
