"""Where a study is kept: a journal file, PostgreSQL, a proxy in front of it, or SQLite for one worker."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import optuna
from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage

from sclandmarks.errors import ParamsError, StudyError
from sclandmarks.tune.journal import Journal
from sclandmarks.tune.locks import lock_file
from sclandmarks.tune.patience import Patient, first_line, wait_for

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

SERVED = 300.0  # seconds for which the proxy waits for its server
CONNECT = 10  # seconds until a server that does not answer is given up at the start
POOL = {"pool_size": 2, "max_overflow": 2, "pool_recycle": 1800}  # two threads a worker
LOST = "-c idle_in_transaction_session_timeout=60s"  # a worker frozen in the middle of a write holds its rows no longer
START = "Start the server, or mend --storage; trials already there are kept."


class Store(NamedTuple):
    """A storage, and the right to change the list of its trials.

    Parameters
    ----------
    storage : optuna.storages.BaseStorage
    claim : callable
        Context manager; one worker at a time is in it, and leaves it when it dies.
    exclusive : bool
        Whether that holds for all machines, not only for this one.
    """

    storage: BaseStorage
    claim: Callable[[], AbstractContextManager[None]]
    exclusive: bool


def open_store(url: str, name: str, folder: Path, workers: int = 1, patience: float = 0.0, first: float = 0.0) -> Store:
    """Open the storage of a study, or make it.

    Parameters
    ----------
    url : str
        `journal:PATH` (many workers on one machine, or on machines that share the folder), `postgresql://...` (many
        machines), `grpc://HOST:PORT` (hundreds of workers, see `serve`), `sqlite:///PATH` (one worker).
    name : str
        Of the study.
    folder : Path
        Of the study, for locks.
    workers : int
        How many are going to use it.
    patience, first : float
        Seconds for which a server that went away is waited for: later, and at the first contact.

    Notes
    -----
    A worker has two connections to PostgreSQL, and a third while it claims a trial: with the usual 100 connections
    about 30 workers have room; for more raise `max_connections`, or use the proxy. Where the server has none left,
    workers wait.

    Raises
    ------
    ParamsError
        If the address is none of these, or SQLite is to serve several workers.
    StudyError
        If a server does not answer, refuses the password, or has tables of another version of Optuna; if a file is no
        SQLite database.
    DataError
        If a line in the middle of a journal is broken, or the file is none.
    OSError
        If a journal or a lock cannot be written, with a note.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    local = partial(lock_file, folder / "claim.flock")
    if url.startswith("journal:"):
        storage: BaseStorage = JournalStorage(Journal(Path(url.removeprefix("journal:"))))
        return Store(storage, local, exclusive=True)
    if url.startswith("grpc://"):
        return Store(Patient(_open_proxy(url, max(first, CONNECT)), patience), local, exclusive=False)
    if url.startswith("sqlite:///"):
        if workers > 1:
            raise ParamsError(
                f"a storage for {workers} workers",
                "SQLite, which locks the whole file for each write: workers wait for each other and fail",
                "Use journal:PATH, postgresql://..., or --workers 1.",
            )
        with _explained(f"an SQLite file {url}", "Mend --storage: sqlite:///PATH, in a folder that is there."):
            return Store(RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}}), local, exclusive=True)
    if url.startswith("postgresql://"):
        with _explained(f"a PostgreSQL server that opens {without_password(url)}", START):
            return wait_for(lambda: _open_postgres(url, name, patience), first)
    raise ParamsError(
        "a storage journal:PATH, postgresql://..., grpc://HOST:PORT or sqlite:///PATH",
        without_password(url),
        "Mend --storage.",
    )


def check_there(url: str) -> None:
    """Refuse an address of a file that is not there, which `open_store` would make: for those who only look.

    Raises
    ------
    StudyError
        If there is none.
    """
    kind, _, path = url.partition("?")[0].partition(":///" if url.startswith("sqlite") else ":")
    if kind in ("journal", "sqlite") and not Path(path).exists():
        raise StudyError("a storage that is there", f"{url}, which is not", "Mend --storage.")


def without_password(url: str) -> str:
    """Address of a storage as it may be shown and logged: without password."""
    if "://" not in url or url.startswith("sqlite"):
        return url
    try:
        return _parse(url)._replace(password=None).difference_update_query(["password"]).render_as_string()
    except ParamsError:
        return url.partition("://")[0] + "://..."


def password(url: str) -> str | None:
    """Password in the address of a storage; workers get it as PGPASSWORD, so that no file holds it."""
    if not url.startswith("postgresql://"):
        return None
    parsed = _parse(url)
    return parsed.password or str(parsed.query.get("password", "")) or None


def serve(url: str, host: str = "127.0.0.1", port: int = 13000) -> None:
    """Serve a PostgreSQL storage to hundreds of workers by Optuna's gRPC proxy, until stopped.

    Parameters
    ----------
    url : str
        `postgresql://...`
    host : str
        Where it listens. The proxy knows no password and no encryption: whoever reaches it can change every study.
    port : int

    Raises
    ------
    ParamsError
        If the storage is no PostgreSQL (Optuna's proxy mixes up the workers of a journal, and SQLite has one worker),
        or the port is taken.
    StudyError
        As `open_store`.
    """
    if not url.startswith("postgresql://"):
        raise ParamsError(
            "postgresql://... behind the proxy", without_password(url), "Give workers that storage itself."
        )
    storage = open_store(url, "", Path(), patience=SERVED).storage
    if host not in ("127.0.0.1", "localhost", "::1"):
        logging.getLogger(__name__).warning("%s: everyone who reaches port %d can change every study", host, port)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            optuna.storages.run_grpc_proxy_server(storage, host=host, port=port)
        except RuntimeError as error:
            raise ParamsError(f"a free port {port} on {host}", first_line(error), "Give another --port.") from None


def _open_proxy(url: str, first: float) -> BaseStorage:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise ParamsError("grpc://HOST:PORT", without_password(url), "Give the address of `sclandmarks tune serve`.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proxy = GrpcStorageProxy(host=host, port=port)
    try:
        proxy.wait_server_ready(timeout=first)
    except ConnectionError:
        raise StudyError(f"a proxy at {host}:{port}", f"no answer in {first:.0f} s", START) from None
    return proxy


def _open_postgres(url: str, name: str, patience: float) -> Store:
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    address = _parse(url).set(drivername="postgresql+psycopg")
    connect = {"connect_timeout": CONNECT, "options": LOST, "application_name": "sclandmarks"}
    locks = sqlalchemy.create_engine(address, poolclass=NullPool, connect_args=connect)
    kept = {**POOL, "connect_args": connect}
    with _advisory(locks, "sclandmarks tables"):  # two that make the tables at once would fail
        rdb = RDBStorage(address.render_as_string(hide_password=False), engine_kwargs=kept)
        storage = optuna.storages.get_storage(rdb)
    return Store(Patient(storage, patience), partial(_advisory, locks, f"claim {name}", patience), exclusive=True)


@contextmanager
def _advisory(engine: Engine, name: str, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock of the server; it falls with the connection, which falls with its process."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    connection = wait_for(lambda: _locked(engine, key), patience)
    try:
        yield
    finally:
        connection.invalidate()  # closes it without a word to the server, which may be gone
        connection.close()


def _locked(engine: Engine, key: int) -> Connection:
    import sqlalchemy

    connection = engine.connect()
    try:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
    except BaseException:
        connection.invalidate()
        connection.close()
        raise
    return connection


@contextmanager
def _explained(wanted: str, remedy: str) -> Iterator[None]:
    """Turn what a database says at the first contact into an error for users; no message holds the password."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise StudyError(wanted, first_line(error), remedy) from None
    except RuntimeError as error:  # Optuna's check of its tables
        other = "Use another database or the Optuna that made it; `optuna storage upgrade` makes old tables fit."
        raise StudyError(f"tables of Optuna {optuna.__version__} in {wanted}", first_line(error), other) from None


def _parse(url: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(url)
        if "@" in f"{address.host or ''}{address.database or ''}":  # a bare @ in the password: its rest would be shown
            raise ValueError
    except (ArgumentError, ValueError):  # which may show the password
        remedy = "Mend --storage; signs such as @, / and : in a password are written %40, %2F and %3A."
        raise ParamsError("postgresql://USER:PASSWORD@HOST:PORT/DATABASE", "one that cannot be read", remedy) from None
    return address
