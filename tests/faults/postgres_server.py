"""A PostgreSQL server of a test's own, that can be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

PLACES = "/usr/lib/postgresql/*/bin"
PASSWORD = "s3cret@word"  # noqa: S105


def find_postgres() -> tuple[Path | None, str]:
    """Folder of initdb and postgres, or None and the reason why tests cannot use one."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/").glob(PLACES.lstrip("/")))
    folder = next((folder for folder in reversed(folders) if (folder / "postgres").exists()), None)
    if folder is None:
        return None, "no PostgreSQL: neither on the PATH nor in " + PLACES
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        return None, "PostgreSQL does not run as root, and there is no setpriv to become nobody"
    return folder, ""


class Server:
    """A server on loopback, with one user that needs a password."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries, self.data = binaries, folder / "data"
        self.place, self.port = _reserve()
        self.process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:
            shutil.chown(folder, "nobody")
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        options = [
            "-U",
            "tuner",
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
            "--no-sync",
            "--no-locale",
            "-E",
            "UTF8",
        ]
        subprocess.run(self._as_nobody([str(binaries / "initdb"), "-D", str(self.data), *options]), check=True,
                       capture_output=True, cwd=folder)  # fmt: skip
        self.start()

    @property
    def url(self) -> str:
        """Address of the database, with the password."""
        return f"postgresql://tuner:{PASSWORD.replace('@', '%40')}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.data}",
                    "fsync=on", "max_connections=60"]  # fmt: skip
        flags = [part for setting in settings for part in ("-c", setting)]
        command = self._as_nobody([str(self.binaries / "postgres"), "-D", str(self.data), *flags])
        for _ in range(600):  # after a kill, its children need a moment to go
            with (self.data.parent / "log").open("ab") as log:
                self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.data.parent)
            while self.process.poll() is None:
                if self._answers():
                    return
                time.sleep(0.05)
            time.sleep(0.1)
        raise RuntimeError((self.data.parent / "log").read_text()[-2000:])

    def kill(self) -> None:
        """Kill -9 of the server; its children go by themselves."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _as_nobody(self, command: list[str]) -> list[str]:
        if os.getuid() != 0:
            return command
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]


@contextmanager
def server() -> Iterator[Server]:
    """A server that is gone afterwards, with its files."""
    binaries, reason = find_postgres()
    if binaries is None:
        raise RuntimeError(reason)
    folder = Path(tempfile.mkdtemp(prefix="sclandmarks-postgres-"))
    folder.chmod(0o755)
    started = Server(binaries, folder)
    try:
        yield started
    finally:
        started.kill()
        started.place.close()
        time.sleep(0.2)
        shutil.rmtree(folder, ignore_errors=True)


def _reserve() -> tuple[socket.socket, int]:
    """A port that the system gives to nobody else while the socket, which does not listen, is open."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, which then may have it beside this
    place.bind(("127.0.0.1", 0))
    return place, int(place.getsockname()[1])
