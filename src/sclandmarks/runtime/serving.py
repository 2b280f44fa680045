"""What stands in the way of serving a page, found out before a server starts."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from pathlib import Path

from sclandmarks.errors import ParamsError, StudyError

SQLITE = "sqlite:///"


def check_free(host: str, port: int) -> None:
    """Listen once, as a server will.

    Raises
    ------
    ParamsError
        If the port is taken, or the host is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        got = f"{error.strerror or error}, perhaps by another `make ui`"
        raise ParamsError(f"port {port} of {host} free", got, "Choose another --port, or end what listens.") from error


def check_whole(store: str) -> None:
    """Look through a database of runs that is a file of SQLite; of any other address nothing is said.

    Raises
    ------
    StudyError
        If the file is damaged, or no database.
    """
    file = Path(store.partition("?")[0].removeprefix(SQLITE))
    if not store.startswith(SQLITE) or not file.exists() or (file.is_file() and not file.stat().st_size):
        return
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok" and "locked" not in found:
        remedy = f"Move {file} away: the next stage makes another. No result depends on it."
        raise StudyError(f"a database of runs at {file}", f"a damaged one ({' '.join(found.split())})", remedy)
