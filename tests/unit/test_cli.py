"""The command line: what it says, what it starts, and how it fails."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from click.testing import CliRunner, Result

from sclandmarks import __version__, paths
from sclandmarks.cli import main
from sclandmarks.runtime import doctor, serving
from sclandmarks.runtime.doctor import Finding, findings

REPOSITORY = Path(__file__).parents[2]
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with the repository's params.yaml and datasets.yaml."""
    monkeypatch.chdir(tmp_path)
    for name in (paths.PARAMS, paths.DATASETS):
        name.write_text((REPOSITORY / name).read_text())
    return lambda *arguments: CliRunner().invoke(main, arguments)


def set_uri(uri: str | None) -> None:
    values = yaml.safe_load(paths.PARAMS.read_text())
    values["tracking"]["uri"] = uri
    paths.PARAMS.write_text(yaml.safe_dump(values))


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_command_and_the_main_job(run: Run, option: str) -> None:
    result = run(option)
    assert result.exit_code == 0
    assert "make repro" in result.output
    for name, command in main.commands.items():
        assert name in result.output
        assert command.get_short_help_str(limit=100).rstrip(".") in result.output
        assert run(name, option).exit_code == 0


def test_version(run: Run) -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert __version__ in result.output


def test_an_unknown_command_is_refused(run: Run) -> None:
    result = run("predict-all")
    assert result.exit_code == 2
    assert "predict-all" in result.output


def test_where_before_anything_is_made(run: Run, tmp_path: Path) -> None:
    result = run("where")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines] == ["report", "metrics", "panels", "models", "runs"]
    assert all("not there yet: `make repro` makes it" in line for line in lines)
    assert str(tmp_path / paths.REPORT) in lines[0]


def test_where_after_a_run(run: Run) -> None:
    for path in (paths.REPORT, paths.COMPARISON, paths.MLFLOW_DATABASE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    paths.PANELS.mkdir()
    lines = dict(line.split(maxsplit=1) for line in run("where").output.splitlines())
    assert "open it in a browser" in lines["report"]
    assert "dvc metrics show" in lines["metrics"]
    assert "not there yet" not in lines["panels"]
    assert "not there yet" in lines["models"]
    assert "make ui" in lines["runs"]


def test_datasets_are_listed_with_their_citation(run: Run) -> None:
    result = run("datasets")
    assert result.exit_code == 0
    for name, entry in yaml.safe_load(paths.DATASETS.read_text()).items():
        (line,) = [line for line in result.output.splitlines() if line.split()[0] == name]
        assert entry["title"] in line
        assert entry["citation"].split(",")[0] in line


class Started(NamedTuple):
    """What os.execve was asked for."""

    program: str
    arguments: list[str]
    environment: dict[str, str]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    calls: list[Started] = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(Started(*call)))
    monkeypatch.setattr(serving, "check_free", lambda host, port: None)  # whatever else listens on this machine
    return calls


def options(arguments: list[str]) -> dict[str, str]:
    """Options of an argument list whose every option has a value."""
    first = next(i for i, argument in enumerate(arguments) if argument.startswith("--"))
    return dict(zip(arguments[first::2], arguments[first + 1 :: 2], strict=True))


def test_ui_serves_the_database_on_loopback_alone(run: Run, started: list[Started]) -> None:
    result = run("ui", "--port", "5055")
    assert result.exit_code == 0
    assert "http://127.0.0.1:5055" in result.output
    ((program, arguments, environment),) = started
    assert program == arguments[0] == sys.executable
    assert arguments[1:4] == ["-m", "mlflow", "server"]
    chosen = options(arguments)
    assert chosen["--host"] == "127.0.0.1"
    assert chosen["--port"] == "5055"
    assert chosen["--backend-store-uri"] == f"sqlite:///{paths.MLFLOW_DATABASE}"
    assert chosen["--default-artifact-root"] == str(paths.MLFLOW_ARTIFACTS)
    assert all(isinstance(argument, str) for argument in arguments)
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["PATH"] == os.environ["PATH"]
    assert paths.STATE.is_dir()


def test_ui_of_another_database_and_host(run: Run, started: list[Started]) -> None:
    set_uri("sqlite:///elsewhere.db")
    run("ui", "--host", "0.0.0.0")  # noqa: S104 (what a user may ask for)
    chosen = options(started[0].arguments)
    assert chosen["--backend-store-uri"] == "sqlite:///elsewhere.db"
    assert chosen["--host"] == "0.0.0.0"  # noqa: S104


@pytest.mark.parametrize("uri", ["http://10.0.0.1:5000", "https://mlflow.example.org"])
def test_ui_of_a_server_only_says_where_it_is(run: Run, started: list[Started], uri: str) -> None:
    set_uri(uri)
    result = run("ui")
    assert result.exit_code == 0
    assert uri in result.output
    assert not started
    assert not paths.STATE.exists()


@pytest.mark.parametrize("port", ["0", "65536", "many"])
def test_ui_refuses_an_impossible_port(run: Run, started: list[Started], port: str) -> None:
    result = run("ui", "--port", port)
    assert result.exit_code == 2
    assert "--port" in result.output
    assert not started


def test_ui_of_a_taken_port_and_of_a_damaged_database_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_plain(run("ui", "--port", port), f"port {port} of 127.0.0.1 free", "--port")
    monkeypatch.setattr(serving, "check_free", lambda host, port: None)  # whatever else listens on this machine
    paths.STATE.mkdir(exist_ok=True)
    paths.MLFLOW_DATABASE.write_bytes(b"no database " * 999)
    assert_plain(run("ui"), str(paths.MLFLOW_DATABASE), "damaged", "Move state/mlflow.db away")


FAULTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "unknown key": (lambda values: values["tracking"].update(url="x"), "tracking.url"),
    "impossible value": (lambda values: values["split"].update(test=2), "split.test"),
    "missing section": (lambda values: values.pop("select"), "select"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_in_params_end_in_one_plain_message(run: Run, started: list[Started], fault: str) -> None:
    edit, key = FAULTS[fault]
    values = yaml.safe_load(paths.PARAMS.read_text())
    edit(values)
    paths.PARAMS.write_text(yaml.safe_dump(values))
    assert_plain(run("ui"), str(paths.PARAMS), key, "Mend the keys")
    assert not started


def test_no_params_at_all(run: Run) -> None:
    paths.PARAMS.unlink()
    assert_plain(run("ui"), str(paths.PARAMS), "root of the repository")


def test_faults_in_datasets_end_in_one_plain_message(run: Run) -> None:
    paths.DATASETS.write_text("mine: {title: t}\n")
    assert_plain(run("datasets"), str(paths.DATASETS), "mine.organism", "Mend the keys")


def assert_plain(result: Result, *says: str) -> None:
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.output.startswith("error: expected ")
    assert result.output.count("error: ") == 1
    assert "Traceback" not in result.output
    assert all(words in result.output for words in says), result.output


def test_doctor_finds_this_machine_fit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "GIGABYTES_WANTED", 0)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    result = run("doctor")
    assert result.exit_code == 0, result.output
    seen = {line.split()[1].rstrip(":") for line in result.output.splitlines()}
    assert {"python", "torch", "mlflow", "dvc", "device", "disk", "git", "params.yaml"} <= seen
    assert "BAD" not in result.output


def test_doctor_names_what_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "GIGABYTES_WANTED", 10**9)
    monkeypatch.setattr(doctor, "LIBRARIES", ("numpy", "no-such-library"))
    monkeypatch.setenv("PATH", str(tmp_path))
    paths.PARAMS.write_text("a: 1\n")
    result = run("doctor")
    assert result.exit_code == 1
    wrong = {line.split()[1].rstrip(":") for line in result.output.splitlines() if line.startswith("BAD")}
    assert wrong == {"disk", "no-such-library", "git", "dvc", "params.yaml"}
    assert "run `make setup`" in result.output
    assert "Traceback" not in result.output


def test_doctor_refuses_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 12, "final", 0))
    first = next(iter(findings()))
    assert isinstance(first, Finding)
    assert (first.good, first.what) == (False, "python")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["where"]])
def test_what_is_quick_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, click.testing, sclandmarks.cli as cli\n"
        f"assert click.testing.CliRunner().invoke(cli.main, {arguments!r}).exit_code == 0\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=600)
    loaded = set(done.stdout.split())
    assert "click" in loaded
    assert not loaded & {"torch", "mlflow", "polars", "pandas", "numpy", "pydantic", "pyarrow", "scipy"}
