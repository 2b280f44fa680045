"""Make .venv from requirements.lock, with the standard library alone: `python3 tools/setup_venv.py`.

Done already (same lock, same Python): returns at once. Several at once: one works, the others wait.
uv installs when it can be had, else pip does, more slowly. torch stands outside the lock: a CPU wheel that pip's
configuration or PIP_FIND_LINKS offers is taken, and without one a Linux machine gets the CUDA build.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".set-up"
INPUTS = ("requirements.lock", "overrides.txt", "pyproject.toml", "tools/setup_venv.py")
UV = "uv==0.13.9"


def main() -> None:
    """Set up, unless it is done."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit(f"expected Python 3.11, 3.12 or 3.13; got {sys.version.split()[0]}. Call make PYTHON=python3.11 ...")
    want = wanted()
    with Lock(ROOT / ".venv.lock"):
        if STAMP.is_file() and STAMP.read_text() == want:
            return
        STAMP.unlink(missing_ok=True)
        make_venv()
        install()
        STAMP.write_text(want)


def wanted() -> str:
    """Hash of all that decides what .venv holds."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


class Lock:
    """One set-up at a time; the operating system frees it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        self.file = self.path.open("w")
        try:
            import fcntl
        except ImportError:  # Windows
            return
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *error: object) -> None:
        self.file.close()


def python() -> str:
    """The interpreter inside .venv."""
    return str(VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def make_venv() -> None:
    """Make an empty environment, unless there is one of this Python."""
    code = "import sys; print(sys.version_info[:2])"
    if Path(python()).exists():
        found = subprocess.run([python(), "-c", code], capture_output=True, text=True, check=False).stdout.strip()
        if found == str(sys.version_info[:2]):
            return
        shutil.rmtree(VENV)
    print("setting up .venv (once; a minute or two)", flush=True)
    if subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False).returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit("python3 -m venv failed: on Debian and Ubuntu, apt-get install python3-venv")


def install() -> None:
    """Install the lock and torch, then this package without dependencies."""
    torch = re.search(r'"(torch==[^"]+)"', (ROOT / "pyproject.toml").read_text())
    if torch is None:
        sys.exit("pyproject.toml names no torch==VERSION")
    if not run(python(), "-m", "pip", "install", "-q", UV) or not with_uv(torch.group(1)):
        print("uv could not install; pip takes over", flush=True)
        with_pip(torch.group(1))


def with_uv(torch: str) -> bool:
    """Install by uv, told what pip is told."""
    uv = [python(), "-m", "uv", "pip", "install", "-q", "--compile-bytecode", "--python", python()]
    lock = ["-r", "requirements.lock", torch, "--override", "overrides.txt"]
    return run(*uv, *lock, env=uv_environment()) and run(*uv, "--no-deps", "-e", ".", env=uv_environment())


def with_pip(torch: str) -> None:
    """Install by pip: the lock as it is, without asking scprep which pandas it wants."""
    pip = [python(), "-m", "pip", "install", "-q"]
    steps = (["--no-deps", "-r", "requirements.lock"], [torch], ["--no-deps", "-e", "."])
    if not all(run(*pip, *step) for step in steps):
        sys.exit("the set-up failed; see the message above. Network, index and certificates are taken from pip.")


def uv_environment() -> dict[str, str]:
    """Environment for uv, with pip's find-links, index and certificates where the user has not set uv's own."""
    env = dict(os.environ)
    settings = {
        "UV_FIND_LINKS": ",".join(pip_setting("find-links").split()),
        "UV_DEFAULT_INDEX": pip_setting("index-url"),
        "SSL_CERT_FILE": pip_setting("cert"),
    }
    return {name: value for name, value in settings.items() if value} | env


def pip_setting(name: str) -> str:
    """A setting of the user's pip, from PIP_* or its configuration; empty where there is none."""
    from_environment = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if from_environment:
        return from_environment
    command = [python(), "-m", "pip", "config", "list"]  # not `get`: that one reads the user's own file alone
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    settings = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    value = settings.get(f"install.{name}") or settings.get(f"global.{name}") or "''"
    return str(ast.literal_eval(value)).strip()


def run(*command: str, env: dict[str, str] | None = None) -> bool:
    """Run a command in the repository; True when it succeeded."""
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode == 0


if __name__ == "__main__":
    main()
