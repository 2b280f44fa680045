"""tools/setup_venv.py: what it tells uv, when it works, and that it works once. Nothing is installed here."""

from __future__ import annotations

import importlib.util
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "tools" / "setup_venv.py"
SETTINGS = ("FIND_LINKS", "INDEX_URL", "CERT")


def load(root: Path) -> ModuleType:
    """Load the script as a module whose repository is `root`."""
    spec = importlib.util.spec_from_file_location("setup_venv", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT, module.VENV, module.STAMP = root, root / ".venv", root / ".venv" / ".set-up"
    return module


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, in a repository that holds its inputs alone; pip is this Python's, without the user's settings."""
    module = load(tmp_path)
    for name in module.INPUTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "SSL_CERT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(module, "python", lambda: sys.executable)
    return module


class Pip:
    """Answers `pip config list` from a dictionary, in place of subprocess.run."""

    def __init__(self, **values: str) -> None:
        self.lines = [f"{name.replace('_', '.')}={value!r}" for name, value in values.items()]
        self.asked = 0

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:] == ["-m", "pip", "config", "list"]
        self.asked += 1
        return subprocess.CompletedProcess(command, 0, "\n".join([":env:.no-input='1'", *self.lines, ""]), "")


def pip(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **values: str) -> Pip:
    fake = Pip(**values)
    monkeypatch.setattr(module.subprocess, "run", fake)
    return fake


def test_the_environment_comes_before_the_configuration(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = pip(monkeypatch, setup, **{"install_index-url": "https://config"})
    assert setup.pip_setting("index-url") == "https://config"
    monkeypatch.setenv("PIP_INDEX_URL", "https://environment")
    assert setup.pip_setting("index-url") == "https://environment"
    assert fake.asked == 1


def test_the_section_of_install_comes_before_the_global_one(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pip(monkeypatch, setup, install_cert="/install.pem", global_cert="/global.pem")
    assert setup.pip_setting("cert") == "/install.pem"
    pip(monkeypatch, setup, global_cert="/global.pem")
    assert setup.pip_setting("cert") == "/global.pem"
    pip(monkeypatch, setup)
    assert setup.pip_setting("cert") == ""


def test_the_real_pip_is_understood(setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no pip")
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nfind-links =\n    /wheels/one\n    /wheels/two\nindex-url = https://mirror/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert setup.pip_setting("index-url") == "https://mirror/simple"
    assert setup.uv_environment()["UV_FIND_LINKS"] == "/wheels/one,/wheels/two"
    assert setup.pip_setting("no-such-setting") == ""


def test_uv_is_told_what_pip_is_told(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels  https://wheels.example/torch")
    pip(monkeypatch, setup, **{"global_index-url": "https://mirror/simple", "global_cert": "/ca.pem"})
    told = setup.uv_environment()
    assert told["UV_FIND_LINKS"] == "/wheels,https://wheels.example/torch"
    assert told["UV_DEFAULT_INDEX"] == "https://mirror/simple"
    assert told["SSL_CERT_FILE"] == "/ca.pem"
    assert told.items() >= os.environ.items()


def test_nothing_set_is_nothing_passed(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pip(monkeypatch, setup)
    assert setup.uv_environment() == dict(os.environ)


def test_what_the_user_tells_uv_stays(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pip(monkeypatch, setup, **{"global_index-url": "https://mirror", "global_find-links": "/wheels"})
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine")
    monkeypatch.setenv("UV_FIND_LINKS", "/mine")
    told = setup.uv_environment()
    assert (told["UV_DEFAULT_INDEX"], told["UV_FIND_LINKS"]) == ("https://mine", "/mine")


def test_what_is_wanted_changes_with_each_input_and_with_python(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = [setup.wanted()]
    assert setup.wanted() == seen[0]
    for name in setup.INPUTS:
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\n# changed\n")
        seen.append(setup.wanted())
    monkeypatch.setattr(setup.sys, "version_info", (3, 12, 1, "final", 0))
    seen.append(setup.wanted())
    monkeypatch.setattr(setup, "ROOT", shutil.copytree(tmp_path, tmp_path / "moved", dirs_exist_ok=False))
    seen.append(setup.wanted())  # an editable install points at the folder
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 14, 0), (2, 7, 18)])
def test_other_pythons_are_refused_before_anything_is_touched(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(setup.sys, "version_info", (*version, "final", 0))
    monkeypatch.setattr(setup.sys, "version", ".".join(map(str, version)) + " (main)")
    before = set(tmp_path.iterdir())
    with pytest.raises(SystemExit, match=r"expected Python 3\.11, 3\.12 or 3\.13; got " + ".".join(map(str, version))):
        setup.main()
    assert set(tmp_path.iterdir()) == before


@pytest.fixture
def commands(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Commands that would be run; each succeeds."""
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(setup, "make_venv", lambda: setup.VENV.mkdir(exist_ok=True))
    monkeypatch.setattr(setup, "run", lambda *command, env=None: ran.append(command) or True)
    pip(monkeypatch, setup)
    return ran


def test_a_second_set_up_does_nothing(setup: ModuleType, commands: list[tuple[str, ...]]) -> None:
    setup.main()
    assert len(commands) == 3
    assert any("torch==" in word for word in commands[1])
    setup.main()
    assert len(commands) == 3


def test_a_changed_lock_sets_up_again(setup: ModuleType, commands: list[tuple[str, ...]], tmp_path: Path) -> None:
    setup.main()
    (tmp_path / "requirements.lock").write_text("numpy==1\n")
    setup.main()
    assert len(commands) == 6


def test_an_interrupted_set_up_is_not_taken_for_done(
    setup: ModuleType, commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    setup.main()
    (tmp_path / "requirements.lock").write_text("numpy==1\n")
    with monkeypatch.context() as patch:
        patch.setattr(setup, "install", interrupt)
        with pytest.raises(KeyboardInterrupt):
            setup.main()
    assert not setup.STAMP.exists()
    setup.main()
    assert setup.STAMP.read_text() == setup.wanted()


def interrupt() -> None:
    raise KeyboardInterrupt


def test_pip_takes_over_where_uv_fails(
    setup: ModuleType, commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "run", lambda *command, env=None: commands.append(command) or "uv" not in command[2:3])
    setup.main()
    by_pip = [command for command in commands if command[2] == "pip"]
    assert [command[5:] for command in by_pip[1:]] == [
        ("--no-deps", "-r", "requirements.lock"),
        (by_pip[2][5],),
        ("--no-deps", "-e", "."),
    ]
    assert by_pip[2][5].startswith("torch==")


def test_a_failed_set_up_says_so_and_is_not_taken_for_done(
    setup: ModuleType, commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "run", lambda *command, env=None: False)
    with pytest.raises(SystemExit, match="failed"):
        setup.main()
    assert not setup.STAMP.exists()


def test_the_venv_of_another_python_is_made_anew(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    interpreter = setup.VENV / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.touch()
    monkeypatch.setattr(setup, "python", lambda: str(interpreter))
    made: list[list[str]] = []

    def answer(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if command[0] != str(interpreter):
            made.append(command)
        return subprocess.CompletedProcess(command, 0, f"{version}\n", "")

    monkeypatch.setattr(setup.subprocess, "run", answer)
    version = str(sys.version_info[:2])
    setup.make_venv()
    assert interpreter.exists()
    assert not made
    version = "(3, 9)"
    setup.make_venv()
    assert not interpreter.exists()
    assert made == [[sys.executable, "-m", "venv", str(setup.VENV)]]


HOLD = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("setup_venv", {script!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with module.Lock(Path("lock")):
    print("in", flush=True)
    sys.stdin.readline()
    with open("order", "a") as file:
        file.write(sys.argv[1])
"""


@contextmanager
def holding(name: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that takes the lock, says `in`, and writes its name once it is sent a line; killed at the end."""
    command = [sys.executable, "-c", HOLD.format(script=str(SCRIPT)), name]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=folder) as process:
        try:
            yield process
        finally:
            process.kill()


def says_something(process: subprocess.Popen[str], seconds: float) -> bool:
    return bool(select.select([process.stdout], [], [], seconds)[0])


@pytest.mark.skipif(os.name == "nt", reason="the lock is a POSIX one")
def test_the_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    with holding("1", tmp_path) as first:
        assert says_something(first, 600)
        with holding("2", tmp_path) as second:
            assert not says_something(second, 0.5)
            first.communicate("\n", timeout=600)
            assert says_something(second, 600)
            second.communicate("\n", timeout=600)
    assert (tmp_path / "order").read_text() == "12"


@pytest.mark.skipif(os.name == "nt", reason="the lock is a POSIX one")
def test_the_lock_of_a_killed_set_up_is_free(tmp_path: Path) -> None:
    with holding("1", tmp_path) as first:
        assert says_something(first, 600)
    with holding("2", tmp_path) as second:
        second.communicate("\n", timeout=600)
    assert second.returncode == 0
    assert (tmp_path / "order").read_text() == "2"
