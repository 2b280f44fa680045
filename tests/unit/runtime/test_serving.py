"""A port and a database are looked at before a server starts."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sclandmarks.errors import ParamsError, StudyError
from sclandmarks.runtime.serving import check_free, check_whole


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of some pages."""
    path = tmp_path / "runs of mine.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
        connection.executemany("INSERT INTO runs VALUES (?)", [("x" * 500,) for _ in range(200)])
        connection.commit()
    return path


def test_a_port_is_free_until_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ParamsError, match=rf"port {port} of 127\.0\.0\.1 free.*Choose another --port"):
            check_free("127.0.0.1", port)
    check_free("127.0.0.1", port)


def test_a_host_of_another_machine_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"of 192\.0\.2\.1 free"):
        check_free("192.0.2.1", 5000)


def test_a_whole_database_passes_also_while_it_is_written(database: Path) -> None:
    check_whole(f"sqlite:///{database}")
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        check_whole(f"sqlite:///{database}?timeout=1")


def test_what_is_no_file_yet_or_a_server_passes(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for store in (
        f"sqlite:///{tmp_path}/none.db",
        f"sqlite:///{tmp_path}/empty.db",
        "postgresql://nobody@nowhere/runs",
    ):
        check_whole(store)


@pytest.mark.parametrize("damage", ["cut", "garbage", "page", "folder"])
def test_a_damaged_database_is_named(database: Path, damage: str) -> None:
    whole = database.read_bytes()
    if damage == "folder":
        database.unlink()
        database.mkdir()
    else:
        page = whole[:8192] + bytes(4096) + whole[12288:]
        database.write_bytes({"cut": whole[: len(whole) // 2], "garbage": b"none" * 999, "page": page}[damage])
    with pytest.raises(StudyError, match=r"runs of mine\.db; got a damaged one \(.*Move .* away"):
        check_whole(f"sqlite:///{database}")
