"""Commands that show a study: found by name or storage, and a dashboard that only this machine reaches."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner

from sclandmarks import paths
from sclandmarks.cli import main
from sclandmarks.cli.tune_pages import dashboard, export, serve
from sclandmarks.errors import StudyError
from sclandmarks.tune.find import find_study
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.run import check_complete, named_by_content
from sclandmarks.tune.study import public

Make = Callable[..., tuple[optuna.Study, Plan]]
REPOSITORY = Path(__file__).parents[4]
SECONDS = 300


@pytest.fixture
def begun(make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[optuna.Study, Plan]:
    """A study as a launcher leaves it, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    study, plan = make_study(4, files=False)
    study.set_user_attr("plan", plan.to_json())
    file = paths.SEARCHES / plan.name / "plan.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(plan.to_json())
    return study, plan


@contextmanager
def served(*arguments: str, cwd: Path) -> Iterator[str]:
    """Address of a dashboard in a process of its own."""
    script = "from sclandmarks.cli.tune_pages import dashboard; dashboard()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], cwd=cwd, text=True, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout
    try:
        said = process.stdout.readline()
        yield re.findall(r"http://\S+", said)[0]
    finally:
        process.kill()
        process.wait()


def fetch(url: str) -> bytes:
    """Answer of a server that is about to listen."""
    last: Exception | None = None
    for _ in range(SECONDS * 10):
        try:
            with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.URLError as error:
            last = error
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.1)
    raise AssertionError(last)


def test_a_study_is_found_by_its_name_and_by_its_storage(begun: tuple[optuna.Study, Plan]) -> None:
    study, plan = begun
    for storage in (None, plan.storage):
        found, its = find_study(plan.name, storage)
        assert len(found.trials) == len(study.trials) and its == plan


@pytest.mark.parametrize("storage", [False, True])
def test_what_is_not_there_is_said_with_what_is(begun: tuple[optuna.Study, Plan], storage: bool) -> None:
    with pytest.raises(StudyError, match=r"other; there: s"):
        find_study("other", begun[1].storage if storage else None)
    with pytest.raises(StudyError, match="nowhere"):
        find_study("s", "journal:nowhere/journal.log")
    assert not Path("nowhere").exists(), "looking makes no journal"


def test_export_writes_and_refuses(begun: tuple[optuna.Study, Plan]) -> None:
    run = CliRunner().invoke(export, ["--study", "s", "--out", "out"])
    assert run.exit_code == 0, run.output
    assert sorted(run.output.split()) == sorted(str(path) for path in Path("out").rglob("*.*") if path.is_file())
    assert CliRunner().invoke(export, ["--study", "s", "--out", "out"]).exit_code == 1
    assert CliRunner().invoke(export, ["--out", "out", "--replace"]).exit_code == 0
    assert CliRunner().invoke(export, ["--study", "none", "--out", "other"]).exit_code == 1


def test_the_dashboard_serves_a_journal_on_loopback(
    begun: tuple[optuna.Study, Plan], tmp_path: Path, reserve_port: Callable[[], int]
) -> None:
    port = str(reserve_port())
    with served("--study", "s", "--port", port, cwd=tmp_path) as url:
        assert url == f"http://127.0.0.1:{port}"
        shown = json.loads(fetch(f"{url}/api/studies"))
        assert [one["study_name"] for one in shown["study_summaries"]] == ["s"]
        lines = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=False).stdout.splitlines()
        assert {line.split()[3] for line in lines if f":{port} " in line} <= {f"127.0.0.1:{port}"}


def test_the_dashboard_serves_postgresql(
    begun: tuple[optuna.Study, Plan], tmp_path: Path, reserve_port: Callable[[], int]
) -> None:
    sys.path.insert(0, str(REPOSITORY / "tests" / "faults"))
    from postgres_server import PASSWORD, find_postgres, server

    if find_postgres()[0] is None:
        pytest.skip(find_postgres()[1])
    from sclandmarks.tune.study import open_study

    with server() as postgres:
        open_study(replace(begun[1], storage=postgres.url))
        with served("--storage", postgres.url, "--port", str(reserve_port()), cwd=tmp_path) as url:
            assert PASSWORD not in url
            shown = json.loads(fetch(f"{url}/api/studies"))
            assert [one["study_name"] for one in shown["study_summaries"]] == ["s"]


def test_a_port_that_is_taken_is_said(begun: tuple[optuna.Study, Plan]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = CliRunner().invoke(dashboard, ["--study", "s", "--port", str(taken.getsockname()[1])])
    assert run.exit_code == 1


@pytest.mark.parametrize("arguments", [[], ["--study", "s", "--storage", "journal:x"]])
def test_the_dashboard_wants_a_study_or_a_storage(arguments: list[str]) -> None:
    run = CliRunner().invoke(dashboard, arguments)
    assert run.exit_code == 2 and "one of them" in run.output


def test_the_proxy_is_for_postgresql() -> None:
    run = CliRunner().invoke(serve, ["--storage", "journal:x"])
    assert run.exit_code == 1 and not Path("x").exists()


def test_the_commands_are_in_the_group() -> None:
    run = CliRunner().invoke(main, ["tune", "--help"])
    assert all(f"\n  {name} " in run.output for name in ("export", "dashboard", "serve"))


def test_a_plan_is_named_by_its_content(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(storage="journal:state/tune/s/journal.log")
    named = named_by_content(plan)
    assert (named.name, named.folder) == ("fit-0123", "state/tune/fit-0123")
    assert named.storage == "journal:state/tune/fit-0123/journal.log"
    elsewhere = "postgresql://db/optuna"
    assert named_by_content(replace(plan, storage=elsewhere)).storage == elsewhere
    assert public(named) == named


def test_a_study_without_a_complete_trial_says_why(make_study: Make) -> None:
    study, _ = make_study(0)
    trial = study.ask()
    trial.set_user_attr("reason", "RuntimeError: broken")
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    with pytest.raises(StudyError, match="RuntimeError: broken"):
        check_complete(study)
    study.tell(study.ask(), 1.0)
    assert check_complete(study) is study
